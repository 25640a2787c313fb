//! What is counted of one service after a gap, and from single signals. Its values are given.

use super::{super::*, inventory, listed, name_of};
use crate::systemd::state::{ActiveState, RunResult};
use UnitProperty as P;

type Answer = Result<Value, CallError>;

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// Loses the connection, then lists the service in this state.
fn reconnect(inventory: &mut Inventory, state: ActiveState, sub_state: &str) {
    inventory.disconnect();
    let listing = vec![listed("a.service", state, sub_state)];
    inventory.resync(listing, Extent::Everything, 0);
}

/// Answers every question with these values, or else as of an idle unit. Each property may be given
/// several times, for the first question, the second and so on.
fn answer(inventory: &mut Inventory, values: &[(UnitProperty, Answer)]) -> Vec<UnitProperty> {
    let mut asked = Vec::new();
    while let Some((unit, property)) = inventory.next_question() {
        let before = asked.iter().filter(|it| **it == property).count();
        let given: Vec<_> = values.iter().filter(|(it, _)| *it == property).collect();
        let value = match (given.get(before).or(given.last()), property) {
            (Some((_, value)), _) => value.clone(),
            (None, P::NeedDaemonReload) => Ok(Value::Flag(false)),
            (None, _) => Ok(Value::Nothing),
        };
        inventory.answer(&unit, property, value);
        asked.push(property);
    }
    assert!(inventory.is_complete(), "{asked:?}");
    asked
}

fn run(invocation: u128, restarts: u64) -> [(UnitProperty, Answer); 2] {
    [(P::Invocation, Ok(Value::Id(invocation))), (P::Restarts, Ok(Value::Number(restarts)))]
}

/// The service at its first sight, in its first run.
fn running() -> Inventory {
    let mut inventory = inventory();
    reconnect(&mut inventory, ActiveState::Active, "running");
    answer(&mut inventory, &run(1, 0));
    inventory
}

fn signal(inventory: &mut Inventory, state: &str, sub_state: &str, more: &[(P, Value)]) {
    let (state, sub_state) = ((P::ActiveState, text(state)), (P::SubState, text(sub_state)));
    let state = [state, sub_state, (P::Job, Value::Nothing)];
    inventory.apply(Event::UnitChanged(name_of("a.service"), [&state, more].concat()), 0);
}

fn counters(inventory: &Inventory) -> counters::Counters {
    (*inventory.snapshot(0).units[0].counters).clone()
}

fn failures(inventory: &Inventory) -> Vec<(RunResult, u64)> {
    counters(inventory).failures.iter().map(|(result, count)| (result.clone(), count)).collect()
}

/// It restarted three times, and the results of the runs before the last are forgotten. Only its
/// settings show whether they failed, and these are read only then.
#[test]
fn runs_that_ended_in_a_gap_failed_if_the_service_restarts_after_failures_only() {
    let unknown = |count| vec![(RunResult::Unknown, count)];
    for (policy, is_forced, expected) in
        [("on-failure", false, unknown(3)), ("always", false, vec![]), ("on-failure", true, vec![])]
    {
        let settings =
            [(P::RestartPolicy, Ok(text(policy))), (P::RestartForced, Ok(Value::Flag(is_forced)))];
        let mut inventory = running();
        reconnect(&mut inventory, ActiveState::Active, "running");
        let asked = answer(&mut inventory, &[&run(1, 0)[..], &settings].concat());
        assert!(!asked.contains(&P::RestartPolicy), "no run has ended: {asked:?}");
        reconnect(&mut inventory, ActiveState::Active, "running");
        answer(&mut inventory, &[&run(4, 3)[..], &settings].concat());
        assert_eq!((counters(&inventory).starts, counters(&inventory).restarts), (3, 3));
        assert_eq!(failures(&inventory), expected, "{policy} {is_forced}");
        // The next signal counts them no second time.
        signal(&mut inventory, "active", "running", &[]);
        assert_eq!(failures(&inventory), expected);

        // They may have changed meanwhile. Refused ones show nothing.
        reconnect(&mut inventory, ActiveState::Active, "running");
        let refused = [(P::RestartPolicy, Err(CallError::Unreadable("odd".into())))];
        let asked = answer(&mut inventory, &[&run(6, 5)[..], &refused].concat());
        assert!(asked.contains(&P::RestartPolicy), "{asked:?}");
        assert_eq!((counters(&inventory).restarts, failures(&inventory)), (5, expected));
    }
}

/// A unit changes between two answers after a gap: it failed and was started again, and its result
/// is of the run before. Nothing has come of that.
#[test]
fn answers_after_a_gap_that_mix_two_runs_are_read_again_before_they_count() {
    let mut inventory = running();
    reconnect(&mut inventory, ActiveState::Failed, "failed");
    let torn = [
        (P::Result, Ok(text("exit-code"))),
        (P::Result, Ok(text("success"))),
        (P::LoadState, Ok(text("loaded"))),
        (P::ActiveState, Ok(text("active"))),
        (P::SubState, Ok(text("running"))),
        (P::InactiveExit, Ok(Value::Number(5))),
    ];
    let asked = answer(&mut inventory, &[&run(2, 0)[..], &torn].concat());
    let reads = asked.iter().filter(|it| **it == P::Result).count();
    assert_eq!(reads, 3, "until two reads agree: {asked:?}");
    assert_eq!((counters(&inventory).starts, failures(&inventory)), (1, vec![]));
}

/// Its status would be 0, which is a success.
#[test]
fn an_exit_whose_status_systemd_refuses_to_report_is_not_shown() {
    let exited = |status| {
        let mut inventory = inventory();
        reconnect(&mut inventory, ActiveState::Failed, "failed");
        let (at, code) = (Ok(Value::Number(9)), Ok(Value::Number(1)));
        let started = (P::InactiveExit, Ok(Value::Number(5)));
        let exit = [started, (P::ExitTime, at), (P::ExitCode, code), (P::ExitStatus, status)];
        answer(&mut inventory, &[&run(1, 0)[..], &exit].concat());
        counters(&inventory).last_exit.map(|exit| (exit.at, exit.status))
    };
    assert_eq!(exited(Ok(Value::Number(3))), Some((9, 3)));
    assert_eq!(exited(Err(CallError::Unreadable("odd".into()))), None);
}

/// `RestartSec=` may be long.
#[test]
fn a_failed_run_counts_while_the_service_waits_for_its_restart() {
    let mut inventory = running();
    signal(&mut inventory, "activating", "auto-restart", &[(P::Result, text("exit-code"))]);
    assert_eq!(failures(&inventory), [(RunResult::ExitCode, 1)]);
}

/// `systemctl reset-failed` sets NRestarts to 0 without a signal while the service waits for its
/// first restart since, and that restart sets it to 1 again.
#[test]
fn a_restart_after_a_reset_of_nrestarts_is_counted() {
    let mut inventory = inventory();
    reconnect(&mut inventory, ActiveState::Active, "running");
    answer(&mut inventory, &run(2, 1));
    assert_eq!(counters(&inventory).restarts, 1);
    signal(&mut inventory, "activating", "auto-restart", &[(P::Restarts, Value::Number(1))]);
    assert_eq!(counters(&inventory).restarts, 1);
    signal(&mut inventory, "activating", "auto-restart-queued", &[]);
    assert_eq!(counters(&inventory).restarts, 2);
}

/// The manager of a user starts with their first session and ends with the last.
#[test]
fn everything_that_the_units_of_a_new_manager_did_is_counted() {
    let mut inventory = inventory();
    let started = |inventory: &mut Inventory, at| {
        inventory.learn_manager(ManagerProperty::Stage("Userspace"), &Value::Number(at));
        reconnect(inventory, ActiveState::Active, "running");
        answer(inventory, &run(at.into(), 1));
        (counters(inventory).starts, counters(inventory).restarts)
    };
    assert_eq!(started(&mut inventory, 7), (0, 1), "nothing is counted at first sight");
    assert_eq!(started(&mut inventory, 7), (0, 1), "it is the same manager");
    assert_eq!(started(&mut inventory, 9), (2, 2));
}
