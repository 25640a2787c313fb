//! What `series` counts of a scrape is what is in it.

use std::{num::NonZeroUsize, sync::Arc};

use unitwatch::{
    metrics::{
        self, Scrape, StateSeries,
        format::Format,
        group::{Group, Groups},
    },
    scrape,
    selection::filter::{Pattern, Slices, Types, UnitFilter},
    selection::rollup::Rollups,
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

const EVERYTHING: scrape::ScrapeSettings = scrape::ScrapeSettings {
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
            let served = scrape::ScrapeSettings { own_metrics, groups, max_series, states };
            let table =
                compare(full(), Choice { units: &units, rollups: Rollups::default(), served })
                    .unwrap();
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
fn the_table_tells_what_it_saves_to_sum_up() {
    // As `series` reads it: each unit by itself.
    let (mut scrape, units) = (full(), units("all"));
    let snapshot = Arc::make_mut(scrape.snapshot.as_mut().unwrap());
    let sum = snapshot.rollups.pop().unwrap();
    snapshot.units.extend(sum.members);
    let of = |scrape: Scrape, words: &[&str]| {
        let rollups = Rollups::read(words.iter().copied()).unwrap();
        let served = scrape::ScrapeSettings { groups: Groups::all(), ..EVERYTHING };
        compare(scrape, Choice { units: &units, rollups, served }).unwrap()
    };
    let (each, summed) = (of(scrape.clone(), &[]).given, of(scrape, &["instances"]).given);
    let saved = |group| each.series[&group] - summed.series[&group];
    // Five states of each of three, and now five of all, and five of one that nobody is left of.
    assert_eq!(saved(Some(Group::UnitState)), 15 - 5 - 5);
    assert_eq!(saved(Some(Group::Tasks)), 1);
    // Starts and restarts of three.
    assert_eq!(saved(Some(Group::UnitEvents)), 4);
    // How the one ended that is gone.
    assert_eq!(saved(Some(Group::ServiceExits)), 2);
    assert_eq!(each.units, summed.units);
}

#[test]
fn the_table_tells_what_each_flag_saves() {
    let groups = Groups::all().without(Group::UnitTimes).without(Group::Watchdog);
    let served = scrape::ScrapeSettings { groups, ..EVERYTHING };
    let choice = Choice { units: &units("service"), rollups: Rollups::default(), served };
    let table = compare(full(), choice).unwrap();
    let text = table.to_string();
    let (text, bytes) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(text, include_str!("series.txt").trim_end());
    // Of these some are the version's.
    assert!(bytes.starts_with("bytes  "), "{bytes}");
}
