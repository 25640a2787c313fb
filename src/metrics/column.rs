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
    samples: Collected<L>,
}

enum Collected<L> {
    Samples(Vec<(L, Value)>),
    /// Nothing is written, and there may be millions.
    Count(u64),
}

// === impl Column ===

impl<L: SampleLabels<N>, const N: usize> Column<L, N> {
    pub(super) fn new(family: &'static FamilyOf<N>, out: &Exposition<'_>) -> Self {
        let samples = if out.writes(&family.0) {
            Collected::Samples(Vec::new())
        } else {
            Collected::Count(0)
        };
        Self { family, samples }
    }

    /// Makes room for so many samples.
    pub(super) fn with_room(mut self, more: usize) -> Self {
        if let Collected::Samples(samples) = &mut self.samples {
            samples.reserve_exact(more);
        }
        self
    }

    pub(super) fn add(&mut self, labels: L, value: impl Into<Value>) {
        match &mut self.samples {
            Collected::Samples(samples) => samples.push((labels, value.into())),
            Collected::Count(count) => *count += 1,
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
        let mut family = out.family(self.family);
        match self.samples {
            Collected::Samples(samples) => {
                samples.into_iter().try_for_each(|(labels, value)| family.unit(labels, value))
            }
            Collected::Count(count) => {
                family.count(count);
                Ok(())
            }
        }
    }
}
