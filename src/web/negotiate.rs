//! What a client accepts (RFC 9110, section 12): the format by `Accept`, the coding by
//! `Accept-Encoding`.
//!
//! An element that violates the grammar is ignored. A client that accepts none of the formats gets
//! plain text, as from Prometheus' own libraries.

use std::cmp::Reverse;

use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName};

use crate::metrics::format::Format;

/// The content coding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
}

/// One element of a header such as `text/plain;version=0.0.4;q=0.5`.
struct Element<'a> {
    value: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    /// In thousandths. 0 means not acceptable.
    quality: u16,
}

/// How closely a media range matches a format. The closest match decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Anything,
    Type,
    Subtype,
    Version,
}

/// The format of the answer: the text format if the client accepts neither.
///
/// The higher quality wins, then the closer match, then the first in the header, then the text
/// format.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let ranges: Vec<_> = elements(headers, &ACCEPT).collect();
    [Format::OpenMetrics, Format::Text]
        .into_iter()
        .filter_map(|format| {
            let (fit, slot, quality) = ranges
                .iter()
                .enumerate()
                .filter_map(|(at, range)| Some((range.fits(format)?, Reverse(at), range.quality)))
                .max()?;
            (quality > 0).then_some(((quality, fit, slot), format))
        })
        // `max_by_key` returns the last of equals: the text format.
        .max_by_key(|(rank, _)| *rank)
        .map_or(Format::Text, |(_, format)| format)
}

/// The coding of the answer: none if the client accepts neither.
pub(super) fn coding(headers: &HeaderMap) -> Coding {
    let quality_of = |names: &[&str]| {
        elements(headers, &ACCEPT_ENCODING)
            .find(|element| names.iter().any(|name| element.value.eq_ignore_ascii_case(name)))
            .map(|element| element.quality)
    };
    let any = quality_of(&["*"]);
    let gzip = quality_of(&["gzip", "x-gzip"]).or(any).unwrap_or(0);
    // No coding is always acceptable, but preferred only if the header names it.
    let identity = quality_of(&["identity"]).or(any).unwrap_or(0);
    if gzip > 0 && gzip >= identity { Coding::Gzip } else { Coding::Identity }
}

// === impl Element ===

impl<'a> Element<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let value = parts.next()?;
        let mut quality = 1000;
        let mut parameters = Vec::new();
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=')?;
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("q") {
                quality = parse_quality(value)?;
            } else {
                parameters.push((name, value));
            }
        }
        Some(Self { value, parameters, quality })
    }

    fn fits(&self, format: Format) -> Option<Fit> {
        let (kind, subtype, served) = match format {
            Format::OpenMetrics => ("application", "openmetrics-text", "1.0.0"),
            Format::Text => ("text", "plain", "0.0.4"),
        };
        // Old Java clients send a single asterisk.
        match self.value.split_once('/').unwrap_or((self.value, "*")) {
            ("*", "*") => Some(Fit::Anything),
            (a, "*") if a.eq_ignore_ascii_case(kind) => Some(Fit::Type),
            (a, b) if a.eq_ignore_ascii_case(kind) && b.eq_ignore_ascii_case(subtype) => {
                // Any other parameter, such as `charset` and `escaping`, is satisfied: all names and
                // values suit it, because names are plain ASCII.
                let version =
                    self.parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("version"));
                match version {
                    None => Some(Fit::Subtype),
                    Some((_, version)) => (*version == served).then_some(Fit::Version),
                }
            }
            _ => None,
        }
    }
}

fn elements<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Element<'a>> + use<'a> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Element::parse)
}

/// Reads `0.75` as 750. The grammar has three digits at most; further ones are ignored.
fn parse_quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    match (whole, thousandths) {
        // Old Java clients omit the zero.
        ("0" | "", thousandths) if !text.is_empty() => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_format_follows_accept() {
        use Format::{OpenMetrics as Om, Text};
        for (accept, expected) in [
            // Absent, empty, anything, and invalid.
            (&[][..], Text),
            (&[""], Text),
            (&["*/*"], Text),
            (&["*/*;q=2"], Text),
            (&["application/json;q"], Text),
            (&[";;,,="], Text),
            // Prometheus 2.x, 3.x with and without protobuf, VictoriaMetrics, curl, a browser.
            (
                &["application/openmetrics-text;version=1.0.0,\
                  application/openmetrics-text;version=0.0.1;q=0.75,\
                  text/plain;version=0.0.4;q=0.5,*/*;q=0.1"],
                Om,
            ),
            (
                &["application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                  application/openmetrics-text;version=0.0.1;q=0.4,\
                  text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                  text/plain;version=0.0.4;q=0.2,*/*;q=0.1"],
                Om,
            ),
            (
                &["application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                  encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,\
                  text/plain;version=0.0.4;q=0.3,*/*;q=0.2"],
                Om,
            ),
            (&["text/plain;version=0.0.4;q=1,*/*;q=0.1"], Text),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Text),
            (&["text/html, image/gif, *; q=.2, */*; q=.2"], Text),
            // Quality, then match, then order.
            (&["application/openmetrics-text;q=0.4,text/plain;q=0.5"], Text),
            (&["text/plain;q=0.4", "application/openmetrics-text;q=0.5"], Om),
            (&["text/plain,application/openmetrics-text"], Text),
            (&["application/openmetrics-text,text/plain"], Om),
            (&["*/*,application/openmetrics-text"], Om),
            (&["application/*"], Om),
            (&["text/*"], Text),
            (&["text/*;q=0.5,application/*"], Om),
            (&["TEXT/Plain; Version=\"0.0.4\"; Q=0.5 , application/json"], Text),
            // The closest range decides, and zero means not acceptable.
            (&["text/plain;q=0,*/*"], Om),
            (&["application/openmetrics-text;q=0.0,*/*"], Text),
            (&["text/plain;q=0.9,text/plain;version=0.0.4;q=0,*/*;q=0.1"], Om),
            (&["text/plain;q=0,application/openmetrics-text;q=0"], Text),
            (&["*/*;q=0"], Text),
            (&["*/*;q=0.000"], Text),
            // Neither is accepted.
            (&["application/json"], Text),
            (&["application/openmetrics-text;version=0.0.1"], Text),
            (&["application/openmetrics-text;version=2.0.0"], Text),
            (&["application/openmetrics-text;version=0.0.1,text/plain;q=0.1"], Text),
            (&["text/plain;version=1.0.0"], Text),
            (&["text/html"], Text),
            (&["text/plain;q=0,application/json"], Text),
            (&["application/openmetrics-text;q=0,application/json"], Text),
            (&["application/json;version=0.0.4;charset=utf-8;q=1.0"], Text),
            (&["application/vnd.google.protobuf;proto=a.B;encoding=delimited"], Text),
        ] {
            assert_eq!(format(&headers(ACCEPT, accept)), expected, "{accept:?}");
        }
    }

    #[test]
    fn the_coding_follows_accept_encoding() {
        use Coding::{Gzip, Identity};
        for (accept, expected) in [
            (&[][..], Identity),
            (&[""], Identity),
            (&["gzip"], Gzip),
            (&["x-gzip"], Gzip),
            (&["GZIP;q=0.1"], Gzip),
            (&["br", "gzip"], Gzip),
            (&["gzip, deflate, br, zstd"], Gzip),
            (&["deflate, br"], Identity),
            (&["*"], Gzip),
            (&["*;q=0.1"], Gzip),
            (&["gzip;q=0"], Identity),
            (&["gzip;q=0, *"], Identity),
            (&["gzip;q=nan"], Identity),
            (&["identity"], Identity),
            (&["identity, gzip;q=0.5"], Identity),
            (&["identity;q=0.5, gzip"], Gzip),
            (&["identity;q=0, gzip;q=0.001"], Gzip),
            (&["identity;q=0"], Identity),
            (&["*;q=0"], Identity),
            (&["*;q=0, identity"], Identity),
            (&["*;q=0, gzip"], Gzip),
            (&["gzip;q=0, identity;q=0"], Identity),
            (&["identity;q=0, br"], Identity),
            (&["identity;q=0, gzip;q=2"], Identity),
        ] {
            assert_eq!(coding(&headers(ACCEPT_ENCODING, accept)), expected, "{accept:?}");
        }
    }

    #[test]
    fn a_quality_is_read_in_thousandths() {
        for (text, expected) in [
            ("1", Some(1000)),
            ("1.0", Some(1000)),
            ("1.000", Some(1000)),
            ("0", Some(0)),
            ("0.", Some(0)),
            ("0.5", Some(500)),
            ("0.07", Some(70)),
            ("0.001", Some(1)),
            ("0.9999", Some(999)),
            ("1.001", None),
            ("2", None),
            ("-1", None),
            ("+1", None),
            ("0.5x", None),
            ("0.é", None),
            (".2", Some(200)),
            ("", None),
            ("nan", None),
            ("1e3", None),
        ] {
            assert_eq!(parse_quality(text), expected, "{text}");
        }
    }
}
