//! From a request's body to what is asked. Stricter than for clients: a field that is not known is refused, because a
//! backend that misspells `persistent` should hear of it. Otherwise as `native`: valid to the last byte, no field twice,
//! and a payload is kept as the bytes that came.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    base::{
        ConnId, NameError, NodeId, RoomName, TenantName, UserName,
        json::{self, Kind, Value},
    },
    model::{Fault, FaultCode, Json, MessageId, Method, Request, Target},
};

/// The most messages of one array: as many as are answered together. Lines are not limited in number.
const MESSAGES_MAX: usize = 1_000;

/// The most rooms that one request names.
const ROOMS_MAX: usize = 100;

/// The longest `jti` that can be looked for, in bytes.
const JTI_BYTES_MAX: usize = 256;

/// One message for a room.
#[derive(Clone, PartialEq, Debug)]
pub struct Publication {
    pub tenant: Option<TenantName>,
    pub room: RoomName,
    pub payload: Json,
    pub persistent: bool,
    pub message_id: Option<MessageId>,
    /// Whom members are told that it is from.
    pub from: Option<UserName>,
}

/// What was posted to be published.
#[derive(Clone, PartialEq, Debug)]
pub enum Posted {
    One(Publication),
    /// Each by itself: one that is wrong does not spoil the others.
    Many(Vec<Result<Publication, Fault>>),
}

/// Whose connections are to be ended, and whether their tokens with them.
#[derive(Clone, PartialEq, Debug)]
pub struct Disconnection {
    pub tenant: Option<TenantName>,
    pub target: Disconnect,
    /// Whether the tokens are revoked: for those of an id unless it is said, for others if it is said. Never for one
    /// connection.
    pub revoke: bool,
    /// When the tokens have expired, in Unix milliseconds, where the backend knows.
    pub until_ms: Option<u64>,
}

/// Whose connections.
#[derive(Clone, PartialEq, Debug)]
pub enum Disconnect {
    /// One connection, and the node that it is of.
    Connection(NodeId, ConnId),
    User(UserName),
    /// Those whose token has this id.
    Token(String),
    /// All of the tenant.
    Everyone,
}

/// Rooms for a user to join and to leave.
#[derive(Clone, PartialEq, Debug)]
pub struct UserRooms {
    pub tenant: Option<TenantName>,
    pub join: Vec<RoomName>,
    pub leave: Vec<RoomName>,
}

/// One message, or an array of them.
pub fn posted(body: &[u8]) -> Result<Posted, Fault> {
    let text = utf8(body)?;
    if !text.trim_ascii_start().starts_with('[') {
        return publication(body).map(Posted::One);
    }
    let (mut items, mut count) = (Vec::new(), 0);
    json::elements(text, |item| {
        count += 1;
        if count <= MESSAGES_MAX {
            items.push(item);
        }
    })
    .map_err(|malformed| bad(malformed.to_string()))?;
    if count > MESSAGES_MAX {
        let message = format!("an array may have {MESSAGES_MAX} messages; lines of JSON may be any number");
        return Err(Fault::new(FaultCode::TooLarge, message));
    }
    Ok(Posted::Many(items.iter().map(|item| publication_of(item.raw)).collect()))
}

/// One message.
pub fn publication(body: &[u8]) -> Result<Publication, Fault> {
    publication_of(utf8(body)?)
}

fn publication_of(text: &str) -> Result<Publication, Fault> {
    const FIELDS: [&str; 6] = ["tenant", "room", "payload", "persistent", "messageId", "from"];
    let [tenant, room, payload, persistent, message_id, from] = fields(text, FIELDS)?;
    let room = name("room", room, RoomName::parse)?.ok_or_else(|| bad("room: expected a string"))?;
    let payload = payload.ok_or_else(|| bad("payload: expected a value"))?;
    let message_id = string("messageId", message_id)?.map(|text| {
        MessageId::parse(&text)
            .ok_or_else(|| bad("messageId: expected 1 to 128 bytes without control characters"))
    });
    Ok(Publication {
        tenant: name("tenant", tenant, TenantName::parse)?,
        room,
        payload: Json::from_checked(Bytes::copy_from_slice(payload.raw.as_bytes())),
        persistent: flag("persistent", persistent)?,
        message_id: message_id.transpose()?,
        from: name("from", from, UserName::parse)?,
    })
}

/// Whom to disconnect, and in which tenant. All of a tenant go only where it is named and nothing else is: a backend
/// that lost the user's name on its way must not end everybody.
pub fn disconnect(body: &[u8]) -> Result<Disconnection, Fault> {
    const FIELDS: [&str; 6] = ["tenant", "connection", "user", "jti", "revoke", "until"];
    let [tenant, connection, user, jti, revoke, until_ms] = fields(utf8(body)?, FIELDS)?;
    let revoke = revoke.map(|value| flag("revoke", Some(value))).transpose()?;
    let until_ms = until_ms.map(|value| whole("until", value)).transpose()?;
    let tenant = name("tenant", tenant, TenantName::parse)?;
    let connection = connection_id("connection", connection)?;
    let user = name("user", user, UserName::parse)?;
    let jti = string("jti", jti)?;
    if jti.as_ref().is_some_and(|jti| jti.is_empty() || jti.len() > JTI_BYTES_MAX) {
        return Err(bad(format!("jti: expected 1 to {JTI_BYTES_MAX} bytes")));
    }
    let target = match (connection, user, jti) {
        (Some((node, conn)), None, None) => Disconnect::Connection(node, conn),
        (None, Some(user), None) => Disconnect::User(user),
        (None, None, Some(jti)) => Disconnect::Token(jti.into_owned()),
        (None, None, None) if tenant.is_some() => Disconnect::Everyone,
        _ => return Err(bad("expected one of connection, user and jti, or tenant alone")),
    };
    let revoke = revoke.unwrap_or(matches!(target, Disconnect::Token(_)));
    if revoke && matches!(target, Disconnect::Connection(..)) {
        let text = "revoke: a connection has no name for its token; name the user, the jti or the tenant";
        return Err(Fault::new(FaultCode::Conflict, text));
    }
    if until_ms.is_some() && !revoke {
        return Err(Fault::new(FaultCode::Conflict, "until: nothing is revoked"));
    }
    Ok(Disconnection { tenant, target, revoke, until_ms })
}

/// What somebody is to be asked, and in which tenant.
pub fn request(body: &[u8]) -> Result<(Option<TenantName>, Request), Fault> {
    const FIELDS: [&str; 5] = ["tenant", "to", "method", "payload", "timeoutMs"];
    let [tenant, to, method, payload, timeout_ms] = fields(utf8(body)?, FIELDS)?;
    let method = string("method", method)?.and_then(|text| Method::parse(&text));
    let payload = payload.ok_or_else(|| bad("payload: expected a value"))?;
    let request = Request {
        to: target(to)?,
        method: method
            .ok_or_else(|| bad("method: expected a string of 1 to 128 bytes without control characters"))?,
        payload: Json::from_checked(Bytes::copy_from_slice(payload.raw.as_bytes())),
        timeout_ms: timeout_ms.map(|value| whole("timeoutMs", value)).transpose()?,
    };
    Ok((name("tenant", tenant, TenantName::parse)?, request))
}

fn target(value: Option<Value<'_>>) -> Result<Target, Fault> {
    let wrong = || bad("to: expected one of {user}, {connection} and {room}");
    let object = value.filter(|value| value.kind == Kind::Object).ok_or_else(wrong)?;
    match fields(object.raw, ["user", "connection", "room"])? {
        [user @ Some(_), None, None] => {
            name("to.user", user, UserName::parse)?.map(Target::User).ok_or_else(wrong)
        }
        [None, connection @ Some(_), None] => {
            let id = connection_id("to.connection", connection)?;
            id.map(|(node, conn)| Target::Connection { node, conn }).ok_or_else(wrong)
        }
        [None, None, room @ Some(_)] => {
            name("to.room", room, RoomName::parse)?.map(Target::Member).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// A whole number; JSON schemas call `7.0` one, too.
fn whole(field: &str, value: Value<'_>) -> Result<u64, Fault> {
    let (whole, fraction) = value.raw.split_once('.').unwrap_or((value.raw, "0"));
    let is_whole = value.kind == Kind::Number && fraction.bytes().all(|byte| byte == b'0');
    let number = if is_whole { whole.parse().ok() } else { None };
    number.ok_or_else(|| bad(format!("{field}: expected a whole number")))
}

/// Which rooms a user is to be in, and in which not.
pub fn user_rooms(body: &[u8]) -> Result<UserRooms, Fault> {
    let [tenant, join, leave] = fields(utf8(body)?, ["tenant", "join", "leave"])?;
    Ok(UserRooms {
        tenant: name("tenant", tenant, TenantName::parse)?,
        join: rooms("join", join)?,
        leave: rooms("leave", leave)?,
    })
}

fn rooms(field: &str, value: Option<Value<'_>>) -> Result<Vec<RoomName>, Fault> {
    let wrong = || bad(format!("{field}: expected an array of at most {ROOMS_MAX} names of rooms"));
    let Some(value) = value else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    let keep = |name| {
        if names.len() <= ROOMS_MAX {
            names.push(name);
        }
    };
    let is_array = value.kind == Kind::Array && json::elements(value.raw, keep).is_ok();
    if !is_array || names.len() > ROOMS_MAX {
        return Err(wrong());
    }
    let parsed = names.iter().map(|name| name.text().and_then(|text| RoomName::parse(&text).ok()));
    parsed.collect::<Option<_>>().ok_or_else(wrong)
}

fn utf8(body: &[u8]) -> Result<&str, Fault> {
    simdutf8::basic::from_utf8(body).map_err(|_| bad("the body is not UTF-8"))
}

/// The values of these fields, in their order; no other may be there, and none twice.
fn fields<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Result<[Option<Value<'a>>; N], Fault> {
    let mut values = [None; N];
    let mut flaw = None;
    json::members(text, |name, value| {
        let name = name.text().unwrap_or_default();
        match names.iter().position(|known| *known == name) {
            Some(place) if values[place].is_none() => values[place] = Some(value),
            Some(_) => flaw = Some("a field occurs twice"),
            None => flaw = Some("a field is not known"),
        }
    })
    .map_err(|malformed| bad(malformed.to_string()))?;
    match flaw {
        Some(flaw) => Err(bad(format!("{flaw}; the fields are {}", names.join(", ")))),
        None => Ok(values),
    }
}

fn string<'a>(field: &str, value: Option<Value<'a>>) -> Result<Option<Cow<'a, str>>, Fault> {
    let Some(value) = value else { return Ok(None) };
    value.text().map(Some).ok_or_else(|| bad(format!("{field}: expected a string")))
}

fn connection_id(field: &str, value: Option<Value<'_>>) -> Result<Option<(NodeId, ConnId)>, Fault> {
    let Some(text) = string(field, value)? else { return Ok(None) };
    ConnId::from_public(&text).map(Some).ok_or_else(|| bad(format!("{field}: expected a connection's id")))
}

fn name<T>(
    field: &str,
    value: Option<Value<'_>>,
    parse: fn(&str) -> Result<T, NameError>,
) -> Result<Option<T>, Fault> {
    let text = string(field, value)?;
    text.map(|text| parse(&text).map_err(|error| bad(format!("{field}: {error}")))).transpose()
}

fn flag(field: &str, value: Option<Value<'_>>) -> Result<bool, Fault> {
    match value.map(|value| value.kind) {
        None => Ok(false),
        Some(Kind::Bool(flag)) => Ok(flag),
        Some(Kind::String { .. } | Kind::Number | Kind::Null | Kind::Array | Kind::Object) => {
            Err(bad(format!("{field}: expected true or false")))
        }
    }
}

fn bad(message: impl Into<Cow<'static, str>>) -> Fault {
    Fault::new(FaultCode::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::ShardId;

    fn refusal<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
        let fault = result.unwrap_err();
        assert_eq!(fault.code, FaultCode::BadRequest);
        fault.message.into_owned()
    }

    #[test]
    fn one_message() {
        let text = r#" {"tenant":"acme","room":"r\u00fc","payload": {"a" : [1, 2.0]} ,"persistent":true,"messageId":"m","from":"ada"} "#;
        let read = publication(text.as_bytes()).unwrap();
        assert_eq!((read.tenant.unwrap().as_str(), read.room.as_str()), ("acme", "rü"));
        assert_eq!(read.payload.as_bytes(), br#"{"a" : [1, 2.0]}"#);
        assert_eq!((read.persistent, read.message_id.unwrap().as_str()), (true, "m"));
        assert_eq!(read.from.unwrap().as_str(), "ada");
        let short = publication(br#"{"room":"r","payload":null}"#).unwrap();
        assert!(!short.persistent && short.tenant.is_none() && short.message_id.is_none());
    }

    #[test]
    fn messages_that_are_none() {
        let rows = [
            ("", "not one JSON object"),
            ("[]", "not one JSON object"),
            ("{}", "room: expected a string"),
            (r#"{"room":"","payload":1}"#, "room: a name must not be empty"),
            (r#"{"room":"r"}"#, "payload: expected a value"),
            (r#"{"room":7,"payload":1}"#, "room: expected a string"),
            (r#"{"room":"r","payload":1,"persistent":1}"#, "persistent: expected true or false"),
            (r#"{"room":"r","payload":1,"messageId":""}"#, "messageId: expected"),
            (
                r#"{"room":"r","payload":1,"persistant":true}"#,
                "a field is not known; the fields are tenant, room",
            ),
            (r#"{"room":"r","payload":1,"room":"r"}"#, "a field occurs twice"),
            (r#"{"room":"r","payload":01}"#, "not one JSON object"),
            ("{\"room\":\"r\",\"payload\":\"\u{1}\"}", "not one JSON object"),
        ];
        for (text, expected) in rows {
            let found = refusal(publication(text.as_bytes()));
            assert!(found.starts_with(expected), "{text}: {found}");
        }
        assert_eq!(refusal(publication(b"{\"room\":\"\xff\"}")), "the body is not UTF-8");
    }

    #[test]
    fn an_array_is_read_as_a_whole_and_judged_one_by_one() {
        let text = br#" [ {"room":"a","payload":1}, 7, {"room":"b"} ,{"room":"c","payload":[{}]}] "#;
        let Posted::Many(items) = posted(text).unwrap() else { panic!("an array") };
        let rooms: Vec<_> =
            items.iter().map(|item| item.as_ref().map(|read| read.room.as_str()).ok()).collect();
        assert_eq!(rooms, [Some("a"), None, None, Some("c")]);
        assert_eq!(posted(b"[]").unwrap(), Posted::Many(Vec::new()));
        assert!(matches!(posted(br#"{"room":"a","payload":1}"#), Ok(Posted::One(_))));
        for text in ["[", "[1", "[1,]", "[1] 2", "[01]", "[[[[", "[\"\\x\"]"] {
            refusal(posted(text.as_bytes()));
        }
        let many = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        assert!(posted(many(MESSAGES_MAX).as_bytes()).is_ok());
        assert_eq!(posted(many(MESSAGES_MAX + 1).as_bytes()).unwrap_err().code, FaultCode::TooLarge);
    }

    #[test]
    fn whom_to_disconnect() {
        let read = |text: &str| disconnect(text.as_bytes()).map(|it| (it.tenant.is_some(), it.target));
        let user = UserName::parse("ada").unwrap();
        assert_eq!(read(r#"{"user":"ada"}"#), Ok((false, Disconnect::User(user))));
        let id = ConnId { shard: ShardId(2), slot: 10, generation: 3 };
        let text = format!(r#"{{"connection":"{}","tenant":"t"}}"#, id.public(NodeId(7)));
        assert_eq!(read(&text), Ok((true, Disconnect::Connection(NodeId(7), id))));
        assert_eq!(read(r#"{"jti":"j"}"#), Ok((false, Disconnect::Token("j".into()))));
        assert_eq!(read(r#"{"tenant":"t"}"#), Ok((true, Disconnect::Everyone)));
        for text in [
            "{}",
            r#"{"user":"a","jti":"b"}"#,
            r#"{"tenant":"t","user":null}"#,
            r#"{"jti":""}"#,
            r#"{"connection":"7"}"#,
        ] {
            refusal(disconnect(text.as_bytes()));
        }
    }

    #[test]
    fn whose_tokens_to_revoke() {
        let connection = ConnId { shard: ShardId(2), slot: 10, generation: 3 }.public(NodeId(7));
        let one = |rest: &str| format!(r#"{{"connection":"{connection}"{rest}}}"#);
        let rows = [
            (r#"{"jti":"j"}"#.to_owned(), Some((true, None))),
            (r#"{"jti":"j","revoke":false}"#.to_owned(), Some((false, None))),
            (r#"{"jti":"j","until":1800000000000}"#.to_owned(), Some((true, Some(1_800_000_000_000)))),
            (r#"{"user":"a"}"#.to_owned(), Some((false, None))),
            (r#"{"user":"a","revoke":true,"until":7}"#.to_owned(), Some((true, Some(7)))),
            (r#"{"tenant":"t","revoke":true}"#.to_owned(), Some((true, None))),
            (one(""), Some((false, None))),
            (one(r#","revoke":false"#), Some((false, None))),
            (one(r#","revoke":true"#), None),
            (r#"{"user":"a","until":7}"#.to_owned(), None),
            (r#"{"jti":"j","revoke":false,"until":7}"#.to_owned(), None),
            (r#"{"jti":"j","revoke":1}"#.to_owned(), None),
            (r#"{"jti":"j","revoke":null}"#.to_owned(), None),
            (r#"{"jti":"j","until":"7"}"#.to_owned(), None),
            (r#"{"jti":"j","until":-7}"#.to_owned(), None),
            (r#"{"revoke":true}"#.to_owned(), None),
        ];
        for (text, expected) in rows {
            let found = disconnect(text.as_bytes()).ok().map(|it| (it.revoke, it.until_ms));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn requests() {
        let read = |to: &str, rest: &str| {
            let text = format!(r#"{{"tenant":"t","to":{to},"method":"m","payload":[1 ]{rest}}}"#);
            request(text.as_bytes()).map(|(tenant, request)| {
                assert_eq!((tenant.unwrap().as_str(), request.method.as_str()), ("t", "m"));
                assert_eq!(request.payload.as_bytes(), b"[1 ]");
                (request.to, request.timeout_ms)
            })
        };
        let user = Target::User(UserName::parse("ada").unwrap());
        assert_eq!(read(r#"{"user":"ada"}"#, ""), Ok((user.clone(), None)));
        assert_eq!(read(r#"{"user":"ada"}"#, r#","timeoutMs":7"#), Ok((user, Some(7))));
        assert_eq!(
            read(r#"{"room":"r"}"#, r#","timeoutMs":7.00"#).map(|(_, timeout_ms)| timeout_ms),
            Ok(Some(7))
        );
        let room = Target::Member(RoomName::parse("r").unwrap());
        assert_eq!(read(r#"{"room":"r"}"#, ""), Ok((room, None)));
        assert!(matches!(
            read(r#"{"connection":"0000abcd0200000a00000003"}"#, ""),
            Ok((Target::Connection { .. }, None))
        ));
        for to in
            ["7", "{}", r#"{"user":""}"#, r#"{"user":"a","room":"b"}"#, r#"{"connection":"7"}"#, r#"{"x":1}"#]
        {
            refusal(read(to, ""));
        }
        for timeout in ["-1", "1.5", "\"1\"", "1e3"] {
            refusal(read(r#"{"user":"ada"}"#, &format!(r#","timeoutMs":{timeout}"#)));
        }
        for text in ["{}", r#"{"to":{"user":"a"},"payload":1}"#, r#"{"to":{"user":"a"},"method":"m"}"#] {
            refusal(request(text.as_bytes()));
        }
    }

    #[test]
    fn rooms_of_a_user() {
        let read = user_rooms(br#"{"join":["a","b"],"leave":[]}"#).unwrap();
        assert_eq!(read.join.iter().map(RoomName::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert!(read.leave.is_empty() && read.tenant.is_none());
        let many = format!(r#"{{"join":["a"{}]}}"#, r#","a""#.repeat(ROOMS_MAX));
        for text in [r#"{"join":"a"}"#, r#"{"join":[1]}"#, r#"{"leave":[""]}"#, r#"{"joins":[]}"#, &many] {
            refusal(user_rooms(text.as_bytes()));
        }
    }

    /// Bodies with every kind of field, cut and changed below.
    const GOOD: [&str; 5] = [
        r#"[{"tenant":"acme","room":"r\u00fc","payload":{"a":[1,2.0]},"persistent":true,"messageId":"m","from":"ada"}]"#,
        r#"{"tenant":"t","to":{"connection":"0000abcd0200000a00000003"},"method":"m","payload":[1 ],"timeoutMs":7.00}"#,
        r#"{"jti":"\ud83d\ude00","tenant":"t","revoke":true,"until":1800000000000}"#,
        r#"{"join":["a","b"],"leave":["\u0063"],"tenant":"t"}"#,
        r#"{"room":"r","payload":null}"#,
    ];

    fn read_as_everything(body: &[u8]) {
        let _ = (posted(body), publication(body), disconnect(body), request(body), user_rooms(body));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(bytes in any::<Vec<u8>>(), text in "[\\[{\"\\]}:,0-9a-z\\\\ ]{0,40}") {
            read_as_everything(&bytes);
            read_as_everything(text.as_bytes());
        }

        #[test]
        fn a_body_cut_or_changed_anywhere_does_not_either(
            which in 0..GOOD.len(), place in 0usize..200, piece in any::<u8>(),
        ) {
            let good = GOOD[which].as_bytes();
            let place = place % good.len();
            let (before, after) = good.split_at(place);
            read_as_everything(before);
            read_as_everything(&[before, &[piece], after].concat());
            read_as_everything(&[before, &[piece], &after[1..]].concat());
            // What is cut off is never taken for the whole.
            prop_assert!(posted(before).is_err() && disconnect(before).is_err() && request(before).is_err());
        }
    }
}
