//! From an event to the text that clients get. Fields and their order are `spec/wire-protocol.md`'s; 64-bit ids and
//! epochs are strings, since JavaScript's integers end at 2^53.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::text::{put_hex, put_hex_half, put_number, put_string};
use crate::base::RoomName;
use crate::model::{
    Answer, Authenticated, BurstRate, Established, Event, Fault, HistoryPage, Joined, Json, Message,
    MessageName, Payload, Position, PresenceChange, PresenceInfo, Rates, Reply, Requested,
};

/// Appends the event as one JSON object without space.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Ack { id, result } => {
            put(out, r#"{"type":"ack","id":"#);
            put(out, id.as_json());
            match result {
                Ok(reply) => self::reply(out, reply),
                Err(fault) => failure(out, fault),
            }
        }
        Event::Established(established) => self::established(out, established),
        Event::RoomJoined { room, metadata } => {
            put(out, r#"{"type":"room:joined","room":"#);
            put_string(out, room.as_str());
            if let Some(metadata) = metadata {
                put(out, r#","metadata":"#);
                put_json(out, metadata);
            }
        }
        Event::RoomLeft { room } => {
            put(out, r#"{"type":"room:left","room":"#);
            put_string(out, room.as_str());
        }
        Event::Message(message) => {
            put(out, r#"{"type":"room:message","id":"#);
            self::message(out, message);
        }
        Event::Presence { room, change } => presence_change(out, room, change),
        Event::Request { correlation_id, request } => self::request(out, correlation_id, request),
        Event::TokenExpiring { expires_in_ms } => {
            put(out, r#"{"type":"token:expiring","expiresIn":"#);
            put_number(out, *expires_in_ms);
        }
        Event::Restart { reason, reconnect_in_ms } => {
            put(out, r#"{"type":"system:restart","reason":"#);
            put_string(out, reason);
            put(out, r#","reconnectIn":"#);
            put_number(out, *reconnect_in_ms);
        }
        Event::Error(fault) => {
            put(out, r#"{"type":"system:error","#);
            code_and_message(out, fault);
            retry_after(out, fault);
        }
        Event::Pong { timestamp } => {
            put(out, r#"{"type":"pong","timestamp":"#);
            put_number(out, *timestamp);
        }
    }
    out.push(b'}');
}

/// What is written per publication, from its name on: room for all of it at once.
fn message(out: &mut Vec<u8>, message: &Message) {
    const AROUND: usize = 128;
    let Message { id, key, from, sender: _, payload, timestamp, offset } = message;
    let names = key.room.as_str().len() + from.as_str().len();
    out.reserve(AROUND + names + payload.len());
    put_name(out, id);
    put(out, r#","room":"#);
    put_string(out, key.room.as_str());
    put(out, r#","from":"#);
    put_string(out, from.as_str());
    match payload {
        Payload::Json(json) => {
            put(out, r#","payload":"#);
            put_json(out, json);
        }
        Payload::Opaque(bytes) => {
            put(out, r#","binary":""#);
            put_base64(out, bytes);
            out.push(b'"');
        }
    }
    put(out, r#","timestamp":"#);
    put_number(out, *timestamp);
    if let Some(offset) = offset {
        put(out, r#","offset":"#);
        put_number(out, offset.get());
    }
}

fn put_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    debug_assert!(written.is_ok_and(|written| start + written == out.len()), "four digits for three bytes");
}

pub(in crate::dialect) fn put_name(out: &mut Vec<u8>, name: &MessageName) {
    match name {
        MessageName::Given(id) => put_string(out, id.as_str()),
        MessageName::Numbered { epoch, number } => {
            out.push(b'"');
            put_hex_half(out, (*epoch >> 32) as u32);
            out.push(b'-');
            put_number(out, *number);
            out.push(b'"');
        }
    }
}

pub(in crate::dialect) fn reply(out: &mut Vec<u8>, reply: &Reply) {
    // It succeeded in asking; what was asked for may have failed.
    let has_failed = matches!(reply, Reply::Answered(Answer::Error(_)));
    put(out, if has_failed { r#","success":false"# } else { r#","success":true"# });
    reply_fields(out, reply);
}

/// What an ack carries beside whether it succeeded, each field behind a comma.
pub(in crate::dialect) fn reply_fields(out: &mut Vec<u8>, reply: &Reply) {
    match reply {
        Reply::Authenticated(authenticated) => self::authenticated(out, authenticated),
        Reply::Joined(joined) => self::joined(out, joined),
        Reply::Left | Reply::Noted | Reply::Responded => {}
        Reply::Sent { message_id, offset } => {
            put(out, r#","messageId":"#);
            put_name(out, message_id);
            if let Some(offset) = offset {
                put(out, r#","offset":"#);
                put_number(out, offset.get());
            }
        }
        Reply::Rooms { rooms } => {
            put(out, r#","rooms":["#);
            for (index, room) in rooms.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_string(out, room.as_str());
            }
            out.push(b']');
        }
        Reply::Presence(page) => {
            put(out, r#","presence":"#);
            presence_infos(out, &page.presence);
            if let Some(next) = &page.next {
                put(out, r#","next":"#);
                put_string(out, next.as_str());
            }
        }
        Reply::History(page) => self::history(out, page),
        Reply::Answered(Answer::Payload(payload)) => {
            put(out, r#","payload":"#);
            put_json(out, payload);
        }
        Reply::Answered(Answer::Error(error)) => {
            put(out, r#","error":"#);
            put_json(out, error);
        }
    }
}

fn request(out: &mut Vec<u8>, correlation_id: &str, request: &Requested) {
    let Requested { from, method, payload, deadline } = request;
    put(out, r#"{"type":"request","correlationId":"#);
    put_string(out, correlation_id);
    if let Some(from) = from {
        put(out, r#","from":"#);
        put_string(out, from.as_str());
    }
    put(out, r#","method":"#);
    put_string(out, method.as_str());
    put(out, r#","payload":"#);
    put_json(out, payload);
    put(out, r#","deadline":"#);
    put_number(out, *deadline);
}

fn presence_change(out: &mut Vec<u8>, room: &RoomName, change: &PresenceChange) {
    put(
        out,
        match change {
            PresenceChange::Joined(_) => r#"{"type":"presence:join","room":"#,
            PresenceChange::Left(_) => r#"{"type":"presence:leave","room":"#,
            PresenceChange::Updated(_) => r#"{"type":"presence:update","room":"#,
        },
    );
    put_string(out, room.as_str());
    match change {
        PresenceChange::Joined(info) => {
            put(out, r#","user":"#);
            presence_info(out, info);
        }
        PresenceChange::Left(user) => {
            put(out, r#","userId":"#);
            put_string(out, user.as_str());
        }
        PresenceChange::Updated(infos) => {
            put(out, r#","presence":"#);
            presence_infos(out, infos);
        }
    }
}

fn presence_infos(out: &mut Vec<u8>, infos: &[PresenceInfo]) {
    out.push(b'[');
    for (index, info) in infos.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        presence_info(out, info);
    }
    out.push(b']');
}

fn presence_info(out: &mut Vec<u8>, info: &PresenceInfo) {
    let PresenceInfo { user, connections, status, metadata, since_ms, last_seen_ms } = info;
    put(out, r#"{"userId":"#);
    put_string(out, user.as_str());
    put(out, r#","connections":"#);
    put_number(out, u64::from(*connections));
    put(out, r#","status":"#);
    put_string(out, status.as_str());
    if let Some(metadata) = metadata {
        put(out, r#","metadata":"#);
        put_json(out, metadata);
    }
    put(out, r#","since":"#);
    put_number(out, *since_ms);
    put(out, r#","lastSeen":"#);
    put_number(out, *last_seen_ms);
    out.push(b'}');
}

pub(in crate::dialect) fn failure(out: &mut Vec<u8>, fault: &Fault) {
    put(out, r#","success":false,"error":{"#);
    code_and_message(out, fault);
    put(out, r#","status":"#);
    put_number(out, u64::from(fault.code.status()));
    retry_after(out, fault);
    out.push(b'}');
}

fn code_and_message(out: &mut Vec<u8>, fault: &Fault) {
    put(out, r#""code":"#);
    put_string(out, fault.code.as_str());
    put(out, r#","message":"#);
    put_string(out, &fault.message);
}

fn retry_after(out: &mut Vec<u8>, fault: &Fault) {
    if let Some(retry_after_ms) = fault.retry_after_ms {
        put(out, r#","retryAfterMs":"#);
        put_number(out, retry_after_ms);
    }
}

fn authenticated(out: &mut Vec<u8>, authenticated: &Authenticated) {
    let Authenticated { connection_id, user, tenant, expires_at } = authenticated;
    put(out, r#","connectionId":"#);
    put_string(out, connection_id);
    put(out, r#","userId":"#);
    put_string(out, user.as_str());
    put(out, r#","tenantId":"#);
    put_string(out, tenant.as_str());
    put(out, r#","expiresAt":"#);
    match expires_at {
        Some(unix_ms) => put_number(out, *unix_ms),
        None => put(out, "null"),
    }
}

fn joined(out: &mut Vec<u8>, joined: &Joined) {
    let Joined { room, room_id, position, recovered } = joined;
    put(out, r#","room":"#);
    put_string(out, room.as_str());
    put(out, r#","roomId":""#);
    put_number(out, room_id.0);
    out.push(b'"');
    self::position(out, *position);
    put(out, if *recovered { r#","recovered":true"# } else { r#","recovered":false"# });
}

/// Messages as `room:message` has them, without the type.
fn history(out: &mut Vec<u8>, page: &HistoryPage) {
    put(out, r#","messages":["#);
    for (index, message) in page.messages.iter().enumerate() {
        put(out, if index > 0 { r#",{"id":"# } else { r#"{"id":"# });
        self::message(out, message);
        out.push(b'}');
    }
    out.push(b']');
    position(out, page.position);
}

fn position(out: &mut Vec<u8>, position: Position) {
    let Position { offset, epoch } = position;
    put(out, r#","offset":"#);
    put_number(out, offset);
    put(out, r#","epoch":"#);
    put_hex(out, epoch);
}

fn established(out: &mut Vec<u8>, established: &Established) {
    let Established {
        connection_id,
        user,
        tenant,
        heartbeat_interval_ms,
        heartbeat_timeout_ms,
        message_bytes_max,
        rooms_max,
        rates,
        node,
    } = established;
    put(out, r#"{"type":"connection:established","connectionId":"#);
    put_string(out, connection_id);
    put(out, r#","tenantId":"#);
    put_string(out, tenant.as_str());
    put(out, r#","userId":"#);
    put_string(out, user.as_str());
    put(out, r#","heartbeat":{"intervalMs":"#);
    put_number(out, *heartbeat_interval_ms);
    put(out, r#","timeoutMs":"#);
    put_number(out, *heartbeat_timeout_ms);
    put(out, r#"},"limits":{"messageBytes":"#);
    put_number(out, *message_bytes_max as u64);
    limit(out, r#","rooms":"#, *rooms_max as u64);
    let Rates { messages_per_10s, bytes_per_10s, user, tenant } = rates;
    limit(out, r#","messagesPer10s":"#, u64::from(*messages_per_10s));
    limit(out, r#","bytesPer10s":"#, u64::from(*bytes_per_10s));
    burst_rate(out, r#","userMessages":"#, *user);
    burst_rate(out, r#","tenantMessages":"#, *tenant);
    put(out, r#"},"node":"#);
    put_string(out, node);
}

/// A limit, unless there is none.
fn limit(out: &mut Vec<u8>, name: &str, limit: u64) {
    if limit > 0 {
        put(out, name);
        put_number(out, limit);
    }
}

/// The same of one with a burst.
fn burst_rate(out: &mut Vec<u8>, name: &str, rate: BurstRate) {
    if rate.per_s > 0 {
        put(out, name);
        put(out, r#"{"perS":"#);
        put_number(out, u64::from(rate.per_s));
        put(out, r#","burst":"#);
        put_number(out, u64::from(rate.burst));
        put(out, "}");
    }
}

fn put(out: &mut Vec<u8>, json: &str) {
    out.extend_from_slice(json.as_bytes());
}

fn put_json(out: &mut Vec<u8>, json: &Json) {
    out.extend_from_slice(json.as_bytes());
}
