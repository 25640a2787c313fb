//! What is read again: after an answer that did not come, a lost connection, a reload or a signal.

use super::*;
use UnitProperty as P;

/// For example, the queue of the bus was full. Until then the value is neither known nor absent.
#[test]
fn a_question_without_an_answer_is_asked_again_a_second_later() {
    let mut inventory = inventory();
    inventory.resync(vec![row("a.timer", ActiveState::Active)], Extent::Everything, 0);
    let mut unanswered = None;
    while let Some((unit, property)) = inventory.next_question() {
        match property {
            P::ActiveEnter => unanswered = Some(unit),
            _ => inventory.answer(&unit, property, Ok(Value::Nothing)),
        }
    }
    inventory.answer(&unanswered.unwrap(), P::ActiveEnter, Err(CallError::Deadline));
    assert_eq!(answer_all(&mut inventory, "active", &[]), []);
    assert!(!inventory.is_complete());
    inventory.retry_deferred(ASK_DELAY);
    let asked = answer_all(&mut inventory, "active", &[]);
    assert_eq!(asked, [("a.timer".to_owned(), P::ActiveEnter)]);
    assert!(inventory.is_complete());
}

/// Its answer is lost.
#[test]
fn a_question_that_was_under_way_when_the_connection_was_lost_is_asked_again() {
    let mut inventory = inventory();
    let mut ask = || {
        inventory.resync(vec![row("a.timer", ActiveState::Active)], Extent::Everything, 0);
        let asked: Vec<_> = std::iter::from_fn(|| inventory.next_question()).collect();
        inventory.disconnect();
        asked
    };
    let first = ask();
    assert!(!first.is_empty());
    assert_eq!(ask(), first);
}

/// The signal that it ended is lost. While a reload is under way, every unit seems to leave.
#[test]
fn after_a_lost_connection_a_reload_is_not_under_way() {
    let mut inventory = inventory();
    inventory.resync(vec![row("a.timer", ActiveState::Active)], Extent::Everything, 0);
    inventory.apply(Event::Reloading(true), 0);
    inventory.disconnect();
    inventory.apply(Event::UnitRemoved(name_of("a.timer")), 0);
    assert!(inventory.snapshot(0).units.is_empty());
}

/// There is no listing after the reload that shows the units and their states.
#[test]
fn after_a_reload_the_units_of_a_type_that_systemd_refuses_to_list_are_read_again() {
    let mut inventory = inventory();
    let listing = vec![row("a.timer", ActiveState::Active), row("b.path", ActiveState::Active)];
    inventory.resync(listing, Extent::Everything, 0);
    answer_all(&mut inventory, "active", &[]);
    inventory.note_refused(Listing::Units(UnitType::Timer), true);
    inventory.invalidate_settings(ListedTypes::Type(UnitType::Timer));
    let asked = answer_all(&mut inventory, "inactive", &[]);
    assert!(asked.iter().all(|(unit, _)| unit == "a.timer"), "{asked:?}");
    let asked = PropertySet::of(&asked.iter().map(|(_, property)| *property).collect::<Vec<_>>());
    let settings = PropertySet::details_of(UnitType::Timer);
    assert!(asked.contains(PropertySet::STATE.union(settings)), "{asked:?}");
    assert_eq!(shown(&inventory)[&name_of("a.timer")].1, ActiveState::Inactive);
}

/// Its file has appeared, and systemd signals only that `LoadState` changed.
#[test]
fn a_unit_that_is_not_loaded_is_asked_at_each_signal_whether_it_is() {
    let mut inventory = inventory();
    let not_found =
        ListedUnit { load_state: LoadState::NotFound, ..row("a.timer", ActiveState::Failed) };
    inventory.resync(vec![not_found], Extent::Everything, 0);
    answer_all(&mut inventory, "active", &[]);
    let mut signalled = || {
        inventory.apply(signal_of("a.timer", "active", &[]), 0);
        answer_all(&mut inventory, "active", &[])
    };
    assert_eq!(signalled(), [("a.timer".to_owned(), P::LoadState)]);
    assert_eq!(signalled(), [], "it is loaded");
}
