//! What the table has after signals, answers and listings.

use super::*;

#[test]
fn a_property_that_systemd_comes_to_refuse_is_absent() {
    let mut inventory = Inventory::new(Selection::default(), Reads::EVERYTHING, 0);
    let units = vec![row("a.service", ActiveState::Active)];
    let mut active_enter = |answer: Result<u64, CallError>| {
        inventory.resync(units.clone(), Extent::Everything, 0);
        while let Some((unit, property)) = inventory.next_question() {
            let value = match property {
                UnitProperty::ActiveEnter => answer.clone().map(Value::Number),
                _ => Ok(Value::Nothing),
            };
            inventory.answer(&unit, property, value);
        }
        inventory.snapshot(0).units[0].active_enter
    };
    assert_eq!(active_enter(Ok(7)), Some(7));
    assert_eq!(active_enter(Err(CallError::Unreadable("odd".into()))), None);
}

/// A unit whose state is refused is not shown.
#[test]
fn a_refused_property_is_not_asked_for_again() {
    let mut inventory = inventory();
    inventory.apply(Event::UnitNew(name(0)), 0);
    inventory.retry_deferred(ASK_DELAY);
    let mut asked = Vec::new();
    while let Some((unit, property)) = inventory.next_question() {
        assert!(asked.len() < 10, "asked again and again: {asked:?}");
        asked.push(property);
        let refusal = CallError::Refused {
            name: "org.freedesktop.DBus.Error.AccessDenied".into(),
            text: "no".into(),
        };
        inventory.answer(&unit, property, Err(refusal));
    }
    assert_eq!(asked.len(), 3);
    assert!(inventory.snapshot(0).units.is_empty());
}

#[test]
fn a_correction_that_no_signal_explains_is_drift() {
    let mut inventory = inventory();
    let listed = |active_state| ListedUnit {
        name: name(0),
        load_state: LoadState::Loaded,
        active_state,
        sub_state: "dead".into(),
    };
    inventory.resync(vec![listed(ActiveState::Inactive)], Extent::Everything, 0);
    assert_eq!(inventory.compare(vec![listed(ActiveState::Failed)], 0), 0);
    let facts = vec![(UnitProperty::ActiveState, Value::Text("failed".into()))];
    inventory.apply(Event::UnitChanged(name(0), facts), 0);
    assert_eq!(inventory.take_drift(), Vec::<&str>::new(), "its signal was only late");

    assert_eq!(inventory.compare(vec![listed(ActiveState::Active)], 0), 0);
    assert_eq!(inventory.take_drift(), ["active_state"]);
    assert_eq!(inventory.compare(Vec::new(), 0), 1, "it left without a signal");
}

#[test]
fn a_queued_job_is_counted_once_its_type_is_known() {
    let mut inventory = inventory();
    inventory.apply(Event::JobNew { id: 7, unit: name(0) }, 0);
    assert!(inventory.has_unknown_jobs());
    assert!(inventory.snapshot(0).jobs.is_empty());
    let state = crate::systemd::state::JobState::Waiting;
    let job = ListedJob { id: 7, unit: name(0), job_type: JobType::Stop, state: state.clone() };
    assert_eq!(inventory.replace_jobs(vec![job], 0), 0);
    assert!(!inventory.has_unknown_jobs());
    assert_eq!(inventory.snapshot(0).jobs, [((JobType::Stop, state), 1)].into());
    inventory.apply(Event::JobChanged { id: 7, state: "running".into() }, 0);
    let counted = inventory.snapshot(0).jobs.into_keys().next();
    assert_eq!(counted.map(|(_, state)| state.to_string()).as_deref(), Some("running"));
    assert_eq!(inventory.replace_jobs(Vec::new(), 0), 1, "it left without a signal");
}

/// systemd keeps units that failed or run after their file was removed.
#[test]
fn a_unit_that_is_not_inactive_is_visible_in_any_load_state_except_stub() {
    let listed = |load_state: &LoadState, active_state: &ActiveState| ListedUnit {
        name: name(0),
        load_state: load_state.clone(),
        active_state: active_state.clone(),
        sub_state: "whatever".into(),
    };
    for load_state in LoadState::ALL {
        for active_state in ActiveState::ALL {
            let mut inventory = inventory();
            inventory.resync(vec![listed(load_state, active_state)], Extent::Everything, 0);
            let asked = properties_of(answer_each(&mut inventory, |_, _| Value::Nothing));
            // systemd has not loaded a stub yet.
            let is_idle = *active_state == ActiveState::Inactive || *load_state == LoadState::Stub;
            let visible = *load_state == LoadState::Loaded || !is_idle;
            let snapshot = inventory.snapshot(0);
            let of = (load_state, active_state);
            assert_eq!(snapshot.find(name(0).as_str()).is_some(), visible, "{of:?}");
            assert_eq!(snapshot.visible_units(), usize::from(visible), "{of:?}");
            assert_eq!(inventory.shown_units(), usize::from(visible), "{of:?}");
            let key = (name(0).unit_type(), active_state.clone());
            assert_eq!(snapshot.by_state.get(&key).copied(), visible.then_some(1), "{of:?}");
            let not_loaded = snapshot.not_loaded.values().sum::<u64>();
            assert_eq!(not_loaded, u64::from(*load_state != LoadState::Loaded), "{of:?}");
            assert_eq!(asked.has(UnitProperty::InactiveExit), visible, "{of:?}");
        }
    }
}

#[test]
fn a_unit_without_a_sub_state_is_shown_and_one_without_another_state_is_not() {
    for refused in PropertySet::STATE.iter() {
        let mut inventory = inventory();
        inventory.apply(Event::UnitNew(name(0)), 0);
        inventory.retry_deferred(ASK_DELAY);
        while let Some((unit, property)) = inventory.next_question() {
            let value = match property {
                UnitProperty::LoadState => Value::Text("loaded".into()),
                UnitProperty::ActiveState => Value::Text("failed".into()),
                _ => Value::Nothing,
            };
            let answer = match property == refused {
                true => Err(CallError::Unreadable("odd".into())),
                false => Ok(value),
            };
            inventory.answer(&unit, property, answer);
        }
        let states: Vec<_> = inventory.snapshot(0).by_state.into_keys().collect();
        match refused {
            UnitProperty::SubState => {
                assert_eq!(states, [(UnitType::Service, ActiveState::Failed)]);
            }
            // It is not known whether it is loaded or runs, so it is not reported as inactive.
            _ => assert_eq!(states, [], "{refused:?}"),
        }
    }
}

/// Units of a type that systemd refuses to list are known from signals.
#[test]
fn a_listing_by_type_leaves_the_other_types_as_they_are() {
    let listed = |name: &str, active_state| listed(name, active_state, "whatever");
    let (service, mount) =
        (ListedTypes::Type(UnitType::Service), ListedTypes::Type(UnitType::Mount));
    let refused = Listing::Units(UnitType::Mount);
    let mut inventory = inventory();
    let a = || listed("a.service", ActiveState::Active);
    // Units of another type than the one asked for are ignored.
    let more = vec![a(), listed("x.mount", ActiveState::Active)];
    inventory.resync_part(service, more, Extent::Everything, 0);
    assert!(inventory.note_refused(refused, true));
    assert!(!inventory.note_refused(refused, true), "no change");
    assert_eq!(inventory.snapshot(0).refused, [refused].into());
    assert_eq!(shown(&inventory).into_keys().collect::<Vec<_>>(), [name_of("a.service")]);

    // One unit that was there before, and a new one.
    let facts = || vec![(UnitProperty::ActiveState, Value::Text("active".into()))];
    inventory.apply(Event::UnitChanged(name_of("b.mount"), facts()), 0);
    inventory.apply(Event::UnitNew(name_of("c.mount")), 0);
    inventory.retry_deferred(ASK_DELAY);
    answer_each(&mut inventory, |_, property| match property {
        UnitProperty::LoadState => Value::Text("loaded".into()),
        _ => Value::Nothing,
    });
    inventory.resync_part(service, vec![a()], Extent::Settings, 0);
    assert_eq!(inventory.compare_part(service, vec![a()], 0), 0);
    let all = ["a.service", "b.mount", "c.mount"].map(name_of);
    assert_eq!(shown(&inventory).into_keys().collect::<Vec<_>>(), all);

    // The first listing of a refused type finds no drift.
    let mounts =
        vec![listed("b.mount", ActiveState::Failed), listed("d.mount", ActiveState::Active)];
    assert_eq!(inventory.compare_part(mount, mounts, 0), 0);
    assert!(inventory.note_refused(refused, false));
    assert_eq!(inventory.take_drift(), Vec::<&str>::new());
    let all = ["a.service", "b.mount", "d.mount"].map(name_of);
    assert_eq!(shown(&inventory).into_keys().collect::<Vec<_>>(), all);
    // Later ones do.
    assert_eq!(inventory.compare_part(mount, Vec::new(), 0), 2);
}

/// Also if its type is not the first to be listed.
#[test]
fn a_unit_that_a_listing_by_type_finds_is_not_new() {
    let listed = |name: &str| listed(name, ActiveState::Active, "whatever");
    let mut inventory = inventory();
    for (unit_type, name) in [(UnitType::Service, "a.service"), (UnitType::Socket, "c.socket")] {
        let scope = ListedTypes::Type(unit_type);
        inventory.resync_part(scope, vec![listed(name)], Extent::Everything, 0);
    }
    inventory.note_all_listed();
    answer_each(&mut inventory, |_, property| match property {
        UnitProperty::Invocation => Value::Id(7),
        UnitProperty::ActiveEnter => Value::Number(1_000),
        _ => Value::Nothing,
    });
    for unit in inventory.snapshot(0).units {
        assert!(unit.counters.is_empty(), "{unit:?}");
    }
}

#[test]
fn a_unit_of_a_type_that_is_listed_only_after_a_restart_of_the_exporter_is_not_new() {
    let (service, mount) =
        (ListedTypes::Type(UnitType::Service), ListedTypes::Type(UnitType::Mount));
    let mut first = inventory();
    first.resync_part(service, Vec::new(), Extent::Everything, 0);
    assert!(first.note_refused(Listing::Units(UnitType::Mount), true));
    first.note_all_listed();
    let (record, _) = first.record(None).unwrap();
    let written = serde_json::to_vec(&record).unwrap();

    let mut next = inventory();
    next.recall(serde_json::from_slice(&written).unwrap());
    let failed = listed("b.mount", ActiveState::Failed, "failed");
    next.resync_part(mount, vec![failed], Extent::Everything, 0);
    next.note_refused(Listing::Units(UnitType::Mount), false);
    next.note_all_listed();
    answer_each(&mut next, |_, property| match property {
        UnitProperty::Invocation => Value::Id(7),
        UnitProperty::Result => Value::Text("exit-code".into()),
        _ => Value::Nothing,
    });
    assert_eq!(next.snapshot(0).totals.failures, BTreeMap::new());
    assert!(next.snapshot(0).units[0].counters.is_empty());
}

/// Every other unit comes back, and the listing after the reload shows whether it really left.
#[test]
fn a_unit_that_is_new_in_a_reload_is_shown_at_once() {
    let mut inventory = inventory();
    inventory.resync(Vec::new(), Extent::Everything, 0);
    inventory.apply(Event::Reloading(true), 0);
    inventory.apply(Event::UnitNew(name_of("a.timer")), 0);
    inventory.apply(signal_of("a.timer", "active", &[]), 0);
    answer_all(&mut inventory, "active", &[]);
    assert_eq!(shown(&inventory)[&name_of("a.timer")].1, ActiveState::Active);
}

/// No listing has it: only its first signal shows that it was there before.
#[test]
fn a_unit_of_a_type_that_systemd_refuses_to_list_is_counted_from_its_second_signal() {
    let mut inventory = inventory();
    inventory.note_refused(Listing::Units(UnitType::Timer), true);
    inventory.note_all_listed();
    let mut signalled = |state| {
        inventory.apply(signal_of("a.timer", state, &[]), 0);
        answer_all(&mut inventory, state, &[]);
        let transitions = inventory.snapshot(0).units[0].counters.transitions.clone();
        transitions.iter().map(|(state, count)| (state.to_string(), count)).collect::<Vec<_>>()
    };
    assert_eq!(signalled("active"), []);
    assert_eq!(signalled("failed"), [("failed".to_owned(), 1)]);
    assert_eq!(signalled("active"), [("failed".to_owned(), 1), ("active".to_owned(), 1)]);
}

#[test]
fn each_unit_file_is_shown_once_by_name_unless_a_filter_leaves_it_out() {
    let mut inventory = inventory();
    let files = ["b.service", "a.service", "x.device", "b.service"];
    let listed = |name| ListedFile { name: name_of(name), state: "enabled".into() };
    inventory.replace_files(files.map(listed).into());
    let shown = inventory.snapshot(0).files;
    assert_eq!(shown, ["a.service", "b.service"].map(listed));
}

/// The hardware watchdog is read only while systemd reports a device.
#[test]
fn a_property_of_the_manager_is_the_last_that_was_read_or_signalled() {
    let mut inventory = inventory();
    let device = ManagerProperty::WatchdogDevice;
    inventory.learn_manager(device, &Value::Text("/dev/watchdog0".into()));
    assert_eq!(inventory.manager().watchdog.device.as_deref(), Some("/dev/watchdog0"));
    inventory.apply(Event::ManagerChanged(vec![(device, Value::Nothing)]), 0);
    assert_eq!(inventory.manager().watchdog.device, None);
}

#[test]
fn a_filter_by_slice_has_slices_read_that_no_metric_needs() {
    let properties = |slices| {
        let reads = Reads { properties: Reads::TIMES, ..Reads::default() };
        Inventory::new(selecting("", slices, &[]), reads, 0).reads().properties
    };
    assert_eq!(properties(&[]), Reads::TIMES);
    assert_eq!(properties(&["in.slice"]), Reads::TIMES.union(PropertySet::SLICES));
}
