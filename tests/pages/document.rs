//! A strict reader of expositions, that knows what the contract promises.

use std::collections::BTreeMap;

use unitwatch::metrics::{self, Family, FamilyType, format::Format};

use crate::sample::{Labels, sample};

/// What a strict reader makes of an exposition.
pub(crate) struct Document<'a> {
    /// Names as in the contract, in order.
    pub(crate) families: Vec<&'a str>,
    /// Each series and its value.
    pub(crate) samples: Samples,
}

pub(crate) type Samples = BTreeMap<(String, Labels), String>;

impl<'a> Document<'a> {
    /// Reads a whole document, or says what is wrong with it.
    pub(crate) fn parse(text: &'a str, format: Format) -> Result<Self, String> {
        let body = match format {
            Format::OpenMetrics => text.strip_suffix("# EOF\n").ok_or("no `# EOF` at the end")?,
            Format::Text => text,
        };
        if !body.is_empty() && !body.ends_with('\n') {
            return Err("the last line is cut off".into());
        }
        let mut document = Self { families: Vec::new(), samples: BTreeMap::new() };
        let mut current: Option<&Family> = None;
        let mut lines = body.split_terminator('\n').peekable();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE "));
                let family = family(help, kind.ok_or("HELP without TYPE")?, format)?;
                if document.families.contains(&family.name) {
                    return Err(format!("{} is there twice", family.name));
                }
                if lines.peek().is_none_or(|next| next.starts_with('#')) {
                    return Err(format!("{} has no samples", family.name));
                }
                document.families.push(family.name);
                current = Some(family);
                continue;
            }
            let (name, labels, value) = sample(line).ok_or_else(|| format!("bad line {line:?}"))?;
            let family = current.ok_or_else(|| format!("{line:?} belongs to no family"))?;
            let names: Vec<_> = labels.iter().map(|(name, _)| name.as_str()).collect();
            let promised = match (family.kind, name.strip_prefix(family.name)) {
                (FamilyType::Histogram, Some("_bucket")) => [&["le"], family.labels].concat(),
                (FamilyType::Histogram, Some("_sum" | "_count")) => family.labels.to_vec(),
                (FamilyType::Gauge | FamilyType::Counter | FamilyType::Info, Some("")) => {
                    family.labels.to_vec()
                }
                _ => return Err(format!("{line:?} is not of family {}", family.name)),
            };
            if names != promised {
                return Err(format!("{line:?} has other labels than {promised:?}"));
            }
            if document.samples.insert((name, labels), value).is_some() {
                return Err(format!("{line:?} is a duplicate"));
            }
        }
        Ok(document)
    }
}

/// The family that a HELP and a TYPE line announce, if they say what the contract says.
fn family(help: &str, kind: &str, format: Format) -> Result<&'static Family, String> {
    let says = |family: &&Family| {
        let (name, word) = match (format, family.kind) {
            (Format::OpenMetrics, FamilyType::Counter) => {
                (family.name.strip_suffix("_total").unwrap(), "counter")
            }
            (Format::OpenMetrics, FamilyType::Info) => {
                (family.name.strip_suffix("_info").unwrap(), "info")
            }
            (Format::Text, FamilyType::Info) => (family.name, "gauge"),
            (_, kind) => (family.name, kind.as_str()),
        };
        help == format!("{name} {}", family.help) && kind == format!("{name} {word}")
    };
    metrics::contract().find(says).ok_or_else(|| format!("unknown family {help:?} / {kind:?}"))
}

/// The unit that a series is about.
pub(crate) fn unit_of(labels: &[(String, String)]) -> Option<&str> {
    labels.iter().find(|(name, _)| name == "name").map(|(_, unit)| unit.as_str())
}
