//! The dialects: what messages look like. Each turns bytes into [`Command`](crate::model::Command)s and
//! [`Event`](crate::model::Event)s into bytes; none knows a room, a token or a frame. `api` reads and writes the bodies of
//! the backend's API, with the same strict reader.

pub mod api;
pub mod native;
pub mod relay;
