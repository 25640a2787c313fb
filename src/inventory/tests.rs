//! Tests of the table, and what they share.

mod counting;
mod inferred;
mod model;
mod queue;
mod reloads;
mod rollups;
mod table;

use std::{collections::BTreeMap, sync::Arc};

use super::{unit::Unit, *};
use crate::selection::{
    filter::{Pattern, Slices},
    rollup::Rollups,
};
use crate::systemd::state::{ActiveState, JobType};

const NAMES: [&str; 6] =
    ["a@x.service", "a@y.service", "c.socket", "d.timer", "e.mount", "f.device"];

impl Inventory {
    /// Replaces the table by a listing of all units.
    pub(super) fn resync(&mut self, listing: Vec<ListedUnit>, extent: Extent, now: Usec) {
        self.resync_part(ListedTypes::All, listing, extent, now);
        self.note_all_listed();
    }

    /// Compares the table with a listing of all units.
    pub(super) fn compare(&mut self, listing: Vec<ListedUnit>, now: Usec) -> usize {
        let gone = self.compare_part(ListedTypes::All, listing, now);
        self.check_files();
        gone
    }
}

/// The units that do not match `exclude`, in these slices (in all if none is given), with these
/// roll-ups.
fn selecting(exclude: &str, slices: &[&str], rollups: &[&str]) -> Selection {
    Selection {
        exclude: Some(Pattern::new(exclude).unwrap()),
        slices: Slices::read(slices.iter().copied()).unwrap(),
        rollups: Rollups::read(rollups.iter().copied()).unwrap(),
        ..Selection::default()
    }
}

fn name(at: usize) -> UnitName {
    name_of(NAMES[at])
}

fn name_of(name: &str) -> UnitName {
    UnitName::new(name).unwrap()
}

fn inventory() -> Inventory {
    Inventory::new(selecting(".+device", &[], &[]), Reads::EVERYTHING, 0)
}

fn shown(inventory: &Inventory) -> BTreeMap<UnitName, (LoadState, ActiveState, Option<u64>)> {
    let row = |unit: &Arc<Unit>| {
        // Of a unit that is not visible only the state is read.
        let entered = unit.active_enter.filter(|_| unit.is_visible());
        let state = (unit.load_state.clone(), unit.active_state.clone(), entered);
        (unit.name.clone(), state)
    };
    inventory.snapshot(0).units.iter().map(row).collect()
}
