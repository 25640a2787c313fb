//! What a snapshot shows: of everything, and of a selection.

use super::{super::*, name_of, selecting};
use crate::inventory::snapshot::Snapshot;
use crate::systemd::state::{ActiveState, FileState};

/// The names of everything that a snapshot shows.
#[derive(Debug, PartialEq)]
struct Shown {
    units: Vec<String>,
    /// Each roll-up with its members.
    rollups: Vec<(String, Vec<String>)>,
    gone: Vec<String>,
    files: Vec<String>,
    wanted_inactive: Vec<String>,
}

impl Shown {
    fn of(snapshot: &Snapshot) -> Self {
        let name = |name: &UnitName| name.as_str().to_owned();
        let members = |units: &[std::sync::Arc<super::Unit>]| {
            units.iter().map(|unit| name(&unit.name)).collect::<Vec<_>>()
        };
        let rollups = snapshot.rollups.iter();
        Self {
            units: members(&snapshot.units),
            rollups: rollups
                .map(|it| (it.name.as_str().to_owned(), members(&it.members)))
                .collect(),
            gone: snapshot.gone.iter().map(|(unit, _)| name(unit)).collect(),
            files: snapshot.files.iter().map(|file| name(&file.name)).collect(),
            wanted_inactive: snapshot.wanted_inactive.iter().map(|(unit, _)| name(unit)).collect(),
        }
    }
}

fn names(of: &[&str]) -> Vec<String> {
    of.iter().map(ToString::to_string).collect()
}

fn listed(name: &str) -> ListedUnit {
    let active = name.ends_with(".target");
    super::listed(
        name,
        if active { ActiveState::Active } else { ActiveState::Inactive },
        "whatever",
    )
}

/// Starts a unit and removes it from memory.
fn run_and_leave(inventory: &mut Inventory, name: &str, at: Usec) {
    inventory.apply(Event::UnitNew(name_of(name)), at);
    let facts = vec![
        (UnitProperty::ActiveState, Value::Text("active".into())),
        (UnitProperty::SubState, Value::Text("running".into())),
        (UnitProperty::ActiveEnter, Value::Number(at)),
        (UnitProperty::Invocation, Value::Id(at.into())),
    ];
    inventory.apply(Event::UnitChanged(name_of(name), facts), at);
    inventory.apply(Event::UnitRemoved(name_of(name)), at);
}

/// A target wants two timers that are inactive, and three services have run and left.
fn inventory(selection: Selection) -> Inventory {
    let mut inventory = Inventory::new(selection, Reads::EVERYTHING, Usec::MAX);
    let units = ["a.target", "b.timer", "hidden.timer", "i@1.service"];
    inventory.resync(units.map(listed).into(), Extent::Everything, 1);
    super::answer_each(&mut inventory, |unit, property| {
        let wanted = property == UnitProperty::WantedBy && unit.unit_type() == UnitType::Timer;
        if wanted { Value::Units([name_of("a.target")].into()) } else { Value::Nothing }
    });
    for (unit, at) in ["gone.service", "hidden-gone.service", "i@2.service"].into_iter().zip(2..) {
        run_and_leave(&mut inventory, unit, at);
    }
    let files = ["b.timer", "c.service", "hidden.timer", "i@.service", "i@1.service"];
    let file = |name| ListedFile { name: name_of(name), state: FileState::Enabled };
    inventory.replace_files(files.map(file).into());
    inventory
}

/// `series` takes the snapshot of an exporter that shows everything.
#[test]
fn a_part_of_a_snapshot_shows_what_an_exporter_with_these_filters_shows() {
    let everything = inventory(Selection::default()).snapshot(9);
    assert_eq!(
        Shown::of(&everything),
        Shown {
            units: names(&["a.target", "b.timer", "hidden.timer", "i@1.service"]),
            rollups: Vec::new(),
            gone: names(&["gone.service", "hidden-gone.service", "i@2.service"]),
            files: names(&["b.timer", "c.service", "hidden.timer", "i@.service", "i@1.service"]),
            wanted_inactive: names(&["b.timer", "hidden.timer"]),
        }
    );
    let selection = selecting("hidden.*", &[], &["instances"]);
    let selected = Shown {
        units: names(&["a.target", "b.timer"]),
        rollups: vec![("i@.service".into(), names(&["i@1.service"]))],
        gone: names(&["gone.service"]),
        // The template is shown beside the roll-up of its instances.
        files: names(&["b.timer", "c.service", "i@.service"]),
        wanted_inactive: names(&["b.timer"]),
    };
    assert_eq!(Shown::of(&everything.select(&selection)), selected);
    assert_eq!(Shown::of(&inventory(selection).snapshot(9)), selected);
}

/// An inactive unit is not asked about for a second, and its counters would have a gap in a graph.
#[test]
fn the_counters_of_a_unit_that_comes_back_are_shown_before_its_state_is_read() {
    let mut inventory = inventory(selecting("hidden.*", &[], &["instances"]));
    let back = ["gone.service", "hidden-gone.service", "i@2.service", "new.service"];
    for unit in back {
        inventory.apply(Event::UnitNew(name_of(unit)), 9);
    }
    let snapshot = inventory.snapshot(9);
    let starts: Vec<_> =
        snapshot.gone.iter().map(|(name, it)| (name.as_str(), it.starts)).collect();
    assert_eq!(starts, [("gone.service", 1)]);
    let rollups: Vec<_> = snapshot.rollups.iter().map(|it| it.counters.starts).collect();
    assert_eq!(rollups, [1]);
    assert!(snapshot.units.iter().all(|unit| !back.contains(&unit.name.as_str())));
}

#[test]
fn a_snapshot_has_the_time_of_the_oldest_job_and_the_properties_of_the_manager() {
    let mut inventory = Inventory::default();
    inventory.learn_manager(ManagerProperty::FailedUnits, &Value::Number(3));
    for (id, at) in [(7, 20), (5, 30)] {
        inventory.apply(Event::JobNew { id, unit: name_of("a.service") }, at);
    }
    let snapshot = inventory.snapshot(40);
    assert_eq!((snapshot.oldest_job, snapshot.manager.failed_units), (Some(20), Some(3)));
}

/// The time of a scrape is taken before its snapshot.
#[test]
fn without_a_retention_nothing_gone_is_shown_even_if_it_left_after_the_scrape_began() {
    let selection = selecting("hidden.*", &[], &["instances"]);
    let mut inventory = Inventory::new(selection, Reads::EVERYTHING, 0);
    inventory.resync(Vec::new(), Extent::Everything, 1);
    for unit in ["gone.service", "i@2.service"] {
        run_and_leave(&mut inventory, unit, 10);
    }
    for now in [9, 10, 11] {
        let snapshot = inventory.snapshot(now);
        assert!(snapshot.gone.is_empty() && snapshot.rollups.is_empty(), "{snapshot:?}");
    }
}
