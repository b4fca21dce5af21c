//! From a client's message to a command.
//!
//! The table is `spec/wire-protocol.md`. A field that occurs twice is refused however it is spelled, known or not:
//! two readers of one message must see one command. Up to 64 fields that no type uses are ignored, whatever
//! they hold; `null` is a value like any other and does not stand for a field left out.

use std::{borrow::Cow, fmt::Display};

use bytes::Bytes;

use super::requests;
use crate::{
    base::{
        RequestId, RoomRef, Secret, TenantName, UserName,
        json::{self, Kind, Value},
    },
    model::{
        Answer, Authenticate, Availability, Call, Command, CorrelationId, Fault, FaultCode, History, Join,
        Json, MessageId, Method, Position, Request, Response, Send,
    },
};

/// The longest correlation id, in bytes of what the string says.
const ID_BYTES_MAX: usize = 64;
/// The most fields that no type uses; they are compared with each other, and that must not get dear.
const OTHERS_MAX: usize = 64;
/// Digits of an epoch.
const EPOCH_DIGITS: usize = 16;

/// Why a message is no call, and whom to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// With it the refusal is the call's ack; without it, a `system:error`.
    pub id: Option<CorrelationId>,
    pub fault: Fault,
}

/// Reads one message. The call borrows from `text` what it need not keep.
///
/// `text` must be one JSON object, valid to the last byte, nested no deeper than [`DEPTH_MAX`](json::DEPTH_MAX).
pub fn decode(text: &str) -> Result<Call<'_>, Refusal> {
    let nameless = |fault| Refusal { id: None, fault };
    let mut fields = Fields::default();
    fields.read(text).map_err(nameless)?;
    let id = fields.id().map_err(nameless)?;
    match fields.command() {
        Ok(command) => Ok(Call { id, command }),
        Err(fault) => Err(Refusal { id, fault }),
    }
}

/// The fields that JSON v1 gives a meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    Type,
    Id,
    Token,
    TenantId,
    Channel,
    Room,
    Payload,
    Metadata,
    Persistent,
    MessageId,
    Echo,
    Since,
    Presence,
    Status,
    After,
    Limit,
    To,
    Method,
    TimeoutMs,
    CorrelationId,
    Error,
}

impl Field {
    const COUNT: usize = Self::Error as usize + 1;

    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "type" => Self::Type,
            "id" => Self::Id,
            "token" => Self::Token,
            "tenantId" => Self::TenantId,
            "channel" => Self::Channel,
            "room" => Self::Room,
            "payload" => Self::Payload,
            "metadata" => Self::Metadata,
            "persistent" => Self::Persistent,
            "messageId" => Self::MessageId,
            "echo" => Self::Echo,
            "since" => Self::Since,
            "presence" => Self::Presence,
            "status" => Self::Status,
            "after" => Self::After,
            "limit" => Self::Limit,
            "to" => Self::To,
            "method" => Self::Method,
            "timeoutMs" => Self::TimeoutMs,
            "correlationId" => Self::CorrelationId,
            "error" => Self::Error,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Id => "id",
            Self::Token => "token",
            Self::TenantId => "tenantId",
            Self::Channel => "channel",
            Self::Room => "room",
            Self::Payload => "payload",
            Self::Metadata => "metadata",
            Self::Persistent => "persistent",
            Self::MessageId => "messageId",
            Self::Echo => "echo",
            Self::Since => "since",
            Self::Presence => "presence",
            Self::Status => "status",
            Self::After => "after",
            Self::Limit => "limit",
            Self::To => "to",
            Self::Method => "method",
            Self::TimeoutMs => "timeoutMs",
            Self::CorrelationId => "correlationId",
            Self::Error => "error",
        }
    }

    /// The fault of a field that is not what it must be.
    fn bad(self, what: impl Display) -> Fault {
        bad_request(format!("{}: {what}", self.name()))
    }
}

fn bad_request(message: impl Into<Cow<'static, str>>) -> Fault {
    Fault::new(FaultCode::BadRequest, message)
}

const STATUSES: &str = "expected online, away, busy or offline";

const REPEATED: &str = "a field occurs twice";
const TOO_MANY: &str = "more than 64 unknown fields";

/// A message's fields, before its type gives them a meaning.
#[derive(Default)]
struct Fields<'a> {
    known: [Option<Value<'a>>; Field::COUNT],
    /// Names of the others, as they read without escapes.
    others: Vec<Cow<'a, str>>,
    /// What is wrong with the fields whatever they mean.
    flaw: Option<&'static str>,
    is_id_repeated: bool,
}

impl<'a> Fields<'a> {
    fn read(&mut self, text: &'a str) -> Result<(), Fault> {
        json::members(text, |name, value| self.add(name, value))
            .map_err(|malformed| bad_request(malformed.to_string()))?;
        self.others.sort_unstable();
        if self.others.windows(2).any(|pair| pair[0] == pair[1]) {
            self.flaw = Some(REPEATED);
        }
        Ok(())
    }

    fn add(&mut self, name: Value<'a>, value: Value<'a>) {
        // Refused already: all that still counts is whose call it was.
        let is_plain = matches!(name.kind, Kind::String { escaped: false });
        if self.flaw == Some(TOO_MANY) && is_plain && name.raw != "\"id\"" {
            return;
        }
        let name = name.text().unwrap_or_default();
        let Some(field) = Field::from_name(&name) else {
            if self.others.len() < OTHERS_MAX {
                self.others.push(name);
            } else {
                self.flaw = Some(TOO_MANY);
            }
            return;
        };
        if self.known[field as usize].replace(value).is_some() {
            self.flaw = Some(REPEATED);
            self.is_id_repeated |= field == Field::Id;
        }
    }

    fn id(&self) -> Result<Option<CorrelationId>, Fault> {
        let Some(value) = self.get(Field::Id) else { return Ok(None) };
        let fits = match value.kind {
            Kind::String { .. } => value.text().is_some_and(|text| text.len() <= ID_BYTES_MAX),
            Kind::Number => value.raw.parse::<i64>().is_ok() || value.raw.parse::<u64>().is_ok(),
            Kind::Bool(_) | Kind::Null | Kind::Array | Kind::Object => false,
        };
        if !fits || self.is_id_repeated {
            return Err(Field::Id.bad("expected once, a string of at most 64 bytes or a 64-bit integer"));
        }
        Ok(Some(CorrelationId::from_checked(value.raw)))
    }

    fn command(&self) -> Result<Command<'a>, Fault> {
        if let Some(flaw) = self.flaw {
            return Err(bad_request(flaw));
        }
        Ok(match &*self.string(Field::Type)? {
            "room:send" => Command::Send(self.send()?),
            "room:join" => Command::Join(self.join()?),
            "room:leave" => Command::Leave { room: self.room(Field::Room)? },
            "subscribe" => Command::Subscribe { channel: self.room(Field::Channel)? },
            "unsubscribe" => Command::Unsubscribe { channel: self.room(Field::Channel)? },
            "ping" => Command::Ping,
            "query:rooms" => Command::Rooms,
            "presence:status" => self.presence_status()?,
            "presence:heartbeat" => Command::PresenceHeartbeat { status: self.availability()? },
            "query:presence" => self.query_presence()?,
            "room:history" => Command::History(self.history()?),
            "request" => Command::Request(Box::new(self.request()?)),
            "response" => Command::Response(self.response()?),
            "authenticate" => Command::Authenticate(self.authenticate()?),
            _ => {
                let message = "type: none of authenticate, ping, room:join, room:leave, room:send, subscribe, \
                               unsubscribe, query:rooms, presence:status, presence:heartbeat, query:presence, \
                               room:history, request, response";
                return Err(Fault::new(FaultCode::UnknownType, message));
            }
        })
    }

    fn authenticate(&self) -> Result<Authenticate, Fault> {
        let tenant = self.optional_string(Field::TenantId)?;
        let tenant = tenant.map(|text| TenantName::parse(&text).map_err(|error| Field::TenantId.bad(error)));
        Ok(Authenticate { token: Secret::from(&*self.string(Field::Token)?), tenant: tenant.transpose()? })
    }

    fn join(&self) -> Result<Join<'a>, Fault> {
        let presence = self.bool(Field::Presence)?.unwrap_or(true);
        let (metadata, since) = (self.get(Field::Metadata).map(as_written), self.since()?);
        Ok(Join { room: self.room(Field::Room)?, metadata, presence, since })
    }

    fn presence_status(&self) -> Result<Command<'a>, Fault> {
        let status = self.availability()?.ok_or_else(|| Field::Status.bad(STATUSES))?;
        Ok(Command::PresenceStatus { status, metadata: self.get(Field::Metadata).map(as_written) })
    }

    fn query_presence(&self) -> Result<Command<'a>, Fault> {
        let after = self.optional_string(Field::After)?;
        let after = after.map(|text| UserName::parse(&text).map_err(|error| Field::After.bad(error)));
        Ok(Command::QueryPresence {
            room: self.room(Field::Room)?,
            after: after.transpose()?,
            limit: self.limit()?,
        })
    }

    fn availability(&self) -> Result<Option<Availability>, Fault> {
        let Some(text) = self.optional_string(Field::Status)? else { return Ok(None) };
        Availability::parse(&text).map(Some).ok_or_else(|| Field::Status.bad(STATUSES))
    }

    fn history(&self) -> Result<History<'a>, Fault> {
        let (since, limit) = (self.since()?, self.limit()?);
        Ok(History { room: self.room(Field::Room)?, since, limit })
    }

    fn limit(&self) -> Result<Option<u32>, Fault> {
        let Some(value) = self.get(Field::Limit) else { return Ok(None) };
        let limit = value.raw.parse().ok().filter(|limit| *limit > 0 && value.kind == Kind::Number);
        limit.map(Some).ok_or_else(|| Field::Limit.bad("expected 1 to 2^32 - 1"))
    }

    fn since(&self) -> Result<Option<Position>, Fault> {
        let Some(value) = self.get(Field::Since) else { return Ok(None) };
        let bad = || Field::Since.bad("expected {offset, epoch}: an integer and 16 hexadecimal digits");
        position(value).map(Some).ok_or_else(bad)
    }

    fn send(&self) -> Result<Send<'a>, Fault> {
        let room = self.room(Field::Room)?;
        let payload = self.payload()?;
        let message_id =
            match self.optional_string(Field::MessageId)? {
                Some(text) => Some(MessageId::parse(&text).ok_or_else(|| {
                    Field::MessageId.bad("expected 1 to 128 bytes without control characters")
                })?),
                None => None,
            };
        let persistent = self.bool(Field::Persistent)?.unwrap_or(false);
        let echo = self.bool(Field::Echo)?.unwrap_or(false);
        Ok(Send { room, payload, persistent, message_id, echo })
    }

    fn request(&self) -> Result<Request, Fault> {
        let to = self.get(Field::To).and_then(requests::target);
        let method = self.string(Field::Method)?;
        Ok(Request {
            to: to.ok_or_else(|| {
                Field::To.bad("expected {user} or {connection}, a name or a connection's id")
            })?,
            method: Method::parse(&method)
                .ok_or_else(|| Field::Method.bad("expected 1 to 128 bytes without control characters"))?,
            payload: self.payload()?,
            timeout_ms: self.whole(Field::TimeoutMs)?,
        })
    }

    fn response(&self) -> Result<Response, Fault> {
        let request = RequestId::from_public(&self.string(Field::CorrelationId)?);
        let answer = match (self.get(Field::Payload), self.get(Field::Error)) {
            (Some(payload), None) => Answer::Payload(as_written(payload)),
            (None, Some(error)) if requests::is_error(error) => Answer::Error(as_written(error)),
            (None, Some(_)) => {
                return Err(Field::Error.bad("expected {code, message}: strings, the code of 1 to 64 bytes"));
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(bad_request("expected either `payload` or `error`"));
            }
        };
        Ok(Response { request, answer })
    }

    fn payload(&self) -> Result<Json, Fault> {
        self.get(Field::Payload).map(as_written).ok_or_else(|| Field::Payload.bad("expected a value"))
    }

    fn whole(&self, field: Field) -> Result<Option<u64>, Fault> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let whole = if value.kind == Kind::Number { value.raw.parse().ok() } else { None };
        whole.map(Some).ok_or_else(|| field.bad("expected a whole number"))
    }

    fn room(&self, field: Field) -> Result<RoomRef<'a>, Fault> {
        RoomRef::parse(self.string(field)?).map_err(|error| field.bad(error))
    }

    fn string(&self, field: Field) -> Result<Cow<'a, str>, Fault> {
        self.optional_string(field)?.ok_or_else(|| field.bad("expected a string"))
    }

    fn optional_string(&self, field: Field) -> Result<Option<Cow<'a, str>>, Fault> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.text().map(Some).ok_or_else(|| field.bad("expected a string"))
    }

    fn bool(&self, field: Field) -> Result<Option<bool>, Fault> {
        match self.get(field).map(|value| value.kind) {
            None => Ok(None),
            Some(Kind::Bool(value)) => Ok(Some(value)),
            Some(Kind::String { .. } | Kind::Number | Kind::Null | Kind::Array | Kind::Object) => {
                Err(field.bad("expected true or false"))
            }
        }
    }

    fn get(&self, field: Field) -> Option<Value<'a>> {
        self.known[field as usize]
    }
}

fn as_written(value: Value<'_>) -> Json {
    Json::from_checked(Bytes::copy_from_slice(value.raw.as_bytes()))
}

/// A value that is `{offset, epoch}`, each once: a 64-bit integer and the epoch's digits.
fn position(value: Value<'_>) -> Option<Position> {
    let (mut offsets, mut epochs) = (Vec::new(), Vec::new());
    let read = json::members(value.raw, |name, value| match name.text().as_deref() {
        Some("offset") => offsets.push(value),
        Some("epoch") => epochs.push(value),
        _ => {}
    });
    let (Ok(()), [offset], [epoch]) = (read, &*offsets, &*epochs) else { return None };
    let offset = (offset.kind == Kind::Number).then(|| offset.raw.parse().ok()).flatten()?;
    let digits = epoch.text()?;
    let is_epoch = digits.len() == EPOCH_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let epoch = is_epoch.then(|| u64::from_str_radix(&digits, 16).ok()).flatten()?;
    Some(Position { offset, epoch })
}
