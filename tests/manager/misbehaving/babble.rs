//! Answers that never come, come twice, or belong to no call.

use std::{num::NonZeroU32, time::Duration};

use zbus::{Message, Variant};

use super::{
    fake::{Fake, MANAGER, MANAGER_PATH, Reply, SYSTEMD, fails, signal},
    harness::until,
    scene::Scene,
};

const UNITS: &[(&str, &str)] = &[("a.service", "active"), ("b.service", "failed")];

/// An answer to a call with this serial number, which was never made.
fn answer_to(serial: u32) -> Vec<u8> {
    let call = Message::method_call("/", "Get").serial(NonZeroU32::new(serial).unwrap());
    let call = call.build(&()).unwrap();
    let reply = Message::method_return(&call.header()).sender(SYSTEMD).destination(":1.2");
    reply.build(&Variant::from("maintenance")).unwrap().data().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_come_twice_or_unasked_change_nothing() {
    let fake = Fake::with_script(UNITS, |asked| {
        let mut said = asked.usual.clone();
        if asked.call.is_some() && asked.what != "Hello" {
            said.extend_from_slice(&asked.usual);
            said.extend_from_slice(&answer_to(u32::MAX - 7));
        }
        Reply::Say(said)
    });
    let scene = Scene::in_sync_with(&fake);
    for state in ["failed", "activating", "active"] {
        fake.set("a.service", state).await;
        scene.until_right(&fake);
    }
    let scrape = scene.exporter.scrape();
    assert_eq!(scrape.sum("systemd_exporter_resyncs_total"), 1.0);
    assert_eq!(fake.connections(), 1);
    assert!(scene.seen().is_sorted());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unrequested_answers_does_not_hide_that_systemd_is_silent() {
    let fake = Fake::new(UNITS);
    let scene = Scene::in_sync_with(&fake);
    let line = fake.line(0).await;
    let flood: Vec<u8> = (1..2_000).flat_map(|number| answer_to(u32::MAX - number)).collect();
    let raging = tokio::spawn(async move { while line.say(&flood).await.is_ok() {} });
    fake.follow(|asked| match asked.connection {
        0 => Reply::Say(Vec::new()),
        _ => Reply::Say(asked.usual),
    });
    until("the silence is noticed", || {
        let (status, why) = scene.exporter.get("/-/ready");
        if status == 503 { Ok(()) } else { Err(why) }
    });
    scene.until_up_is(0.0);
    fake.behave();
    scene.until_right(&fake);
    scene.check_size();
    raging.abort();
    assert!(scene.seen().contains(&0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_to_list_units_the_exporter_is_not_in_sync() {
    let fake = Fake::new(UNITS);
    let scene = Scene::in_sync_with(&fake);
    fake.follow(|asked| match asked.what {
        "ListUnits" => Reply::Say(Vec::new()),
        _ => Reply::Say(asked.usual),
    });
    // Changed during a reload, when systemd signals no details.
    let line = fake.line(0).await;
    fake.units().insert("a.service".to_owned(), "failed".to_owned());
    let reloading = |on: bool| signal(SYSTEMD, MANAGER_PATH, MANAGER, "Reloading", &on);
    line.say(&reloading(true)).await.unwrap();
    line.say(&reloading(false)).await.unwrap();
    let chatter = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let said = signal(SYSTEMD, MANAGER_PATH, MANAGER, "Chatter", &());
        while line.say(&said).await.is_ok() {
            tick.tick().await;
        }
    });
    let errors = [("method", "ListUnits"), ("error", "deadline")];
    until("a call has failed", || {
        let count = scene.count("systemd_exporter_dbus_errors_total", &errors);
        if count >= 1.0 { Ok(()) } else { Err(count) }
    });
    for _ in 0..5 {
        let scrape = scene.exporter.scrape();
        assert_eq!(scrape.value("systemd_up", &[]), Some(0.0), "a.service has failed since");
    }
    fake.behave();
    scene.until_right(&fake);
    chatter.abort();
    assert_eq!(fake.connections(), 1);
}

/// A bus on which no connection owns systemd's name yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_bus_without_systemd_is_tried_again() {
    let fake = Fake::with_script(UNITS, |asked| match (asked.connection, asked.what) {
        (0, "GetNameOwner") => {
            let name = "org.freedesktop.DBus.Error.NameHasNoOwner";
            Reply::Say(fails(asked.call.unwrap(), name, "no owner"))
        }
        _ => Reply::Say(asked.usual),
    });
    let scene = Scene::watching(&fake);
    fake.line(1).await;
    scene.until_right(&fake);
    assert!(scene.seen().is_sorted());
}
