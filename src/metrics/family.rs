//! What a family is, and the macro that declares the families of a subject.

use super::group::Group;

/// What a family promises to readers of `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The name of its samples; for a histogram, without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// Its type.
    pub kind: FamilyType,
    /// The label names of every sample, in order, without the `le` of histograms.
    pub labels: &'static [&'static str],
    /// The group that switches it on and off; `None` if it is always served.
    pub group: Option<Group>,
    /// Value and unit, then the source, then when it is absent. One line that needs no escaping and
    /// ends in a full stop.
    pub help: &'static str,
}

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyType {
    /// Goes up and down.
    Gauge,
    /// Only rises; the name ends in `_total`.
    Counter,
    /// Observations by upper bound.
    Histogram,
    /// Always 1, with facts in its labels; the name ends in `_info`. In text 0.0.4 it is a gauge.
    Info,
}

/// A family with `N` labels: a sample with fewer or more values does not compile.
pub(super) struct FamilyOf<const N: usize>(pub(super) Family);

/// Declares the families of one subject in the order in which they are served, and lists them in
/// `ALL`. Those that a group switches stand below its name, others below `[Always]`.
macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $crate::metrics::family::families! {
            [Always] $($constant: $kind $name [$($label),*] $help;)+
        }
    };
    ($([$group:ident]
        $($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+
    )+) => {
        $($(
            static $constant: $crate::metrics::family::FamilyOf<{ <[&str]>::len(&[$($label),*]) }> =
                $crate::metrics::family::FamilyOf($crate::metrics::family::Family {
                    name: $name,
                    kind: $crate::metrics::family::FamilyType::$kind,
                    labels: &[$($label),*],
                    group: $crate::metrics::family::group!($group),
                    help: $help,
                });
        )+)+

        /// Every family of this subject.
        pub(super) static ALL: &[&$crate::metrics::family::Family] = &[$($(&$constant.0),+),+];
    };
}
pub(super) use families;

/// The group of that name; none for `Always`.
macro_rules! group {
    (Always) => {
        None
    };
    ($group:ident) => {
        Some($crate::metrics::group::Group::$group)
    };
}
pub(super) use group;

// === impl FamilyType ===

impl FamilyType {
    /// The type's name in OpenMetrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}
