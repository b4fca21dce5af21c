//! People come and go by every door while others talk: those who stay miss nothing, those who went leave nothing.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use ringway::{shell::driver::Driver, ws::Opcode};

use crate::support::{Gateway, Start, frame, until};

on_both_drivers!(who_stays_misses_nothing);

const MESSAGES: usize = 400;

fn who_stays_misses_nothing(driver: Driver) {
    let mut gateway = Start::on(driver).shards(3).start();
    let mut publisher = gateway.socket("publisher", "acme");
    let mut listener = gateway.socket("listener", "acme");
    publisher.join("lobby");
    listener.join("lobby");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let guests: Vec<_> = (0..3)
            .map(|door| {
                scope.spawn({
                    let (gateway, is_over) = (&gateway, &is_over);
                    move || come_and_go(gateway, door, is_over)
                })
            })
            .collect();
        for number in 0..MESSAGES {
            let call = format!(r#""type":"room:send","room":"lobby","payload":{number}"#);
            assert_eq!(publisher.call(&call)["success"], true);
            assert_eq!(listener.expect("room:message")["payload"], number);
        }
        is_over.store(true, Relaxed);
        let visits: usize = guests.into_iter().map(|guest| guest.join().expect("a guest is served")).sum();
        assert!(visits >= 10, "only {visits} guests came");
    });
    drop([publisher, listener]);
    let gauges = ["websocket_active_rooms", "websocket_room_subscriptions", "websocket_outbound_queue_bytes"];
    until("that nothing is left of them", || {
        let text = gateway.get("/metrics").text();
        gauges.iter().all(|gauge| text.contains(&format!("\n{gauge} 0\n"))).then_some(())
    });
    gateway.serves_the_next("coming and going");
}

/// Joins, listens or not, and goes: by leaving the room, with a close frame, without a word, or torn off.
fn come_and_go(gateway: &Gateway, door: usize, is_over: &AtomicBool) -> usize {
    let mut visits = 0;
    while !is_over.load(Relaxed) {
        let mut guest = gateway.socket("guest", "acme");
        guest.send(r#"{"type":"room:join","room":"lobby"}"#);
        match (visits + door) % 4 {
            0 => {
                while guest.json()["type"] != "room:joined" {}
                guest.send(r#"{"type":"room:leave","room":"lobby"}"#);
                while guest.json()["type"] != "room:left" {}
            }
            1 => guest.write(frame(Opcode::Close, &[])),
            2 => while guest.json()["type"] != "room:joined" {},
            _ => guest.reset_on_drop(),
        }
        visits += 1;
    }
    visits
}
