//! Another connection on the bus that sends signals like systemd's.

use std::collections::BTreeMap;

use zbus::{ObjectPath, Variant};

use super::{
    fake::{
        BUS, Fake, MANAGER, MANAGER_PATH, SERVICE, SYSTEMD, UNIT, changed, object_path, signal,
    },
    harness::{
        exposition::{Exposition, Key},
        until,
    },
    scene::Scene,
};

const STRANGER: &str = ":1.66";

/// The series that only systemd changes.
fn of_systemd(scrape: Exposition) -> BTreeMap<Key, f64> {
    let own = ["systemd_exporter_", "process_"];
    let is_own = |name: &str| own.iter().any(|prefix| name.starts_with(prefix));
    scrape.0.into_iter().filter(|((name, _), _)| !is_own(name)).collect()
}

fn lies(sender: &str) -> Vec<Vec<u8>> {
    let path = ObjectPath::try_from(object_path("evil.service")).unwrap();
    let own = ObjectPath::try_from(object_path("a.service")).unwrap();
    let job = ObjectPath::try_from("/org/freedesktop/systemd1/job/7").unwrap();
    let numbers = (1_u64, 1_u64, 1_u64, 1_u64, 1_u64, 1_u64);
    vec![
        signal(sender, MANAGER_PATH, MANAGER, "UnitNew", &("evil.service", &path)),
        signal(sender, MANAGER_PATH, MANAGER, "UnitRemoved", &("a.service", &own)),
        signal(sender, MANAGER_PATH, MANAGER, "JobNew", &(7_u32, &job, "a.service")),
        signal(sender, MANAGER_PATH, MANAGER, "JobRemoved", &(7_u32, &job, "a.service", "failed")),
        signal(sender, MANAGER_PATH, MANAGER, "Reloading", &true),
        signal(sender, MANAGER_PATH, MANAGER, "StartupFinished", &numbers),
        signal(sender, MANAGER_PATH, MANAGER, "UnitFilesChanged", &()),
        changed(sender, "a.service", SERVICE, &[("NRestarts", Variant::from(4_000_000_000_u32))]),
        changed(
            sender,
            "a.service",
            UNIT,
            &[("ActiveState", Variant::from("failed")), ("SubState", Variant::from("failed"))],
        ),
        // From systemd, this would cause a resync.
        changed(sender, "a.service", UNIT, &[("ActiveState", Variant::from(7_u32))]),
        signal(
            sender,
            "/org/freedesktop/DBus",
            BUS,
            "NameOwnerChanged",
            &("org.freedesktop.systemd1", SYSTEMD, STRANGER),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn another_connections_signals_change_nothing() {
    let fake = Fake::new(&[("a.service", "active"), ("b.timer", "active")]);
    let scene = Scene::in_sync_with(&fake);
    let before = of_systemd(scene.exporter.scrape());
    let line = fake.line(0).await;
    // NameOwnerChanged is only valid from the bus, not from the owner.
    let by_owner = lies(SYSTEMD).pop().unwrap();
    for lie in lies(STRANGER).iter().chain([&by_owner]) {
        line.say(lie).await.unwrap();
    }
    // systemd's later signals are read after them.
    fake.set("b.timer", "failed").await;
    scene.until_right(&fake);
    fake.set("b.timer", "active").await;
    scene.until_right(&fake);
    let scrape = scene.exporter.scrape();
    let resyncs = [("reason", "connect"), ("reason", "overflow"), ("reason", "reexec")]
        .map(|label| scrape.value("systemd_exporter_resyncs_total", &[label]));
    assert_eq!(resyncs, [Some(1.0), Some(0.0), Some(0.0)]);
    let changed = changes(&before, &of_systemd(scrape));
    // Only the transitions of b.timer.
    let is_of_timer = |key: &String| key.contains("timer");
    assert!(changed.iter().all(is_of_timer), "{changed:#?}");
    // systemd's own signals still count.
    fake.set("a.service", "failed").await;
    scene.until_right(&fake);
    assert_eq!(fake.connections(), 1);
    assert!(scene.seen().is_sorted(), "in sync all along");
}

/// The series that are in one of them only, or differ.
fn changes(before: &BTreeMap<Key, f64>, after: &BTreeMap<Key, f64>) -> Vec<String> {
    let names = before.keys().chain(after.keys());
    let differs = |key: &&Key| before.get(*key) != after.get(*key);
    names.filter(differs).map(|key| format!("{key:?}")).collect()
}

/// The connection that the bus names is systemd from then on. Without an owner of the name the
/// exporter is down.
#[tokio::test(flavor = "multi_thread")]
async fn the_bus_decides_which_connection_is_systemd() {
    let fake = Fake::new(&[("a.service", "active")]);
    let scene = Scene::in_sync_with(&fake);
    let line = fake.line(0).await;
    let owner = |old: &str, new: &str| {
        let body = ("org.freedesktop.systemd1", old, new);
        signal(BUS, "/org/freedesktop/DBus", BUS, "NameOwnerChanged", &body)
    };
    line.say(&owner(SYSTEMD, "")).await.unwrap();
    scene.until_up_is(0.0);
    line.say(&owner("", ":1.9")).await.unwrap();
    scene.until_up_is(1.0);
    // Signals of the old one are ignored now.
    fake.set("a.service", "failed").await;
    let state = |state: &str| {
        let labels = [("name", "a.service"), ("type", "service"), ("state", state)];
        scene.exporter.scrape().value("systemd_unit_state", &labels)
    };
    let by_new = [("ActiveState", Variant::from("deactivating"))];
    line.say(&changed(":1.9", "a.service", UNIT, &by_new)).await.unwrap();
    until("a signal of the new one counts", || match state("deactivating") {
        Some(1.0) => Ok(()),
        other => Err(other),
    });
    assert_eq!(fake.connections(), 1);
}
