//! What a family is, and how its samples are written in either format.

use std::fmt;

use prometheus_client::{
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabel as _, EncodeLabelSet,
        LabelSetEncoder, MetricEncoder, NoLabelSet,
    },
    metrics::MetricType,
};

use super::format::Format;
use crate::telemetry::Histogram;

/// The words of one family: what a reader of `/metrics` is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The name that the samples carry; for a histogram, before `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// The names of the labels of every sample, in order; `le` of histograms is not named.
    pub labels: &'static [&'static str],
    /// What it means, where it comes from and when it is absent: one line, never escaped, ending
    /// in a full stop.
    pub help: &'static str,
}

/// What kind of number a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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
/// in `ALL`: the words stand here and nowhere else.
macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(
            static $constant: $crate::metrics::family::FamilyOf<{ <[&str]>::len(&[$($label),*]) }> =
                $crate::metrics::family::FamilyOf($crate::metrics::family::Family {
                    name: $name,
                    kind: $crate::metrics::family::Kind::$kind,
                    labels: &[$($label),*],
                    help: $help,
                });
        )+

        /// Every family of this subject.
        pub(super) static ALL: &[&$crate::metrics::family::Family] = &[$(&$constant.0),+];
    };
}
pub(super) use families;

/// The document being written.
pub(super) struct Exposition<'e> {
    encoder: DescriptorEncoder<'e>,
    format: Format,
}

/// One family being written: its metadata comes with its first sample, so that a family without
/// samples leaves no trace.
pub(super) struct Samples<'s, 'e, const N: usize> {
    family: &'static Family,
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

// === impl Kind ===

impl Kind {
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
            (Kind::Counter, Format::OpenMetrics) => (without("_total"), MetricType::Counter),
            (Kind::Counter, Format::Text) => (self.name, MetricType::Counter),
            (Kind::Info, Format::OpenMetrics) => (without("_info"), MetricType::Info),
            (Kind::Info, Format::Text) | (Kind::Gauge, _) => (self.name, MetricType::Gauge),
            (Kind::Histogram, _) => (self.name, MetricType::Histogram),
        }
    }
}

// === impl Exposition ===

impl<'e> Exposition<'e> {
    pub(super) fn new(encoder: DescriptorEncoder<'e>, format: Format) -> Self {
        Self { encoder, format }
    }

    /// Begins a family. Each is begun once: the format forbids a second time.
    pub(super) fn family<const N: usize>(
        &mut self,
        family: &'static FamilyOf<N>,
    ) -> Samples<'_, 'e, N> {
        Samples {
            family: &family.0,
            format: self.format,
            waiting: Some(&mut self.encoder),
            open: None,
        }
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

    /// Writes a whole histogram, one without labels.
    pub(super) fn histogram(
        &mut self,
        family: &'static FamilyOf<0>,
        histogram: &Histogram,
    ) -> fmt::Result {
        let bounds = Histogram::BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(histogram.buckets).collect();
        let count = histogram.buckets.iter().sum();
        let mut samples = self.family(family);
        samples.open()?.encode_histogram::<NoLabelSet>(histogram.sum, count, &buckets, None)
    }
}

// === impl Samples ===

impl<'s, const N: usize> Samples<'s, '_, N> {
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
        let (kind, format, names) = (self.family.kind, self.format, self.family.labels);
        let pairs = Pairs::<_, N> { names, values: &labels };
        let encoder = self.open()?;
        if matches!((kind, format), (Kind::Info, Format::OpenMetrics)) {
            return encoder.encode_info(&pairs);
        }
        if N == 0 {
            // With an empty label set the encoder would write `{}`.
            return write(encoder, kind, format, &value);
        }
        write(&mut encoder.encode_family(&pairs)?, kind, format, &value)
    }

    fn open(&mut self) -> Result<&mut MetricEncoder<'s>, fmt::Error> {
        if let Some(encoder) = self.waiting.take() {
            let (name, metric_type) = self.family.descriptor(self.format);
            self.open =
                Some(encoder.encode_descriptor(name, self.family.help, None, metric_type)?);
        }
        self.open.as_mut().ok_or(fmt::Error)
    }
}

fn write<V>(encoder: &mut MetricEncoder<'_>, kind: Kind, format: Format, value: &V) -> fmt::Result
where
    V: EncodeGaugeValue + EncodeCounterValue,
{
    match (kind, format) {
        (Kind::Counter, Format::OpenMetrics) => {
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
