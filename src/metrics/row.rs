//! One row for each label `name`: what its samples are taken from.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use super::{
    View,
    labels::{self, RenderedLabels, SampleLabels, UnitLabels},
};
use crate::{
    cgroup::resources::Resources,
    inventory::{
        counters::Counters, snapshot::Rollup, unit::Unit, wanted_inactive::InactiveReason,
    },
    systemd::{
        name::{UnitName, UnitType},
        state::{ActiveState, FileState, LoadState},
    },
};

/// One `name`: a unit or a roll-up, in memory or gone, with its labels rendered.
pub(super) struct Row<'a> {
    /// The unit, if it is visible: no other has a state or times.
    pub(super) unit: Option<&'a Unit>,
    /// The unit, if it failed to load.
    pub(super) unloadable: Option<&'a Unit>,
    /// The state of its file, if file states are served.
    pub(super) file: Option<&'a FileState>,
    /// Why it is inactive although an active unit wants it.
    pub(super) wanted_inactive: Option<InactiveReason>,
    /// An active timer that will not elapse again.
    pub(super) is_stuck: bool,
    /// The units of a roll-up.
    pub(super) members: Option<Box<Members<'a>>>,
    /// What the control group of a unit uses, if it has one.
    own_resources: Option<&'a Resources>,
    /// What has happened to it.
    pub(super) counters: &'a Counters,
    /// The label `name`.
    pub(super) name: &'a str,
    pub(super) unit_type: UnitType,
    /// The labels `user`, `name` and `type`.
    labels: UnitLabels,
}

/// The visible units of a roll-up.
pub(super) struct Members<'a> {
    /// How many are in each state.
    pub(super) states: BTreeMap<&'a ActiveState, u64>,
    /// What they use together, if any of them has a control group.
    resources: Option<Resources>,
}

/// The counters of a unit of which only the file is known.
static NO_COUNTERS: LazyLock<Counters> = LazyLock::new(Counters::default);

/// The rows of all managers, one manager after the other.
pub(super) fn rows<'a>(managers: &[View<'a>]) -> Vec<Row<'a>> {
    let most = |View { snapshot, .. }: &View<'_>| {
        snapshot.rollups.len() + snapshot.units.len() + snapshot.gone.len() + snapshot.files.len()
    };
    // A vector that grows is copied several times.
    let mut rows = Vec::with_capacity(managers.iter().map(most).sum());
    managers.iter().for_each(|manager| add_rows(manager, &mut rows));
    rows
}

/// Adds the rows of a manager in the order in which `--max-series` keeps them: roll-ups, because
/// each stands for many units, then visible units, other units in memory, gone units and mere files.
fn add_rows<'a>(manager: &View<'a>, rows: &mut Vec<Row<'a>>) {
    let View { user, snapshot, resources } = *manager;
    let row = |name: &'a UnitName, counters: &'a Counters| {
        Row::new(user, name.as_str(), name.suffix(), counters)
    };
    let rollups = snapshot.rollups.iter();
    let rollups = rollups.filter(|it| it.visible().next().is_some() || !it.counters.is_empty());
    let rollups = rollups.map(|rollup| Row {
        members: Some(Box::new(Members::of(rollup, resources))),
        ..Row::new(user, rollup.name.as_str(), rollup.name.suffix(), &rollup.counters)
    });
    let visible = snapshot.units.iter().filter(|unit| unit.is_visible());
    let visible = visible.map(|unit| Row {
        unit: Some(unit),
        unloadable: unloadable(unit),
        is_stuck: snapshot.stuck_timers.contains(&unit.name),
        own_resources: resources.get(&unit.name),
        ..row(&unit.name, &unit.counters)
    });
    let others = snapshot.units.iter().filter(|unit| !unit.is_visible());
    let others = others.filter_map(|unit| {
        let unloadable = unloadable(unit);
        let has_series = unloadable.is_some() || !unit.counters.is_empty();
        has_series.then(|| Row { unloadable, ..row(&unit.name, &unit.counters) })
    });
    let gone = snapshot.gone.iter().map(|(name, counters)| row(name, counters));
    let before = rows.len();
    rows.extend(rollups.chain(visible).chain(others).chain(gone));
    if !snapshot.wanted_inactive.is_empty() {
        let reasons = snapshot.wanted_inactive.iter();
        let reasons: HashMap<_, _> = reasons.map(|(name, why)| (name.as_str(), *why)).collect();
        for row in rows.iter_mut().skip(before) {
            row.wanted_inactive = reasons.get(row.name).copied();
        }
    }
    if snapshot.files.is_empty() {
        return;
    }
    let mut files: HashMap<_, _> =
        snapshot.files.iter().map(|file| (file.name.as_str(), &file.state)).collect();
    for row in rows.iter_mut().skip(before) {
        row.file = files.remove(row.name);
    }
    let mere_files = snapshot.files.iter().filter(|file| files.contains_key(file.name.as_str()));
    rows.extend(
        mere_files.map(|file| Row { file: Some(&file.state), ..row(&file.name, &NO_COUNTERS) }),
    );
}

/// The rows of visible units.
pub(super) fn visible<'r, 'a>(
    rows: &'r [Row<'a>],
) -> impl Iterator<Item = (&'r Row<'a>, &'a Unit)> {
    rows.iter().filter_map(|row| Some((row, row.unit?)))
}

fn unloadable(unit: &Unit) -> Option<&Unit> {
    Some(unit).filter(|unit| matches!(unit.load_state, LoadState::Error | LoadState::BadSetting))
}

// === impl Row ===

impl<'a> Row<'a> {
    fn new(user: Option<&str>, name: &'a str, suffix: &str, counters: &'a Counters) -> Self {
        Self {
            unit: None,
            unloadable: None,
            is_stuck: false,
            file: None,
            wanted_inactive: None,
            members: None,
            own_resources: None,
            counters,
            name,
            unit_type: UnitType::from_suffix(suffix),
            labels: UnitLabels::new(user, name, suffix),
        }
    }

    /// The values of the labels `name` and `type`, or of the first alone.
    #[cfg(test)]
    fn own_values(&self, number: usize) -> impl Iterator<Item = &str> {
        let unit_type = self.name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
        [self.name, unit_type].into_iter().take(number)
    }

    /// Its labels in a family with `N` labels, of which `M` are others.
    fn rendered<const N: usize, const M: usize>(&self) -> &str {
        const { assert!(N == M + 1 || N == M + 2, "the labels are name, type and the others") };
        if N == M + 2 { self.labels.all() } else { self.labels.name() }
    }

    /// Whether it is visible or anything has happened to it.
    pub(super) fn has_existed(&self) -> bool {
        self.unit.is_some() || self.members.is_some() || !self.counters.is_empty()
    }

    /// How many visible units it stands for.
    pub(super) fn visible_units(&self) -> u64 {
        match &self.members {
            Some(members) => members.states.values().sum(),
            None => u64::from(self.unit.is_some()),
        }
    }

    /// What its control groups use now, if it has any.
    pub(super) fn resources(&self) -> Option<&Resources> {
        match &self.members {
            Some(members) => members.resources.as_ref(),
            None => self.own_resources,
        }
    }
}

/// The label `name`, then `type` if the family has room for both.
impl<const N: usize> SampleLabels<N> for &Row<'_> {
    fn write(&self, _: &[&str], line: &mut String) {
        line.push_str(self.rendered::<N, 0>());
    }

    #[cfg(test)]
    fn values(&self) -> Vec<&str> {
        self.own_values(N).collect()
    }
}

/// The label `name`, then `type` if the family has room for it, then others.
impl<const N: usize, const M: usize> SampleLabels<N> for (&Row<'_>, [&str; M]) {
    fn write(&self, names: &[&str], line: &mut String) {
        line.push_str(self.0.rendered::<N, M>());
        for (name, value) in names.iter().skip(N - M).zip(self.1) {
            line.push(',');
            labels::push(name, value, line);
        }
    }

    #[cfg(test)]
    fn values(&self) -> Vec<&str> {
        self.0.own_values(N - M).chain(self.1).collect()
    }
}

/// The same, with the others rendered.
impl<const N: usize, const M: usize> SampleLabels<N> for (&Row<'_>, &RenderedLabels<M>) {
    fn write(&self, _: &[&str], line: &mut String) {
        line.push_str(self.0.rendered::<N, M>());
        line.push_str(self.1.as_str());
    }

    #[cfg(test)]
    fn values(&self) -> Vec<&str> {
        let others = self.1.values.iter().map(String::as_str);
        self.0.own_values(N - M).chain(others).collect()
    }
}

// === impl Members ===

impl<'a> Members<'a> {
    fn of(rollup: &'a Rollup, resources: &HashMap<UnitName, Resources>) -> Self {
        let mut states = BTreeMap::new();
        for unit in rollup.visible() {
            *states.entry(&unit.active_state).or_default() += 1;
        }
        Self { states, resources: Self::resources(rollup, resources) }
    }

    /// What they use together now. The kernel's counters end with their control group, so a sum of
    /// those would fall whenever a unit stops: they are left out.
    fn resources(rollup: &Rollup, resources: &HashMap<UnitName, Resources>) -> Option<Resources> {
        let mut all: Option<Resources> = None;
        for one in rollup.visible().filter_map(|unit| resources.get(&unit.name)) {
            let all = all.get_or_insert_default();
            add(&mut all.tasks, one.tasks);
            add(&mut all.memory.current, one.memory.current);
            add(&mut all.memory.swap, one.memory.swap);
        }
        all
    }
}

fn add(sum: &mut Option<u64>, more: Option<u64>) {
    if let Some(more) = more {
        *sum = Some(sum.unwrap_or(0).saturating_add(more));
    }
}
