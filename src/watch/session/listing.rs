//! Listings of units, jobs and unit files: when to ask, and what to do with the answers.

use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::{DriftCheck, End, ResyncReason, Session};
use crate::{
    clock,
    inventory::{Extent, ListedTypes},
    systemd::{
        listing::{ListedFile, ListedJob, ListedUnit, Listing},
        name::UnitType,
        property::{ManagerProperty, UnitProperty},
        question::{CallError, Question},
    },
    telemetry::LabelValue,
    watch::lock,
};

/// The shortest time between two listings of unit files: systemd reads every file for each.
const FILES_PAUSE: Duration = Duration::from_secs(10);

/// How long to wait for the signals that explain the corrections of a reconcile.
const EXPLANATION_TIME: Duration = Duration::from_secs(5);

/// The listing of all units.
#[derive(Default)]
pub(super) struct UnitListing {
    pub(super) under_way: Option<ResyncReason>,
    wanted: Option<ResyncReason>,
    /// systemd did not answer the last one.
    pub(super) unanswered: bool,
    /// How many units there should be: listed the last time, and signalled since.
    pub(super) count: usize,
    /// systemd refused to list all units, so the one under way is by type.
    parts: Option<Parts>,
}

/// A listing of units by type.
struct Parts {
    /// Why systemd refused to list all units.
    why: CallError,
    /// How many types are not answered yet.
    pending: usize,
    /// How many units are listed.
    units: usize,
    /// How many units had left without a signal.
    gone: usize,
    /// How many types systemd refused to list.
    refused: usize,
    /// Why it did not answer for a type.
    unanswered: Option<CallError>,
}

/// The listing of the job queue.
#[derive(Default)]
pub(super) struct JobListing {
    under_way: bool,
    wanted: bool,
    /// systemd did not answer the last one.
    pub(super) unanswered: bool,
    /// How many jobs there should be: listed the last time, and signalled since.
    pub(super) count: usize,
    /// The one under way is part of a reconcile.
    comparing: bool,
}

/// The listing of unit files.
#[derive(Default)]
pub(super) struct FileListing {
    /// They may have changed.
    wanted: bool,
    /// When they were listed last.
    listed: Option<Instant>,
}

// === impl Session ===

impl Session<'_> {
    /// Reads everything again, once the listing under way is answered.
    pub(super) fn resync(&mut self, reason: ResyncReason) -> Result<(), End> {
        if reason.may_have_missed() {
            lock(&self.shared.inventory).invalidate_all();
        }
        if self.units.under_way.is_some() {
            // A resync after lost signals must not be replaced by a smaller one.
            if !self.units.wanted.is_some_and(ResyncReason::may_have_missed) {
                self.units.wanted = Some(reason);
            }
            return Ok(());
        }
        debug!(?reason, "reading everything");
        self.units.under_way = Some(reason);
        self.units.wanted = None;
        if reason.may_have_missed() {
            // Is it the same manager, and has the clock been set since it started? The other
            // answers depend on it, so it is asked first.
            for started in [ManagerProperty::Stage, ManagerProperty::StageMonotonic] {
                self.properties.under_way += 1;
                self.ask(Question::Manager(started("Userspace")))?;
            }
        }
        if self.link.is_on_bus() && self.needs_bus_names() {
            // The bus does not signal that these have changed.
            self.ask(Question::ActivatableNames)?;
        }
        self.ask(Question::Units)?;
        self.jobs.comparing = reason == ResyncReason::Interval;
        self.list_jobs()
    }

    fn needs_bus_names(&self) -> bool {
        lock(&self.shared.inventory).reads().properties.has(UnitProperty::BusName)
    }

    /// Lists the job queue, once the listing under way is answered.
    pub(super) fn list_jobs(&mut self) -> Result<(), End> {
        self.jobs.wanted = self.jobs.under_way;
        if self.jobs.under_way {
            return Ok(());
        }
        self.jobs.under_way = true;
        self.ask(Question::Jobs)
    }

    /// Lists the unit files again, if their states are served.
    pub(super) fn want_files(&mut self) {
        self.files.wanted = lock(&self.shared.inventory).reads().unit_files;
    }

    /// Asks again for what was not answered or had to wait.
    pub(super) fn retry_listings(&mut self) -> Result<(), End> {
        if self.units.under_way.is_none()
            && let Some(wanted) = self.units.wanted
        {
            self.resync(wanted)?;
        }
        if self.jobs.wanted && !self.jobs.under_way {
            self.list_jobs()?;
        }
        let is_recent = self.files.listed.is_some_and(|at| at.elapsed() < FILES_PAUSE);
        if self.files.wanted && self.seeded && !is_recent && !self.is_reloading() {
            self.files = FileListing { wanted: false, listed: Some(Instant::now()) };
            self.ask(Question::UnitFiles)?;
        }
        Ok(())
    }

    pub(super) fn take_units(
        &mut self,
        answer: Result<Vec<ListedUnit>, CallError>,
    ) -> Result<(), End> {
        match answer {
            Ok(units) => {
                let count = units.len();
                let gone = self.apply_units(ListedTypes::All, units);
                self.end_listing(count, gone)
            }
            Err(error) if !error.is_temporary() => self.list_by_type(error),
            Err(_) if self.seeded => {
                self.retry_units();
                Ok(())
            }
            Err(error) => Err(call_failed(Question::Units, error)),
        }
    }

    /// Lists the units of each type with a call of its own. systemd refuses a listing when one name
    /// does not fit into a D-Bus message, and then only that type is missing.
    fn list_by_type(&mut self, why: CallError) -> Result<(), End> {
        let pending = UnitType::ALL.len();
        self.units.parts =
            Some(Parts { why, pending, units: 0, gone: 0, refused: 0, unanswered: None });
        UnitType::ALL.into_iter().try_for_each(|it| self.ask(Question::UnitsOf(it)))
    }

    /// Applies the units of one type at once: signals that follow are newer.
    pub(super) fn take_units_of(
        &mut self,
        unit_type: UnitType,
        answer: Result<Vec<ListedUnit>, CallError>,
    ) -> Result<(), End> {
        let Some(mut parts) = self.units.parts.take() else { return Ok(()) };
        parts.pending = parts.pending.saturating_sub(1);
        match answer {
            Ok(units) => {
                parts.units += units.len();
                parts.gone += self.apply_units(ListedTypes::Type(unit_type), units);
            }
            Err(error) if error.is_temporary() => parts.unanswered = Some(error),
            Err(error) => {
                // From now on a signalled unit of this type may have been there before.
                self.note_listing(Listing::Units(unit_type), Some(&error));
                if self.units.under_way == Some(ResyncReason::Reload) {
                    let listed = ListedTypes::Type(unit_type);
                    lock(&self.shared.inventory).invalidate_settings(listed);
                }
                parts.refused += 1;
            }
        }
        if parts.pending > 0 {
            self.units.parts = Some(parts);
            return Ok(());
        }
        match parts.unanswered {
            Some(_) if self.seeded => {
                self.retry_units();
                Ok(())
            }
            Some(error) => Err(call_failed(Question::Units, error)),
            None if parts.refused == UnitType::ALL.len() => {
                Err(call_failed(Question::Units, parts.why))
            }
            None => self.end_listing(parts.units, parts.gone),
        }
    }

    /// Asks for the listing again with the next tick.
    fn retry_units(&mut self) {
        self.units.unanswered = true;
        let reasons = [self.units.wanted, self.units.under_way.take()];
        // A resync after lost signals must not be replaced by a smaller one.
        let missed = reasons.into_iter().flatten().find(|reason| reason.may_have_missed());
        self.units.wanted = missed.or(reasons[0]).or(reasons[1]);
    }

    /// Whether the reconcile under way is obsolete: during a reload removals are ignored, and a
    /// resync reads everything anyway.
    fn is_obsolete(&self) -> bool {
        self.units.under_way == Some(ResyncReason::Interval)
            && (self.is_reloading() || self.units.wanted.is_some())
    }

    /// Puts listed units into the table. Returns how many units had left without a signal.
    fn apply_units(&mut self, listed: ListedTypes, units: Vec<ListedUnit>) -> usize {
        let Some(reason) = self.units.under_way.filter(|_| !self.is_obsolete()) else { return 0 };
        let now = clock::monotonic();
        let gone = {
            let mut inventory = lock(&self.shared.inventory);
            if reason == ResyncReason::Interval {
                inventory.compare_part(listed, units, now)
            } else {
                let extent = match reason.may_have_missed() {
                    true => Extent::Everything,
                    false => Extent::Settings,
                };
                inventory.note_clock(clock::offset());
                inventory.resync_part(listed, units, extent, now);
                0
            }
        };
        let types = UnitType::ALL.into_iter().filter(|it| listed.has(*it));
        types.for_each(|unit_type| self.note_listing(Listing::Units(unit_type), None));
        gone
    }

    fn end_listing(&mut self, count: usize, gone: usize) -> Result<(), End> {
        let is_obsolete = self.is_obsolete();
        let Some(reason) = self.units.under_way.take() else { return Ok(()) };
        self.units.unanswered = false;
        self.units.count = count;
        if is_obsolete {
            self.jobs.comparing = false;
        } else {
            if reason == ResyncReason::Interval {
                lock(&self.shared.inventory).check_files();
                self.count_drift("presence", gone);
                self.drift = Some(DriftCheck::At(Instant::now() + EXPLANATION_TIME));
            } else {
                lock(&self.shared.inventory).note_all_listed();
                self.properties.read_all();
                self.want_files();
            }
            let reason = LabelValue::Borrowed(reason.as_str());
            *self.shared.telemetry.totals().resyncs.entry(reason).or_default() += 1;
        }
        self.units.wanted.take().map_or(Ok(()), |wanted| self.resync(wanted))
    }

    pub(super) fn take_jobs(
        &mut self,
        answer: Result<Vec<ListedJob>, CallError>,
    ) -> Result<(), End> {
        if let Err(error) = &answer
            && error.is_temporary()
            && !self.seeded
        {
            return Err(call_failed(Question::Jobs, error.clone()));
        }
        self.jobs.under_way = false;
        self.jobs.unanswered = answer.as_ref().is_err_and(CallError::is_temporary);
        match answer {
            Ok(jobs) => {
                self.jobs.count = jobs.len();
                self.note_listing(Listing::Jobs, None);
                let (gone, has_unknown) = {
                    let mut inventory = lock(&self.shared.inventory);
                    let gone = inventory.replace_jobs(jobs, clock::monotonic());
                    (gone, inventory.has_unknown_jobs())
                };
                if std::mem::take(&mut self.jobs.comparing) {
                    self.count_drift("job", gone);
                }
                if self.jobs.wanted || has_unknown { self.list_jobs() } else { Ok(()) }
            }
            Err(error) if error.is_temporary() => {
                self.jobs.wanted = true;
                Ok(())
            }
            Err(error) => {
                // Signalled jobs are still known; those from before a gap are not.
                if !self.seeded {
                    lock(&self.shared.inventory).replace_jobs(Vec::new(), clock::monotonic());
                }
                self.jobs.comparing = false;
                self.note_listing(Listing::Jobs, Some(&error));
                Ok(())
            }
        }
    }

    pub(super) fn take_files(&mut self, answer: Result<Vec<ListedFile>, CallError>) {
        match answer {
            Ok(files) => {
                lock(&self.shared.inventory).replace_files(files);
                self.note_listing(Listing::UnitFiles, None);
            }
            // The files that are known stay until they change again.
            Err(error) => {
                debug!(%error, "cannot list the unit files");
                self.files.wanted = error.is_temporary();
                if !self.files.wanted {
                    self.note_listing(Listing::UnitFiles, Some(&error));
                }
            }
        }
    }

    /// Logs once for each change what systemd refuses to list.
    fn note_listing(&self, listing: Listing, refusal: Option<&CallError>) {
        if !lock(&self.shared.inventory).note_refused(listing, refusal.is_some()) {
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

    pub(super) fn count_drift(&self, field: &'static str, count: usize) {
        if count > 0 {
            warn!(field, count, "the table had drifted from systemd's and is corrected");
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            let mut totals = self.shared.telemetry.totals();
            *totals.drift.entry(LabelValue::Borrowed(field)).or_default() += count;
        }
    }
}

fn call_failed(question: Question, error: CallError) -> End {
    End::CallFailed { method: question.method(), error }
}
