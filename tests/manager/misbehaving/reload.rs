//! A reload in the middle of something else.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    fake::{Fake, MANAGER, MANAGER_PATH, Reply, SYSTEMD, signal},
    harness::until,
    scene::Scene,
};

/// A reload drops units without signals that are used. A comparison that began before the reload and
/// is answered after it must not count that as drift.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_in_the_middle_of_a_comparison_is_no_drift() {
    let fake = Fake::new(&[("a.service", "active"), ("b.service", "failed")]);
    let flags = ["--systemd.collector.reconcile-interval=1s"];
    let scene = Scene::watching_with(&fake, &flags);
    scene.until_right(&fake);
    let reloads = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&reloads);
    fake.follow(move |asked| {
        let mut said = Vec::new();
        if asked.what == "ListUnits" && now.swap(false, Ordering::SeqCst) {
            for active in [true, false] {
                said.extend(signal(SYSTEMD, MANAGER_PATH, MANAGER, "Reloading", &active));
            }
        }
        said.extend(asked.usual);
        Reply::Say(said)
    });
    {
        // The next listing does not have it.
        let mut units = fake.units();
        units.remove("b.service");
        reloads.store(true, Ordering::SeqCst);
    }
    let resyncs = |reason| scene.count("systemd_exporter_resyncs_total", &[("reason", reason)]);
    until("the reload has caused a resync", || {
        let count = resyncs("reload");
        if count == 1.0 { Ok(()) } else { Err(count) }
    });
    scene.until_right(&fake);
    let before = resyncs("interval");
    until("the table has been compared since", || {
        let count = resyncs("interval");
        if count > before + 1.0 { Ok(()) } else { Err(count) }
    });
    assert_eq!(scene.exporter.scrape().sum("systemd_exporter_drift_total"), 0.0);
    assert!(scene.seen().is_sorted());
}
