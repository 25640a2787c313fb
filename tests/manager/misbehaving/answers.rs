//! A peer with answers of wrong types.

use std::sync::atomic::{AtomicUsize, Ordering};

use zbus::{Message, Variant};

use super::{
    fake::{
        BUS, Fake, MANAGER, MANAGER_PATH, Reply, SYSTEMD, UNIT, changed, fails, returns, signal,
    },
    harness::until,
    scene::{Scene, each_causes_a_resync},
};

const UNITS: &[(&str, &str)] =
    &[("a.service", "active"), ("b.service", "failed"), ("c.socket", "inactive")];

/// An answer of a wrong type.
type Lie = fn(&Message) -> Vec<u8>;

const LIES: [(&str, Lie); 9] = [
    ("nothing", |call| returns(SYSTEMD, call, &())),
    ("a number", |call| returns(SYSTEMD, call, &7_u32)),
    ("a text", |call| returns(SYSTEMD, call, &"no such thing")),
    ("an array", |call| returns(SYSTEMD, call, &vec!["no", "such", "thing"])),
    ("rows of another shape", |call| returns(SYSTEMD, call, &vec![("a.service", 7_u64, true)])),
    ("an array in a variant", |call| returns(SYSTEMD, call, &Variant::from(vec![1_u32, 2]))),
    ("variants in variants", |call| {
        returns(SYSTEMD, call, &Variant::new(Variant::new(Variant::from("active"))))
    }),
    ("an error with a number for its text", |call| {
        let error = Message::error(&call.header(), "org.example.Lie").sender(SYSTEMD);
        error.build(&7_u32).unwrap().data().to_vec()
    }),
    ("an error with a name of the greatest length", |call| {
        fails(call, &format!("org.{}", "x".repeat(251)), &"very ".repeat(100_000))
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_while_connecting_cost_one_connection_at_most() {
    const ASKED: [&str; 5] = ["Hello", "GetNameOwner", "Subscribe", "ListUnits", "ListJobs"];
    let mut scenes = Vec::new();
    for (name, lie) in LIES {
        let fake = Fake::with_script(UNITS, move |asked| match ASKED.get(asked.connection) {
            // The exporter may ignore some of them, so the connection ends in any case.
            Some(what) if *what == asked.what => Reply::Close(lie(asked.call.unwrap())),
            _ => Reply::Say(asked.usual),
        });
        let scene = Scene::watching(&fake);
        scenes.push((name, fake, scene));
    }
    for (name, fake, scene) in scenes {
        println!("{name}");
        fake.line(ASKED.len()).await;
        scene.until_right(&fake);
        scene.check_size();
        let seen = scene.seen();
        assert!(seen.is_sorted(), "{name}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_of_wrong_types_are_absent() {
    for (name, lie) in LIES {
        println!("{name}");
        let fake = Fake::with_script(UNITS, move |asked| match (asked.connection, asked.what) {
            (0, "Get" | "ListUnitFiles") => Reply::Say(lie(asked.call.unwrap())),
            _ => Reply::Say(asked.usual),
        });
        let scene = Scene::in_sync_with(&fake);
        let scrape = scene.exporter.scrape();
        for family in ["systemd_unit_active_enter_time_seconds", "systemd_unit_tasks_max"] {
            assert_eq!(scrape.of(family).count(), 0, "{name}: {family}");
        }
        assert!(scrape.sum("systemd_exporter_dbus_errors_total") > 0.0, "{name}");
        assert_eq!(fake.connections(), 1, "{name}");

        fake.line(0).await.close().await;
        fake.line(1).await;
        until("the absent series are there", || {
            let scrape = scene.exporter.scrape();
            match scrape.of("systemd_unit_tasks_max").map(|(_, value)| value).collect::<Vec<_>>() {
                values if values == [77.0, 77.0] => Ok(()),
                values => Err(values),
            }
        });
        scene.until_right(&fake);
    }
}

/// Each error has another name. The number of series and the length of the log are bounded.
#[tokio::test(flavor = "multi_thread")]
async fn errors_of_many_names_are_bounded() {
    let errors = AtomicUsize::new(0);
    let names: Vec<String> = (0..20).map(|number| format!("unit{number}.service")).collect();
    let units: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "active")).collect();
    let fake = Fake::with_script(&units, move |asked| match asked.what {
        "Get" => {
            let number = errors.fetch_add(1, Ordering::Relaxed);
            let name = format!("org.{}{number}", "x".repeat(240));
            Reply::Say(fails(asked.call.unwrap(), &name, &"text ".repeat(200_000)))
        }
        _ => Reply::Say(asked.usual),
    });
    let scene = Scene::in_sync_with(&fake);
    until("many errors were counted", || {
        let scrape = scene.exporter.scrape();
        let errors = scrape.sum("systemd_exporter_dbus_errors_total");
        if errors > 120.0 { Ok(()) } else { Err(errors) }
    });
    let names = scene.exporter.scrape().of("systemd_exporter_dbus_errors_total").count();
    assert!(names <= 101, "{names} names");
    scene.check_size();
}

/// An invalid error name is a violation of D-Bus.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_with_an_invalid_name_ends_the_connection() {
    let fake = Fake::with_script(UNITS, |asked| match (asked.connection, asked.what) {
        (0, "ListUnits") => {
            let mut error = fails(asked.call.unwrap(), "org.example.Lie", "");
            let name = error.windows(3).position(|three| three == b"org").unwrap();
            error[name] = b'.';
            Reply::Say(error)
        }
        _ => Reply::Say(asked.usual),
    });
    let scene = Scene::watching(&fake);
    fake.line(0).await.ended().await;
    scene.until_right(&fake);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_of_wrong_types_cause_a_resync() {
    let manager = |member, body: &Variant<'_>| signal(SYSTEMD, MANAGER_PATH, MANAGER, member, body);
    let number = Variant::from(7_u32);
    let lies = [
        manager("UnitNew", &number),
        manager("UnitRemoved", &number),
        manager("JobNew", &number),
        manager("JobRemoved", &number),
        manager("Reloading", &number),
        changed(SYSTEMD, "a.service", UNIT, &[("ActiveState", number)]),
        signal(BUS, "/org/freedesktop/DBus", BUS, "NameOwnerChanged", &7_u32),
    ];
    each_causes_a_resync(&lies).await;
}
