//! A small gateway for tests: a thread per connection, JSON v1 as far as loadgen speaks it, and on
//! request one fault, injected at known places and counted, so that loadgen's figures can be held
//! against the truth.
//!
//! A room's lock is held while a message goes to its members, which gives the room a total order.

mod fault;
pub(crate) mod tls;
mod upgrade;

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

pub(crate) use fault::{Damage, Fault};
use ringway::ws::{Decoder, Input, Item, Limits, Opcode, Role, deflate::Inflater, encode};
use socket2::SockRef;
use sonic_rs::{JsonValueTrait, LazyValue};

const STACK_BYTES: usize = 128 << 10;
const LIMITS: Limits = Limits { message_bytes_max: 1 << 20, fragments_max: 8, inflate_ratio_max: 1 };

/// How clients sign in.
#[derive(Clone, Debug)]
pub(crate) enum SignIn {
    /// `GET /dev/token` hands out tokens, and those are accepted.
    DevToken,
    /// This very token.
    Token(String),
    /// HS256 with this secret.
    Secret(String),
    /// ES256 with the private key of this public one.
    PublicKey(Vec<u8>),
}

/// A running server; it runs until the test process ends.
#[derive(Clone)]
pub(crate) struct Server {
    shared: Arc<Shared>,
    pub(crate) addr: SocketAddr,
}

struct Shared {
    sign_in: SignIn,
    fault: Fault,
    rooms: Mutex<HashMap<String, Arc<Mutex<Room>>>>,
    /// How often the fault struck.
    faults: AtomicU64,
    /// Messages of all rooms.
    messages: AtomicU64,
    /// Deliveries since the first member came, and when they were too many.
    load: Mutex<(u64, Option<Instant>)>,
    /// Who listens; nobody in a restart.
    listener: Mutex<Option<TcpListener>>,
    /// Held for writing while the whole server holds still, or lets one in.
    still: RwLock<()>,
    /// Where connections came from.
    sources: Mutex<Vec<Ipv4Addr>>,
    pongs: AtomicU64,
    closes: AtomicU64,
}

#[derive(Default)]
struct Room {
    members: Vec<Member>,
    /// Messages so far.
    messages: u64,
    /// A message that waits for the next one to overtake it.
    held: Option<Message>,
}

#[derive(Clone)]
struct Message {
    sender: u64,
    payload: String,
}

struct Member {
    id: u64,
    socket: Arc<Mutex<TcpStream>>,
}

impl Server {
    pub(crate) fn start(sign_in: SignIn, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            sign_in,
            fault,
            rooms: Mutex::default(),
            faults: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            load: Mutex::default(),
            listener: Mutex::default(),
            still: RwLock::default(),
            sources: Mutex::default(),
            pongs: AtomicU64::new(0),
            closes: AtomicU64::new(0),
        });
        let server = Self { shared: Arc::clone(&shared), addr };
        thread::spawn(move || shared.accept_all(listener));
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.addr)
    }

    /// How often the fault struck.
    pub(crate) fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::SeqCst)
    }

    /// Connections in rooms, each for every room that it is in.
    pub(crate) fn members(&self) -> usize {
        self.shared.members()
    }

    /// Until it has so many members.
    pub(crate) fn wait_for_members(&self, count: usize) {
        while self.members() != count {
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Addresses of all clients.
    pub(crate) fn sources(&self) -> Vec<Ipv4Addr> {
        lock(&self.shared.sources).clone()
    }

    /// Until so many messages were sent to it.
    pub(crate) fn wait_for_messages(&self, count: u64) {
        while self.shared.messages.load(Ordering::SeqCst) < count {
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Pings that were answered with their own payload.
    pub(crate) fn pongs(&self) -> u64 {
        self.shared.pongs.load(Ordering::SeqCst)
    }

    /// Close frames with code 1000.
    pub(crate) fn closes(&self) -> u64 {
        self.shared.closes.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Until it is shut, and again when it is back.
    fn accept_all(self: Arc<Self>, mut listener: TcpListener) {
        let addr = listener.local_addr().unwrap();
        let mut ids = 0..;
        loop {
            *lock(&self.listener) = Some(listener.try_clone().unwrap());
            while let Ok((socket, from)) = listener.accept() {
                if let IpAddr::V4(from) = from.ip() {
                    lock(&self.sources).push(from);
                }
                let (shared, id) = (Arc::clone(&self), ids.next().unwrap());
                let serve = move || shared.serve(id, socket);
                thread::Builder::new().stack_size(STACK_BYTES).spawn(serve).unwrap();
            }
            drop(listener);
            let Fault::Restart { away: Some(away), .. } = self.fault else { return };
            stall(away);
            listener = TcpListener::bind(addr).unwrap();
        }
    }

    /// Nobody is accepted from now on, and everybody in a room is gone.
    fn go_away(&self) {
        self.strike();
        if let Some(listener) = lock(&self.listener).take() {
            SockRef::from(&listener).shutdown(Shutdown::Both).unwrap();
        }
        let rooms: Vec<_> = lock(&self.rooms).values().cloned().collect();
        for member in rooms.iter().flat_map(|room| std::mem::take(&mut lock(room).members)) {
            let _ = lock(&member.socket).shutdown(Shutdown::Both);
        }
    }

    fn serve(&self, id: u64, mut socket: TcpStream) {
        socket.set_nodelay(true).unwrap();
        let Some(path) = upgrade::accept(&mut socket, &self.sign_in, self.fault) else { return };
        let socket = Arc::new(Mutex::new(socket));
        if path == "/ws" {
            write(&socket, r#"{"type":"connection:established","connectionId":"c","limits":{}}"#);
            let mut ping = Vec::new();
            encode::frame(&mut ping, Opcode::Ping, &id.to_be_bytes(), false, None);
            let _ = lock(&socket).write_all(&ping);
        }
        self.converse(id, &socket, path == "/echo");
        self.leave(id);
    }

    fn leave(&self, id: u64) {
        for room in lock(&self.rooms).values() {
            lock(room).members.retain(|member| member.id != id);
        }
    }

    fn members(&self) -> usize {
        let rooms: Vec<_> = lock(&self.rooms).values().cloned().collect();
        rooms.iter().map(|room| lock(room).members.len()).sum()
    }

    /// Until the client goes, or the fault makes us go.
    fn converse(&self, id: u64, socket: &Arc<Mutex<TcpStream>>, echo: bool) {
        let mut reader = lock(socket).try_clone().unwrap();
        let mut decoder = Decoder::new(Role::Server, None);
        let (mut inflater, mut buffer) = (Inflater::new(), vec![0; 4096]);
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            };
            let mut input = Input::new(&mut buffer[..count]);
            while let Some(item) = decoder.next(&mut input, &mut inflater, &LIMITS).unwrap() {
                match item {
                    Item::Text(text) if echo => write(socket, text),
                    Item::Text(text) => self.obey(id, socket, text),
                    Item::Pong(payload) => {
                        assert_eq!(payload, id.to_be_bytes());
                        self.pongs.fetch_add(1, Ordering::SeqCst);
                    }
                    Item::Close(reason) => {
                        if reason.is_some_and(|reason| reason.code == 1000) {
                            self.closes.fetch_add(1, Ordering::SeqCst);
                        }
                        // First, so that who has the answer finds the rooms without it.
                        self.leave(id);
                        let mut answer = Vec::new();
                        encode::close(&mut answer, 1000, "", None);
                        let _ = lock(socket).write_all(&answer);
                        return;
                    }
                    Item::Binary(_) | Item::Ping(_) => panic!("loadgen sends none: {item:?}"),
                }
            }
        }
    }

    fn obey(&self, id: u64, socket: &Arc<Mutex<TcpStream>>, text: &str) {
        let command: LazyValue<'_> = sonic_rs::from_str(text).unwrap();
        let kind = command.get("type").unwrap();
        let ack_id = command.get("id").unwrap();
        let acked = format!(r#"{{"type":"ack","id":{},"success":true}}"#, ack_id.as_raw_str());
        if kind.as_str() == Some("presence:status") {
            write(socket, &acked);
            return;
        }
        let room_name = command.get("room").unwrap().as_str().unwrap().to_owned();
        let room = Arc::clone(lock(&self.rooms).entry(room_name.clone()).or_default());
        match kind.as_str().unwrap() {
            "room:join" if self.fault == Fault::RefuseJoins => {
                self.strike();
                write(socket, &refusal(&ack_id, "forbidden"));
            }
            "room:join" => {
                let _alone = self.still.write().unwrap();
                if self.is_full() {
                    self.strike();
                    write(socket, &refusal(&ack_id, "full"));
                    return;
                }
                if self.members() == 0 {
                    *lock(&self.load) = (0, None);
                }
                let mut room = lock(&room);
                write(socket, &acked);
                if self.fault == Fault::Forget && self.messages.load(Ordering::SeqCst) > 0 {
                    self.strike();
                    return;
                }
                room.members.push(Member { id, socket: Arc::clone(socket) });
            }
            "room:send" => {
                self.hold_still();
                let _moving = self.still.read().unwrap();
                let number = {
                    let mut room = lock(&room);
                    room.messages += 1;
                    room.messages - 1
                };
                let strikes = self.fault.strikes_message(number);
                if strikes && self.fault == Fault::RefuseSends {
                    self.strike();
                    write(socket, &refusal(&ack_id, "rate_limited"));
                    return;
                }
                if strikes && self.fault == Fault::LoseAcks {
                    self.strike();
                } else {
                    write(socket, &acked);
                }
                if strikes && self.fault == Fault::Drop {
                    self.strike();
                    let mut bye = Vec::new();
                    encode::close(&mut bye, 4430, "slow consumer", None);
                    let _ = lock(socket).write_all(&bye);
                    return;
                }
                if strikes && self.fault == Fault::HangUp {
                    self.strike();
                    let _ = lock(socket).shutdown(Shutdown::Both);
                    return;
                }
                if let Fault::Delay(delay) = self.fault {
                    stall(delay);
                }
                let payload = command.get("payload").unwrap().as_raw_str().to_owned();
                let members = lock(&room).members.len() as u64;
                self.hold_what_is_too_much(members.saturating_sub(1));
                self.publish(&mut lock(&room), &room_name, Message { sender: id, payload }, number);
            }
            other => panic!("loadgen does not send {other}"),
        }
    }

    fn is_full(&self) -> bool {
        matches!(self.fault, Fault::Full { members } if self.members() >= members)
    }

    /// At the message at which it is to, before anything is answered.
    fn hold_still(&self) {
        let number = self.messages.fetch_add(1, Ordering::SeqCst);
        if let Fault::Restart { at_message, .. } = self.fault
            && number == at_message
        {
            self.go_away();
        }
        if let Fault::Stall { after_messages, stall: length } = self.fault
            && number == after_messages
        {
            let _still = self.still.write().unwrap();
            self.strike();
            stall(length);
        }
    }

    /// So many deliveries more may be too many; then they wait.
    fn hold_what_is_too_much(&self, deliveries: u64) {
        let Fault::SlowPast { deliveries: most, hold } = self.fault else { return };
        let since = {
            let (sum, since) = &mut *lock(&self.load);
            *sum += deliveries;
            if *sum <= most {
                return;
            }
            *since.get_or_insert_with(Instant::now)
        };
        self.strike();
        stall(hold.saturating_sub(since.elapsed()));
    }

    fn publish(&self, room: &mut Room, name: &str, message: Message, number: u64) {
        if self.fault == Fault::Reorder && self.fault.strikes_message(number) {
            room.held = Some(message);
            return;
        }
        self.deliver(room, name, &message, number);
        if let Some(held) = room.held.take() {
            let receivers = room.members.iter().filter(|member| member.id != held.sender).count();
            self.faults.fetch_add(receivers as u64, Ordering::SeqCst);
            self.deliver(room, name, &held, number);
        }
    }

    /// To every member but the sender.
    fn deliver(&self, room: &Room, name: &str, message: &Message, number: u64) {
        let good = delivery(name, &message.payload);
        for (index, member) in room.members.iter().enumerate() {
            if member.id == message.sender {
                if self.fault == Fault::Echo {
                    self.strike();
                    write(&member.socket, &good);
                }
                continue;
            }
            let damage = self.fault.damage(number, index as u64);
            if damage.is_some() {
                self.strike();
            }
            match damage {
                None => write(&member.socket, &good),
                Some(Damage::Lose) => {}
                Some(Damage::Duplicate) => {
                    write(&member.socket, &good);
                    write(&member.socket, &good);
                }
                Some(Damage::Reserialise) => {
                    write(&member.socket, &delivery(name, &message.payload.replacen(r"\/", "/", 1)));
                }
                Some(Damage::Misroute) => write(&member.socket, &delivery("elsewhere", &message.payload)),
            }
        }
    }

    fn strike(&self) {
        self.faults.fetch_add(1, Ordering::SeqCst);
    }
}

fn delivery(room: &str, payload: &str) -> String {
    format!(
        r#"{{"type":"room:message","id":"m","room":"{room}","from":"u","payload":{payload},"timestamp":1}}"#
    )
}

fn refusal(id: &LazyValue<'_>, code: &str) -> String {
    let id = id.as_raw_str();
    format!(
        r#"{{"type":"ack","id":{id},"success":false,"error":{{"code":"{code}","message":"m","status":400}}}}"#
    )
}

/// A member that is gone hears nothing; its own thread takes it out of the room.
fn write(socket: &Mutex<TcpStream>, text: &str) {
    let mut frame = Vec::new();
    encode::frame(&mut frame, Opcode::Text, text.as_bytes(), false, None);
    let _ = lock(socket).write_all(&frame);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// Somebody is late: the delay is what the load generator has to find.
pub(crate) fn stall(delay: Duration) {
    let end = Instant::now() + delay;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}
