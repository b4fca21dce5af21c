//! The one vocabulary of all dialects, the hub and the cluster: what clients ask ([`Command`]), what they
//! are told ([`Event`]), what they did wrong ([`Fault`]), what a client may do in a room ([`Action`]), what a backend
//! may ([`Scope`]), and what servers of the operator's are asked ([`OutsideRequest`]). Knows no bytes.

pub mod action;
pub mod command;
pub mod event;
pub mod fault;
pub mod json;
pub mod outside;
pub mod presence;
pub mod request;
pub mod scope;

pub use action::{Action, Actions};
pub use command::{Authenticate, Call, Command, CorrelationId, History, Join, MessageId, Relay, Send};
pub use event::{
    Authenticated, BurstRate, Established, Event, HistoryPage, Joined, Message, MessageName, Position, Rates,
    Reply,
};
pub use fault::{Fault, FaultCode};
pub use json::{Json, Payload};
pub use outside::{CallId, OutsideAnswer, OutsideError, OutsideRequest, without_query};
pub use presence::{Availability, PresenceChange, PresenceInfo, PresencePage};
pub use request::{Answer, Method, Request, Requested, Response, Target};
pub use scope::{Scope, Scopes};
