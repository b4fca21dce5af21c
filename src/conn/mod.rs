//! One connection: the stages it passes through, its outbox, its keepalive, its quality, what it may still send.
//! Knows neither sockets nor rooms; the engine decides, this layer keeps the state that decisions need.

mod allowance;
mod keepalive;
mod outbox;
mod quality;
mod stage;

pub use allowance::{Allowance, Excess, MessageLimit, MessageLimits};
pub use keepalive::{Beat, Keepalive};
pub use outbox::{FrameStore, Outbox, SLICES_MAX};
pub use quality::{Quality, QualityLimits};
pub use stage::{Conn, Encoding, Finish, HttpStage, Overrun, Session, Socket, SocketKind, Stage, Timer};
