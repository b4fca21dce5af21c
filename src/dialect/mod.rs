//! The dialects: what messages look like. Each turns bytes into [`Command`](crate::model::Command)s and
//! [`Event`](crate::model::Event)s into bytes; none knows a room, a token or a frame.

pub mod native;
pub mod relay;
