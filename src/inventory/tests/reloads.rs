//! Failed reloads, counted by their signals and by their jobs.

use super::{super::*, answer_each, name};
use crate::systemd::state::ActiveState;

fn inventory() -> Inventory {
    Inventory::new(Selection::default(), Reads::EVERYTHING, 0)
}

fn unit(unit: &str) -> UnitName {
    UnitName::new(unit).unwrap()
}

/// Sends the two signals of a change, of the unit's type and of the unit.
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

/// Replaces the table by a listing of this unit, and answers the questions that follow.
fn resync(inventory: &mut Inventory, listed: &UnitName) {
    let listing = vec![super::listed(listed.as_str(), ActiveState::Active, "running")];
    inventory.resync(listing, Extent::Everything, 0);
    answer_each(inventory, |_, _| Value::Nothing);
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
    unit.counters.reload_failures.iter().map(|(it, n)| (it.to_string(), n)).collect()
}

#[test]
fn a_reload_that_failed_in_a_gap_counts_with_the_next_signal() {
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
fn after_a_state_file_without_reloads_the_first_failure_does_not_count() {
    let (mut inventory, service) = reloaded();
    signal(&mut inventory, &service, "active", "timeout", 0);
    let mut record = serde_json::to_value(inventory.record(None).unwrap().0).unwrap();
    let unit = record["units"][0].as_object_mut().unwrap();
    assert!(unit["counted"].as_object_mut().unwrap().remove("reloads").is_some());
    assert!(unit["history"].as_object_mut().unwrap().remove("reload_failures").is_some());
    let mut next = self::inventory();
    next.recall(serde_json::from_value(record).unwrap());
    resync(&mut next, &service);
    signal(&mut next, &service, "active", "timeout", 0);
    assert_eq!(failed(&next), []);
}

/// Before systemd 258 mounts have no `ReloadResult`.
#[test]
fn a_failed_remount_counts_by_its_job() {
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

/// `ReloadResult` may be that of the reload before: systemd does not reset it when a service
/// reloads by itself. After a gap it is unknown.
#[test]
fn a_failed_reload_that_its_job_shows_counts_by_the_result_of_the_job() {
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

#[test]
fn a_failed_job_of_another_type_is_no_failed_reload() {
    let (mut inventory, service) = reloaded();
    for (id, job_type) in [(1, JobType::Stop), (2, JobType::Restart)] {
        let job = ListedJob { id, unit: service.clone(), job_type, state: "running".into() };
        inventory.replace_jobs(vec![job], 0);
        let (unit, result) = (service.clone(), "timeout".into());
        inventory.apply(Event::JobRemoved { id, unit, result }, 0);
    }
    assert_eq!(failed(&inventory), []);
}

/// A reload that systemd cannot begin leaves `ReloadResult` as it was.
#[test]
fn a_reload_that_started_no_process_and_follows_a_failed_one_counts_by_the_same_result() {
    let (mut inventory, service) = reloaded();
    signal(&mut inventory, &service, "active", "exit-code", 0);
    inventory.apply(Event::JobNew { id: 9, unit: service.clone() }, 0);
    inventory.apply(Event::JobRemoved { id: 9, unit: service, result: "failed".into() }, 0);
    assert_eq!(failed(&inventory), [("exit-code".into(), 2)]);
    let jobs = inventory.snapshot(0).totals.jobs;
    assert_eq!(jobs.into_keys().collect::<Vec<_>>(), [JobType::Reload]);
}
