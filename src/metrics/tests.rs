//! The page as it is written, and as the library would write all of it.

use proptest::prelude::*;

use super::{Scrape, encode, encode_all, format::Format, writer};

#[path = "../../tests/pages/any.rs"]
mod any;
#[path = "../../tests/pages/full.rs"]
mod full;

/// A line up to the value, and the value if it is a sample.
fn parse(line: &str) -> (&str, Option<f64>) {
    let sample = line.rsplit_once(' ').filter(|_| !line.starts_with('#'));
    sample.map_or((line, None), |(series, value)| (series, Some(value.parse().unwrap())))
}

/// Whether two values are the same double. From 285 years on, microseconds are none, and dividing
/// them rounds twice.
fn are_equal(one: Option<f64>, other: Option<f64>) -> bool {
    const EXACT_SECONDS: f64 = 9e9;
    one == other
        || one.zip(other).is_some_and(|(one, other)| {
            one > EXACT_SECONDS && (one - other).abs() <= f64::EPSILON * one
        })
}

fn check(scrape: &Scrape) {
    for format in [Format::OpenMetrics, Format::Text] {
        let text = encode(scrape, format).unwrap().text;
        let mut wanted = String::new();
        writer::write_by_library(&mut wanted, format, scrape.groups, |out| encode_all(scrape, out))
            .unwrap();
        for (line, wanted) in text.lines().zip(wanted.lines()) {
            let ((series, value), (wanted_series, wanted_value)) = (parse(line), parse(wanted));
            assert_eq!(series, wanted_series);
            assert!(are_equal(value, wanted_value), "{line}, not {wanted}");
        }
        assert_eq!(text.lines().count(), wanted.lines().count());
    }
}

#[test]
fn a_full_page_is_what_the_library_writes() {
    check(&full::full());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_page_is_what_the_library_writes(scrape in any::some_scrape()) {
        check(&scrape);
    }
}
