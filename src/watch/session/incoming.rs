//! What a session does with signals and answers.

use std::time::Instant;

use tracing::{debug, warn};

use super::{
    ABSENT_LIMIT, DriftCheck, End, Health, REEXEC_LIMIT, RELOAD_LIMIT, ResyncReason, Session,
    Subscription,
};
use crate::{
    clock,
    systemd::{
        decode::Malformed,
        event::Event,
        link::Heard,
        name::MAX_UNITS,
        property::{ManagerProperty, Value},
        question::{Answer, CallError, Question},
    },
    telemetry::LabelValue,
    watch::lock,
};

/// The bus's error for a name without an owner.
const NO_OWNER: &str = "org.freedesktop.DBus.Error.NameHasNoOwner";

impl Session<'_> {
    /// Takes one message, and asks what follows from it.
    pub(super) fn take(&mut self, heard: Heard) -> Result<(), End> {
        match heard {
            Heard::Signal { member, at, event } => self.take_signal(member, at, event),
            Heard::Answer(question, answer) => {
                match &answer {
                    Err(CallError::Deadline) => self.mark_silent(),
                    _ => self.mark_alive(),
                }
                if let Err(error) = &answer {
                    debug!(?question, %error, "a call failed");
                    let mut totals = self.shared.telemetry.totals();
                    totals.count_call_error(question.method(), error.name());
                }
                self.take_answer(question, answer)
            }
            Heard::Overflow => {
                warn!("signals came faster than they were applied: reading everything again");
                // A dropped signal may have been the end of a reload, or a change of owner.
                self.end_reload();
                if self.link.is_on_bus() {
                    self.ask(Question::Owner)?;
                }
                self.resync(ResyncReason::Overflow)
            }
        }
    }

    fn take_signal(
        &mut self,
        member: &'static str,
        at: Instant,
        event: Result<Option<Event>, Malformed>,
    ) -> Result<(), End> {
        self.mark_alive();
        match event {
            Ok(Some(event)) => self.apply(event, at)?,
            Ok(None) => {}
            // It cannot be about a known unit.
            Err(error @ Malformed::Unit(_)) => {
                if !std::mem::replace(&mut self.warned.no_unit, true) {
                    warn!(signal = member, %error, "ignored a signal about something that is no unit");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.warned.unreadable, true) {
                    warn!(signal = member, %error, "systemd sent a signal that cannot be decoded");
                }
            }
        }
        let mut totals = self.shared.telemetry.totals();
        *totals.events.entry(LabelValue::Borrowed(member)).or_default() += 1;
        totals.event_lag.observe(at.elapsed());
        Ok(())
    }

    fn apply(&mut self, event: Event, received: Instant) -> Result<(), End> {
        if !self.is_plausible(&event) {
            return Ok(());
        }
        let resync = match &event {
            Event::Reloading(true) => {
                let until = Instant::now() + RELOAD_LIMIT;
                self.health = Health::Reloading { until, reason: ResyncReason::Reload };
                None
            }
            Event::Reloading(false) => Some(self.finish_reload()),
            Event::OwnerChanged { owner: Some(_) } => self.subscribe_again()?,
            Event::OwnerChanged { owner: None } => {
                self.mark_absent();
                None
            }
            Event::UnitFilesChanged => {
                self.want_files();
                None
            }
            Event::StartupFinished => {
                self.properties.read_all();
                None
            }
            _ => None,
        };
        let is_new_job = matches!(event, Event::JobNew { .. });
        // It is counted as of when it was received, however long it waited in the queue.
        let ago = u64::try_from(received.elapsed().as_micros()).unwrap_or(0);
        let when = clock::monotonic().saturating_sub(ago);
        {
            let mut inventory = lock(&self.shared.inventory);
            inventory.note_lag(ago);
            inventory.apply(event, when);
        }
        if is_new_job {
            self.list_jobs()?;
        }
        resync.map_or(Ok(()), |reason| self.resync(reason))
    }

    fn finish_reload(&mut self) -> ResyncReason {
        let reason = match self.health {
            Health::Reloading { reason, .. } => reason,
            Health::Answering | Health::Silent { .. } => ResyncReason::Reload,
        };
        self.health = Health::Answering;
        if reason == ResyncReason::Reload {
            lock(&self.shared.inventory).count_reload();
        }
        reason
    }

    /// systemd is on the bus, perhaps after a restart: it does not know its earlier subscribers.
    fn subscribe_again(&mut self) -> Result<Option<ResyncReason>, End> {
        self.subscription = Subscription::Subscribing;
        self.ask(Question::Subscribe)?;
        Ok(match &mut self.health {
            // The end of a re-execution is announced like that of a reload.
            Health::Reloading { until, reason } => {
                *until = Instant::now() + REEXEC_LIMIT;
                *reason = ResyncReason::Reexec;
                None
            }
            Health::Answering | Health::Silent { .. } if self.seeded => Some(ResyncReason::Reexec),
            Health::Answering | Health::Silent { .. } => Some(self.reason),
        })
    }

    /// Whether systemd can have as many units and jobs as it has announced. If not, the event is
    /// ignored and the next tick resyncs.
    fn is_plausible(&mut self, event: &Event) -> bool {
        let (units, jobs) = (&mut self.units.count, &mut self.jobs.count);
        let count = match event {
            Event::UnitNew(_) | Event::UnitRemoved(_) => units,
            Event::JobNew { .. } | Event::JobRemoved { .. } => jobs,
            _ => return true,
        };
        if matches!(event, Event::UnitRemoved(_) | Event::JobRemoved { .. }) {
            *count = count.saturating_sub(1);
        } else if *count < MAX_UNITS {
            *count += 1;
        } else {
            if !std::mem::replace(&mut self.warned.unreadable, true) {
                warn!(limit = MAX_UNITS, "systemd announced more units or jobs than it can have");
            }
            return false;
        }
        true
    }

    fn take_answer(
        &mut self,
        question: Question,
        answer: Result<Answer, CallError>,
    ) -> Result<(), End> {
        let was_answered = !answer.as_ref().is_err_and(CallError::is_temporary);
        self.refresh.answered(&question, was_answered);
        let method = question.method();
        match (question, answer) {
            (Question::Owner, Ok(_)) if self.subscription == Subscription::Unknown => {
                self.subscribe(self.reason)?;
            }
            (Question::Owner, Err(error)) if error.name() == NO_OWNER => self.mark_absent(),
            (Question::Subscribe, Ok(_)) => self.subscription = Subscription::Subscribed,
            (Question::Subscribe, Err(error)) if self.seeded && error.is_temporary() => {
                if self.subscription == Subscription::Subscribing {
                    self.subscription = Subscription::Unsubscribed;
                }
            }
            (Question::Units, answer) => self.take_units(answer.map(Answer::units))?,
            (Question::UnitsOf(unit_type), answer) => {
                self.take_units_of(unit_type, answer.map(Answer::units))?;
            }
            (Question::Jobs, answer) => self.take_jobs(answer.map(Answer::jobs))?,
            (Question::UnitFiles, answer) => self.take_files(answer.map(Answer::unit_files)),
            (Question::ActivatableNames, Ok(Answer::ActivatableNames(names))) => {
                lock(&self.shared.inventory).replace_activatable(names);
            }
            // The names that are known stay until the next listing of units.
            (Question::ActivatableNames, _) => {}
            (Question::Unit(unit, property), answer) => {
                let value = answer.map(Answer::value);
                lock(&self.shared.inventory).answer(&unit, property, value);
            }
            (Question::Manager(property), answer) => self.take_manager_property(property, answer),
            (_, Err(error)) => return Err(End::CallFailed { method, error }),
            (_, Ok(_)) => {}
        }
        self.end_refresh();
        Ok(())
    }

    fn take_manager_property(
        &mut self,
        property: ManagerProperty,
        answer: Result<Answer, CallError>,
    ) {
        // Those of a refresh were not counted. Before the table is complete there is no refresh.
        self.properties.under_way = self.properties.under_way.saturating_sub(1);
        if answer.as_ref().is_err_and(CallError::is_temporary) && !property.is_volatile() {
            self.properties.later.push(property);
            return;
        }
        // Without an answer this systemd does not have it, or the earlier value is no longer true.
        let value = answer.map_or(Value::Nothing, Answer::value);
        lock(&self.shared.inventory).learn_manager(property, &value);
    }

    fn end_refresh(&mut self) {
        if self.refresh.end() && matches!(self.drift, Some(DriftCheck::WithRefresh)) {
            self.drift = None;
            for field in lock(&self.shared.inventory).take_drift() {
                self.count_drift(field, 1);
            }
        }
    }

    fn mark_absent(&mut self) {
        if !matches!(self.subscription, Subscription::Absent { give_up: Some(_) }) {
            let give_up = (!self.seeded).then(|| Instant::now() + ABSENT_LIMIT);
            self.subscription = Subscription::Absent { give_up };
        }
    }

    fn mark_silent(&mut self) {
        // A manager announces a reload, and answers after it.
        if !self.is_reloading() && !self.is_silent() {
            self.health = Health::Silent { since: Instant::now() };
        }
        if self.is_silent() {
            self.refresh.give_up();
            lock(&self.shared.inventory).mark_all_connections_changed();
        }
    }

    fn mark_alive(&mut self) {
        if self.is_silent() {
            self.health = Health::Answering;
        }
    }
}
