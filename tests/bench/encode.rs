//! The time to encode a scrape of a host with many units.

mod host;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use unitwatch::metrics::{self, format::Format};

use crate::host::scrape;

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for units in [1_100, 10_000] {
        let scrape = scrape(units);
        for (name, format) in [("openmetrics", Format::OpenMetrics), ("text", Format::Text)] {
            let text = metrics::encode(&scrape, format).unwrap().text;
            let series = text.lines().filter(|line| !line.starts_with('#')).count();
            group.throughput(Throughput::Elements(series as u64));
            group.bench_with_input(BenchmarkId::new(name, units), &scrape, |bencher, scrape| {
                bencher.iter(|| metrics::encode(black_box(scrape), format).unwrap().text);
            });
        }
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
