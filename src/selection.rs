//! Which units are shown, and under which name.
//!
//! The filters by name, type and slice and the roll-ups decide it together, in one
//! function, [`Selection::place`]. A scrape and the `series` command both ask it.

pub mod filter;
pub mod rollup;

use self::{
    filter::{Pattern, Slices, Types},
    rollup::{RollupName, Rollups},
};
use crate::systemd::{
    name::UnitName,
    property::{PropertySet, UnitProperty},
};

/// What the user selected. The default shows every unit in its own series.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// What a name must match.
    pub include: Option<Pattern>,
    /// What a name must not match.
    pub exclude: Option<Pattern>,
    /// The types that a unit may have.
    pub types: Types,
    /// The slices that a unit may be in.
    pub slices: Slices,
    /// The units that share series.
    pub rollups: Rollups,
}

/// Where a unit is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Nowhere: a filter leaves it out.
    FilteredOut,
    /// In its own series.
    Own,
    /// In the series of a roll-up.
    RolledUp(RollupName),
    /// Nowhere until its slice is known.
    Unresolved,
}

// === impl Placement ===

impl Placement {
    /// Whether the unit is shown somewhere.
    pub fn is_shown(&self) -> bool {
        matches!(self, Self::Own | Self::RolledUp(_))
    }
}

// === impl Selection ===

impl Selection {
    /// Whether the filters by type and name let the unit pass. Matches regular expressions: ask it
    /// once for each name.
    pub fn name_passes(&self, name: &UnitName) -> bool {
        self.types.contain(name.unit_type())
            && self.include.as_ref().is_none_or(|include| include.matches(name.as_str()))
            && !self.exclude.as_ref().is_some_and(|exclude| exclude.matches(name.as_str()))
    }

    /// Where a unit is shown; `slice` is `None` while it is not known, and for a unit that is in
    /// none.
    pub fn place(&self, name: &UnitName, slice: Option<&UnitName>) -> Placement {
        match self.name_passes(name) {
            true => self.place_by_slice(name, slice),
            false => Placement::FilteredOut,
        }
    }

    /// The same for a name that [passes](Self::name_passes): only its slice decides.
    pub fn place_by_slice(&self, name: &UnitName, slice: Option<&UnitName>) -> Placement {
        match self.slices.contain(name, slice) {
            Some(true) => self.rollups.place(name, slice),
            Some(false) => Placement::FilteredOut,
            None => Placement::Unresolved,
        }
    }

    /// The properties that have to be read to know in which slices units are.
    pub fn reads(&self) -> PropertySet {
        match (self.slices.is_any(), self.rollups.scopes) {
            (false, _) => PropertySet::SLICES,
            (true, true) => PropertySet::of(&[UnitProperty::ScopeSlice]),
            (true, false) => PropertySet::EMPTY,
        }
    }
}
