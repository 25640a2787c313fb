//! Messages, names and numbers of units beyond all limits.

use std::sync::Arc;

use zbus::{ObjectPath, Variant};

use super::{
    fake::{
        Fake, Line, MANAGER, MANAGER_PATH, PROPERTIES, Reply, SERVICE, SYSTEMD, UNIT, changed,
        changes, object_path, returns, signal,
    },
    scene::{Scene, each_causes_a_resync},
};

const UNITS: &[(&str, &str)] = &[("a.service", "active"), ("b.service", "failed")];

/// The offsets of the lengths of the body and of the header's fields.
const BODY_LENGTH: usize = 4;
const FIELDS_LENGTH: usize = 12;

fn with_number(mut message: Vec<u8>, at: usize, number: u32) -> Vec<u8> {
    message[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    message
}

/// The offset of the body.
fn body_of(message: &[u8]) -> usize {
    let fields = u32::from_ne_bytes(message[FIELDS_LENGTH..16].try_into().unwrap());
    (16 + fields as usize).next_multiple_of(8)
}

/// The same message with another body.
fn with_body(mut message: Vec<u8>, body: &[u8]) -> Vec<u8> {
    message.truncate(body_of(&message));
    message.extend_from_slice(body);
    with_number(message, BODY_LENGTH, body.len().try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_beyond_what_d_bus_allows_end_the_connection() {
    let lengths = [
        (BODY_LENGTH, u32::MAX),
        (FIELDS_LENGTH, u32::MAX),
        (FIELDS_LENGTH, u32::MAX - 15),
        (BODY_LENGTH, (128 << 20) + 1),
        (BODY_LENGTH, 1 << 31),
    ];
    let mut scenes = Vec::new();
    for (at, length) in lengths {
        let fake = Fake::new(UNITS);
        let scene = Scene::in_sync_with(&fake);
        let message = with_number(changes("a.service", "failed"), at, length);
        fake.line(0).await.say(&message).await.unwrap();
        scenes.push((fake, scene));
    }
    for (fake, scene) in scenes {
        fake.line(0).await.ended().await;
        fake.line(1).await;
        scene.until_right(&fake);
        scene.check_size();
    }
}

/// Valid D-Bus headers with an invalid body cost a resync, and no connection.
#[tokio::test(flavor = "multi_thread")]
async fn invalid_bodies_cause_a_resync() {
    let usual = || changed(SYSTEMD, "a.service", UNIT, &[("ActiveState", Variant::from("active"))]);
    let too_long = |what: &str| {
        let mut message = usual();
        let length = u32::try_from(message.len()).unwrap();
        let at = match what {
            "text" => body_of(&message),
            _ => (body_of(&message) + 4 + UNIT.len() + 1).next_multiple_of(4),
        };
        message = with_number(message, at, length);
        message
    };
    let mut not_text = usual();
    let state = not_text.windows(7).rposition(|seven| seven == b"active\0").unwrap();
    not_text[state..state + 2].copy_from_slice(b"\xff\xfe");
    let nested = |depth: usize| {
        // The interface, an array of one entry, and in it variants in variants.
        let mut entry = Vec::new();
        entry.extend_from_slice(&11_u32.to_ne_bytes());
        entry.extend_from_slice(b"ActiveState\0");
        for _ in 0..depth {
            entry.extend_from_slice(b"\x01v\0");
        }
        entry.extend_from_slice(b"\x01y\0\x07");
        let mut body = u32::try_from(UNIT.len()).unwrap().to_ne_bytes().to_vec();
        body.extend_from_slice(UNIT.as_bytes());
        body.push(0);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend_from_slice(&u32::try_from(entry.len()).unwrap().to_ne_bytes());
        body.resize(body.len().next_multiple_of(8), 0);
        body.extend_from_slice(&entry);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend_from_slice(&0_u32.to_ne_bytes());
        with_body(usual(), &body)
    };
    let unreadable = [
        too_long("text"),
        too_long("array"),
        not_text,
        nested(70),
        nested(1_000_000),
        with_body(usual(), &[]),
    ];
    each_causes_a_resync(&unreadable).await;
}

/// Names and states of a megabyte.
#[tokio::test(flavor = "multi_thread")]
async fn long_names_and_states_are_not_kept() {
    let long = "x".repeat(1 << 20);
    let name = format!("{long}.service");
    let path = ObjectPath::try_from(object_path("a.service")).unwrap();
    let state = || Variant::from(long.clone());
    let said = [
        signal(SYSTEMD, MANAGER_PATH, MANAGER, "UnitNew", &(&name, &path)),
        signal(SYSTEMD, MANAGER_PATH, MANAGER, "UnitRemoved", &(&name, &path)),
        signal(
            SYSTEMD,
            &format!("/org/freedesktop/systemd1/unit/{long}"),
            PROPERTIES,
            "PropertiesChanged",
            &(
                UNIT,
                std::collections::HashMap::from([("ActiveState", state())]),
                Vec::<&str>::new(),
            ),
        ),
        changed(SYSTEMD, "a.service", UNIT, &[("ActiveState", state()), ("SubState", state())]),
        changed(SYSTEMD, "a.service", UNIT, &[("LoadState", state())]),
    ];
    let fake = Fake::new(UNITS);
    let scene = Scene::in_sync_with(&fake);
    let line = fake.line(0).await;
    for _ in 0..20 {
        for message in &said {
            line.say(message).await.unwrap();
        }
    }
    fake.set("b.service", "active").await;
    scene.until_right(&fake);
    let (_, body) = scene.exporter.get("/metrics");
    assert!(body.len() < 1 << 20, "{} bytes in the scrape", body.len());
    let log = scene.exporter.log();
    assert!(log.len() < 1 << 20, "{} bytes were logged", log.len());
    scene.check_size();
}

/// Sends the same message many times, and fails as soon as the exporter takes too much memory.
async fn repeat(scene: &Scene, line: &Arc<Line>, message: &[u8], times: usize) {
    for _ in 0..times {
        line.say(message).await.unwrap();
        scene.check_size();
    }
}

/// As decoded values the bytes would take fifty times as much memory.
#[tokio::test(flavor = "multi_thread")]
async fn large_values_are_not_decoded() {
    let bytes = vec![7_u8; 48 << 20];
    let large = Arc::new(bytes);
    let body = Arc::clone(&large);
    let fake = Fake::with_script(UNITS, move |asked| match asked.what {
        "Get" if asked.connection == 0 => {
            let call = asked.call.unwrap();
            let asked_for = call.body();
            let (_, property): (&str, &str) = asked_for.deserialize().unwrap();
            if property != "TasksMax" {
                return Reply::Say(asked.usual);
            }
            // A variant with an array of bytes.
            let mut raw = b"\x02ay\0".to_vec();
            raw.extend_from_slice(&u32::try_from(body.len()).unwrap().to_ne_bytes());
            raw.extend_from_slice(&body);
            Reply::Say(with_body(returns(SYSTEMD, call, &Variant::from(7_u8)), &raw))
        }
        _ => Reply::Say(asked.usual),
    });
    let scene = Scene::in_sync_with(&fake);
    scene.check_size();
    let line = fake.line(0).await;
    // The same in a signal.
    let mut raw = u32::try_from(UNIT.len()).unwrap().to_ne_bytes().to_vec();
    raw.extend_from_slice(UNIT.as_bytes());
    raw.push(0);
    raw.resize(raw.len().next_multiple_of(4), 0);
    let length_at = raw.len();
    raw.extend_from_slice(&[0; 4]);
    raw.resize(raw.len().next_multiple_of(8), 0);
    let start = raw.len();
    raw.extend_from_slice(&3_u32.to_ne_bytes());
    raw.extend_from_slice(b"Foo\0\x02ay\0");
    raw.resize(raw.len().next_multiple_of(4), 0);
    raw.extend_from_slice(&u32::try_from(large.len()).unwrap().to_ne_bytes());
    raw.extend_from_slice(&large);
    let length = u32::try_from(raw.len() - start).unwrap();
    raw[length_at..length_at + 4].copy_from_slice(&length.to_ne_bytes());
    raw.resize(raw.len().next_multiple_of(4), 0);
    raw.extend_from_slice(&0_u32.to_ne_bytes());
    let usual = changed(SYSTEMD, "a.service", UNIT, &[("ActiveState", Variant::from("active"))]);
    let message = with_body(usual, &raw);
    repeat(&scene, &line, &message, 4).await;
    fake.set("b.service", "active").await;
    scene.until_right(&fake);
    scene.check_size();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_line_in_the_handshake_takes_no_memory() {
    let fake = Fake::with_script(UNITS, |asked| match (asked.connection, asked.what) {
        (0, "AUTH") => Reply::Say(vec![b'O'; 1 << 30]),
        _ => Reply::Say(asked.usual),
    });
    let scene = Scene::watching(&fake);
    fake.line(0).await.ended().await;
    scene.until_right(&fake);
    scene.check_size();
}

/// The same message many times, each with another number in place of `00000000`.
fn numbered(template: &[u8], numbers: std::ops::Range<usize>) -> Vec<u8> {
    let place = template.windows(8).rposition(|eight| eight == b"00000000").unwrap();
    let mut messages = Vec::with_capacity(numbers.len() * template.len());
    for number in numbers {
        let at = messages.len() + place;
        messages.extend_from_slice(template);
        messages[at..at + 8].copy_from_slice(format!("{number:08}").as_bytes());
    }
    messages
}

/// More units and jobs than systemd can have, none of which leaves.
#[tokio::test(flavor = "multi_thread")]
async fn units_and_jobs_beyond_the_limit_are_not_kept() {
    let fake = Fake::new(UNITS);
    let scene = Scene::in_sync_with(&fake);
    let line = fake.line(0).await;
    let path = ObjectPath::try_from("/").unwrap();
    let unit = ("unit00000000.service", &path);
    let unit = signal(SYSTEMD, MANAGER_PATH, MANAGER, "UnitNew", &unit);
    for round in 0..6 {
        line.say(&numbered(&unit, round * 25_000..(round + 1) * 25_000)).await.unwrap();
        scene.check_size();
    }
    let job = signal(SYSTEMD, MANAGER_PATH, MANAGER, "JobNew", &(0_u32, &path, "a.service"));
    let number = body_of(&job);
    for round in 0..6 {
        let jobs = round * 25_000..(round + 1) * 25_000;
        let jobs: Vec<u8> = jobs.flat_map(|id| with_number(job.clone(), number, id)).collect();
        line.say(&jobs).await.unwrap();
        scene.check_size();
    }
    fake.set("b.service", "active").await;
    scene.until_right(&fake);
    scene.check_size();
    assert_eq!(scene.exporter.scrape().sum("systemd_jobs"), 0.0);
    assert_eq!(fake.connections(), 1);
}

/// Each unit appears, fails and leaves once.
#[tokio::test(flavor = "multi_thread")]
async fn units_that_come_and_go_take_bounded_memory() {
    let fake = Fake::new(UNITS);
    let scene = Scene::in_sync_with(&fake);
    let line = fake.line(0).await;
    let path = ObjectPath::try_from("/").unwrap();
    let name = "unit00000000.service";
    let service = [("NRestarts", Variant::from(1_u32)), ("Result", Variant::from("exit-code"))];
    let life = [
        signal(SYSTEMD, MANAGER_PATH, MANAGER, "UnitNew", &(name, &path)),
        changed(SYSTEMD, name, SERVICE, &service),
        changed(SYSTEMD, name, UNIT, &[("ActiveState", Variant::from("failed"))]),
        signal(SYSTEMD, MANAGER_PATH, MANAGER, "UnitRemoved", &(name, &path)),
    ];
    for round in 0..150 {
        let mut lives = Vec::new();
        for number in round * 100..(round + 1) * 100 {
            life.iter().for_each(|it| lives.extend(numbered(it, number..number + 1)));
        }
        line.say(&lives).await.unwrap();
    }
    fake.set("b.service", "active").await;
    scene.until_right(&fake);
    scene.check_size();
    assert_eq!(fake.connections(), 1);
}

/// Each state and each result is a new one. Counters have a limited number of keys.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_states_take_bounded_memory() {
    let fake = Fake::new(UNITS);
    let scene = Scene::in_sync_with(&fake);
    let line = fake.line(0).await;
    let path = ObjectPath::try_from("/").unwrap();
    let state = || Variant::from("name00000000");
    let said = [
        changed(SYSTEMD, "a.service", SERVICE, &[("Result", state())]),
        changed(SYSTEMD, "a.service", UNIT, &[("ActiveState", state())]),
        changed(SYSTEMD, "a.service", UNIT, &[("SubState", state())]),
        changed(SYSTEMD, "a.service", UNIT, &[("LoadState", state())]),
        signal(SYSTEMD, MANAGER_PATH, MANAGER, "JobNew", &(7_u32, &path, "a.service")),
        signal(
            SYSTEMD,
            MANAGER_PATH,
            MANAGER,
            "JobRemoved",
            &(7_u32, &path, "a.service", "name00000000"),
        ),
    ];
    for round in 0..10_000 {
        let mut messages = Vec::new();
        for message in &said {
            match message.windows(8).any(|eight| eight == b"00000000") {
                true => messages.extend(numbered(message, round..round + 1)),
                false => messages.extend_from_slice(message),
            }
        }
        line.say(&messages).await.unwrap();
    }
    fake.set("a.service", "active").await;
    line.say(&changed(SYSTEMD, "a.service", UNIT, &[("LoadState", Variant::from("loaded"))]))
        .await
        .unwrap();
    scene.until_right(&fake);
    scene.check_size();
    let (_, body) = scene.exporter.get("/metrics");
    assert!(body.len() < 1 << 20, "{} bytes in the scrape", body.len());
    assert_eq!(fake.connections(), 1);
}

/// systemd has a limit of 131,072 units.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_of_more_units_than_there_can_be_is_refused() {
    let fake = Fake::with_script(UNITS, |asked| match (asked.connection, asked.what) {
        (0, "ListUnits") => {
            let path = || ObjectPath::try_from("/").unwrap();
            let names: Vec<_> = (0..=131_072).map(|it| format!("u{it}.service")).collect();
            let row =
                |name| (name, "", "loaded", "active", "running", "", path(), 0_u32, "", path());
            let rows: Vec<_> = names.iter().map(|name| row(name.as_str())).collect();
            Reply::Say(returns(SYSTEMD, asked.call.unwrap(), &rows))
        }
        _ => Reply::Say(asked.usual),
    });
    let scene = Scene::watching(&fake);
    scene.until_right(&fake);
    scene.check_size();
    assert!(scene.seen().is_sorted());
}
