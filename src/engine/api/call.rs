//! What a request of the API asks for: read off its head, before its body.

use std::sync::Arc;

use super::errands::Errand;
use crate::{
    auth::Backend,
    base::{ConnId, NameError, RoomKey, RoomName, TenantName, UserName},
    http::{
        Head, HttpFault, Version,
        route::{Found as Path, Operation, Route},
        routes::NDJSON,
    },
    model::{MessageId, Position},
};

/// Entries of a page unless the request says how many, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// What is asked, with all of it that does not stand in the body.
#[derive(Debug)]
pub(super) enum Call {
    Publish { message_id: Option<MessageId> },
    Request,
    UserRooms { user: UserName },
    Disconnect,
    History { key: RoomKey, since: Option<Position>, limit: usize },
    Presence { key: RoomKey, after: Option<UserName>, limit: usize },
    Look(Arc<Errand>),
    Drain,
}

/// How a body is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// As one JSON value, once it is there.
    Whole,
    /// Line by line, as it comes.
    Lines,
}

impl Call {
    pub(super) fn of(head: &Head<'_>, path: &Path<'_>, backend: &Backend) -> Result<Self, HttpFault> {
        Ok(match path.operation.route {
            Route::Publish => Self::Publish { message_id: idempotency_key(head)? },
            Route::Request => Self::Request,
            Route::UserRooms => {
                let user =
                    UserName::parse(&path.parameter()?).map_err(|_| bad("the path wants a user's name"))?;
                Self::UserRooms { user }
            }
            Route::Disconnect => Self::Disconnect,
            Route::Drain => Self::Drain,
            Route::Nodes => Self::Look(Arc::new(Errand::CountRooms)),
            Route::Rooms => Self::Look(Arc::new(Errand::Rooms {
                tenant: tenant(head, backend)?,
                after: name(head, "after", RoomName::parse)?,
                limit: limit(head)?,
            })),
            Route::RoomHistory => {
                Self::History { key: room(head, path, backend)?, since: since(head)?, limit: limit(head)? }
            }
            Route::RoomPresence => {
                let after = name(head, "after", UserName::parse)?;
                Self::Presence { key: room(head, path, backend)?, after, limit: limit(head)? }
            }
            Route::Connections => Self::Look(Arc::new(Errand::Connections {
                tenant: tenant(head, backend)?,
                user: name(head, "user", UserName::parse)?,
                after: after_connection(head)?,
                limit: limit(head)?,
            })),
            Route::Ws
            | Route::Echo
            | Route::Health
            | Route::Ready
            | Route::Live
            | Route::Metrics
            | Route::Stats
            | Route::Traffic
            | Route::ConnectionsHealth
            | Route::OpenApi
            | Route::DevToken => return Err(HttpFault::NOT_FOUND),
        })
    }
}

impl Form {
    /// By `Content-Type`; without one a body is JSON.
    pub(super) fn of(head: &Head<'_>, operation: &Operation) -> Result<Self, HttpFault> {
        const UNKNOWN: HttpFault =
            HttpFault::new(415, "unsupported_media_type", "this path takes `application/json`");
        const UNKNOWN_LINES: HttpFault = HttpFault::new(
            415,
            "unsupported_media_type",
            "this path takes `application/json`, and lines of JSON as `application/x-ndjson`",
        );
        const OLD: HttpFault =
            HttpFault::new(400, "bad_request", "lines that are answered as they come need HTTP/1.1");
        let takes_lines = operation.body.iter().any(|content| content.kind == NDJSON);
        let unknown = if takes_lines { UNKNOWN_LINES } else { UNKNOWN };
        let mut kinds = head.all("content-type");
        let Some(kind) = kinds.next() else { return Ok(Self::Whole) };
        let kind = kind.split(';').next().unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            _ if kinds.next().is_some() => Err(unknown),
            "application/json" => Ok(Self::Whole),
            NDJSON | "application/ndjson" | "application/jsonl" if takes_lines => {
                if head.version == Version::Http10 { Err(OLD) } else { Ok(Self::Lines) }
            }
            _ => Err(unknown),
        }
    }
}

/// The tenant that a request is about: the one that it names, or the backend's own.
pub(super) fn tenant_for(backend: &Backend, named: Option<TenantName>) -> Option<TenantName> {
    let tenant = named.unwrap_or_else(|| backend.own_tenant());
    backend.works_for(&tenant).then_some(tenant)
}

/// Why [`tenant_for`] said no.
pub(super) const OTHER_TENANT: &str = "this key or token is not good for that tenant";

fn room(head: &Head<'_>, path: &Path<'_>, backend: &Backend) -> Result<RoomKey, HttpFault> {
    let room = RoomName::parse(&path.parameter()?).map_err(|_| bad("the path wants a room's name"))?;
    Ok(RoomKey { tenant: tenant(head, backend)?, room })
}

fn tenant(head: &Head<'_>, backend: &Backend) -> Result<TenantName, HttpFault> {
    let named = name(head, "tenant", TenantName::parse)?;
    tenant_for(backend, named).ok_or(HttpFault::new(403, "forbidden", OTHER_TENANT))
}

fn idempotency_key(head: &Head<'_>) -> Result<Option<MessageId>, HttpFault> {
    const WRONG: HttpFault =
        bad("Idempotency-Key must come once, with 1 to 128 bytes, none of them a control character");
    let mut keys = head.all("idempotency-key");
    match (keys.next(), keys.next()) {
        (None, _) => Ok(None),
        (Some(key), None) => MessageId::parse(key).map(Some).ok_or(WRONG),
        (Some(_), Some(_)) => Err(WRONG),
    }
}

fn limit(head: &Head<'_>) -> Result<usize, HttpFault> {
    let Some(text) = head.query_param("limit")? else { return Ok(LIMIT) };
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok().filter(|limit| is_plain && (1..=LIMIT_MAX).contains(limit));
    limit.ok_or(bad("`limit` must be a number from 1 to 1000"))
}

/// `OFFSET@EPOCH`, as an answer says them: one means nothing without the other.
fn since(head: &Head<'_>) -> Result<Option<Position>, HttpFault> {
    const WRONG: HttpFault = bad("`since` must be an offset, `@`, and its epoch in 16 hexadecimal digits");
    let Some(text) = head.query_param("since")? else { return Ok(None) };
    let (offset, epoch) = text.split_once('@').ok_or(WRONG)?;
    let is_plain = offset.bytes().all(|byte| byte.is_ascii_digit())
        && epoch.len() == 16
        && epoch.bytes().all(|byte| byte.is_ascii_hexdigit());
    let position = offset.parse().ok().zip(u64::from_str_radix(epoch, 16).ok()).filter(|_| is_plain);
    position.map(|(offset, epoch)| Some(Position { offset, epoch })).ok_or(WRONG)
}

fn after_connection(head: &Head<'_>) -> Result<Option<ConnId>, HttpFault> {
    let Some(text) = head.query_param("after")? else { return Ok(None) };
    // Of which node it was does not matter: one that is gone has a place in the order, too.
    match ConnId::from_public(&text) {
        Some((_, conn)) => Ok(Some(conn)),
        None => Err(bad("`after` must be a connection's id")),
    }
}

fn name<T>(
    head: &Head<'_>,
    parameter: &str,
    parse: fn(&str) -> Result<T, NameError>,
) -> Result<Option<T>, HttpFault> {
    let Some(text) = head.query_param(parameter)? else { return Ok(None) };
    parse(&text)
        .map(Some)
        .map_err(|_| bad("a name in the query must have 1 to 256 bytes and no control characters"))
}

const fn bad(message: &'static str) -> HttpFault {
    HttpFault::new(400, "bad_request", message)
}
