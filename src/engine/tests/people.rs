//! Who lives in the tenants of `isolation`: clients of both protocols and a backend for each, what they do, and all that
//! they were told, with the names that the gateway makes up replaced by when they were first seen.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    client::{Client, Heard, frame},
    harness::{Node, text_of, token_named, token_with},
    http::bearer,
    isolation::{TENANTS, api_key, mark},
};
use crate::{
    base::{ConnId, prng::Prng},
    ws::Opcode,
};

const ROOMS: [&str; 3] = ["lobby", "a b", "räume"];
const USERS: [&str; 2] = ["ada", "bob"];

/// Only one person of a tenant is ever in it: which of several members is asked, chance decides.
pub(super) const BOOTH: &str = "booth";

/// In each tenant, two names whose rooms have one id.
pub(super) const TWINS: [[&str; 2]; 2] = [
    ["zpnxzlzlenxaffrjrkcdmlbuhjooqxdo", "zoroadcfhtfjqlwbdvzxzcvkfmmtfjnr"],
    ["bzhaqwsyenrgvadsrkcdzutcoouecrkn", "rofrjzkukujzfaxghdlxhwpwyxkzjbjb"],
];

/// One that comes and goes.
pub(super) struct Person {
    tenant: usize,
    user: &'static str,
    relays: bool,
    shard: u16,
    client: Option<Client>,
    log: Vec<String>,
    /// Made-up names by when they were first seen.
    names: BTreeMap<String, usize>,
}

/// What a tenant's names are of.
#[derive(Clone, Copy)]
enum Of {
    Connection,
    /// One that waits for its answer, or did.
    Request,
    Epoch,
    Room,
}

/// A name of each kind; nobody's until there was one.
pub(super) type Names = [String; 4];

fn nobodys_names() -> Names {
    ["0000002a00fffff000000000", "0000002a00fffff000000000", "0123456789abcdef", "7"].map(str::to_owned)
}

pub(super) struct World {
    pub(super) node: Node,
    people: Vec<Person>,
    /// The last names that the people of each tenant were told.
    lore: [Names; 2],
    /// A backend's requests that have no answer yet: tenant and connection.
    waiting: Vec<(usize, ConnId)>,
    backends: [Person; 2],
}

pub(super) fn is_marked(line: &str, mark: &str) -> bool {
    line.contains(mark)
}

fn pick<'a, T: ?Sized>(from: &[&'a T], dice: &mut Prng) -> &'a T {
    from[dice.below(from.len() as u64) as usize]
}

impl Person {
    pub(super) fn new(tenant: usize, user: &'static str, relays: bool, shard: u16) -> Self {
        Self { tenant, user, relays, shard, client: None, log: Vec::new(), names: BTreeMap::new() }
    }

    /// Those that it goes into.
    fn rooms(&self) -> Vec<&'static str> {
        let mut rooms = ROOMS.to_vec();
        if self.relays {
            // Over relay it can be in one of them only.
            rooms.extend(TWINS[self.tenant]);
        }
        if !self.relays && self.shard == 2 {
            rooms.extend([BOOTH; 3]);
        }
        rooms
    }

    pub(super) fn come(&mut self, node: &mut Node) {
        let token = token_named(self.user, TENANTS[self.tenant], "t1");
        let protocol = if self.relays { "ringway.relay.v1" } else { "ringway.json.v1" };
        let headers = format!("Sec-WebSocket-Protocol: {protocol}, ringway.bearer.{token}\r\n");
        self.client = Some(Client::upgrade(node, self.shard, "/ws", &headers));
        let _ = self.hear(node);
    }

    fn go(&mut self, node: &mut Node) {
        if let Some(client) = self.client.take() {
            node.hang_up(client.id, true);
        }
    }

    pub(super) fn ask(&mut self, node: &mut Node, message: &str) -> Vec<Value> {
        self.client.as_mut().unwrap().ask(node, message)
    }

    /// What came since the last call; a close frame is answered by leaving.
    fn hear(&mut self, node: &mut Node) -> Vec<Heard> {
        let Some(client) = &mut self.client else { return Vec::new() };
        let mut heard = client.heard(node);
        heard.retain(|heard| !matches!(heard, Heard::Ping(_)));
        if matches!(heard.last(), Some(Heard::Close(_))) {
            self.go(node);
        }
        heard
    }

    /// Notes what was heard; names of ids and epochs, which are 8, 16 or 24 hexadecimal digits, by their number.
    fn note(&mut self, step: u32, text: &str) {
        let mut line = format!("{step}: ");
        let is_digit = |char: char| char.is_ascii_digit() || ('a'..='f').contains(&char);
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            let word = rest.find(|char: char| !char.is_alphanumeric()).unwrap_or(rest.len());
            let word = &rest[..word.max(char.len_utf8())];
            if [8, 16, 24].contains(&word.len()) && word.chars().all(is_digit) {
                // Requests and connections have names of one shape: where it stands says whose it is.
                let kind = if line.ends_with("\"correlationId\":\"") { "request" } else { "" };
                let next = self.names.len();
                let number = *self.names.entry(format!("{kind}{word}")).or_insert(next);
                line.push_str(&format!("<{number}>"));
            } else {
                line.push_str(word);
            }
            rest = &rest[word.len()..];
        }
        self.log.push(line);
    }
}

impl World {
    pub(super) fn new(node: Node) -> Self {
        let mut people = Vec::new();
        for tenant in [0, 1] {
            for (user, relays, shard) in
                [("ada", false, 0), ("ada", false, 1), ("bob", false, 2), ("bob", true, 1)]
            {
                people.push(Person::new(tenant, user, relays, shard));
            }
        }
        let backends = [0, 1].map(|tenant| Person::new(tenant, "backend", false, 2));
        Self { node, people, lore: [nobodys_names(), nobodys_names()], waiting: Vec::new(), backends }
    }

    /// All of a tenant come, and join and say something.
    pub(super) fn settle_in(&mut self, tenant: usize) {
        for person in self.people.iter_mut().filter(|person| person.tenant == tenant && !person.relays) {
            person.come(&mut self.node);
            let _ = person.ask(&mut self.node, r#"{"type":"room:join","room":"lobby"}"#);
            let said = r#"{"type":"room:send","room":"lobby","payload":1,"persistent":true}"#;
            let _ = person.ask(&mut self.node, said);
        }
    }

    /// All that each of a tenant was told, its backend last.
    pub(super) fn logs(&self, tenant: usize) -> impl Iterator<Item = &Vec<String>> {
        let people = self.people.iter().filter(move |person| person.tenant == tenant);
        people.chain([&self.backends[tenant]]).map(|person| &person.log)
    }

    pub(super) fn lines(&self) -> usize {
        [0, 1].into_iter().flat_map(|tenant| self.logs(tenant)).map(Vec::len).sum()
    }

    /// The last names of a tenant.
    pub(super) fn names(&self, tenant: usize) -> Names {
        self.lore[tenant].clone()
    }

    /// Somebody of a tenant does something; `strange` names are another tenant's.
    pub(super) fn act(&mut self, tenant: usize, strange: &Names, dice: &mut Prng) {
        if dice.below(4) == 0 {
            return self.backend(tenant, strange, dice);
        }
        let who = tenant * 4 + dice.below(4) as usize;
        let (node, lore, person) = (&mut self.node, &self.lore[tenant], &mut self.people[who]);
        let Some(client) = &person.client else { return person.come(node) };
        let (room, user, mark) = (pick(&person.rooms(), dice), pick(&USERS, dice), mark(tenant));
        // One's own names, or somebody else's.
        let is_strange = dice.below(2) == 0;
        let name = |of: Of| if is_strange { &strange[of as usize] } else { &lore[of as usize] };
        let since = format!(r#"{{"offset":{},"epoch":"{}"}}"#, dice.below(4), name(Of::Epoch));
        let since = if dice.below(2) == 0 { format!(r#","since":{since}"#) } else { String::new() };
        let id = dice.below(3);
        let message = match dice.below(20) {
            0 => return person.go(node),
            1..=4 => format!(r#""room:join","room":"{room}","metadata":"{mark}"{since}"#),
            5 => format!(r#""room:leave","room":"{room}""#),
            6 | 7 => format!(
                r#""room:send","room":"{room}","payload":"{mark}","persistent":true,"messageId":"m{id}""#
            ),
            8 => format!(r#""room:send","room":"{room}","payload":["{mark}"],"echo":true"#),
            9 => format!(r#""room:history","room":"{room}"{since}"#),
            10 => format!(r#""query:presence","room":"{room}""#),
            11 => format!(r#""presence:status","status":"busy","metadata":{{"x":"{mark}"}}"#),
            12 => r#""presence:heartbeat","status":"away""#.to_owned(),
            13 => format!(
                r#""request","to":{{"user":"{user}"}},"method":"{mark}","payload":1,"timeoutMs":3000"#
            ),
            14 => {
                let connection = name(Of::Connection);
                format!(
                    r#""request","to":{{"connection":"{connection}"}},"method":"{mark}","payload":1,"timeoutMs":3000"#
                )
            }
            15 => format!(r#""response","correlationId":"{}","payload":"{mark}""#, name(Of::Request)),
            16 => {
                let channel =
                    pick(&["metrics", "metrics.acme", "metrics.globex", "dashboard", "project.1"], dice);
                format!(r#""{}","channel":"{channel}""#, pick(&["subscribe", "unsubscribe"], dice))
            }
            17 => {
                // Whoever holds another's token may learn what has become of that token: nobody revokes this one.
                let theirs = token_named("eve", TENANTS[1 - tenant], "t9");
                let mine = token_named(user, TENANTS[tenant], "t1");
                let token = if is_strange { theirs } else { mine };
                let claimed = pick(&["", r#","tenantId":"acme""#, r#","tenantId":"globex""#], dice);
                format!(r#""authenticate","token":"{token}"{claimed}"#)
            }
            18 => r#""query:rooms""#.to_owned(),
            _ if person.relays => {
                let room: u64 = name(Of::Room).parse().unwrap_or(7);
                let publication = [&[1], &room.to_le_bytes()[..], mark.as_bytes()].concat();
                return node.receive(client.id, &frame(Opcode::Binary, &publication));
            }
            _ => r#""ping""#.to_owned(),
        };
        client.say(node, &format!(r#"{{"id":{id},"type":{message}}}"#));
    }

    fn backend(&mut self, tenant: usize, strange: &Names, dice: &mut Prng) {
        let (room, user, mark) =
            (pick(&["lobby", "a%20b", "r%C3%A4ume"], dice), pick(&USERS, dice), mark(tenant));
        let lore = &self.lore[tenant];
        let connection = &if dice.below(2) == 0 { strange } else { lore }[Of::Connection as usize];
        let named = pick(&["", "acme", "globex"], dice);
        let (query, field) = match named {
            "" => (String::new(), String::new()),
            named => (format!("?tenant={named}"), format!(r#""tenant":"{named}","#)),
        };
        let (get, post) = ("GET", "POST");
        let mut is_admin = false;
        let (method, path, body) = match dice.below(18) {
            0 => (get, format!("/api/v1/rooms{query}"), String::new()),
            1 => (get, format!("/api/v1/connections{query}"), String::new()),
            2 => (get, format!("/api/v1/rooms/{room}/presence{query}"), String::new()),
            3 | 4 => (get, format!("/api/v1/rooms/{room}/history{query}"), String::new()),
            5..=7 => {
                let one = format!(
                    r#"{{{field}"room":"lobby","payload":"{mark}","persistent":true,"messageId":"m1"}}"#
                );
                let bodies = [&*one, &*format!("[{one},{one}]"), &*format!("{one}\n{one}\n")];
                (post, "/api/v1/publish".to_owned(), pick(&bodies, dice).to_owned())
            }
            8 | 9 => {
                let body = format!(r#"{{{field}"join":["lobby","räume"],"leave":["a b"]}}"#);
                (post, format!("/api/v1/users/{user}/rooms"), body)
            }
            10 | 11 => {
                let (kind, name) =
                    [("user", user), ("connection", connection), ("room", BOOTH)][dice.below(3) as usize];
                let method = format!("{mark} to a {kind}");
                let body = format!(
                    r#"{{{field}"to":{{"{kind}":"{name}"}},"method":"{method}","payload":1,"timeoutMs":3000}}"#
                );
                (post, "/api/v1/request".to_owned(), body)
            }
            12 => {
                (post, "/api/v1/disconnect".to_owned(), format!(r#"{{{field}"connection":"{connection}"}}"#))
            }
            13 => (
                post,
                "/api/v1/disconnect".to_owned(),
                format!(r#"{{{field}"user":"{user}","revoke":{}}}"#, dice.below(8) == 0),
            ),
            14 => (
                post,
                "/api/v1/disconnect".to_owned(),
                format!(r#"{{{field}"jti":"t{}","revoke":{}}}"#, dice.below(3), dice.below(8) == 0),
            ),
            15 => (
                post,
                "/api/v1/disconnect".to_owned(),
                format!(r#"{{"tenant":"{}"}}"#, TENANTS[dice.below(2) as usize]),
            ),
            16 => {
                // All tenants are an administrator's; who asks about one hears of no other.
                is_admin = true;
                (get, format!("/api/v1/connections/health?tenant={}", TENANTS[tenant]), String::new())
            }
            _ => (get, format!("/api/v1/connections/health{query}"), String::new()),
        };
        let ability = if is_admin { "ringway:admin" } else { "ringway:publish" };
        let token = token_with("backend", TENANTS[tenant], &[ability]);
        let bearer = if is_admin || dice.below(2) == 0 { token } else { api_key(tenant) };
        self.send(tenant, &bearer, method, &path, &body);
    }

    /// A call with a tenant's key, or another token; what is answered at once.
    pub(super) fn call(
        &mut self,
        tenant: usize,
        method: &str,
        path: &str,
        token: &str,
        body: &str,
    ) -> String {
        let key = api_key(tenant);
        self.send(tenant, if token.is_empty() { &key } else { token }, method, path, body);
        let (_, id) = self.waiting.pop().unwrap();
        self.node.take_text(id)
    }

    fn send(&mut self, tenant: usize, token: &str, method: &str, path: &str, body: &str) {
        let id = self.node.accept(self.backends[tenant].shard);
        let head = format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{}", bearer(token));
        let length =
            if method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        let kind = if body.contains('\n') { "Content-Type: application/x-ndjson\r\n" } else { "" };
        self.node.receive(id, format!("{head}{length}{kind}\r\n{body}").as_bytes());
        self.waiting.push((tenant, id));
    }

    /// Everybody notes what came.
    pub(super) fn listen(&mut self, step: u32) {
        for person in &mut self.people {
            let before = person.log.len();
            for heard in person.hear(&mut self.node) {
                let text = match heard {
                    Heard::Text(text) => text,
                    Heard::Binary(bytes) => relayed(&bytes),
                    Heard::Close(reason) => format!("closed: {reason:?}"),
                    Heard::Ping(_) | Heard::Pong(_) => continue,
                };
                learn(&mut self.lore[person.tenant], &text);
                person.note(step, &text);
            }
            // Requests that end together are told of in the order of their places in tables that all tenants use.
            person.log[before..].sort();
        }
        for (tenant, id) in std::mem::take(&mut self.waiting) {
            let text = self.node.take_text(id);
            if text.is_empty() {
                self.waiting.push((tenant, id));
                continue;
            }
            self.node.hang_up(id, true);
            self.backends[tenant].note(step, &without_order(&text));
        }
    }
}

/// Keeps the names in what somebody was told.
fn learn(names: &mut Names, text: &str) {
    let Ok(event) = serde_json::from_str::<Value>(text) else { return };
    let fields = [
        (Of::Connection, "connectionId"),
        (Of::Request, "correlationId"),
        (Of::Epoch, "epoch"),
        (Of::Room, "roomId"),
    ];
    for (of, field) in fields {
        let name = text_of(&event[field]);
        if !name.is_empty() {
            names[of as usize] = name;
        }
    }
}

/// A relay frame as text: its room, its sender, its payload.
fn relayed(bytes: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!(
        "room {} from {}: {}",
        hex(&bytes[1..9]),
        hex(&bytes[9..17]),
        String::from_utf8_lossy(&bytes[17..])
    )
}

/// Connections are listed in the order of their ids, which are given out to all tenants: the list by all else.
fn without_order(text: &str) -> String {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return text.to_owned() };
    let Ok(mut page) = serde_json::from_str::<Value>(body) else { return text.to_owned() };
    let list = if page["clients"].is_array() { "clients" } else { "connections" };
    let Some(entries) = page[list].as_array_mut() else { return text.to_owned() };
    for entry in entries.iter_mut() {
        if let Some(fields) = entry.as_object_mut() {
            fields.remove("connectionId");
        }
    }
    entries.sort_by_key(Value::to_string);
    format!("{head}\r\n\r\n{page}")
}
