//! Tests of the table, and what they share.

mod counting;
mod gaps;
mod gone;
mod inferred;
mod model;
mod needs;
mod polls;
mod queue;
mod reconcile;
mod reloads;
mod rereads;
mod rollups;
mod saved;
mod snapshot;
mod table;
mod timers;
mod unit;
mod wanted_inactive;

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

/// A loaded unit in a listing.
fn listed(name: &str, active_state: ActiveState, sub_state: &str) -> ListedUnit {
    let (load_state, sub_state) = (LoadState::Loaded, sub_state.into());
    ListedUnit { name: name_of(name), load_state, active_state, sub_state }
}

/// The same, where the sub state does not matter.
fn row(name: &str, active_state: ActiveState) -> ListedUnit {
    listed(name, active_state, "any")
}

/// Answers every question with what `value` has for it, and returns the questions.
fn answer_each(
    inventory: &mut Inventory,
    value: impl Fn(&UnitName, UnitProperty) -> Value,
) -> Vec<(UnitName, UnitProperty)> {
    let mut asked = Vec::new();
    while let Some((unit, property)) = inventory.next_question() {
        inventory.answer(&unit, property, Ok(value(&unit, property)));
        asked.push((unit, property));
    }
    asked
}

/// The properties of these questions.
fn properties_of(asked: Vec<(UnitName, UnitProperty)>) -> PropertySet {
    PropertySet::of(&asked.into_iter().map(|(_, property)| property).collect::<Vec<_>>())
}

/// Answers every question and returns the questions. Units are loaded and in this state, and have
/// none of the properties that are not among `values`.
fn answer_all(
    inventory: &mut Inventory,
    state: &str,
    values: &[(UnitProperty, Value)],
) -> Vec<(String, UnitProperty)> {
    let asked = answer_each(inventory, |_, property| {
        let known = values.iter().find(|(known, _)| *known == property);
        match property {
            UnitProperty::LoadState => Value::Text("loaded".into()),
            UnitProperty::ActiveState => Value::Text(state.into()),
            _ => known.map_or(Value::Nothing, |(_, value)| value.clone()),
        }
    });
    with_text_names(asked)
}

/// These questions with the units' names as text, to compare them with literals.
fn with_text_names(asked: Vec<(UnitName, UnitProperty)>) -> Vec<(String, UnitProperty)> {
    asked.into_iter().map(|(unit, property)| (unit.as_str().to_owned(), property)).collect()
}

/// The signal that a unit is in this state, with more of its properties.
fn signal_of(name: &str, state: &str, more: &[(UnitProperty, Value)]) -> Event {
    let state = (UnitProperty::ActiveState, Value::Text(state.into()));
    Event::UnitChanged(name_of(name), [&[state], more].concat())
}
