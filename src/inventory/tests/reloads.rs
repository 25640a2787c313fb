//! Failed reloads, by what systemd signals of them and by their jobs.

use super::{super::*, name};
use crate::systemd::state::ActiveState;

fn inventory() -> Inventory {
    Inventory::new(Selection::default(), Reads::EVERYTHING, 0)
}

fn unit(unit: &str) -> UnitName {
    UnitName::new(unit).unwrap()
}

/// The signals of a change: the one of the type and the one of the unit.
fn signal(inventory: &mut Inventory, of: &UnitName, state: &str, result: &str, job: u64) {
    let job = if job == 0 { Value::Nothing } else { Value::Number(job) };
    let property = UnitProperty::ReloadResult;
    let of_type = vec![(property, Value::Text(result.into()))];
    if !result.is_empty() {
        inventory.apply(Event::UnitChanged(of.clone(), of_type), 0);
    }
    let facts = vec![
        (UnitProperty::ActiveState, Value::Text(state.into())),
        (UnitProperty::SubState, Value::Text("running".into())),
        (UnitProperty::Job, job),
    ];
    inventory.apply(Event::UnitChanged(of.clone(), facts), 0);
}

/// Adopts a listing with this unit in it, and answers what follows.
fn resync(inventory: &mut Inventory, listed: &UnitName) {
    let listed = ListedUnit {
        name: listed.clone(),
        load_state: LoadState::Loaded,
        active_state: ActiveState::Active,
        sub_state: "running".into(),
    };
    inventory.resync(vec![listed], Extent::Everything, 0);
    while let Some((unit, property)) = inventory.next_question() {
        inventory.answer(&unit, property, Ok(Value::Nothing));
    }
}

/// A service whose last reload was a success.
fn reloaded() -> (Inventory, UnitName) {
    let (mut inventory, service) = (inventory(), unit("a.service"));
    resync(&mut inventory, &service);
    signal(&mut inventory, &service, "active", "success", 0);
    (inventory, service)
}

fn failed(inventory: &Inventory) -> Vec<(String, u64)> {
    let unit = &inventory.snapshot(0).units[0];
    unit.counters.reload_failures.iter().map(|(word, count)| (word.to_string(), count)).collect()
}

#[test]
fn a_reload_that_failed_while_nothing_listened_counts_with_the_next_signal() {
    let mut first = inventory();
    let service = unit("a.service");
    resync(&mut first, &service);
    signal(&mut first, &service, "active", "exit-code", 0);
    assert_eq!(failed(&first), [], "it may have failed at any time");
    signal(&mut first, &service, "active", "success", 0);
    let record = first.record(None).unwrap().0;
    let record = serde_json::to_string(&record).unwrap();

    first.disconnect();
    let mut next = inventory();
    next.recall(serde_json::from_str(&record).unwrap());
    for inventory in [&mut first, &mut next] {
        resync(inventory, &service);
        assert_eq!(failed(inventory), []);
        signal(inventory, &service, "active", "timeout", 0);
        assert_eq!(failed(inventory), [("timeout".into(), 1)]);
    }
}

#[test]
fn a_record_of_an_older_version_says_nothing_of_reloads() {
    let (mut inventory, service) = reloaded();
    signal(&mut inventory, &service, "active", "timeout", 0);
    let mut record = serde_json::to_value(inventory.record(None).unwrap().0).unwrap();
    let kept = record["units"][0].as_object_mut().unwrap();
    assert!(kept["counted"].as_object_mut().unwrap().remove("reloads").is_some());
    assert!(kept["history"].as_object_mut().unwrap().remove("reload_failures").is_some());
    let mut next = self::inventory();
    next.recall(serde_json::from_value(record).unwrap());
    resync(&mut next, &service);
    signal(&mut next, &service, "active", "timeout", 0);
    assert_eq!(failed(&next), []);
}

/// As before version 258, which has no `ReloadResult` of mounts.
#[test]
fn a_mount_whose_remount_fails_counts_by_its_job() {
    let mut inventory = inventory();
    let mount = name(4);
    resync(&mut inventory, &mount);
    for (id, result) in [(1, "failed"), (2, "done"), (3, "failed"), (4, "timeout"), (5, "canceled")]
    {
        inventory.apply(Event::JobNew { id, unit: mount.clone() }, 0);
        signal(&mut inventory, &mount, "reloading", "", id.into());
        signal(&mut inventory, &mount, "active", "", id.into());
        inventory.apply(Event::JobRemoved { id, unit: mount.clone(), result: result.into() }, 0);
    }
    assert_eq!(failed(&inventory), [("failed".into(), 2), ("timeout".into(), 1)]);
}

/// `ReloadResult` may be the one of the reload before: of what a service reloads by itself it is not
/// reset, and after a gap it is not known.
#[test]
fn a_reload_that_its_job_shows_to_have_failed_counts_with_the_word_of_the_job() {
    let (mut inventory, service) = reloaded();
    signal(&mut inventory, &service, "active", "exit-code", 0);
    assert_eq!(failed(&inventory), [("exit-code".into(), 1)]);
    let fail = |inventory: &mut Inventory, id: u32| {
        let result = "timeout".into();
        inventory.apply(Event::JobRemoved { id, unit: unit("a.service"), result }, 0);
    };

    inventory.apply(Event::JobNew { id: 1, unit: service.clone() }, 0);
    signal(&mut inventory, &service, "reloading", "", 1);
    fail(&mut inventory, 1);
    assert_eq!(failed(&inventory), [("exit-code".into(), 1), ("timeout".into(), 1)]);
    signal(&mut inventory, &service, "active", "exit-code", 0);

    inventory.disconnect();
    let (job_type, state) = (JobType::Reload, "running".into());
    inventory.replace_jobs(vec![ListedJob { id: 2, unit: service.clone(), job_type, state }], 0);
    resync(&mut inventory, &service);
    fail(&mut inventory, 2);
    assert_eq!(failed(&inventory), [("exit-code".into(), 1), ("timeout".into(), 2)]);
}
