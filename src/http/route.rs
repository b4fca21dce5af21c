//! Paths to what answers them, by the table in `routes`: the same that `/openapi.json` is written from.
//!
//! A path is compared byte for byte, without a slash at the end and without dots; only the one segment that a `{name}`
//! stands for is decoded.

use std::borrow::Cow;

use super::{fault::HttpFault, head::Method, percent, routes::OPERATIONS};
use crate::model::Scope;

/// What a path leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// The gateway itself.
    Ws,
    /// A WebSocket that says back what it hears.
    Echo,
    Health,
    Ready,
    Live,
    Metrics,
    Stats,
    OpenApi,
    /// What was counted lately and today.
    Traffic,
    ConnectionsHealth,
    /// Tokens for a first try; not in production.
    DevToken,
    Publish,
    Request,
    Rooms,
    RoomPresence,
    RoomHistory,
    UserRooms,
    Connections,
    Disconnect,
    Nodes,
    Drain,
}

/// The methods that a path answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Methods {
    /// GET alone: an upgrade.
    Get,
    /// GET and HEAD.
    Read,
    Post,
}

/// Who may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Anyone,
    /// A client with its token.
    Client,
    /// Anyone, or whoever shows what the configuration says.
    Metrics,
    /// A key or token that is good for this.
    Scope(Scope),
}

/// Which of the node's listeners a connection came by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// The one for clients.
    Public,
    /// The one for administrators and backends, where they have one of their own.
    Admin,
}

/// One row of the table: what a route is, for routing and for the reader of `/openapi.json`.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    pub route: Route,
    pub methods: Methods,
    /// The first is canonical, the others answer the same. A `{name}` stands for one segment; there is at most one.
    pub paths: &'static [&'static str],
    pub access: Access,
    pub summary: &'static str,
    pub query: &'static [Parameter],
    /// Headers that mean something to this operation alone.
    pub headers: &'static [Parameter],
    /// What a request's body may be; empty where there is none.
    pub body: &'static [Content],
    /// What is answered; refusals, which all look alike, stand in no row.
    pub answers: &'static [Answer],
    /// Whether `/openapi.json` has it: what is there for tests and first tries is not.
    pub is_public: bool,
}

impl Operation {
    /// Whether it answers at this door, where there are two.
    pub fn is_at(&self, door: Door) -> bool {
        match self.access {
            Access::Anyone => true,
            Access::Client => door == Door::Public,
            Access::Metrics | Access::Scope(_) => door == Door::Admin,
        }
    }
}

/// A parameter of the query, or a header.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    pub name: &'static str,
    /// JSON: its schema.
    pub schema: &'static str,
    pub doc: &'static str,
}

/// A body's media type and the name of its schema.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    pub kind: &'static str,
    pub schema: &'static str,
}

/// One of the answers of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub status: u16,
    pub doc: &'static str,
    pub content: &'static [Content],
}

/// Where a path leads.
#[derive(Clone, Copy, Debug)]
pub struct Found<'p> {
    pub operation: &'static Operation,
    /// What stands for the path's `{name}`, undecoded.
    raw: &'p str,
}

/// Finds what answers a path.
///
/// # Errors
/// 404 where there is nothing, whatever the method; 405 with `Allow` where another method would be answered.
pub fn route(path: &str, method: Method) -> Result<Found<'_>, HttpFault> {
    let found = find(path)?;
    match (found.operation.methods, method) {
        (Methods::Get | Methods::Read, Method::Get)
        | (Methods::Read, Method::Head)
        | (Methods::Post, Method::Post) => Ok(found),
        (Methods::Get, Method::Head | Method::Post | Method::Options | Method::Other) => {
            Err(HttpFault::METHOD_GET)
        }
        (Methods::Read, Method::Post | Method::Options | Method::Other) => Err(HttpFault::METHOD_READ),
        (Methods::Post, Method::Get | Method::Head | Method::Options | Method::Other) => {
            Err(HttpFault::METHOD_POST)
        }
    }
}

/// What is at a path, whatever the method.
///
/// # Errors
/// 404 where there is nothing.
pub fn find(path: &str) -> Result<Found<'_>, HttpFault> {
    let found = OPERATIONS.iter().find_map(|operation| {
        let raw = operation.paths.iter().find_map(|pattern| matched(pattern, path))?;
        Some(Found { operation, raw })
    });
    found.ok_or(HttpFault::NOT_FOUND)
}

/// The segment that the pattern's `{name}` stands for, or nothing for a pattern without one; `None` for another path.
fn matched<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, after)) = pattern.split_once('{') else { return (pattern == path).then_some("") };
    let (_, after) = after.split_once('}')?;
    let segment = path.strip_prefix(before)?.strip_suffix(after)?;
    (!segment.is_empty() && !segment.contains('/')).then_some(segment)
}

impl<'p> Found<'p> {
    /// What stands for the path's `{name}`, decoded.
    ///
    /// # Errors
    /// 400 for a broken escape, or bytes that are not UTF-8.
    pub fn parameter(&self) -> Result<Cow<'p, str>, HttpFault> {
        percent::decode(self.raw, false).ok_or(HttpFault::PATH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Refused = (u16, Vec<(&'static str, &'static str)>);

    fn found(path: &str, method: Method) -> Result<(Route, String), Refused> {
        let found = route(path, method).map_err(|fault| (fault.status, fault.headers.to_vec()))?;
        Ok((found.operation.route, found.parameter().unwrap().into_owned()))
    }

    #[test]
    fn paths() {
        let rows: &[(&[&str], Route)] = &[
            (&["/ws"], Route::Ws),
            (&["/echo"], Route::Echo),
            (&["/health", "/healthz", "/api/health", "/api/v1/ws/health"], Route::Health),
            (&["/health/ready", "/ready", "/readyz"], Route::Ready),
            (&["/health/live", "/live", "/livez"], Route::Live),
            (&["/metrics"], Route::Metrics),
            (&["/stats"], Route::Stats),
            (&["/openapi.json"], Route::OpenApi),
            (&["/api/metrics/websocket"], Route::Traffic),
            (&["/api/v1/connections/health", "/printing/desktop-health"], Route::ConnectionsHealth),
            (&["/api/v1/rooms"], Route::Rooms),
            (&["/api/v1/nodes", "/printing/service-registry/status"], Route::Nodes),
        ];
        for (paths, expected) in rows {
            for path in *paths {
                assert_eq!(found(path, Method::Get), Ok((*expected, String::new())), "{path}");
            }
        }
        let nothing = [
            "/",
            "*",
            "/WS",
            "/ws/",
            "//ws",
            "/%77s",
            "/x/../ws",
            "/health/",
            "/api/v1/rooms/",
            "/api/v1/users",
            "/api/v1/users/rooms",
            "/api/v1/users//rooms",
            "/api/v1/users/a/b/rooms",
            "/api/v1/users/a/rooms/",
        ];
        for path in nothing {
            for method in [Method::Get, Method::Post] {
                assert_eq!(found(path, method), Err((404, vec![])), "{path}");
            }
        }
    }

    #[test]
    fn methods() {
        let allow = |methods| Err((405, vec![("Allow", methods)]));
        let rows: &[(&str, Method, Option<&str>)] = &[
            ("/ws", Method::Get, None),
            ("/ws", Method::Head, Some("GET")),
            ("/echo", Method::Post, Some("GET")),
            ("/health", Method::Head, None),
            ("/stats", Method::Options, Some("GET, HEAD")),
            ("/metrics", Method::Other, Some("GET, HEAD")),
            ("/api/v1/publish", Method::Post, None),
            ("/api/v1/publish", Method::Get, Some("POST")),
            ("/api/v1/drain", Method::Options, Some("POST")),
        ];
        for (path, method, allowed) in rows {
            match allowed {
                None => assert!(found(path, *method).is_ok(), "{path} {method:?}"),
                Some(methods) => assert_eq!(found(path, *method), allow(*methods), "{path} {method:?}"),
            }
        }
    }

    #[test]
    fn one_segment_may_stand_for_a_name() {
        for (segment, expected) in
            [("ada", "ada"), ("a%2Fb", "a/b"), ("a+b", "a+b"), ("%C3%BC", "ü"), ("%2e%2E", "..")]
        {
            let path = format!("/api/v1/users/{segment}/rooms");
            assert_eq!(found(&path, Method::Post), Ok((Route::UserRooms, expected.to_owned())));
        }
        for segment in ["%", "%4", "%zz", "%ff"] {
            let path = format!("/api/v1/users/{segment}/rooms");
            let fault = route(&path, Method::Post).unwrap().parameter();
            assert_eq!(fault, Err(HttpFault::PATH), "{segment}");
        }
    }
}
