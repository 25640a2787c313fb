//! What is asked of inactive units, and which of them are reported once it is answered.

use super::{super::*, answer_each, name_of, properties_of};
use crate::inventory::wanted_inactive::InactiveReason;
use crate::systemd::state::ActiveState;

/// Names that an active target wants.
fn wanted() -> (UnitProperty, Value) {
    (UnitProperty::WantedBy, Value::Units([name_of("all.target")].into()))
}

fn listed(name: &str) -> ListedUnit {
    let active = name.ends_with(".target");
    super::listed(name, if active { ActiveState::Active } else { ActiveState::Inactive }, "dead")
}

fn with_unit(name: &str) -> Inventory {
    let mut inventory = Inventory::new(Selection::default(), Reads::EVERYTHING, 0);
    inventory.resync(vec![listed("all.target"), listed(name)], Extent::Everything, 0);
    inventory
}

/// What is asked of an inactive unit about which these are the facts.
fn asked(name: &str, facts: &[(UnitProperty, Value)]) -> PropertySet {
    let mut asked = answer_each(&mut with_unit(name), |unit, property| {
        let is_it = unit.as_str() == name;
        let fact = facts.iter().find(|(about, _)| is_it && *about == property);
        fact.map_or(Value::Nothing, |(_, value)| value.clone())
    });
    asked.retain(|(unit, _)| unit.as_str() == name);
    properties_of(asked)
}

/// Most inactive units are wanted by none, and each question costs PID 1 time.
#[test]
fn an_inactive_unit_is_asked_only_what_can_decide_whether_it_should_run() {
    use UnitProperty::{
        AssertTime, BusName, ConditionResult, ConditionTime, ConflictedBy, ExitMonotonic,
        InactiveExit, RemainAfterElapse, StateChange, TriggeredBy, UnitFileState, WantedBy,
    };
    let has = |name: &str, facts: &[(UnitProperty, Value)], all: &[UnitProperty]| {
        let asked = asked(name, facts);
        let has: Vec<_> = all.iter().filter(|property| asked.has(**property)).copied().collect();
        assert!(has.is_empty() || has == all, "{name} {facts:?}: {has:?}");
        !has.is_empty()
    };
    let all = [ConditionTime, ConditionResult, AssertTime, TriggeredBy, ConflictedBy];
    let tried = (ConditionTime, Value::Number(5));
    let met = (ConditionResult, Value::Flag(true));
    for name in ["a.service", "a.timer", "a.socket"] {
        assert!(has(name, &[], &[WantedBy]));
        assert!(!has(name, &[], &all), "no unit wants it");
        assert!(has(name, &[wanted()], &all));
        assert!(!has(name, &[wanted(), tried.clone()], &[ConflictedBy]), "its conditions failed");
        assert!(has(name, &[wanted(), tried.clone(), met.clone()], &[ConflictedBy]));
        let asserted = [wanted(), tried.clone(), met.clone(), (AssertTime, Value::Number(5))];
        assert!(!has(name, &asserted, &[ConflictedBy]), "its asserts failed");

        let service = [ExitMonotonic, StateChange, BusName];
        assert_eq!(has(name, &[wanted()], &service), name == "a.service");
        assert_eq!(has(name, &[wanted()], &[RemainAfterElapse]), name == "a.timer");

        // For this one systemd reads the disk. It matters only if no start was tried.
        assert!(has(name, &[wanted()], &[UnitFileState]));
        assert!(!has(name, &[wanted(), tried.clone(), met.clone()], &[UnitFileState]));
        assert!(!has(name, &[wanted(), (InactiveExit, Value::Number(5))], &[UnitFileState]));
    }
    for name in ["a.slice", "a.scope", "a.device"] {
        assert!(!has(name, &[wanted()], &[WantedBy]), "it cannot be started");
    }
}

/// One more answer might show that it is inactive by design.
#[test]
fn a_unit_is_reported_once_every_question_that_decides_is_answered() {
    let mut inventory = with_unit("a.service");
    let mut under_way = VecDeque::new();
    loop {
        under_way.extend(std::iter::from_fn(|| inventory.next_question()));
        if under_way.iter().any(|(_, property)| PropertySet::WANTED_INACTIVE.has(*property)) {
            assert_eq!(inventory.snapshot(0).wanted_inactive, [], "{under_way:?}");
        }
        let Some((unit, property)) = under_way.pop_front() else { break };
        let (about, target) = wanted();
        let is_it = unit.as_str() == "a.service" && property == about;
        inventory.answer(&unit, property, Ok(if is_it { target } else { Value::Nothing }));
    }
    let reported = [(name_of("a.service"), InactiveReason::NeverStarted)];
    assert_eq!(inventory.snapshot(0).wanted_inactive, reported);
}

/// A state that systemd signals and one that is read again after a gap have the same effect.
#[test]
fn a_unit_that_is_read_as_inactive_is_asked_what_wants_it_a_second_later() {
    let mut inventory = with_unit("a.target");
    answer_each(&mut inventory, |_, _| Value::Nothing);
    let inactive = Ok(Value::Text("inactive".into()));
    inventory.answer(&name_of("a.target"), UnitProperty::ActiveState, inactive);
    let is_asked = |inventory: &mut Inventory| {
        let mut questions = std::iter::from_fn(|| inventory.next_question());
        questions.any(|(_, property)| property == UnitProperty::WantedBy)
    };
    assert!(!is_asked(&mut inventory));
    inventory.retry_deferred(ASK_DELAY);
    assert!(is_asked(&mut inventory));
}

/// Only these are looked at every second.
#[test]
fn a_unit_is_checked_again_only_if_inactive_units_want_it() {
    let reads = |wanted_by: &[&str]| {
        let mut inventory = with_unit("a.service");
        let wanted_by = Value::Units(wanted_by.iter().map(|name| name_of(name)).collect());
        answer_each(&mut inventory, |unit, property| {
            let is_it = unit.as_str() == "a.service" && property == UnitProperty::WantedBy;
            if is_it { wanted_by.clone() } else { Value::Nothing }
        });
        inventory.wanted_by_inactive.len()
    };
    assert_eq!(reads(&[]), 0);
    assert_eq!(reads(&["all.target"]), 0);
    assert_eq!(reads(&["inactive.target", "all.target"]), 0);
    assert_eq!(reads(&["inactive.target"]), 1);
}

#[test]
fn a_service_is_reported_unless_the_bus_starts_it_by_its_name() {
    let mut inventory = with_unit("a.service");
    answer_each(&mut inventory, |unit, property| {
        let is_it = unit.as_str() == "a.service";
        match property {
            UnitProperty::WantedBy if is_it => wanted().1,
            UnitProperty::BusName if is_it => Value::Text("org.example.A".into()),
            _ => Value::Nothing,
        }
    });
    let mut reported = |names: &[&str]| {
        inventory.replace_activatable(names.iter().map(|name| (*name).into()).collect());
        inventory.snapshot(0).wanted_inactive.len()
    };
    assert_eq!(reported(&["org.example.A"]), 0);
    assert_eq!(reported(&["org.example.B"]), 1);
}

/// Its type is not signalled. A start whose conditions fail changes nothing else.
#[test]
fn a_job_after_which_the_conditions_were_checked_again_is_a_start() {
    for (checked_at, expected) in [(9, JobType::Start), (5, JobType::Stop)] {
        let mut inventory = with_unit("a.service");
        let unit = name_of("a.service");
        let checked = |at| {
            let facts = vec![
                (UnitProperty::ConditionTime, Value::Number(at)),
                (UnitProperty::ConditionResult, Value::Flag(false)),
                (UnitProperty::ActiveState, Value::Text("inactive".into())),
            ];
            Event::UnitChanged(name_of("a.service"), facts)
        };
        inventory.apply(checked(5), 7_000_000);
        inventory.apply(Event::JobNew { id: 7, unit: unit.clone() }, 8_000_000);
        inventory.apply(checked(checked_at), 8_000_000);
        inventory.apply(Event::JobRemoved { id: 7, unit, result: "done".into() }, 8_000_000);
        let finished: Vec<_> = inventory.snapshot(0).totals.jobs.into_keys().collect();
        assert_eq!(finished, [expected], "{checked_at}");
    }
}
