//! `unitwatch series` counts what a scrape has.

use std::{num::NonZeroUsize, sync::Arc};

use unitwatch::{
    commands::series::{Choice, compare},
    metrics::{
        self, Scrape, StateSeries,
        format::Format,
        group::{Group, Groups},
    },
    scrape::ScrapeSettings,
    selection::{Selection, filter::Types, rollup::Rollups},
};

fn samples(scrape: Scrape) -> (u64, usize) {
    let text = metrics::encode(&scrape, Format::OpenMetrics).unwrap().text;
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    (samples as u64, text.len())
}

/// A full scrape as `series` gathers it: no unit is rolled up.
fn full() -> Scrape {
    let mut scrape = crate::full::full();
    let snapshot = Arc::make_mut(scrape.managers[0].snapshot.as_mut().unwrap());
    for rollup in std::mem::take(&mut snapshot.rollups) {
        snapshot.units.extend(rollup.members);
    }
    scrape
}

const EVERYTHING: ScrapeSettings = ScrapeSettings {
    own_metrics: true,
    groups: Groups::NONE,
    max_series: None,
    states: StateSeries::Stateset,
};

#[test]
fn every_sample_of_the_page_is_counted() {
    let selection = Selection::default();
    for groups in Group::ALL.iter().map(|group| Groups::all().without(*group)) {
        for (own_metrics, max_series, states) in [
            (true, None, StateSeries::Stateset),
            (false, NonZeroUsize::new(12), StateSeries::Current),
        ] {
            let settings = ScrapeSettings { own_metrics, groups, max_series, states };
            let table =
                compare(full(), Choice { selection: &selection, scrape: settings }).unwrap();
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
                assert_eq!((column.total(), column.bytes), samples(scrape), "{groups:?}");
            }
        }
    }
}

#[test]
fn the_table_shows_what_roll_ups_save() {
    let scrape = full();
    let of = |scrape: Scrape, words: &[&str]| {
        let rollups = Rollups::read(words.iter().copied()).unwrap();
        let selection = Selection { rollups, ..Selection::default() };
        let settings = ScrapeSettings { groups: Groups::all(), ..EVERYTHING };
        compare(scrape, Choice { selection: &selection, scrape: settings }).unwrap()
    };
    let (each, rolled_up) = (of(scrape.clone(), &[]).given, of(scrape, &["instances"]).given);
    let saved = |group| each.series[&group] - rolled_up.series[&group];
    // Five states of each of three units become five of the roll-up, and five of one without units.
    assert_eq!(saved(Some(Group::UnitState)), 15 - 5 - 5);
    assert_eq!(saved(Some(Group::Tasks)), 1);
    // Starts and restarts of the three.
    assert_eq!(saved(Some(Group::UnitEvents)), 4);
    // The exit of a gone unit.
    assert_eq!(saved(Some(Group::ServiceExits)), 2);
    assert_eq!(each.units, rolled_up.units);
}

#[test]
fn the_table_shows_what_each_flag_saves() {
    let groups = Groups::all().without(Group::UnitTimes).without(Group::Watchdog);
    let settings = ScrapeSettings { groups, ..EVERYTHING };
    let types = Types::read(["service"]).unwrap();
    let selection = Selection { types, ..Selection::default() };
    let choice = Choice { selection: &selection, scrape: settings };
    let table = compare(full(), choice).unwrap();
    let text = table.to_string();
    let (text, bytes) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(text, include_str!("series.txt").trim_end());
    // The size depends on the version.
    assert!(bytes.starts_with("bytes  "), "{bytes}");
}
