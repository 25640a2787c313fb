//! More signals than the exporter can take.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::io::AsyncWriteExt;

use super::{
    fake::{Fake, Line, changes},
    harness::until,
    scene::Scene,
};

const STATES: [&str; 5] = ["active", "activating", "deactivating", "inactive", "failed"];

/// How many bytes are sent at once. Answers go between two chunks.
const CHUNK: usize = 128 << 10;

fn names() -> Vec<String> {
    (0..50).map(|number| format!("unit{number}.service")).collect()
}

fn crowd(names: &[String]) -> Vec<(&str, &str)> {
    names.iter().map(|name| (name.as_str(), "active")).collect()
}

/// Changes unit after unit while `goes_on`, as fast as the exporter reads, and returns the number of
/// signals.
async fn storm(
    fake: &Fake,
    line: &Line,
    names: &[String],
    goes_on: impl Fn(usize) -> bool,
) -> usize {
    // Built in advance, so that sending is fast.
    let signals: Vec<Vec<Vec<u8>>> =
        names.iter().map(|name| STATES.iter().map(|it| changes(name, it)).collect()).collect();
    let (mut said, mut step, mut chunk) = (0, 0, Vec::with_capacity(2 * CHUNK));
    while goes_on(said) {
        let mut voice = line.voice().await;
        chunk.clear();
        {
            let mut units = fake.units();
            while chunk.len() < CHUNK {
                let unit = step % names.len();
                let state = (step / names.len() + unit) % STATES.len();
                chunk.extend_from_slice(&signals[unit][state]);
                STATES[state].clone_into(units.get_mut(&names[unit]).unwrap());
                step += 1;
                said += 2;
            }
        }
        voice.write_all(&chunk).await.unwrap();
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_signals_are_noticed_during_a_flood_and_corrected_after_it() {
    let names = names();
    let fake = Arc::new(Fake::new(&crowd(&names)));
    let scene = Scene::in_sync_with(&fake);
    let line = fake.line(0).await;
    let over = Arc::new(AtomicBool::new(false));
    let raging = tokio::spawn({
        let (fake, over) = (Arc::clone(&fake), Arc::clone(&over));
        async move {
            storm(&fake, &line, &names, |said| said < 200_000 || !over.load(Ordering::Relaxed))
                .await
        }
    });
    until("the loss is noticed", || {
        let resyncs = scene.count("systemd_exporter_resyncs_total", &[("reason", "overflow")]);
        if resyncs > 0.0 { Ok(()) } else { Err(resyncs) }
    });
    over.store(true, Ordering::Relaxed);
    let said = raging.await.unwrap();
    scene.until_right(&fake);
    scene.check_size();
    let taken = scene.exporter.scrape().sum("systemd_exporter_events_total");
    println!("{said} signals, {taken} taken");
    assert!(taken < said as f64, "nothing was dropped");
    assert_eq!(fake.connections(), 1, "the connection was kept");
    scene.seen();
}
