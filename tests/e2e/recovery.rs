//! A thousand clients that break off and come back at random while messages go on: every one of them hears every
//! persistent message of its room, once and in order; and afterwards presence shows who has stayed, and nobody else.
//! Five seconds, or as many as `RINGWAY_STORM_S` says.

use std::{
    collections::BTreeSet,
    env,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use ringway::{base::Prng, shell::driver::Driver, ws::Opcode};

use crate::support::{Gateway, Received, Socket, Start, frame, token::token};

on_both_drivers!(a_thousand_clients_come_back_and_miss_nothing);

const CLIENTS: usize = 1000;
const ROOMS: usize = 10;
const PUBLISHERS_PER_ROOM: usize = 2;
/// Between two messages of a publisher.
const PAUSE: Duration = Duration::from_millis(200);
/// A client's stay lasts up to so many messages.
const STAY_MAX: u64 = 24;
/// Two calls a message or so; the default of the main thread would be 8 GB for all.
const STACK_BYTES: usize = 512 * 1024;

fn a_thousand_clients_come_back_and_miss_nothing(driver: Driver) {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("up to the hard limit is allowed");
    let seconds = env::var("RINGWAY_STORM_S").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let storm = Duration::from_secs(seconds);
    let mut gateway = Start::on(driver).shards(3).set("history.messages", 10_000).start();

    // Who is in the room before the first message has all of them to hear.
    let (arrived, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (mut visits, mut accepted) = (0, [0; ROOMS]);
    let clients: Vec<Client> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (gateway, arrived) = (&gateway, &arrived);
                let client = move || Client::new(number).run(gateway, arrived);
                thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, client).expect("a thread")
            })
            .collect();
        while arrived.load(Relaxed) < CLIENTS as u64 {
            assert!(
                !clients.iter().any(thread::ScopedJoinHandle::is_finished),
                "a client ended before the start"
            );
            thread::park_timeout(Duration::from_millis(10));
        }
        let publishers: Vec<_> = (0..ROOMS * PUBLISHERS_PER_ROOM)
            .map(|number| {
                let (gateway, is_over) = (&gateway, &is_over);
                scope.spawn(move || publish(gateway, number % ROOMS, is_over))
            })
            .collect();
        let end = Instant::now() + storm;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            thread::park_timeout(left);
        }
        is_over.store(true, Relaxed);
        for (number, publisher) in publishers.into_iter().enumerate() {
            accepted[number % ROOMS] += publisher.join().expect("a publisher is served");
        }
        for (room, accepted) in accepted.iter_mut().enumerate() {
            *accepted += end_room(&gateway, room);
        }
        let ended =
            clients.into_iter().map(|client| client.join().expect("a client that fails has said why"));
        ended.inspect(|client| visits += client.visits).collect()
    });

    for client in &clients {
        assert_eq!(client.heard, accepted[client.room], "of room {}", client.room);
    }
    let recovered = gateway.metric("websocket_history_recovered_total");
    assert_eq!(gateway.metric("websocket_history_unrecoverable_total"), 0.0);
    assert!(
        recovered > CLIENTS as f64 / 2.0,
        "only {recovered} came back, in {visits} visits: the test shows little"
    );
    presence_is_who_stayed(&gateway, clients);
    gateway.serves_the_next("the storm");
}

/// Once for half of the clients, and once for nobody.
fn presence_is_who_stayed(gateway: &Gateway, clients: Vec<Client>) {
    let mut watcher = gateway.socket("watcher", "acme");
    (0..ROOMS).for_each(|room| drop(watcher.join(&room_name(room))));
    let mut stayed: Vec<BTreeSet<String>> = vec![["watcher".to_owned()].into(); ROOMS];
    for client in clients.iter().filter(|client| client.stays.is_some()) {
        stayed[client.room].insert(client.user());
    }
    assert_eq!(stayed.iter().map(BTreeSet::len).sum::<usize>(), CLIENTS / 2 + ROOMS);
    for (room, stayed) in stayed.iter().enumerate() {
        wait_for_presence(&mut watcher, room, stayed);
    }
    drop(clients);
    for room in 0..ROOMS {
        wait_for_presence(&mut watcher, room, &["watcher".to_owned()].into());
    }
}

/// What has just ended may take a moment to show.
fn wait_for_presence(watcher: &mut Socket, room: usize, expected: &BTreeSet<String>) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let name = room_name(room);
        let page = watcher.call(&format!(r#""type":"query:presence","room":"{name}""#));
        let users = page["presence"].as_array().expect("a page").iter();
        let users: BTreeSet<String> =
            users.map(|user| user["userId"].as_str().expect("a user has a name").to_owned()).collect();
        assert!(page["next"].is_null(), "a room of {} fits on a page", expected.len());
        if users == *expected {
            return;
        }
        let (ghosts, missing) = (users.difference(expected), expected.difference(&users));
        assert!(Instant::now() < deadline, "{name}: ghosts {ghosts:?}, missing {missing:?}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

fn room_name(room: usize) -> String {
    format!("storm-{room}")
}

/// Sends until it is over; how many messages were accepted.
fn publish(gateway: &Gateway, room: usize, is_over: &AtomicBool) -> u64 {
    let name = room_name(room);
    let mut socket = gateway.socket("publisher", "acme");
    socket.send(&format!(r#"{{"type":"room:join","room":"{name}","presence":false}}"#));
    let mut accepted = 0;
    while !is_over.load(Relaxed) {
        let next = Instant::now() + PAUSE;
        send(&mut socket, &name, "1");
        accepted += 1;
        while let Some(left) = next.checked_duration_since(Instant::now()) {
            thread::park_timeout(left);
        }
    }
    accepted
}

/// The last message of a room.
fn end_room(gateway: &Gateway, room: usize) -> u64 {
    let name = room_name(room);
    let mut socket = gateway.socket("publisher", "acme");
    socket.send(&format!(r#"{{"type":"room:join","room":"{name}","presence":false}}"#));
    send(&mut socket, &name, r#""end""#);
    1
}

/// Sends a message, and reads up to its ack.
fn send(socket: &mut Socket, room: &str, payload: &str) {
    socket.send(&format!(
        r#"{{"type":"room:send","id":7,"room":"{room}","payload":{payload},"persistent":true}}"#
    ));
    let ack = loop {
        let event = socket.json();
        if event["type"] == "ack" {
            break event;
        }
    };
    assert!(ack["offset"].is_u64(), "{ack}");
}

/// Someone with a room, over many connections.
struct Client {
    room: usize,
    token: String,
    prng: Prng,
    epoch: Option<String>,
    /// The last offset.
    heard: u64,
    visits: u64,
    /// The last connection, of one that stays.
    stays: Option<Socket>,
    number: usize,
}

impl Client {
    fn new(number: usize) -> Self {
        let token = token(&format!("client-{number}"), "acme");
        let (room, prng) = (number % ROOMS, Prng::new(number as u64));
        Self { room, token, prng, epoch: None, heard: 0, visits: 0, stays: None, number }
    }

    fn user(&self) -> String {
        format!("client-{}", self.number)
    }

    /// Comes back until it has heard the last message.
    fn run(mut self, gateway: &Gateway, arrived: &AtomicU64) -> Self {
        loop {
            let mut socket = Socket::with_token(gateway.address, &self.token);
            socket.expect("connection:established");
            let has_ended = self.visit(&mut socket, arrived);
            // Half of every room.
            if has_ended && (self.number / ROOMS).is_multiple_of(2) {
                self.stays = Some(socket);
                return self;
            }
            match self.prng.below(4) {
                // In good order; or without a word, with whatever is still on its way.
                0 => {
                    socket.write(frame(Opcode::Close, &[]));
                    while !matches!(socket.receive(), Received::End | Received::Close(..)) {}
                }
                _ => socket.reset_on_drop(),
            }
            if has_ended {
                return self;
            }
        }
    }

    /// Stays for some messages; whether the last was among them.
    fn visit(&mut self, socket: &mut Socket, arrived: &AtomicU64) -> bool {
        self.visits += 1;
        let (name, offset) = (room_name(self.room), self.heard);
        let since =
            self.epoch.as_ref().map(|epoch| format!(r#","since":{{"epoch":"{epoch}","offset":{offset}}}"#));
        let since = since.unwrap_or_default();
        socket.send(&format!(r#"{{"type":"room:join","id":1,"room":"{name}","presence":false{since}}}"#));
        let ack = socket.expect("ack");
        let is_first = self.epoch.is_none();
        assert_eq!(ack["recovered"], !is_first, "{ack} after {offset}");
        let epoch = ack["epoch"].as_str().expect("an epoch is a string").to_owned();
        assert!(is_first || self.epoch.as_ref() == Some(&epoch), "{ack}");
        self.epoch = Some(epoch);
        socket.expect("room:joined");
        if is_first {
            assert_eq!(ack["offset"], 0, "{ack}");
            arrived.fetch_add(1, Relaxed);
        }
        for _ in 0..1 + self.prng.below(STAY_MAX) {
            let message = socket.expect("room:message");
            self.heard += 1;
            assert_eq!(message["offset"], self.heard, "{message}");
            if message["payload"] == "end" {
                return true;
            }
        }
        false
    }
}
