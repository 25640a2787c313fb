//! What systemd is asked, when and how often.

use super::*;
use crate::inventory::queue::FILES_AT_ONCE;

fn listed(name: &str) -> ListedUnit {
    super::listed(name, ActiveState::Inactive, "dead")
}

/// Answers every question and returns them. The files of the `changed` units have changed.
fn asked(inventory: &mut Inventory, changed: &[&str]) -> Vec<(String, UnitProperty)> {
    with_text_names(answer_each(inventory, |unit, property| match property {
        UnitProperty::NeedDaemonReload => Value::Flag(changed.contains(&unit.as_str())),
        UnitProperty::Invocation => Value::Id(7),
        UnitProperty::Result => Value::Text("success".into()),
        UnitProperty::Restarts | UnitProperty::ExitStatus => Value::Number(0),
        UnitProperty::ExitCode => Value::Number(1),
        UnitProperty::ActiveEnter | UnitProperty::InactiveEnter | UnitProperty::ExitTime => {
            Value::Number(1_000)
        }
        _ => Value::Nothing,
    }))
}

/// `series` prints what a scrape would show, so it waits for everything.
#[test]
fn a_table_is_fully_read_once_every_question_is_answered_and_the_unit_files_are_known() {
    let no_files = Reads { unit_files: false, ..Reads::EVERYTHING };
    for (reads, refused) in
        [(Reads::EVERYTHING, false), (Reads::EVERYTHING, true), (no_files, false)]
    {
        let mut inventory = Inventory::new(Selection::default(), reads, 0);
        inventory.resync(vec![listed("a.service")], Extent::Everything, 0);
        assert!(!inventory.is_fully_read(), "questions are waiting");
        let mut under_way = Vec::new();
        while !inventory.is_fully_read() {
            under_way.extend(std::iter::from_fn(|| inventory.next_question()));
            assert!(!inventory.is_fully_read(), "{} questions are under way", under_way.len());
            let Some((unit, property)) = under_way.pop() else { break };
            inventory.answer(&unit, property, Ok(Value::Nothing));
            if under_way.is_empty() && asked(&mut inventory, &[]).is_empty() {
                break;
            }
        }
        assert_eq!(inventory.is_fully_read(), !reads.unit_files, "the files are not listed");
        inventory.note_refused(Listing::UnitFiles, refused);
        assert_eq!(inventory.is_fully_read(), refused || !reads.unit_files);
        inventory.replace_files(Vec::new());
        assert!(inventory.is_fully_read());

        inventory.apply(Event::UnitNew(name_of("later.service")), 0);
        inventory.retry_deferred(ASK_DELAY);
        assert!(inventory.is_complete() && !inventory.is_fully_read(), "a later unit");
    }
}

/// systemd reads the disk for each unit, so a few are asked at a time, and none at the start.
#[test]
fn unit_files_are_checked_in_turn() {
    let names: Vec<_> = (0..2 * FILES_AT_ONCE + 10).map(|it| format!("u{it:04}.timer")).collect();
    let listing: Vec<_> = names.iter().map(|name| listed(name)).collect();
    let mut inventory = inventory();
    let checked = |inventory: &mut Inventory, changed: &[&str]| {
        let asked = asked(inventory, changed).into_iter();
        let files = asked.filter(|(_, property)| *property == UnitProperty::NeedDaemonReload);
        let mut files: Vec<_> = files.map(|(unit, _)| unit).collect();
        files.sort();
        files
    };
    inventory.resync(listing.clone(), Extent::Everything, 0);
    assert_eq!(checked(&mut inventory, &[]), Vec::<String>::new());
    let mut compare = |changed: &[&str]| {
        inventory.compare(listing.clone(), 0);
        checked(&mut inventory, changed)
    };
    let first = "u0003.timer";
    assert_eq!(compare(&[first]), names[..FILES_AT_ONCE]);
    // A unit whose files have changed is checked each time.
    let mut second = compare(&[first]);
    assert_eq!(second.remove(0), first);
    assert_eq!(second, names[FILES_AT_ONCE..2 * FILES_AT_ONCE]);
    assert_eq!(compare(&[]), [&[first.to_owned()], &names[2 * FILES_AT_ONCE..]].concat());
    assert_eq!(compare(&[]), names[..FILES_AT_ONCE]);

    // After a reload only the units with changed files are checked.
    inventory.compare(listing.clone(), 0);
    checked(&mut inventory, &["u0400.timer"]);
    inventory.resync(listing.clone(), Extent::Settings, 0);
    assert_eq!(checked(&mut inventory, &[]), ["u0400.timer"]);
}

/// At first sight nothing is counted, so nothing has to be confirmed.
#[test]
fn a_unit_that_is_seen_first_is_asked_each_question_once() {
    let mut inventory = inventory();
    inventory.resync(vec![listed("a.service")], Extent::Everything, 0);
    let at_first = asked(&mut inventory, &[]);
    let mut once = at_first.clone();
    once.dedup();
    once.sort_by_key(|(_, property)| property.name());
    once.dedup();
    assert_eq!(once.len(), at_first.len(), "{at_first:?}");
    // After a gap only changes are read a second time.
    inventory.resync(vec![listed("a.service")], Extent::Everything, 0);
    assert!(asked(&mut inventory, &[]).len() <= at_first.len(), "nothing has happened");
}

#[test]
fn a_socket_is_asked_at_a_scrape_while_it_has_or_may_have_had_connections() {
    let mut inventory = inventory();
    let units = ["talk.socket", "talk@1.service", "talk@x.socket"];
    inventory.resync(units.map(listed).into(), Extent::Everything, 0);
    let talk = UnitName::new("talk.socket").unwrap();
    answer_each(&mut inventory, |_, property| match property {
        UnitProperty::Accept => Value::Flag(true),
        _ => Value::Number(0),
    });
    // Answers with this number of connections. Whether the socket was asked at all.
    let asks = |inventory: &mut Inventory, connections: Result<u64, CallError>| {
        let asked = inventory.scrape_questions();
        let of_talk: Vec<_> = asked.iter().filter(|(unit, _)| *unit == talk).collect();
        for (unit, property) in &of_talk {
            inventory.answer(unit, *property, connections.clone().map(Value::Number));
        }
        // `talk@x.socket` is an instance: it is asked at each scrape.
        assert_eq!(asked.len() - of_talk.len(), 3);
        assert!([0, 3].contains(&of_talk.len()));
        !of_talk.is_empty()
    };
    assert!(asks(&mut inventory, Ok(0)), "not asked at a scrape before");
    assert!(!asks(&mut inventory, Ok(0)));
    for event in [
        Event::UnitNew(UnitName::new("talk@2.service").unwrap()),
        Event::UnitRemoved(UnitName::new("talk@2.service").unwrap()),
        Event::UnitChanged(UnitName::new("talk@1.service").unwrap(), Vec::new()),
        Event::UnitChanged(talk.clone(), Vec::new()),
    ] {
        inventory.apply(event.clone(), 0);
        assert!(asks(&mut inventory, Ok(0)), "{event:?}");
        assert!(!asks(&mut inventory, Ok(0)), "{event:?}");
    }
    for other in ["talker@1.service", "talk.service", "talk@1.timer"] {
        inventory.apply(Event::UnitNew(UnitName::new(other).unwrap()), 0);
        assert!(!asks(&mut inventory, Ok(0)), "{other}");
    }
    inventory.mark_all_connections_changed();
    assert!(asks(&mut inventory, Ok(2)));
    assert!(asks(&mut inventory, Ok(2)), "there are some");
    assert!(asks(&mut inventory, Ok(0)), "there were some");
    assert!(!asks(&mut inventory, Ok(0)));
    inventory.compare(units.map(listed).into(), 0);
    assert!(asks(&mut inventory, Err(CallError::Deadline)));
    assert!(asks(&mut inventory, Ok(0)), "it was not answered");
}

/// Whether anything is asked now. Nothing is answered.
fn asks(inventory: &mut Inventory) -> bool {
    std::iter::from_fn(|| inventory.next_question()).count() > 0
}

fn changed(name: &UnitName, state: &str, job: Value) -> Event {
    let facts = [
        (UnitProperty::ActiveState, Value::Text(state.into())),
        (UnitProperty::SubState, Value::Text("dead".into())),
        (UnitProperty::Job, job),
    ];
    Event::UnitChanged(name.clone(), facts.into())
}

/// A question about a unit that is not in memory makes systemd load it, announce it to every
/// subscriber and drop it. Two exporters kept PID 1 busy with that for ever.
#[test]
fn a_new_unit_is_asked_about_after_a_second_or_once_it_is_active_or_has_a_job() {
    let name = UnitName::new("a.service").unwrap();
    let new = Event::UnitNew(name.clone());
    let idle = || {
        let mut inventory = inventory();
        inventory.apply(new.clone(), 10);
        assert!(!asks(&mut inventory), "it was just announced");
        inventory
    };
    let mut gone = idle();
    gone.apply(Event::UnitRemoved(name.clone()), 20);
    gone.retry_deferred(Usec::MAX);
    assert!(!asks(&mut gone));

    let mut stays = idle();
    stays.retry_deferred(10 + ASK_DELAY - 1);
    assert!(!asks(&mut stays));
    stays.retry_deferred(10 + ASK_DELAY);
    assert!(asks(&mut stays), "it is still in memory");

    let mut queued = idle();
    queued.apply(Event::JobNew { id: 7, unit: name.clone() }, 20);
    assert!(asks(&mut queued), "its job keeps it in memory");

    let mut active = idle();
    active.apply(changed(&name, "activating", Value::Nothing), 20);
    assert!(asks(&mut active));
}

/// systemd may drop it at any moment.
#[test]
fn a_unit_that_became_inactive_or_failed_is_asked_about_after_a_second() {
    let name = UnitName::new("a.service").unwrap();
    let after = |events: &[Event]| {
        let mut inventory = inventory();
        inventory.apply(Event::UnitNew(name.clone()), 10);
        events.iter().for_each(|event| inventory.apply(event.clone(), 20));
        inventory
    };
    let active = changed(&name, "active", Value::Number(7));
    let inactive = changed(&name, "inactive", Value::Nothing);
    let done = || Event::JobRemoved { id: 7, unit: name.clone(), result: "done".into() };
    let job = Event::JobNew { id: 7, unit: name.clone() };
    for events in [
        &[active.clone(), inactive.clone()][..],
        &[active.clone(), changed(&name, "failed", Value::Nothing)],
        &[job.clone(), done()],
        &[job.clone(), changed(&name, "inactive", Value::Number(7)), done()],
    ] {
        let mut inventory = after(events);
        assert!(!asks(&mut inventory), "{events:?}");
        inventory.compare(vec![listed("a.service")], 30);
        assert!(!asks(&mut inventory), "{events:?}");
        inventory.retry_deferred(20 + ASK_DELAY);
        assert!(asks(&mut inventory), "{events:?}");
    }
    assert!(asks(&mut after(&[inactive, active])));
    assert!(asks(&mut after(&[job, changed(&name, "inactive", Value::Number(7))])));
}

/// The question of another client may have just loaded it.
#[test]
fn an_inactive_unit_that_a_reconcile_finds_is_shown_after_a_second() {
    let mut inventory = inventory();
    inventory.compare(vec![listed("a.service")], 10);
    assert!(!asks(&mut inventory));
    assert!(inventory.snapshot(10).units.is_empty());
    inventory.retry_deferred(10 + ASK_DELAY);
    assert!(asks(&mut inventory));
    assert_eq!(inventory.snapshot(10).units.len(), 1);
}

/// For example, `FreezerState` before systemd 246.
#[test]
fn a_property_that_this_systemd_lacks_is_asked_for_once_and_not_of_each_unit() {
    let mut inventory = inventory();
    let active = |name| ListedUnit { active_state: ActiveState::Active, ..listed(name) };
    let units = ["a.service", "b.service", "c.scope", "d.slice"];
    let ask = |inventory: &mut Inventory| {
        let mut asked = Vec::new();
        while let Some((unit, property)) = inventory.next_question() {
            let is_lacking = property == UnitProperty::Freezer;
            let name = "org.freedesktop.DBus.Error.UnknownProperty".to_owned();
            let refused = CallError::Refused { name, text: String::new() };
            let answer = if is_lacking { Err(refused) } else { Ok(Value::Nothing) };
            inventory.answer(&unit, property, answer);
            asked.extend(is_lacking.then(|| unit.as_str().to_owned()));
        }
        assert!(inventory.is_complete());
        asked
    };
    inventory.resync(units.map(active).into(), Extent::Everything, 0);
    assert_eq!(ask(&mut inventory).len(), 1);
    inventory.apply(Event::UnitNew(UnitName::new("e.service").unwrap()), 0);
    inventory.resync(units.map(active).into(), Extent::Settings, 0);
    assert_eq!(ask(&mut inventory), Vec::<String>::new());
    // After a gap it may be another version of systemd.
    inventory.invalidate_all();
    inventory.resync(units.map(active).into(), Extent::Everything, 0);
    assert_eq!(ask(&mut inventory).len(), 1);
}

/// Each unit type has a property `Result` of its own.
#[test]
fn a_property_that_one_type_lacks_is_still_asked_of_other_types() {
    let mut inventory = inventory();
    let listing = ["a.path", "b.service"].map(listed).into();
    inventory.resync(listing, Extent::Everything, 0);
    let mut asked = Vec::new();
    while let Some((unit, property)) = inventory.next_question() {
        let name = "org.freedesktop.DBus.Error.UnknownProperty".to_owned();
        let refused = CallError::Refused { name, text: String::new() };
        let is_result = property == UnitProperty::Result;
        let is_lacking = is_result && unit.unit_type() == UnitType::Path;
        asked.extend(is_result.then(|| unit.as_str().to_owned()));
        let answer = if is_lacking { Err(refused) } else { Ok(Value::Number(1)) };
        inventory.answer(&unit, property, answer);
    }
    assert_eq!(asked, ["a.path", "b.service"]);
}

/// Nothing shows its counters yet.
#[test]
fn a_unit_whose_slice_is_not_known_is_not_asked_at_a_scrape() {
    let selection = selecting("", &["in.slice"], &[]);
    let mut inventory = Inventory::new(selection, Reads::EVERYTHING, 0);
    inventory.resync(vec![listed("a.socket")], Extent::Everything, 0);
    let mut slice = None;
    while let Some((unit, property)) = inventory.next_question() {
        match property {
            UnitProperty::Slice => slice = Some(unit),
            UnitProperty::Accept => inventory.answer(&unit, property, Ok(Value::Flag(true))),
            _ => inventory.answer(&unit, property, Ok(Value::Number(1))),
        }
    }
    assert_eq!((inventory.scrape_questions(), inventory.shown_units()), (Vec::new(), 0));
    let answer = Ok(Value::Text("in.slice".into()));
    inventory.answer(&slice.unwrap(), UnitProperty::Slice, answer);
    assert_eq!((inventory.scrape_questions().len(), inventory.shown_units()), (3, 1));
}

/// Answers every question as if `all.target` wanted the unit, and returns the units that were asked
/// what wants them.
fn asked_what_wants_it(inventory: &mut Inventory) -> Vec<String> {
    let wanted_by = Value::Units([name_of("all.target")].into());
    let mut asked = answer_all(inventory, "inactive", &[(UnitProperty::WantedBy, wanted_by)]);
    asked.retain(|(_, property)| *property == UnitProperty::WantedBy);
    asked.into_iter().map(|(unit, _)| unit).collect()
}

fn becomes(inventory: &mut Inventory, unit: &str, state: &str) {
    let facts = vec![
        (UnitProperty::ActiveState, Value::Text(state.into())),
        (UnitProperty::SubState, Value::Text("dead".into())),
    ];
    inventory.apply(Event::UnitChanged(UnitName::new(unit).unwrap(), facts), 0);
}

fn wanted(inventory: &Inventory) -> Vec<String> {
    let snapshot = inventory.snapshot(0);
    snapshot.wanted_inactive.iter().map(|(name, _)| name.to_string()).collect()
}

/// systemd drops many units as soon as they are inactive, and a question would load them again.
#[test]
fn a_unit_is_not_asked_what_wants_it_before_it_has_been_inactive_for_a_second() {
    let mut inventory = inventory();
    inventory.resync(vec![listed("all.target"), listed("a.timer")], Extent::Everything, 0);
    becomes(&mut inventory, "all.target", "active");
    assert_eq!(asked_what_wants_it(&mut inventory), ["a.timer"], "it was there at the start");
    assert_eq!(wanted(&inventory), ["a.timer"]);

    becomes(&mut inventory, "a.timer", "active");
    assert_eq!(wanted(&inventory), Vec::<String>::new());
    inventory.apply(Event::UnitNew(UnitName::new("new.timer").unwrap()), 0);
    assert_eq!(asked_what_wants_it(&mut inventory), Vec::<String>::new());
    becomes(&mut inventory, "a.timer", "inactive");
    for now in [ASK_DELAY - 1, ASK_DELAY] {
        assert_eq!(asked_what_wants_it(&mut inventory), Vec::<String>::new());
        assert_eq!(wanted(&inventory), Vec::<String>::new());
        inventory.retry_deferred(now);
    }
    assert_eq!(asked_what_wants_it(&mut inventory), ["a.timer", "new.timer"]);
    assert_eq!(wanted(&inventory), ["a.timer", "new.timer"]);

    // A unit that left within the second is not asked, nor one that is active again.
    becomes(&mut inventory, "a.timer", "active");
    becomes(&mut inventory, "a.timer", "inactive");
    inventory.apply(Event::UnitNew(UnitName::new("brief.timer").unwrap()), 0);
    assert_eq!(asked_what_wants_it(&mut inventory), Vec::<String>::new());
    inventory.retry_deferred(ASK_DELAY);
    inventory.apply(Event::UnitRemoved(UnitName::new("brief.timer").unwrap()), 0);
    becomes(&mut inventory, "a.timer", "active");
    inventory.retry_deferred(ASK_DELAY);
    assert_eq!(asked_what_wants_it(&mut inventory), Vec::<String>::new());
}

/// A list of units grows without a signal when another unit is loaded.
#[test]
fn a_unit_is_asked_again_what_wants_it_at_each_reconcile_and_reported_meanwhile() {
    let listing = || {
        let all = ListedUnit { active_state: ActiveState::Active, ..listed("all.target") };
        vec![all, listed("a.timer")]
    };
    let mut inventory = inventory();
    inventory.resync(listing(), Extent::Everything, 0);
    for round in 0..3 {
        assert_eq!(asked_what_wants_it(&mut inventory), ["a.timer"], "{round}");
        assert_eq!(asked_what_wants_it(&mut inventory), Vec::<String>::new(), "{round}");
        match round {
            0 => drop(inventory.compare(listing(), 0)),
            _ => inventory.resync(listing(), Extent::Settings, 0),
        }
        assert_eq!(wanted(&inventory), ["a.timer"], "{round}");
    }
}

/// That would double the questions.
#[test]
fn a_unit_that_only_inactive_units_want_is_not_asked_whether_it_is_inactive_by_design() {
    let mut inventory = inventory();
    inventory.resync(vec![listed("all.target"), listed("a.timer")], Extent::Everything, 0);
    let asks_more = |inventory: &mut Inventory| {
        let asked = answer_each(inventory, |unit, property| {
            let is_wanted = unit.as_str() == "a.timer" && property == UnitProperty::WantedBy;
            if is_wanted { Value::Units([name_of("all.target")].into()) } else { Value::Nothing }
        });
        properties_of(asked).has(UnitProperty::ConflictedBy)
    };
    assert!(!asks_more(&mut inventory));
    inventory.retry_deferred(ASK_DELAY);
    assert!(!asks_more(&mut inventory));
    becomes(&mut inventory, "all.target", "active");
    assert!(!asks_more(&mut inventory));
    inventory.retry_deferred(ASK_DELAY);
    assert!(asks_more(&mut inventory));
    assert_eq!(wanted(&inventory), ["a.timer"]);
}

#[test]
fn a_unit_with_a_job_is_not_reported_as_wanted_and_inactive() {
    let mut inventory = inventory();
    let all = ListedUnit { active_state: ActiveState::Active, ..listed("all.target") };
    inventory.resync(vec![all, listed("a.timer")], Extent::Everything, 0);
    asked_what_wants_it(&mut inventory);
    let unit = UnitName::new("a.timer").unwrap();
    inventory.apply(Event::JobNew { id: 7, unit: unit.clone() }, 0);
    assert_eq!(wanted(&inventory), Vec::<String>::new());
    inventory.apply(Event::JobRemoved { id: 7, unit, result: "canceled".into() }, 0);
    assert_eq!(wanted(&inventory), ["a.timer"]);
}

/// An exporter that lagged by more than a second asked about units that had already left.
#[test]
fn a_unit_is_asked_about_a_second_after_the_lag_of_its_signal() {
    let name = UnitName::new("a.service").unwrap();
    let mut inventory = inventory();
    inventory.note_lag(5 * ASK_DELAY);
    inventory.apply(Event::UnitNew(name.clone()), 10);
    inventory.apply(Event::JobNew { id: 7, unit: name.clone() }, 10);
    inventory.apply(changed(&name, "active", Value::Nothing), 10);
    assert!(!asks(&mut inventory), "it may have left since");
    inventory.retry_deferred(10 + 6 * ASK_DELAY - 1);
    assert!(!asks(&mut inventory));
    inventory.retry_deferred(10 + 6 * ASK_DELAY);
    assert!(asks(&mut inventory));
}

/// Only its end shows which units it dropped.
#[test]
fn deferred_questions_wait_for_the_end_of_a_reload() {
    let mut inventory = inventory();
    inventory.apply(Event::UnitNew(UnitName::new("a.service").unwrap()), 10);
    inventory.apply(Event::Reloading(true), 20);
    inventory.retry_deferred(Usec::MAX);
    assert!(!asks(&mut inventory));
    inventory.apply(Event::Reloading(false), 30);
    inventory.retry_deferred(Usec::MAX);
    assert!(asks(&mut inventory));
}

/// An exporter that started during crash loops never became ready: at each chance for a question
/// the unit had just become inactive.
#[test]
fn a_unit_that_was_listed_at_the_start_is_asked_about_even_if_it_becomes_inactive_again() {
    let name = UnitName::new("a.service").unwrap();
    let mut inventory = inventory();
    inventory.resync(vec![listed("a.service")], Extent::Everything, 0);
    for id in 0..3 {
        inventory.apply(Event::JobNew { id, unit: name.clone() }, 10);
        inventory.apply(changed(&name, "inactive", Value::Nothing), 10);
        inventory.apply(Event::JobRemoved { id, unit: name.clone(), result: "done".into() }, 10);
    }
    assert!(!inventory.is_complete());
    assert!(!asked(&mut inventory, &[]).is_empty());
    assert!(inventory.is_complete());
}

/// A unit without processes is not asked otherwise.
#[test]
fn a_unit_that_was_frozen_before_a_gap_is_asked_whether_it_still_is() {
    let listed = || ListedUnit {
        active_state: ActiveState::Active,
        sub_state: "exited".into(),
        ..listed("a.service")
    };
    let mut inventory = inventory();
    inventory.resync(vec![listed()], Extent::Everything, 0);
    let freezer = |inventory: &mut Inventory| {
        asked(inventory, &[]).iter().any(|(_, property)| *property == UnitProperty::Freezer)
    };
    assert!(!freezer(&mut inventory), "it has no processes");
    let frozen = vec![(UnitProperty::Freezer, Value::Flag(true))];
    inventory.apply(Event::UnitChanged(listed().name, frozen), 0);
    assert!(inventory.snapshot(0).units[0].is_frozen);
    inventory.disconnect();
    inventory.resync(vec![listed()], Extent::Everything, 0);
    assert!(freezer(&mut inventory));
    assert!(!inventory.snapshot(0).units[0].is_frozen);
}
