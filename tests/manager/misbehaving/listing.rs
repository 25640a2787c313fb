//! A unit, job or file that cannot be listed or read hides no other.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use zbus::{Message, ObjectPath};

use super::{
    fake::{
        Asked, Fake, MANAGER, MANAGER_PATH, Reply, SYSTEMD, UNIT, Units, changed, fails,
        object_path, pattern, returns, signal,
    },
    harness::{OFTEN, until},
    scene::Scene,
};

const UNITS: &[(&str, &str)] = &[
    ("a.service", "active"),
    ("b.service", "failed"),
    ("c.socket", "active"),
    ("d.mount", "active"),
];

const INVALID: &str = "org.freedesktop.DBus.Error.InvalidArgs";

/// systemd 252 refuses listings with a mount point whose name is not UTF-8.
fn refuses(asked: Asked<'_>, patterns: &[&str]) -> Reply {
    let refused = match asked.what {
        "ListUnits" => true,
        "ListUnitsByPatterns" => patterns.contains(&pattern(asked.call.unwrap()).as_str()),
        _ => false,
    };
    match refused {
        true => Reply::Say(fails(asked.call.unwrap(), INVALID, "Invalid argument")),
        false => Reply::Say(asked.usual),
    }
}

fn refuses_mounts(asked: Asked<'_>) -> Reply {
    refuses(asked, &["*.mount"])
}

/// The exported units with their states.
fn served(scene: &Scene) -> Units {
    let scrape = scene.exporter.scrape();
    let served = scrape.of("systemd_unit_state").filter(|(_, value)| *value == 1.0);
    served.map(|(labels, _)| (labels["name"].clone(), labels["state"].clone())).collect()
}

fn until_served(scene: &Scene, wanted: &[(&str, &str)]) {
    let wanted: Units =
        wanted.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect();
    until("these units are exported", || {
        let up = scene.exporter.up();
        let served = served(scene);
        if up == Some(1.0) && served == wanted { Ok(()) } else { Err((up, served)) }
    });
}

/// The types of `systemd_exporter_listing_refused`.
fn refused(scene: &Scene) -> BTreeSet<String> {
    let scrape = scene.exporter.scrape();
    let refused = scrape.of("systemd_exporter_listing_refused");
    refused.map(|(labels, _)| labels["type"].clone()).collect()
}

fn until_refused(scene: &Scene, wanted: &[&str]) {
    until("the refused types are exported", || {
        let refused = refused(scene);
        if refused.iter().eq(wanted) { Ok(()) } else { Err(refused) }
    });
}

/// How many lines of the log report a refusal.
fn log_lines(scene: &Scene) -> usize {
    lines_with(scene, "does not list this type")
}

fn lines_with(scene: &Scene, text: &str) -> usize {
    scene.exporter.log().lines().filter(|line| line.contains(text)).count()
}

/// Waits until each line about a type that is refused has one that says it is listed again.
fn until_log_lines_are_paired(scene: &Scene, count: usize) {
    until("each refusal and its end are in the log", || {
        let lines = (log_lines(scene), lines_with(scene, "lists this type again"));
        if lines == (count, count) { Ok(()) } else { Err((lines, scene.exporter.log())) }
    });
}

fn announce(unit: &str) -> Vec<u8> {
    let path = ObjectPath::try_from(object_path(unit)).unwrap();
    signal(SYSTEMD, MANAGER_PATH, MANAGER, "UnitNew", &(unit, path))
}

fn assert_nothing_drifted(scene: &Scene) {
    scene.exporter.assert_never_drifted();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_cannot_be_listed_hides_no_unit_of_another_type() {
    let fake = Fake::with_script(UNITS, refuses_mounts);
    let scene = Scene::watching_with(&fake, &[OFTEN]);
    until_served(&scene, &UNITS[..3]);
    until_refused(&scene, &["mount"]);
    // Their past is not known.
    assert_eq!(scene.exporter.scrape().of("systemd_unit_transitions_total").count(), 0);

    // Units of the refused type are known from their signals, and a later listing keeps them.
    fake.set("d.mount", "failed").await;
    fake.units().insert("e.mount".to_owned(), "active".to_owned());
    fake.newest_line().await.say(&announce("e.mount")).await.unwrap();
    let all = [&UNITS[..3], &[("d.mount", "failed"), ("e.mount", "active")]].concat();
    until_served(&scene, &all);
    scene.exporter.until_resynced("interval", scene.exporter.resyncs("interval") + 1.0);
    until_served(&scene, &all);
    assert_nothing_drifted(&scene);
    assert_eq!(log_lines(&scene), 1, "{}", scene.exporter.log());
    // Their counters start at zero.
    let starts = [("name", "d.mount"), ("type", "mount")];
    assert_eq!(scene.exporter.scrape().value("systemd_unit_starts_total", &starts), Some(0.0));

    // A unit without a signal is known from the first listing that succeeds.
    fake.units().insert("f.mount".to_owned(), "active".to_owned());
    fake.behave();
    scene.until_right(&fake);
    until_refused(&scene, &[]);
    assert_nothing_drifted(&scene);
    assert!(scene.exporter.log().contains("again"), "{}", scene.exporter.log());
    assert_eq!(fake.connections(), 1);
    assert!(scene.seen().is_sorted(), "in sync all along");
}

#[tokio::test(flavor = "multi_thread")]
async fn units_that_are_known_stay_when_systemd_refuses_to_list_them() {
    let fake = Fake::new(UNITS);
    let scene = Scene::watching_with(&fake, &[OFTEN]);
    scene.until_right(&fake);
    fake.follow(refuses_mounts);
    until_refused(&scene, &["mount"]);
    scene.until_right(&fake);
    fake.set("d.mount", "failed").await;
    fake.set("a.service", "failed").await;
    scene.until_right(&fake);

    // Also after a reload, which may drop units.
    fake.units().remove("b.service");
    let line = fake.line(0).await;
    for active in [true, false] {
        line.say(&signal(SYSTEMD, MANAGER_PATH, MANAGER, "Reloading", &active)).await.unwrap();
    }
    scene.exporter.until_resynced("reload", 0.0);
    scene.until_right(&fake);
    assert_nothing_drifted(&scene);

    // And after a reconnect.
    line.close().await;
    fake.line(1).await;
    scene.until_right(&fake);
    fake.behave();
    until_refused(&scene, &[]);
    scene.until_right(&fake);
    assert_nothing_drifted(&scene);
    assert_eq!(log_lines(&scene), 1, "{}", scene.exporter.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_of_a_type_that_is_not_answered_is_repeated() {
    let fake = Fake::with_script(UNITS, refuses_mounts);
    let scene = Scene::watching_with(&fake, &[OFTEN]);
    until_served(&scene, &UNITS[..3]);
    fake.follow(|asked| match asked.what {
        "ListUnitsByPatterns" if pattern(asked.call.unwrap()) == "*.socket" => {
            Reply::Say(Vec::new())
        }
        // Refused in the same round, and reported although the round does not end.
        _ => refuses(asked, &["*.mount", "*.path"]),
    });
    scene.until_up_is(0.0);
    until_refused(&scene, &["mount", "path"]);
    fake.follow(refuses_mounts);
    until_served(&scene, &UNITS[..3]);
    until_refused(&scene, &["mount"]);
    fake.behave();
    until_refused(&scene, &[]);
    until_log_lines_are_paired(&scene, 2);
    assert_eq!(fake.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_systemd_that_lists_nothing_is_not_in_sync() {
    let fake = Fake::with_script(UNITS, |asked| match (asked.connection, asked.what) {
        (0 | 1, "ListUnits" | "ListUnitsByPatterns") => {
            Reply::Say(fails(asked.call.unwrap(), INVALID, "Invalid argument"))
        }
        _ => Reply::Say(asked.usual),
    });
    let scene = Scene::watching(&fake);
    fake.line(1).await.ended().await;
    let (status, why) = scene.exporter.get("/-/ready");
    assert!(status == 503 && why.contains("ListUnits failed"), "{status} {why}");
    scene.until_right(&fake);
    assert_eq!(refused(&scene), BTreeSet::new());
    // Logged once for each type, not with each attempt.
    until_log_lines_are_paired(&scene, 11);
    assert!(scene.seen().is_sorted());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_files_that_cannot_be_listed_hide_no_unit() {
    let fake = Fake::with_script(UNITS, |asked| match asked.what {
        "ListJobs" | "ListUnitFiles" => {
            Reply::Say(fails(asked.call.unwrap(), INVALID, "Invalid argument"))
        }
        _ => Reply::Say(asked.usual),
    });
    let scene = Scene::watching_with(&fake, &[OFTEN, "--collector.unit-file-state"]);
    scene.until_right(&fake);
    until_refused(&scene, &["job", "unit-file"]);
    let path = ObjectPath::try_from("/").unwrap();
    let line = fake.line(0).await;
    let job = (7_u32, &path, "a.service");
    line.say(&signal(SYSTEMD, MANAGER_PATH, MANAGER, "JobNew", &job)).await.unwrap();
    let job = (7_u32, &path, "a.service", "done");
    line.say(&signal(SYSTEMD, MANAGER_PATH, MANAGER, "JobRemoved", &job)).await.unwrap();
    until("the job is counted", || {
        let jobs = scene.exporter.scrape().sum("systemd_jobs_completed_total");
        if jobs == 1.0 { Ok(()) } else { Err(jobs) }
    });
    assert_nothing_drifted(&scene);
    scene.until_right(&fake);
    assert_eq!(log_lines(&scene), 2, "{}", scene.exporter.log());
    fake.behave();
    // Unit files are listed again when they change.
    line.say(&signal(SYSTEMD, MANAGER_PATH, MANAGER, "UnitFilesChanged", &())).await.unwrap();
    until_refused(&scene, &[]);
    assert_eq!(fake.connections(), 1);
    assert!(scene.seen().is_sorted(), "in sync all along");
}

/// The same bytes with `new` in place of `old`.
fn patched(mut bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let at = bytes.windows(old.len()).position(|window| window == old).expect("it is there");
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

fn jobs(call: &Message, units: &[&str]) -> Vec<u8> {
    let path = || ObjectPath::try_from("/").unwrap();
    let row = |(id, unit)| (id, unit, "start", "running", path(), path());
    let rows: Vec<_> = (1_u32..).zip(units.iter().copied()).map(row).collect();
    returns(SYSTEMD, call, &rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_hides_no_other_row() {
    let fake = Fake::with_script(UNITS, |asked| match asked.what {
        "ListUnits" => {
            // An invalid description and path, which are not used, and an invalid name.
            let said = patched(asked.usual, b"a fake", b"a f\xffke");
            let said = patched(
                said,
                b"/org/freedesktop/systemd1/unit/b_2e",
                b"/org/freedesktop/systemd1/unit/b-2e",
            );
            Reply::Say(patched(said, b"c.socket", b"c socket"))
        }
        "ListJobs" => Reply::Say(jobs(asked.call.unwrap(), &["a.service", "no unit", "b.service"])),
        _ => Reply::Say(asked.usual),
    });
    let scene = Scene::watching(&fake);
    until_served(&scene, &[UNITS[0], UNITS[1], UNITS[3]]);
    until("the other jobs are known", || {
        let jobs = scene.exporter.scrape().sum("systemd_jobs");
        if jobs == 2.0 { Ok(()) } else { Err(jobs) }
    });
    assert_eq!(refused(&scene), BTreeSet::new());
    assert_eq!(fake.connections(), 1);
    assert!(scene.seen().is_sorted(), "in sync all along");
}

/// After a state that is not UTF-8 no later row can be decoded.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_cannot_be_decoded_is_read_by_type() {
    let fake = Fake::with_script(UNITS, |asked| match asked.what {
        "ListUnits" => Reply::Say(patched(asked.usual, b"d.mount", b"d\xffmount")),
        "ListUnitsByPatterns" if pattern(asked.call.unwrap()) == "*.mount" => {
            Reply::Say(patched(asked.usual, b"d.mount", b"d\xffmount"))
        }
        _ => Reply::Say(asked.usual),
    });
    let scene = Scene::watching(&fake);
    until_served(&scene, &UNITS[..3]);
    until_refused(&scene, &["mount"]);
    assert!(scene.seen().is_sorted(), "in sync all along");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_with_an_invalid_unit_cause_no_resync() {
    let fake = Fake::new(UNITS);
    let scene = Scene::in_sync_with(&fake);
    let line = fake.line(0).await;
    let path = ObjectPath::try_from("/").unwrap();
    let state = [("ActiveState", zbus::Variant::from("failed"))];
    let usual = changed(SYSTEMD, "a.service", UNIT, &state);
    let said = [
        signal(SYSTEMD, MANAGER_PATH, MANAGER, "UnitNew", &("no unit", &path)),
        signal(SYSTEMD, MANAGER_PATH, MANAGER, "UnitRemoved", &("pok\u{e9}mon.mount", &path)),
        signal(SYSTEMD, MANAGER_PATH, MANAGER, "JobNew", &(7_u32, &path, "")),
        signal(SYSTEMD, MANAGER_PATH, MANAGER, "JobRemoved", &(7_u32, &path, "no unit", "done")),
        patched(usual, b"a_2eservice", b"a_ffservice"),
    ];
    for message in &said {
        line.say(message).await.unwrap();
    }
    fake.set("b.service", "active").await;
    scene.until_right(&fake);
    let taken = scene.exporter.scrape().sum("systemd_exporter_events_total");
    assert!(taken >= 7.0, "{taken}");
    // A resync would come with the next tick, and so does a repeated call.
    let asked_before = AtomicUsize::new(0);
    let is_about_it = |call: &Message| {
        call.header().path().is_some_and(|path| path.as_str() == object_path("g.service"))
    };
    fake.follow(move |asked| match asked.call {
        Some(call) if is_about_it(call) && asked_before.fetch_add(1, Ordering::Relaxed) < 3 => {
            Reply::Say(fails(asked.call.unwrap(), "org.freedesktop.DBus.Error.NoReply", ""))
        }
        _ => Reply::Say(asked.usual),
    });
    fake.units().insert("g.service".to_owned(), "active".to_owned());
    line.say(&announce("g.service")).await.unwrap();
    scene.until_right(&fake);
    assert_eq!(scene.exporter.scrape().sum("systemd_exporter_resyncs_total"), 1.0);
    assert!(scene.seen().is_sorted(), "in sync all along");
}
