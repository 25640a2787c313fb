//! A strict parser of expositions that checks them against the declared families.

use std::collections::BTreeMap;

use unitwatch::metrics::{self, Family, FamilyType, format::Format};

use crate::sample::{Labels, sample};

/// A parsed exposition.
pub(crate) struct Page<'a> {
    /// Names as declared, in order.
    pub(crate) families: Vec<&'a str>,
    /// Each series and its value.
    pub(crate) samples: Samples,
}

pub(crate) type Samples = BTreeMap<(String, Labels), String>;

impl<'a> Page<'a> {
    /// Parses a whole exposition, or returns what is wrong with it.
    pub(crate) fn parse(text: &'a str, format: Format) -> Result<Self, String> {
        let body = match format {
            Format::OpenMetrics => text.strip_suffix("# EOF\n").ok_or("no `# EOF` at the end")?,
            Format::Text => text,
        };
        if !body.is_empty() && !body.ends_with('\n') {
            return Err("the last line is truncated".into());
        }
        let mut page = Self { families: Vec::new(), samples: BTreeMap::new() };
        let mut current: Option<&Family> = None;
        let mut lines = body.split_terminator('\n').peekable();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE "));
                let family = family(help, kind.ok_or("HELP without TYPE")?, format)?;
                if page.families.contains(&family.name) {
                    return Err(format!("{} occurs twice", family.name));
                }
                if lines.peek().is_none_or(|next| next.starts_with('#')) {
                    return Err(format!("{} has no samples", family.name));
                }
                page.families.push(family.name);
                current = Some(family);
                continue;
            }
            let (name, labels, value) = sample(line).ok_or_else(|| format!("bad line {line:?}"))?;
            let family = current.ok_or_else(|| format!("{line:?} belongs to no family"))?;
            let names: Vec<_> = labels.iter().map(|(name, _)| name.as_str()).collect();
            let expected = match (family.kind, name.strip_prefix(family.name)) {
                (FamilyType::Histogram, Some("_bucket")) => [&["le"], family.labels].concat(),
                (FamilyType::Histogram, Some("_sum" | "_count")) => family.labels.to_vec(),
                (FamilyType::Gauge | FamilyType::Counter | FamilyType::Info, Some("")) => {
                    family.labels.to_vec()
                }
                _ => return Err(format!("{line:?} is not of family {}", family.name)),
            };
            if names != expected {
                return Err(format!("{line:?} has other labels than {expected:?}"));
            }
            if page.samples.insert((name, labels), value).is_some() {
                return Err(format!("{line:?} is a duplicate"));
            }
        }
        Ok(page)
    }
}

/// The family of a HELP and a TYPE line, if they are as declared.
fn family(help: &str, kind: &str, format: Format) -> Result<&'static Family, String> {
    let matches = |family: &&Family| {
        let (name, kind_name) = match (format, family.kind) {
            (Format::OpenMetrics, FamilyType::Counter) => {
                (family.name.strip_suffix("_total").unwrap(), "counter")
            }
            (Format::OpenMetrics, FamilyType::Info) => {
                (family.name.strip_suffix("_info").unwrap(), "info")
            }
            (Format::Text, FamilyType::Info) => (family.name, "gauge"),
            (_, kind) => (family.name, kind.as_str()),
        };
        help == format!("{name} {}", family.help) && kind == format!("{name} {kind_name}")
    };
    metrics::all_families()
        .find(matches)
        .ok_or_else(|| format!("unknown family {help:?} / {kind:?}"))
}

/// The unit of a series.
pub(crate) fn unit_of(labels: &[(String, String)]) -> Option<&str> {
    labels.iter().find(|(name, _)| name == "name").map(|(_, unit)| unit.as_str())
}
