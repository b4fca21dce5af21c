//! The dialects: what messages look like. Each turns bytes into [`Command`](crate::model::Command)s and
//! [`Event`](crate::model::Event)s into bytes; none knows a room, a token or a frame.

pub mod native;
pub mod relay;

use crate::metrics::Protocol;

/// How a connection is sent what goes through its rooms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    Json,
    /// Publications as binary messages, all else as JSON v1.
    Relay,
}

impl Dialect {
    /// The label of its messages and connections.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Json => Protocol::Json,
            Self::Relay => Protocol::Relay,
        }
    }
}
