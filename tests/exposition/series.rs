//! What `series` counts of a scrape is what is in it.

use std::num::NonZeroUsize;

use unitwatch::{
    exporter,
    filter::{Pattern, Slices, Types, UnitFilter},
    metrics::{
        self, Scrape, StateSeries,
        format::Format,
        group::{Group, Groups},
    },
    series::{Choice, compare},
};

use crate::full::full;

fn samples(scrape: Scrape) -> (u64, usize) {
    let text = metrics::encode(scrape, Format::OpenMetrics).unwrap().text;
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    (samples as u64, text.len())
}

fn units(types: &str) -> UnitFilter {
    UnitFilter {
        include: Pattern::new(".+").unwrap(),
        exclude: Pattern::new("").unwrap(),
        types: Types::read([types]).unwrap(),
        slices: Slices::default(),
    }
}

const EVERYTHING: exporter::Settings = exporter::Settings {
    own_metrics: true,
    groups: Groups::NONE,
    max_series: None,
    states: StateSeries::Stateset,
};

#[test]
fn every_sample_of_the_page_is_counted() {
    let units = units("all");
    for groups in Group::ALL.iter().map(|group| Groups::all().without(*group)) {
        for (own_metrics, max_series, states) in [
            (true, None, StateSeries::Stateset),
            (false, NonZeroUsize::new(12), StateSeries::Current),
        ] {
            let served = exporter::Settings { own_metrics, groups, max_series, states };
            let table = compare(full(), Choice { units: &units, served }).unwrap();
            let of = full();
            let scrape = Scrape {
                groups,
                max_series,
                states,
                telemetry: of.telemetry.clone().filter(|_| own_metrics),
                process: of.process.filter(|_| own_metrics),
                ..of
            };
            for (column, scrape) in [(table.everything, full()), (table.given, scrape)] {
                assert_eq!((column.sum(), column.bytes), samples(scrape), "{groups:?}");
            }
        }
    }
}

#[test]
fn the_table_tells_what_each_flag_saves() {
    let groups = Groups::all().without(Group::UnitTimes).without(Group::Watchdog);
    let served = exporter::Settings { groups, ..EVERYTHING };
    let table = compare(full(), Choice { units: &units("service"), served }).unwrap();
    let text = table.to_string();
    let (text, bytes) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(text, include_str!("series.txt").trim_end());
    // Of these some are the version's.
    assert!(bytes.starts_with("bytes  "), "{bytes}");
}
