//! What a family is, and how its samples are written in either format.

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabel as _, EncodeLabelSet,
        LabelSetEncoder, MetricEncoder, NoLabelSet,
    },
    metrics::MetricType,
};

use super::{
    format::Format,
    group::{Group, Groups},
};
use crate::histogram::Histogram;

/// The words of one family: what a reader of `/metrics` is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The name that the samples carry; for a histogram, before `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: FamilyType,
    /// The names of the labels of every sample, in order; `le` of histograms is not named.
    pub labels: &'static [&'static str],
    /// The group that it is switched on and off with; `None` where it is always served.
    pub group: Option<Group>,
    /// What it means, where it comes from and when it is absent: one line, never escaped, ending
    /// in a full stop.
    pub help: &'static str,
}

/// What kind of number a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyType {
    /// Goes up and down.
    Gauge,
    /// Only rises; the name ends in `_total`.
    Counter,
    /// Observations by upper bound.
    Histogram,
    /// Always 1, with the facts in its labels; the name ends in `_info`. Text 0.0.4 has no such
    /// type and says gauge.
    Info,
}

/// A family whose samples carry `N` label values: a sample with one too few does not compile.
pub(super) struct FamilyOf<const N: usize>(pub(super) Family);

/// Declares the families of one subject, in the order in which they are served, and lists them
/// in `ALL`: the words stand here and nowhere else. Those that can be switched off stand below
/// the name of their group, and those beside them that cannot below `[Always]`.
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

/// The group of that name.
macro_rules! group {
    (Always) => {
        None
    };
    ($group:ident) => {
        Some($crate::metrics::group::Group::$group)
    };
}
pub(super) use group;

/// The document being written, or a count of what would be in it.
pub(super) struct Exposition<'e> {
    medium: Output<'e>,
    groups: Groups,
}

enum Output<'e> {
    TextFamily { encoder: DescriptorEncoder<'e>, format: Format },
    SeriesCounts(&'e mut SeriesCounts),
}

/// Series by the name of their family; 0 for a family that was begun and has none.
pub(super) type SeriesCounts = BTreeMap<&'static str, u64>;

/// One family being written or counted.
pub(super) struct Samples<'s, 'e, const N: usize> {
    family: &'static Family,
    place: Sink<'s, 'e>,
}

/// Where the samples of one family go.
enum Sink<'s, 'e> {
    TextFamily(TextFamily<'s, 'e>),
    SeriesCounts(&'s mut u64),
    /// Nowhere: the family's group is switched off.
    Nowhere,
}

/// One family on paper: its metadata comes with its first sample, so that a family without
/// samples leaves no trace.
struct TextFamily<'s, 'e> {
    format: Format,
    waiting: Option<&'s mut DescriptorEncoder<'e>>,
    open: Option<MetricEncoder<'s>>,
}

/// The values of `N` labels, or something that has them ready in writing.
pub(super) trait Labels<const N: usize> {
    /// Writes each value under its name.
    fn encode(&self, names: &[&'static str], encoder: &mut LabelSetEncoder<'_>) -> fmt::Result;
}

/// Label names and values brought together for the encoder.
struct Pairs<'a, L, const N: usize> {
    names: &'a [&'static str],
    values: &'a L,
}

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

// === impl Family ===

impl Family {
    /// The family's name and type as `format` spells them in the metadata.
    ///
    /// OpenMetrics names a counter or info without the suffix that its samples have, and the
    /// encoder appends it. Text 0.0.4 names it as its samples are named, and there the encoder
    /// is told to write gauges, whose samples get no suffix and otherwise look the same.
    fn descriptor(&self, format: Format) -> (&'static str, MetricType) {
        let without = |suffix| self.name.strip_suffix(suffix).unwrap_or(self.name);
        match (self.kind, format) {
            (FamilyType::Counter, Format::OpenMetrics) => (without("_total"), MetricType::Counter),
            (FamilyType::Counter, Format::Text) => (self.name, MetricType::Counter),
            (FamilyType::Info, Format::OpenMetrics) => (without("_info"), MetricType::Info),
            (FamilyType::Info, Format::Text) | (FamilyType::Gauge, _) => {
                (self.name, MetricType::Gauge)
            }
            (FamilyType::Histogram, _) => (self.name, MetricType::Histogram),
        }
    }
}

// === impl Exposition ===

impl<'e> Exposition<'e> {
    /// An exposition of the families of these groups, and of those that have none.
    pub(super) fn new(encoder: DescriptorEncoder<'e>, format: Format, groups: Groups) -> Self {
        Self { medium: Output::TextFamily { encoder, format }, groups }
    }

    /// The same, only counted.
    pub(super) fn counts(counts: &'e mut SeriesCounts, groups: Groups) -> Self {
        Self { medium: Output::SeriesCounts(counts), groups }
    }

    /// Begins a family. Each is begun once: the format forbids a second time. One whose group is
    /// switched off takes samples, and nothing comes of them.
    pub(super) fn family<const N: usize>(
        &mut self,
        family: &'static FamilyOf<N>,
    ) -> Samples<'_, 'e, N> {
        let family = &family.0;
        let is_off = family.group.is_some_and(|group| !self.groups.has(group));
        let place = match &mut self.medium {
            _ if is_off => Sink::Nowhere,
            Output::TextFamily { encoder, format } => {
                Sink::TextFamily(TextFamily { format: *format, waiting: Some(encoder), open: None })
            }
            Output::SeriesCounts(counts) => {
                Sink::SeriesCounts(counts.entry(family.name).or_default())
            }
        };
        Samples { family, place }
    }

    /// Writes a family of a single sample, if there is a value.
    pub(super) fn single<V>(
        &mut self,
        family: &'static FamilyOf<0>,
        value: Option<V>,
    ) -> fmt::Result
    where
        V: EncodeGaugeValue + EncodeCounterValue,
    {
        self.family(family).add_known([], value)
    }
}

// === impl Samples ===

impl<const N: usize> Samples<'_, '_, N> {
    /// Writes one sample, if there is a value.
    pub(super) fn add_known<V>(&mut self, labels: impl Labels<N>, value: Option<V>) -> fmt::Result
    where
        V: EncodeGaugeValue + EncodeCounterValue,
    {
        value.map_or(Ok(()), |value| self.add(labels, value))
    }

    /// Writes one sample.
    pub(super) fn add<V>(&mut self, labels: impl Labels<N>, value: V) -> fmt::Result
    where
        V: EncodeGaugeValue + EncodeCounterValue,
    {
        let paper = match &mut self.place {
            Sink::TextFamily(paper) => paper,
            Sink::SeriesCounts(series) => {
                **series += 1;
                return Ok(());
            }
            Sink::Nowhere => return Ok(()),
        };
        let (kind, format, names) = (self.family.kind, paper.format, self.family.labels);
        let pairs = Pairs::<_, N> { names, values: &labels };
        let encoder = paper.open(self.family)?;
        if matches!((kind, format), (FamilyType::Info, Format::OpenMetrics)) {
            return encoder.encode_info(&pairs);
        }
        if N == 0 {
            // With an empty label set the encoder would write `{}`.
            return write(encoder, kind, format, &value);
        }
        write(&mut encoder.encode_family(&pairs)?, kind, format, &value)
    }

    /// Writes a whole histogram: one sample for each bucket, the sum and the count.
    pub(super) fn add_histogram(
        &mut self,
        labels: impl Labels<N>,
        histogram: &Histogram,
    ) -> fmt::Result {
        let buckets: Vec<_> = histogram.buckets().collect();
        let (sum, count) = (histogram.sum(), histogram.count());
        let paper = match &mut self.place {
            Sink::TextFamily(paper) => paper,
            Sink::SeriesCounts(series) => {
                **series += 2;
                **series += u64::try_from(buckets.len()).unwrap_or(u64::MAX);
                return Ok(());
            }
            Sink::Nowhere => return Ok(()),
        };
        let pairs = Pairs::<_, N> { names: self.family.labels, values: &labels };
        let encoder = paper.open(self.family)?;
        if N == 0 {
            return encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None);
        }
        encoder.encode_family(&pairs)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

// === impl TextFamily ===

impl<'s> TextFamily<'s, '_> {
    fn open(&mut self, family: &Family) -> Result<&mut MetricEncoder<'s>, fmt::Error> {
        if let Some(encoder) = self.waiting.take() {
            let (name, metric_type) = family.descriptor(self.format);
            self.open = Some(encoder.encode_descriptor(name, family.help, None, metric_type)?);
        }
        self.open.as_mut().ok_or(fmt::Error)
    }
}

fn write<V>(
    encoder: &mut MetricEncoder<'_>,
    kind: FamilyType,
    format: Format,
    value: &V,
) -> fmt::Result
where
    V: EncodeGaugeValue + EncodeCounterValue,
{
    match (kind, format) {
        (FamilyType::Counter, Format::OpenMetrics) => {
            encoder.encode_counter::<NoLabelSet, V, f64>(value, None)
        }
        _ => encoder.encode_gauge(value),
    }
}

// === impl Labels ===

impl<const N: usize> Labels<N> for [&str; N] {
    fn encode(&self, names: &[&'static str], encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (name, value) in names.iter().zip(self) {
            (*name, *value).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

impl<L: Labels<N>, const N: usize> EncodeLabelSet for Pairs<'_, L, N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.values.encode(self.names, encoder)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::{collector::Collector, encoding::text, registry::Registry};

    use super::*;

    families! {
        TOOK: Histogram "took_seconds" ["type", "why"] "How long it took.";
    }

    #[derive(Debug)]
    struct Took(Format);

    impl Collector for Took {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let mut start = Histogram::new(&[0.25, 90.0]);
            for seconds in [0.125, 0.25, 1.0, 91.0] {
                start.observe(Duration::from_secs_f64(seconds));
            }
            let stop = Histogram::new(&[3600.0]);
            let mut out = Exposition::new(encoder, self.0, Groups::NONE);
            let mut samples = out.family(&TOOK);
            samples.add_histogram(["start", "\"so\""], &start)?;
            samples.add_histogram(["stop", ""], &stop)
        }
    }

    /// A reader wants all of one histogram together, its buckets cumulative and rising to an
    /// infinite one that equals the count.
    #[test]
    fn histograms_with_labels_are_the_same_in_both_formats() {
        assert_eq!(ALL, [&TOOK.0]);
        for format in [Format::OpenMetrics, Format::Text] {
            let mut registry = Registry::default();
            registry.register_collector(Box::new(Took(format)));
            let mut text = String::new();
            text::encode_registry(&mut text, &registry).unwrap();
            assert_eq!(
                text,
                r#"# HELP took_seconds How long it took.
# TYPE took_seconds histogram
took_seconds_sum{type="start",why="\"so\""} 92.375
took_seconds_count{type="start",why="\"so\""} 4
took_seconds_bucket{le="0.25",type="start",why="\"so\""} 2
took_seconds_bucket{le="90.0",type="start",why="\"so\""} 3
took_seconds_bucket{le="+Inf",type="start",why="\"so\""} 4
took_seconds_sum{type="stop",why=""} 0.0
took_seconds_count{type="stop",why=""} 0
took_seconds_bucket{le="3600.0",type="stop",why=""} 0
took_seconds_bucket{le="+Inf",type="stop",why=""} 0
"#
            );
        }
    }
}
