//! The whole generator against a small plain server in this process: good, and with one fault at a time.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use ringway::ws::{Decoder, Input, Item, Limits, Opcode, Role as Side, deflate::Inflater, encode, handshake};

use super::*;
use crate::traffic::Pace;

const LIMITS: Limits = Limits { message_bytes_max: 1 << 16, fragments_max: 8, inflate_ratio_max: 1 };
const WINDOWS_NS: (u64, u64) = (50_000_000, 200_000_000);

/// What goes wrong with the tenth delivery to each member.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Lose,
    Double,
    Damage,
    Close,
}

type Member = (Arc<Mutex<TcpStream>>, u32);
type Rooms = Arc<Mutex<HashMap<String, Vec<Member>>>>;

/// Serves until the test process ends; a thread for each connection.
fn server(fault: Fault) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let rooms = Rooms::default();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, rooms) = (stream.unwrap(), Arc::clone(&rooms));
            thread::spawn(move || serve(stream, &rooms, fault));
        }
    });
    port
}

/// Until the client is gone.
fn serve(stream: TcpStream, rooms: &Rooms, fault: Fault) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let socket = Arc::new(Mutex::new(stream));
    let (mut key, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some(value) = line.strip_prefix("Sec-WebSocket-Key: ") {
            key = handshake::accept_key(value.trim()).as_str().to_owned();
        }
        line.clear();
    }
    let head = format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {key}\r\n\r\n");
    socket.lock().unwrap().write_all(head.as_bytes()).ok()?;
    let (mut decoder, mut inflater) = (Decoder::new(Side::Server, None), Inflater::new());
    let (mut buffer, mut room) = (vec![0; 4096], String::new());
    loop {
        let count = reader.read(&mut buffer).ok().filter(|&it| it > 0)?;
        let mut input = Input::new(&mut buffer[..count]);
        while let Some(item) = decoder.next(&mut input, &mut inflater, &LIMITS).ok()? {
            let text = match item {
                Item::Text(text) => text,
                Item::Pong(payload) => {
                    assert_eq!(payload, b"", "as in the ping");
                    continue;
                }
                Item::Binary(_) | Item::Ping(_) | Item::Close(_) => {
                    panic!("not from the generator: {item:?}")
                }
            };
            match text.split_at(1) {
                ("J", name) => {
                    room = name.to_owned();
                    let mut rooms = rooms.lock().unwrap();
                    rooms.entry(room.clone()).or_default().push((Arc::clone(&socket), 0));
                    // A ping first: it must not disturb.
                    let mut greeting = vec![0x89, 0];
                    encode::frame(&mut greeting, Opcode::Text, b"K", false, None);
                    socket.lock().unwrap().write_all(&greeting).ok()?;
                }
                ("P", payload) => {
                    let mut rooms = rooms.lock().unwrap();
                    let members = rooms.get_mut(&room)?.iter_mut();
                    members
                        .filter(|it| !Arc::ptr_eq(&it.0, &socket))
                        .for_each(|it| deliver(it, payload, fault));
                }
                ("E", payload) => deliver(&mut (Arc::clone(&socket), 0), payload, fault),
                _ => panic!("no such message: {text}"),
            }
        }
    }
}

fn deliver((socket, number): &mut Member, payload: &str, fault: Fault) {
    let mut bytes = Vec::new();
    encode::frame(&mut bytes, Opcode::Text, payload.as_bytes(), false, None);
    *number += 1;
    match fault {
        Fault::Lose if *number == 10 => bytes.clear(),
        Fault::Double if *number == 10 => bytes.extend_from_within(..),
        Fault::Damage if *number == 10 => bytes[100] ^= 1,
        Fault::Close if *number == 10 => encode::close(&mut bytes, 4430, "slow consumer", None),
        Fault::None | Fault::Lose | Fault::Double | Fault::Damage | Fault::Close => {}
    }
    // A member that is gone is none.
    let _ = socket.lock().unwrap().write_all(&bytes);
}

fn run(shape: Shape, fault: Fault) -> Sample {
    let target = Target { protocol: Protocol::Plain, port: server(fault), tokens: &[] };
    measure(shape, Some(400), target, std::process::id(), WINDOWS_NS, &AtomicBool::new(false)).unwrap()
}

const CROWD: Crowd = Crowd { rooms: 3, members_per_room: 5, publishers_per_room: 2 };

#[test]
fn a_good_server_has_no_faults() {
    for shape in [Shape::FanOut(CROWD, 400), Shape::Ladder(CROWD)] {
        let sample = run(shape, Fault::None);
        assert_eq!((sample.faults, sample.remark.as_str()), (Faults::default(), ""));
        // 80 messages are due in the window, and each goes to 4 members.
        assert_eq!((sample.latency.samples, sample.connections, sample.messages_per_s), (320, 15, 400));
        assert!(sample.units > 0.0 && sample.latency.p99_us > 0.0);
    }
}

#[test]
fn every_fault_is_counted() {
    let rows = [
        (Fault::Lose, Faults { lost: 15, ..Faults::default() }),
        (Fault::Double, Faults { duplicated: 15, ..Faults::default() }),
        (Fault::Damage, Faults { damaged: 15, lost: 15, ..Faults::default() }),
    ];
    for (fault, expected) in rows {
        assert_eq!(run(Shape::FanOut(CROWD, 400), fault).faults, expected);
    }
    let closed = run(Shape::FanOut(CROWD, 400), Fault::Close);
    assert!(closed.faults.dropped_connections > 0);
    assert_eq!(closed.remark, "closed with 4430 slow consumer");
    assert!(closed.faults.late > 0);
}

#[test]
fn echoes_come_back() {
    for pace in [Pace::Closed, Pace::Rate(500)] {
        let sample = run(Shape::Echo(8, pace), Fault::None);
        assert_eq!(sample.faults, Faults::default(), "{pace:?}");
        assert!(sample.units > 0.0 && sample.latency.samples > 0);
    }
}

#[test]
fn idle_and_storm_have_no_deliveries() {
    let crowd = Crowd { publishers_per_room: 0, ..CROWD };
    let idle = run(Shape::Idle(crowd), Fault::None);
    assert_eq!((idle.units, idle.latency.samples, idle.connections), (0.0, 0, 15));
    let arrivals = Arrivals { in_flight_max: 4, per_s: None };
    for who in [Comers::New, Comers::Again] {
        let storm = run(Shape::Storm { crowd, arrivals, who }, Fault::None);
        assert_eq!((storm.units, storm.latency.samples, storm.remark.as_str()), (15.0, 15, ""));
    }
}

#[test]
fn a_paced_storm_is_never_faster_than_its_pace() {
    let crowd = Crowd { publishers_per_room: 0, ..CROWD };
    let arrivals = Arrivals { in_flight_max: 4, per_s: Some(100) };
    let storm = run(Shape::Storm { crowd, arrivals, who: Comers::New }, Fault::None);
    assert_eq!((storm.units, storm.latency.samples), (15.0, 15));
    // The fifteenth is due after 140 ms.
    assert!(storm.units_per_s <= 15.0 / 0.14, "{}", storm.units_per_s);

    let arrivals = Arrivals { in_flight_max: 4, per_s: Some(u32::MAX) };
    let storm = run(Shape::Storm { crowd, arrivals, who: Comers::New }, Fault::None);
    assert!(storm.remark.starts_with("kept no pace: "), "{}", storm.remark);
}

#[test]
fn nobody_there_is_a_failure() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target = Target { protocol: Protocol::Plain, port, tokens: &[] };
    let shape = Shape::FanOut(CROWD, 10);
    let failure = measure(shape, None, target, std::process::id(), WINDOWS_NS, &AtomicBool::new(false));
    assert!(matches!(failure, Err(Failure::Connect { ready: 0, of: 15, .. })), "{failure:?}");
}
