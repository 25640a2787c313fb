//! The samples of one family, collected while something else is written.
//!
//! A page has family after family, and each family has all units. The units of a large host do not
//! fit into a processor's cache, so passing over them for each family would take more time than
//! writing. A subject passes over them once, and collects the families that come later.

use std::fmt;

use super::{family::FamilyOf, labels::SampleLabels, value::Value, writer::Exposition};

/// Samples with their labels `L`, of a family with `N` labels.
pub(super) struct Column<L, const N: usize> {
    family: &'static FamilyOf<N>,
    /// Whether the family is served.
    is_on: bool,
    samples: Vec<(L, Value)>,
}

// === impl Column ===

impl<L: SampleLabels<N>, const N: usize> Column<L, N> {
    pub(super) fn new(family: &'static FamilyOf<N>, out: &Exposition<'_>) -> Self {
        Self { family, is_on: out.is_on(&family.0), samples: Vec::new() }
    }

    /// Makes room for so many samples.
    pub(super) fn with_room(mut self, samples: usize) -> Self {
        self.samples.reserve_exact(if self.is_on { samples } else { 0 });
        self
    }

    pub(super) fn add(&mut self, labels: L, value: impl Into<Value>) {
        if self.is_on {
            self.samples.push((labels, value.into()));
        }
    }

    /// Adds a sample, if there is a value.
    pub(super) fn add_some(&mut self, labels: L, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(labels, value);
        }
    }

    /// Writes all samples.
    pub(super) fn write(self, out: &mut Exposition<'_>) -> fmt::Result {
        let mut samples = out.family(self.family);
        self.samples.into_iter().try_for_each(|(labels, value)| samples.unit(labels, value))
    }
}
