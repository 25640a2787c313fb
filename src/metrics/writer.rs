//! Writes families and samples as text: the only file that uses prometheus-client.
//!
//! The library is a store of metrics that encodes itself, one family at a time:
//!
//! - It writes OpenMetrics: a counter is named without `_total` in its metadata, an info without
//!   `_info`, and the samples get the suffix. Text 0.0.4 has the full name in both places and no
//!   type info. There we give the full name, and encode counters and infos as gauges, whose
//!   samples get no suffix and look the same otherwise.
//! - A registry owns its collectors, and only a registry hands out an encoder. So the samples of a
//!   family are copied, and each family moves into a registry of its own.
//! - It writes the metadata of a family without samples, and `{}` where there are no labels. We open
//!   a family at its first sample, and skip an empty label set.
//!
//! The samples of units are most of a page, so they are not copied: of their families the library
//! writes the metadata, and [`Samples::unit`] writes the samples.

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet, text,
    },
    metrics::MetricType,
    registry::Registry,
};

use super::{
    View,
    family::{Family, FamilyOf, FamilyType},
    format::Format,
    group::Groups,
    labels::SampleLabels,
    value::{self, Value},
};
use crate::histogram::Histogram;

/// Series by family; 0 for a family that was begun and has none.
pub(super) type SeriesCounts = BTreeMap<&'static str, u64>;

/// Where a page is written.
pub trait Destination {
    /// Where the next lines are appended.
    ///
    /// # Errors
    /// What was written before could not be passed on.
    fn lines(&mut self) -> Result<&mut String, fmt::Error>;
}

impl Destination for String {
    fn lines(&mut self) -> Result<&mut String, fmt::Error> {
        Ok(self)
    }
}

/// The page being written, or a count of its series.
pub(super) struct Exposition<'e> {
    output: Output<'e>,
    groups: Groups,
}

enum Output<'e> {
    Text(Page<'e>),
    Count(&'e mut SeriesCounts),
}

/// A page being written.
struct Page<'e> {
    out: &'e mut dyn Destination,
    format: Format,
    /// The family that the library will write when it is complete.
    copied: Option<CopiedFamily>,
    /// Whether the library writes the samples of units too.
    #[cfg(test)]
    by_library: bool,
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
    Text {
        page: &'s mut Page<'e>,
        is_open: bool,
    },
    Count(&'s mut u64),
    /// The family's group is switched off.
    Discard,
}

/// A family with its samples, for the library.
#[derive(Debug)]
struct CopiedFamily {
    family: &'static Family,
    format: Format,
    samples: Vec<CopiedSample>,
}

#[derive(Debug)]
struct CopiedSample {
    labels: Vec<(&'static str, String)>,
    value: CopiedValue,
}

#[derive(Debug)]
enum CopiedValue {
    One(Value),
    Histogram { sum: f64, count: u64, buckets: Vec<(f64, u64)> },
}

/// Writes a whole page of what `encode` puts into it, and returns what `encode` returns.
///
/// # Errors
/// `out` or `encode` failed.
pub(super) fn write<T>(
    out: &mut dyn Destination,
    format: Format,
    groups: Groups,
    encode: impl FnOnce(&mut Exposition<'_>) -> Result<T, fmt::Error>,
) -> Result<T, fmt::Error> {
    Page::new(out, format).write(groups, encode)
}

/// Writes the same, but the library writes the samples of units too.
#[cfg(test)]
pub(super) fn write_by_library<T>(
    out: &mut dyn Destination,
    format: Format,
    groups: Groups,
    encode: impl FnOnce(&mut Exposition<'_>) -> Result<T, fmt::Error>,
) -> Result<T, fmt::Error> {
    Page { by_library: true, ..Page::new(out, format) }.write(groups, encode)
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

// === impl Exposition ===

impl<'e> Exposition<'e> {
    /// Begins a family, once: the formats forbid a second time. If its group is switched off, its
    /// samples are discarded.
    pub(super) fn family<const N: usize>(
        &mut self,
        family: &'static FamilyOf<N>,
    ) -> Samples<'_, 'e, N> {
        let family = &family.0;
        let is_on = self.is_on(family);
        let sink = match &mut self.output {
            _ if !is_on => Sink::Discard,
            Output::Text(page) => Sink::Text { page, is_open: false },
            Output::Count(counts) => Sink::Count(counts.entry(family.name).or_default()),
        };
        Samples { family, sink, user: None }
    }

    /// Whether the family's group is switched on.
    fn is_on(&self, family: &Family) -> bool {
        family.group.is_none_or(|group| self.groups.has(group))
    }

    /// Whether the samples of a family are written, and not just counted or discarded.
    pub(super) fn writes(&self, family: &Family) -> bool {
        self.is_on(family) && matches!(self.output, Output::Text(_))
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
    pub(super) fn each_value<V: Into<Value>>(
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
        value: Option<impl Into<Value>>,
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
        labels: [&str; N],
        value: Option<impl Into<Value>>,
    ) -> fmt::Result {
        value.map_or(Ok(()), |value| self.add(labels, value))
    }

    /// Writes one sample.
    pub(super) fn add(&mut self, labels: [&str; N], value: impl Into<Value>) -> fmt::Result {
        self.copy(&labels, 1, || CopiedValue::One(value.into()))
    }

    /// Writes a whole histogram: one sample for each bucket, the sum and the count.
    pub(super) fn add_histogram(
        &mut self,
        labels: [&str; N],
        histogram: &Histogram,
    ) -> fmt::Result {
        let buckets: Vec<_> = histogram.buckets().collect();
        let (sum, count) = (histogram.sum(), histogram.count());
        let series = u64::try_from(buckets.len()).unwrap_or(u64::MAX).saturating_add(2);
        self.copy(&labels, series, || CopiedValue::Histogram { sum, count, buckets })
    }

    /// Writes one sample of a unit. A family has either such samples or others.
    pub(super) fn unit(
        &mut self,
        labels: impl SampleLabels<N>,
        value: impl Into<Value>,
    ) -> fmt::Result {
        #[cfg(test)]
        if matches!(&self.sink, Sink::Text { page, .. } if page.by_library) {
            return self.copy(&labels.values(), 1, || CopiedValue::One(value.into()));
        }
        match &mut self.sink {
            Sink::Text { page, is_open } => {
                if !*is_open {
                    page.begin(self.family)?;
                    page.write_copied()?;
                    *is_open = true;
                }
                page.write_sample(self.family, &labels, value.into())
            }
            Sink::Count(series) => {
                **series += 1;
                Ok(())
            }
            Sink::Discard => Ok(()),
        }
    }

    /// Counts so many series, if series are counted.
    pub(super) fn count(&mut self, more: u64) {
        if let Sink::Count(series) = &mut self.sink {
            **series += more;
        }
    }

    /// Copies a sample, which is so many series, for the library to write.
    fn copy(
        &mut self,
        labels: &[&str],
        series: u64,
        value: impl FnOnce() -> CopiedValue,
    ) -> fmt::Result {
        match &mut self.sink {
            Sink::Text { page, is_open } => {
                if !*is_open {
                    page.begin(self.family)?;
                    *is_open = true;
                }
                let user = self.user.map(|user| ("user", user));
                let labels = self.family.labels.iter().copied().zip(labels.iter().copied());
                let labels = user.into_iter().chain(labels);
                let labels = labels.map(|(name, value)| (name, value.to_owned())).collect();
                let copied = page.copied.as_mut().ok_or(fmt::Error)?;
                copied.samples.push(CopiedSample { labels, value: value() });
            }
            Sink::Count(count) => **count += series,
            Sink::Discard => {}
        }
        Ok(())
    }
}

// === impl Page ===

impl<'e> Page<'e> {
    fn new(out: &'e mut dyn Destination, format: Format) -> Self {
        Self {
            out,
            format,
            copied: None,
            #[cfg(test)]
            by_library: false,
        }
    }

    fn write<T>(
        self,
        groups: Groups,
        encode: impl FnOnce(&mut Exposition<'_>) -> Result<T, fmt::Error>,
    ) -> Result<T, fmt::Error> {
        let mut exposition = Exposition { output: Output::Text(self), groups };
        let result = encode(&mut exposition)?;
        if let Output::Text(mut page) = exposition.output {
            page.write_copied()?;
            if page.format == Format::OpenMetrics {
                text::encode_eof(page.out.lines()?)?;
            }
        }
        Ok(result)
    }

    /// Ends the family before this one.
    fn begin(&mut self, family: &'static Family) -> fmt::Result {
        self.write_copied()?;
        self.copied = Some(CopiedFamily { family, format: self.format, samples: Vec::new() });
        Ok(())
    }

    /// Lets the library write the family that was begun.
    fn write_copied(&mut self) -> fmt::Result {
        let Some(family) = self.copied.take() else { return Ok(()) };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(family));
        text::encode_registry(self.out.lines()?, &registry)
    }

    fn write_sample<const N: usize>(
        &mut self,
        family: &Family,
        labels: &impl SampleLabels<N>,
        value: Value,
    ) -> fmt::Result {
        let line = self.out.lines()?;
        line.push_str(family.name);
        line.push('{');
        labels.write(family.labels, line);
        line.push_str("} ");
        value.write(line)?;
        line.push('\n');
        Ok(())
    }
}

// === impl CopiedFamily ===

impl Collector for CopiedFamily {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (name, metric_type) = metadata(self.family, self.format);
        let mut encoder = encoder.encode_descriptor(name, self.family.help, None, metric_type)?;
        self.samples.iter().try_for_each(|sample| {
            let CopiedSample { labels, value } = sample;
            if matches!(metric_type, MetricType::Info) {
                encoder.encode_info(labels)
            } else if labels.is_empty() {
                self.encode_value(value, &mut encoder)
            } else {
                self.encode_value(value, &mut encoder.encode_family(labels)?)
            }
        })
    }
}

impl CopiedFamily {
    fn encode_value(&self, value: &CopiedValue, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match value {
            CopiedValue::Histogram { sum, count, buckets } => {
                encoder.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
            }
            CopiedValue::One(Value::Integer(number)) => self.encode_number(number, encoder),
            CopiedValue::One(Value::Microseconds(usec)) => {
                self.encode_number(&value::as_seconds(*usec), encoder)
            }
            CopiedValue::One(Value::Float(number)) => self.encode_number(number, encoder),
        }
    }

    fn encode_number<V: EncodeGaugeValue + EncodeCounterValue>(
        &self,
        number: &V,
        encoder: &mut MetricEncoder<'_>,
    ) -> fmt::Result {
        match (self.family.kind, self.format) {
            (FamilyType::Counter, Format::OpenMetrics) => {
                encoder.encode_counter::<NoLabelSet, V, f64>(number, None)
            }
            _ => encoder.encode_gauge(number),
        }
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
