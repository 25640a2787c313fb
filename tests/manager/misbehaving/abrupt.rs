//! A peer that stops in the middle of a message.

use super::{
    fake::{Fake, Reply, changes},
    scene::Scene,
};

const UNITS: &[(&str, &str)] = &[("a.service", "active"), ("b.service", "failed")];

/// The steps of connecting, in order.
const STEPS: &[&str] = &[
    "AUTH",
    "NEGOTIATE_UNIX_FD",
    "BEGIN",
    "Hello",
    "GetNameOwner",
    "AddMatch",
    "Subscribe",
    "ListUnits",
    "ListJobs",
];

fn half(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() / 2);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_stalls_in_a_message_costs_one_reconnect() {
    type Cut = fn(Vec<u8>) -> Vec<u8>;
    let cuts: [(&str, Cut); 3] = [
        ("in the header", |bytes| bytes[..7].to_vec()),
        ("in the body", |bytes| bytes[..bytes.len() - 3].to_vec()),
        ("in a signal", |_| half(changes("a.service", "failed"))),
    ];
    let mut stalled = Vec::new();
    for (place, cut) in cuts {
        let fake = Fake::new(UNITS);
        let scene = Scene::in_sync_with(&fake);
        fake.follow(move |asked| match asked.connection {
            0 => Reply::Stall(cut(asked.usual)),
            _ => Reply::Say(asked.usual),
        });
        fake.units().insert("b.service".to_owned(), "active".to_owned());
        fake.units().insert("c.service".to_owned(), "failed".to_owned());
        stalled.push((place, fake, scene));
    }
    for (_, _, scene) in &stalled {
        scene.until_up_is(0.0);
    }
    // One that stalls before the exporter is in sync.
    let fake = Fake::with_script(UNITS, |asked| match (asked.connection, asked.what) {
        (0, "Get") => Reply::Stall(half(asked.usual)),
        _ => Reply::Say(asked.usual),
    });
    let scene = Scene::watching(&fake);
    stalled.push(("before all was read", fake, scene));

    for (place, fake, scene) in stalled {
        println!("stalled {place}");
        fake.line(0).await.ended().await;
        fake.line(1).await;
        scene.until_right(&fake);
        scene.check_size();
        assert_eq!(scene.seen().last(), Some(&1.0), "{place}");
        assert_eq!(fake.connections(), 2, "{place}: one new connection was enough");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_stalls_or_closes_while_connecting_is_tried_again() {
    let mut scenes = Vec::new();
    for step in STEPS {
        let fake = Fake::with_script(UNITS, move |asked| match asked.connection {
            0 if asked.what == *step => Reply::Stall(half(asked.usual)),
            1 if asked.what == *step => Reply::Close(half(asked.usual)),
            2 if asked.what == *step => Reply::Close(Vec::new()),
            _ => Reply::Say(asked.usual),
        });
        let scene = Scene::watching(&fake);
        scenes.push((step, fake, scene));
    }
    for (step, fake, scene) in scenes {
        println!("at {step}");
        for number in 0..3 {
            fake.line(number).await.ended().await;
        }
        scene.until_right(&fake);
        scene.check_size();
        assert_eq!(fake.connections(), 4, "{step}");
        let seen = scene.seen();
        assert!(seen.is_sorted(), "{step}: in sync only after all was read: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_of_nonsense_is_tried_again() {
    let mut scenes = Vec::new();
    let nonsense: [&[u8]; 5] = [
        b"REJECTED KERBEROS_V4\r\n",
        b"OK not-a-guid\r\n",
        b"OK 0123456789abcdef0123456789abcdef\n",
        b"\xff\xfe\x00\r\n",
        b"l\x01\x00\x01\xff\xff\xff\xff\x01\x00\x00\x00\xff\xff\xff\xff",
    ];
    for said in nonsense {
        let fake = Fake::with_script(UNITS, move |asked| match (asked.connection, asked.what) {
            (0, "AUTH") => Reply::Close(said.to_vec()),
            (1, "NEGOTIATE_UNIX_FD") => Reply::Close(said.to_vec()),
            (2, "Hello") => Reply::Close(said.to_vec()),
            _ => Reply::Say(asked.usual),
        });
        let scene = Scene::watching(&fake);
        scenes.push((fake, scene));
    }
    for (fake, scene) in scenes {
        fake.line(3).await;
        scene.until_right(&fake);
        let seen = scene.seen();
        assert!(seen.is_sorted(), "{seen:?}");
    }
}
