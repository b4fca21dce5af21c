//! HTTP/1.x at the gateway's door, without I/O: request heads, the WebSocket upgrade, routes, responses.
//!
//! Strict on purpose (RFC 9112 and `spec/operations.md`): what two parsers could read in two ways is refused
//! and the connection closed. Owns no socket and no timer; knows no token's meaning and no message.

pub mod accept;
pub mod body;
pub mod cors;
pub mod credentials;
pub mod fault;
mod fields;
pub mod forwarded;
pub mod head;
#[cfg(test)]
mod head_tests;
mod host;
pub mod openapi;
pub mod origin;
mod percent;
pub mod proxy_protocol;
mod query;
pub mod response;
pub mod route;
pub mod routes;
mod target;
pub mod upgrade;

pub use body::BodyReader;
pub use fault::HttpFault;
pub use forwarded::{Proxies, ProxyProtocol};
pub use head::{Body, Head, HeadScanner, Limits, Method, Parsed, Version};
pub use origin::{AllowedOrigin, Origins};
pub use response::{Framing, Response, switching_protocols};
pub use route::Route;
pub use upgrade::Upgrade;
