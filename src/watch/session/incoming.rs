//! What a session makes of what it hears.

use std::time::Instant;

use tracing::{debug, info, warn};

use super::{
    ABSENT_LIMIT, AnnouncedReload, End, Handshake, Parts, REEXEC_LIMIT, RELOAD_LIMIT, ResyncReason,
    SETTLE, Session, Settle, facts,
};
use crate::{
    clock,
    inventory::{Extent, ListedTypes},
    systemd::{
        decode::Malformed,
        event::Event,
        link::Heard,
        listing::{ListedUnit, Listing},
        name::{MAX_UNITS, UnitType},
        property::Value,
        question::{Answer, CallError, Question},
    },
    telemetry::LabelValue,
    watch::lock,
};

/// What a bus says where nobody speaks for systemd.
const NO_OWNER: &str = "org.freedesktop.DBus.Error.NameHasNoOwner";

impl Session<'_> {
    /// Takes one thing that was heard, and asks what follows from it.
    pub(super) fn take(&mut self, heard: Heard) -> Result<(), End> {
        match heard {
            Heard::Signal { member, at, event } => {
                self.mark_alive();
                match event {
                    Ok(Some(event)) => self.apply(event, at)?,
                    Ok(None) => {}
                    // No unit that is known can be meant.
                    Err(error @ Malformed::Unit(_)) => {
                        if !std::mem::replace(&mut self.odd, true) {
                            warn!(signal = member, %error, "ignored a signal about what is not a unit");
                        }
                    }
                    Err(error) => {
                        // Once a tick, however many there are.
                        if !std::mem::replace(&mut self.unreadable, true) {
                            warn!(signal = member, %error, "systemd sent what cannot be read");
                        }
                    }
                }
                let mut totals = self.shared.telemetry.totals();
                *totals.events.entry(LabelValue::Borrowed(member)).or_default() += 1;
                totals.event_lag.observe(at.elapsed());
                Ok(())
            }
            Heard::Answer(question, answer) => {
                match &answer {
                    Err(CallError::Deadline) => self.mark_silent(),
                    _ => self.mark_alive(),
                }
                if let Err(error) = &answer {
                    debug!(?question, %error, "a call brought nothing");
                    let mut totals = self.shared.telemetry.totals();
                    totals.count_call_error(question.method(), error.name());
                }
                self.take_answer(question, answer)
            }
            Heard::Overflow => {
                warn!("signals came faster than they were taken in: reading everything anew");
                // What was dropped may have been the end of a reload, or who speaks for systemd.
                self.reload = None;
                lock(&self.shared.inventory).apply(Event::Reloading(false), clock::monotonic());
                if self.link.is_on_bus() {
                    self.ask(Question::Owner)?;
                }
                self.want_listing(ResyncReason::Overflow)
            }
        }
    }

    fn apply(&mut self, event: Event, received: Instant) -> Result<(), End> {
        if !self.is_plausible(&event) {
            return Ok(());
        }
        let then = match &event {
            Event::Reloading(true) => {
                let until = Instant::now() + RELOAD_LIMIT;
                self.reload = Some(AnnouncedReload { until, reason: ResyncReason::Reload });
                None
            }
            Event::Reloading(false) => {
                let reason =
                    self.reload.take().map_or(ResyncReason::Reload, |reload| reload.reason);
                if reason == ResyncReason::Reload {
                    lock(&self.shared.inventory).count_reload();
                }
                Some(reason)
            }
            Event::OwnerChanged { owner: Some(_) } => {
                self.handshake = Handshake::UnderWay;
                self.absent_until = None;
                self.ask(Question::Subscribe)?;
                match &mut self.reload {
                    // The end of a re-execution is announced like that of a reload.
                    Some(reload) => {
                        let until = Instant::now() + REEXEC_LIMIT;
                        *reload = AnnouncedReload { until, reason: ResyncReason::Reexec };
                        None
                    }
                    None if self.seeded => Some(ResyncReason::Reexec),
                    None => Some(self.reason),
                }
            }
            Event::OwnerChanged { owner: None } => {
                self.mark_absent();
                None
            }
            Event::UnitFilesChanged => {
                self.want_files();
                None
            }
            Event::StartupFinished => {
                self.manager = facts().collect();
                None
            }
            _ => None,
        };
        let queued = matches!(event, Event::JobNew { .. });
        // It happened when it was received, however long it waited for its turn.
        let ago = u64::try_from(received.elapsed().as_micros()).unwrap_or(0);
        let when = clock::monotonic().saturating_sub(ago);
        {
            let mut inventory = lock(&self.shared.inventory);
            inventory.note_lag(ago);
            inventory.apply(event, when);
        }
        if queued && !self.jobs.under_way {
            self.ask_jobs()?;
        } else if queued {
            self.jobs.wanted = true;
        }
        then.map_or(Ok(()), |reason| self.want_listing(reason))
    }

    /// Whether systemd can have as many units and jobs as it has announced. Beyond that nothing
    /// new is taken in, and a listing has to say what there is.
    fn is_plausible(&mut self, event: &Event) -> bool {
        let (units, jobs) = (&mut self.listing.units, &mut self.jobs.count);
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
            // Once a tick, however many there are.
            if !std::mem::replace(&mut self.unreadable, true) {
                warn!(limit = MAX_UNITS, "systemd announced more than it can have");
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
        let passing = answer.as_ref().is_err_and(CallError::is_passing);
        self.refresh.answered(&question, !passing);
        let method = question.method();
        match (question, answer) {
            (Question::Owner, Ok(_)) if self.handshake == Handshake::Unknown => {
                self.subscribe(self.reason)?;
            }
            (Question::Owner, Err(error)) if error.name() == NO_OWNER => self.mark_absent(),
            (Question::Subscribe, Ok(_)) => self.handshake = Handshake::Done,
            (Question::Subscribe, Err(error)) if self.seeded && error.is_passing() => {
                if self.handshake == Handshake::UnderWay {
                    self.handshake = Handshake::Wanted;
                }
            }
            (Question::Units, Ok(Answer::Units(units))) => self.take_listing(units)?,
            (Question::Units, Err(error)) if !error.is_passing() => self.list_by_type(error)?,
            (Question::Units, Err(_)) if self.seeded => self.retry_listing(),
            (Question::UnitsOf(unit_type), answer) => self.take_part(unit_type, answer)?,
            (Question::Jobs, Ok(Answer::Jobs(jobs))) => {
                self.jobs.under_way = false;
                self.jobs.unanswered = false;
                self.jobs.count = jobs.len();
                self.note_listing(Listing::Jobs, None);
                let gone = lock(&self.shared.inventory).replace_jobs(jobs, clock::monotonic());
                if std::mem::take(&mut self.jobs.comparing) {
                    self.count_drift("job", gone);
                }
                let unknown = lock(&self.shared.inventory).has_unknown_jobs();
                if self.jobs.wanted || unknown {
                    self.ask_jobs()?;
                }
            }
            (Question::Jobs, Err(error)) if !error.is_passing() => {
                // What is signalled of jobs is still known; what there was before a gap is not.
                if !self.seeded {
                    lock(&self.shared.inventory).replace_jobs(Vec::new(), clock::monotonic());
                }
                self.jobs.under_way = false;
                self.jobs.unanswered = false;
                self.jobs.comparing = false;
                self.note_listing(Listing::Jobs, Some(&error));
            }
            (Question::Jobs, Err(_)) if self.seeded => {
                self.jobs.under_way = false;
                self.jobs.wanted = true;
                self.jobs.unanswered = true;
            }
            (Question::UnitFiles, Ok(Answer::UnitFiles(files))) => {
                lock(&self.shared.inventory).replace_files(files);
                self.note_listing(Listing::UnitFiles, None);
            }
            (Question::UnitFiles, Err(error)) => {
                // What is known of them stays, until the next time that they change.
                self.files.wanted = error.is_passing();
                if !self.files.wanted {
                    lock(&self.shared.inventory).note_no_files();
                    self.note_listing(Listing::UnitFiles, Some(&error));
                }
                debug!(%error, "cannot list the unit files");
            }
            (Question::ActivatableNames, Ok(Answer::ActivatableNames(names))) => {
                lock(&self.shared.inventory).replace_activatable(names);
            }
            // What is known of them stays, until the next listing of units.
            (Question::ActivatableNames, _) => {}
            (Question::Unit(unit, property), answer) => {
                let value = match answer {
                    Ok(Answer::Value(value)) => Ok(value),
                    Ok(_) => Ok(Value::Nothing),
                    Err(error) => Err(error),
                };
                lock(&self.shared.inventory).answer(&unit, property, value);
            }
            (Question::Manager(property), answer) => {
                // Also for those of a pulse, of which there is none before all has been read.
                self.manager_under_way = self.manager_under_way.saturating_sub(1);
                if passing && !property.is_volatile() {
                    self.manager_later.push(property);
                } else {
                    let value = match answer {
                        Ok(Answer::Value(value)) => value,
                        // This systemd does not have it, or what it said before is no longer true.
                        _ => Value::Nothing,
                    };
                    lock(&self.shared.inventory).learn_manager(property, &value);
                }
            }
            (_, Err(error)) => return Err(End::Refused { method, error }),
            (_, Ok(_)) => {}
        }
        self.end_refresh();
        Ok(())
    }

    fn take_listing(&mut self, units: Vec<ListedUnit>) -> Result<(), End> {
        let count = units.len();
        let gone = self.place(ListedTypes::All, units);
        self.end_listing(count, gone)
    }

    /// Has the units listed by type, each by a call of its own: what systemd refuses then is only
    /// what it cannot put into a message.
    fn list_by_type(&mut self, why: CallError) -> Result<(), End> {
        let pending = UnitType::ALL.len();
        self.listing.parts =
            Some(Parts { why, pending, units: 0, gone: 0, refused: 0, unanswered: None });
        UnitType::ALL.into_iter().try_for_each(|it| self.ask(Question::UnitsOf(it)))
    }

    /// Takes the units of one type in at once: what is signalled of them from now on is newer.
    fn take_part(
        &mut self,
        unit_type: UnitType,
        answer: Result<Answer, CallError>,
    ) -> Result<(), End> {
        let Some(mut parts) = self.listing.parts.take() else { return Ok(()) };
        parts.pending = parts.pending.saturating_sub(1);
        match answer {
            Ok(Answer::Units(units)) => {
                parts.units += units.len();
                parts.gone += self.place(ListedTypes::Type(unit_type), units);
            }
            Ok(_) => {}
            Err(error) if error.is_passing() => parts.unanswered = Some(error),
            Err(error) => {
                // From now on units of this type that are signalled are news.
                self.note_listing(Listing::Units(unit_type), Some(&error));
                if self.listing.under_way == Some(ResyncReason::Reload) {
                    lock(&self.shared.inventory).invalidate_settings(ListedTypes::Type(unit_type));
                }
                parts.refused += 1;
            }
        }
        if parts.pending > 0 {
            self.listing.parts = Some(parts);
            return Ok(());
        }
        self.end_parts(parts)
    }

    fn end_parts(&mut self, parts: Parts) -> Result<(), End> {
        let method = Question::Units.method();
        match parts.unanswered {
            Some(_) if self.seeded => {
                self.retry_listing();
                return Ok(());
            }
            Some(error) => return Err(End::Refused { method, error }),
            None if parts.refused == UnitType::ALL.len() => {
                return Err(End::Refused { method, error: parts.why });
            }
            None => {}
        }
        self.end_listing(parts.units, parts.gone)
    }

    /// Asks for the listing again with the next tick.
    fn retry_listing(&mut self) {
        self.listing.unanswered = true;
        let reasons = [self.listing.wanted, self.listing.under_way.take()];
        // What was missed must not be forgotten.
        let missed = reasons.into_iter().flatten().find(|reason| reason.may_have_missed());
        self.listing.wanted = missed.or(reasons[0]).or(reasons[1]);
    }

    /// Whether the listing under way compares nothing: units that a reload drops go without a
    /// signal that counts. What came up meanwhile reads everything anyway.
    fn is_obsolete(&self) -> bool {
        self.listing.under_way == Some(ResyncReason::Interval)
            && (self.reload.is_some() || self.listing.wanted.is_some())
    }

    /// Puts listed units into the table. Returns how many units had gone without a signal.
    fn place(&mut self, scope: ListedTypes, units: Vec<ListedUnit>) -> usize {
        let Some(reason) = self.listing.under_way.filter(|_| !self.is_obsolete()) else { return 0 };
        let extent = if reason.may_have_missed() { Extent::Everything } else { Extent::Settings };
        let (mut gone, now) = (0, clock::monotonic());
        match reason {
            ResyncReason::Interval => {
                gone = lock(&self.shared.inventory).compare_part(scope, units, now);
            }
            _ => {
                let mut inventory = lock(&self.shared.inventory);
                inventory.note_clock(clock::offset());
                inventory.resync_part(scope, units, extent, now);
            }
        }
        let types = UnitType::ALL.into_iter().filter(|it| scope.has(*it));
        types.for_each(|unit_type| self.note_listing(Listing::Units(unit_type), None));
        gone
    }

    fn end_listing(&mut self, units: usize, gone: usize) -> Result<(), End> {
        let is_obsolete = self.is_obsolete();
        let Some(reason) = self.listing.under_way.take() else { return Ok(()) };
        self.listing.unanswered = false;
        self.listing.units = units;
        if is_obsolete {
            self.jobs.comparing = false;
            return self.listing.wanted.take().map_or(Ok(()), |wanted| self.want_listing(wanted));
        }
        if reason == ResyncReason::Interval {
            lock(&self.shared.inventory).check_files();
            self.count_drift("presence", gone);
            self.settle = Some(Settle::At(Instant::now() + SETTLE));
        } else {
            lock(&self.shared.inventory).note_all_listed();
            self.manager = facts().collect();
            self.want_files();
        }
        let reason = LabelValue::Borrowed(reason.as_str());
        *self.shared.telemetry.totals().resyncs.entry(reason).or_default() += 1;
        self.listing.wanted.take().map_or(Ok(()), |wanted| self.want_listing(wanted))
    }

    /// Says once for each change what systemd refuses to list.
    fn note_listing(&self, listing: Listing, refusal: Option<&CallError>) {
        if !lock(&self.shared.inventory).refuse(listing, refusal.is_some()) {
            return;
        }
        let what = listing.as_str();
        match refusal {
            Some(error) => warn!(
                r#type = what,
                %error,
                "systemd does not list this type: what was not listed before is missing until \
                 systemd signals a change of it; look for a name that is not UTF-8, such as that \
                 of a mount point"
            ),
            None => info!(r#type = what, "systemd lists this type again"),
        }
    }

    /// Has the unit files listed again, if their states are served.
    fn want_files(&mut self) {
        self.files.wanted = lock(&self.shared.inventory).wants().file_states;
    }

    fn count_drift(&self, field: &'static str, count: usize) {
        if count > 0 {
            warn!(field, count, "the table had drifted from what systemd says");
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            let mut totals = self.shared.telemetry.totals();
            *totals.drift.entry(LabelValue::Borrowed(field)).or_default() += count;
        }
    }

    fn end_refresh(&mut self) {
        if self.refresh.end() && matches!(self.settle, Some(Settle::WithRefresh)) {
            self.settle = None;
            for field in lock(&self.shared.inventory).take_drift() {
                self.count_drift(field, 1);
            }
        }
    }

    fn mark_absent(&mut self) {
        self.handshake = Handshake::Absent;
        if !self.seeded {
            self.absent_until.get_or_insert_with(|| Instant::now() + ABSENT_LIMIT);
        }
    }

    fn mark_silent(&mut self) {
        // A manager that reloads says so first, and answers afterwards.
        if self.reload.is_none() {
            self.silent_since.get_or_insert_with(Instant::now);
            self.refresh.give_up();
            lock(&self.shared.inventory).mark_all_changed();
        }
    }

    fn mark_alive(&mut self) {
        self.silent_since = None;
    }
}
