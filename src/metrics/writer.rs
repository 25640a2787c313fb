//! Writes families and samples as text: the only file that uses prometheus-client.
//!
//! The library is a store of metrics that encodes itself. Here it only encodes, and what it cannot
//! do is worked around in this file:
//!
//! - It writes OpenMetrics: a counter is named without `_total` in its metadata, an info without
//!   `_info`, and the samples get the suffix. Text 0.0.4 has the full name in both places and no
//!   type info. There we give the full name, and encode counters and infos as gauges, whose
//!   samples get no suffix and look the same otherwise.
//! - A registry owns its collectors, and only a registry hands out an encoder. So each scrape moves
//!   into a registry of its own, and the result comes back through a cell.
//! - It escapes and writes every label of every sample. A label key is not escaped, so the labels
//!   that all samples of a unit share are rendered once and written as part of a key.
//! - It does not count samples. An [`Exposition`] can count them instead of writing them.
//! - It writes the metadata of a family without samples, and `{}` where there are no labels. We open
//!   a family at its first sample, and skip an empty label set.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{Arc, OnceLock},
};

use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabel as _, EncodeLabelKey,
        EncodeLabelSet, LabelKeyEncoder, LabelSetEncoder, MetricEncoder, NoLabelSet, text,
    },
    metrics::MetricType,
    registry::Registry,
};

use super::{
    View,
    family::{Family, FamilyOf, FamilyType},
    format::Format,
    group::Groups,
};
use crate::histogram::Histogram;

/// Series by family; 0 for a family that was begun and has none.
pub(super) type SeriesCounts = BTreeMap<&'static str, u64>;

/// The page being written, or a count of its series.
pub(super) struct Exposition<'e> {
    output: Output<'e>,
    groups: Groups,
}

enum Output<'e> {
    Text { encoder: DescriptorEncoder<'e>, format: Format },
    Count(&'e mut SeriesCounts),
}

/// One family being written or counted.
pub(super) struct Samples<'s, 'e, const N: usize> {
    family: &'static Family,
    sink: Sink<'s, 'e>,
    /// The label `user` that the next samples carry before their own labels.
    user: Option<&'s str>,
}

/// Where the samples of one family go.
enum Sink<'s, 'e> {
    Text(TextFamily<'s, 'e>),
    Count(&'s mut u64),
    /// The family's group is switched off.
    Discard,
}

/// A family in text, opened at its first sample.
struct TextFamily<'s, 'e> {
    format: Format,
    unopened: Option<&'s mut DescriptorEncoder<'e>>,
    open: Option<MetricEncoder<'s>>,
}

/// A sample's value.
pub(super) trait SampleValue: EncodeGaugeValue + EncodeCounterValue {}

impl SampleValue for u64 {}
impl SampleValue for f64 {}

/// The label values of a sample in a family with `N` labels.
pub(super) trait Labels<const N: usize> {
    /// The first labels, if they are rendered.
    fn rendered(&self) -> Option<&RenderedLabels<'_>> {
        None
    }

    /// The values of the labels after those.
    fn values(&self) -> &[&str];
}

/// Labels rendered once for many samples.
pub(super) struct RenderedLabels<'a> {
    /// `name="…",type="…",` with escaped values.
    text: String,
    /// Where the last label's key ends in it.
    last_key_end: usize,
    last_value: &'a str,
}

/// Label names and values, for the encoder.
struct LabelSet<'a, L, const N: usize> {
    user: Option<&'a str>,
    names: &'a [&'static str],
    labels: &'a L,
}

/// Rendered labels that precede a key, and the key.
struct Key<'a>(&'a str, &'a str);

/// A page that the registry can own, with the cell for the result of encoding it.
struct Page<F, T> {
    encode: F,
    format: Format,
    groups: Groups,
    result: Arc<OnceLock<T>>,
}

/// Writes a whole page of what `encode` puts into it, and returns what `encode` returns.
///
/// # Errors
/// `out` or `encode` failed.
pub(super) fn write<T: Copy + Send + Sync + 'static>(
    out: &mut impl fmt::Write,
    format: Format,
    groups: Groups,
    encode: impl Fn(&mut Exposition<'_>) -> Result<T, fmt::Error> + Send + Sync + 'static,
) -> Result<T, fmt::Error> {
    let result = Arc::default();
    let mut registry = Registry::default();
    let page = Page { encode, format, groups, result: Arc::clone(&result) };
    registry.register_collector(Box::new(page));
    text::encode_registry(out, &registry)?;
    if format == Format::OpenMetrics {
        text::encode_eof(out)?;
    }
    result.get().copied().ok_or(fmt::Error)
}

/// Counts the series of what `encode` would write.
///
/// # Errors
/// `encode` failed.
pub(super) fn count(
    groups: Groups,
    encode: impl FnOnce(&mut Exposition<'_>) -> fmt::Result,
) -> Result<SeriesCounts, fmt::Error> {
    let mut counts = SeriesCounts::new();
    encode(&mut Exposition { output: Output::Count(&mut counts), groups })?;
    Ok(counts)
}

// === impl Page ===

impl<F, T> Collector for Page<F, T>
where
    F: Fn(&mut Exposition<'_>) -> Result<T, fmt::Error> + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let output = Output::Text { encoder, format: self.format };
        let result = (self.encode)(&mut Exposition { output, groups: self.groups })?;
        self.result.get_or_init(|| result);
        Ok(())
    }
}

impl<F, T> fmt::Debug for Page<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("format", &self.format).finish_non_exhaustive()
    }
}

// === impl Exposition ===

impl<'e> Exposition<'e> {
    /// Begins a family, once: the formats forbid a second time. If its group is switched off, its
    /// samples are discarded.
    pub(super) fn family<const N: usize>(
        &mut self,
        family: &'static FamilyOf<N>,
    ) -> Samples<'_, 'e, N> {
        let family = &family.0;
        let is_off = family.group.is_some_and(|group| !self.groups.has(group));
        let sink = match &mut self.output {
            _ if is_off => Sink::Discard,
            Output::Text { encoder, format } => {
                Sink::Text(TextFamily { format: *format, unopened: Some(encoder), open: None })
            }
            Output::Count(counts) => Sink::Count(counts.entry(family.name).or_default()),
        };
        Samples { family, sink, user: None }
    }

    /// Writes a family with the samples of each manager.
    pub(super) fn each<'m, const N: usize>(
        &mut self,
        family: &'static FamilyOf<N>,
        managers: &'m [View<'m>],
        encode: impl Fn(&'m View<'m>, &mut Samples<'_, 'e, N>) -> fmt::Result,
    ) -> fmt::Result {
        let mut samples = self.family(family);
        managers.iter().try_for_each(|manager| encode(manager, samples.of(manager.user)))
    }

    /// Writes a family with one sample for each manager that has a value.
    pub(super) fn each_value<V: SampleValue>(
        &mut self,
        family: &'static FamilyOf<0>,
        managers: &[View<'_>],
        value: impl Fn(&View<'_>) -> Option<V>,
    ) -> fmt::Result {
        self.each(family, managers, |manager, samples| samples.add_some([], value(manager)))
    }

    /// Writes a family of a single sample, if there is a value.
    pub(super) fn single(
        &mut self,
        family: &'static FamilyOf<0>,
        value: Option<impl SampleValue>,
    ) -> fmt::Result {
        self.family(family).add_some([], value)
    }
}

// === impl Samples ===

impl<'s, const N: usize> Samples<'s, '_, N> {
    /// Gives the next samples this label `user`, or none.
    pub(super) fn of(&mut self, user: Option<&'s str>) -> &mut Self {
        self.user = user;
        self
    }

    /// Writes one sample, if there is a value.
    pub(super) fn add_some(
        &mut self,
        labels: impl Labels<N>,
        value: Option<impl SampleValue>,
    ) -> fmt::Result {
        value.map_or(Ok(()), |value| self.add(labels, value))
    }

    /// Writes one sample.
    pub(super) fn add(&mut self, labels: impl Labels<N>, value: impl SampleValue) -> fmt::Result {
        let text = match &mut self.sink {
            Sink::Text(text) => text,
            Sink::Count(series) => {
                **series += 1;
                return Ok(());
            }
            Sink::Discard => return Ok(()),
        };
        let (kind, format, names) = (self.family.kind, text.format, self.family.labels);
        let labels = LabelSet::<_, N> { user: self.user, names, labels: &labels };
        let encoder = text.open(self.family)?;
        if matches!((kind, format), (FamilyType::Info, Format::OpenMetrics)) {
            return encoder.encode_info(&labels);
        }
        if N == 0 && self.user.is_none() {
            return encode_value(encoder, kind, format, &value);
        }
        encode_value(&mut encoder.encode_family(&labels)?, kind, format, &value)
    }

    /// Writes a whole histogram: one sample for each bucket, the sum and the count.
    pub(super) fn add_histogram(
        &mut self,
        labels: impl Labels<N>,
        histogram: &Histogram,
    ) -> fmt::Result {
        let buckets: Vec<_> = histogram.buckets().collect();
        let (sum, count) = (histogram.sum(), histogram.count());
        let text = match &mut self.sink {
            Sink::Text(text) => text,
            Sink::Count(series) => {
                **series += 2;
                **series += u64::try_from(buckets.len()).unwrap_or(u64::MAX);
                return Ok(());
            }
            Sink::Discard => return Ok(()),
        };
        let (user, names) = (self.user, self.family.labels);
        let labels = LabelSet::<_, N> { user, names, labels: &labels };
        let encoder = text.open(self.family)?;
        if N == 0 && user.is_none() {
            return encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None);
        }
        encoder.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

fn encode_value<V: SampleValue>(
    encoder: &mut MetricEncoder<'_>,
    kind: FamilyType,
    format: Format,
    value: &V,
) -> fmt::Result {
    match (kind, format) {
        (FamilyType::Counter, Format::OpenMetrics) => {
            encoder.encode_counter::<NoLabelSet, V, f64>(value, None)
        }
        _ => encoder.encode_gauge(value),
    }
}

// === impl TextFamily ===

impl<'s> TextFamily<'s, '_> {
    fn open(&mut self, family: &Family) -> Result<&mut MetricEncoder<'s>, fmt::Error> {
        if let Some(encoder) = self.unopened.take() {
            let (name, metric_type) = metadata(family, self.format);
            self.open = Some(encoder.encode_descriptor(name, family.help, None, metric_type)?);
        }
        self.open.as_mut().ok_or(fmt::Error)
    }
}

/// The family's name and type as the metadata spells them.
fn metadata(family: &Family, format: Format) -> (&'static str, MetricType) {
    let without = |suffix| family.name.strip_suffix(suffix).unwrap_or(family.name);
    match (family.kind, format) {
        (FamilyType::Counter, Format::OpenMetrics) => (without("_total"), MetricType::Counter),
        (FamilyType::Counter, Format::Text) => (family.name, MetricType::Counter),
        (FamilyType::Info, Format::OpenMetrics) => (without("_info"), MetricType::Info),
        (FamilyType::Info, Format::Text) | (FamilyType::Gauge, _) => {
            (family.name, MetricType::Gauge)
        }
        (FamilyType::Histogram, _) => (family.name, MetricType::Histogram),
    }
}

// === impl Labels ===

impl<const N: usize> Labels<N> for [&str; N] {
    fn values(&self) -> &[&str] {
        self
    }
}

impl<L: Labels<N>, const N: usize> EncodeLabelSet for LabelSet<'_, L, N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        if let Some(user) = self.user {
            ("user", user).encode(encoder.encode_label())?;
        }
        let (rendered, values) = (self.labels.rendered(), self.labels.values());
        if let Some(rendered) = rendered.filter(|_| values.is_empty()) {
            // The encoder needs a key and a value, so the last label is rendered up to its key.
            let key = rendered.text.get(..rendered.last_key_end).unwrap_or_default();
            return (Key(key, ""), rendered.last_value).encode(encoder.encode_label());
        }
        let mut before = rendered.map_or("", |rendered| rendered.text.as_str());
        for (name, value) in self.names.iter().skip(N - values.len()).zip(values) {
            (Key(before, name), *value).encode(encoder.encode_label())?;
            before = "";
        }
        Ok(())
    }
}

impl EncodeLabelKey for Key<'_> {
    fn encode(&self, encoder: &mut LabelKeyEncoder<'_>) -> fmt::Result {
        encoder.write_str(self.0)?;
        encoder.write_str(self.1)
    }
}

// === impl RenderedLabels ===

impl<'a> RenderedLabels<'a> {
    /// Renders these names and values.
    pub(super) fn new(labels: impl Iterator<Item = (&'static str, &'a str)> + Clone) -> Self {
        let bytes = labels.clone().map(|(name, value)| name.len() + 2 * value.len() + 4).sum();
        let mut text = String::with_capacity(bytes);
        let (mut last_key_end, mut last_value) = (0, "");
        for (name, value) in labels {
            text.push_str(name);
            (last_key_end, last_value) = (text.len(), value);
            text.push_str("=\"");
            escape(value, &mut text);
            text.push_str("\",");
        }
        Self { text, last_key_end, last_value }
    }
}

/// Escapes a label value as both formats want it between quotes.
fn escape(value: &str, into: &mut String) {
    // Split at each special character, so that what lies between them is copied in one go.
    let mut rest = value;
    while let Some((plain, special)) = split_at_special(rest) {
        into.push_str(plain);
        let mut chars = special.chars();
        into.push_str(match chars.next() {
            Some('\\') => "\\\\",
            Some('"') => "\\\"",
            _ => "\\n",
        });
        rest = chars.as_str();
    }
    into.push_str(rest);
}

fn split_at_special(value: &str) -> Option<(&str, &str)> {
    let special = value.bytes().position(|byte| matches!(byte, b'\\' | b'"' | b'\n'))?;
    value.split_at_checked(special)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::family::families, *};

    families! {
        TOOK: Histogram "took_seconds" ["type", "why"] "How long it took.";
    }

    fn encode_took(out: &mut Exposition<'_>) -> fmt::Result {
        let mut start = Histogram::new(&[0.25, 90.0]);
        for seconds in [0.125, 0.25, 1.0, 91.0] {
            start.observe(Duration::from_secs_f64(seconds));
        }
        let stop = Histogram::new(&[3600.0]);
        let mut samples = out.family(&TOOK);
        samples.add_histogram(["start", "\"so\""], &start)?;
        samples.add_histogram(["stop", ""], &stop)
    }

    /// A reader wants all of one histogram together, its buckets cumulative and rising to an
    /// infinite one that equals the count.
    #[test]
    fn histograms_with_labels_are_the_same_in_both_formats() {
        assert_eq!(ALL, [&TOOK.0]);
        for (format, end) in [(Format::OpenMetrics, "# EOF\n"), (Format::Text, "")] {
            let mut text = String::new();
            write(&mut text, format, Groups::NONE, encode_took).unwrap();
            assert_eq!(
                text.strip_suffix(end).unwrap(),
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

    #[test]
    fn every_sample_of_a_histogram_is_counted() {
        let counts = count(Groups::NONE, encode_took).unwrap();
        assert_eq!(counts, SeriesCounts::from([("took_seconds", 9)]));
    }
}
