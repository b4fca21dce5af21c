//! Ringway, a WebSocket gateway.
//!
//! The modules form layers; a module may use only those to its left:
//!
//! `base → metrics → model → [ws http auth] → dialect → hub → conn → fanout → engine → shell → config`
//!
//! Everything left of `shell` is pure: no socket, clock, thread, file or log. ARCHITECTURE.md is the map.

pub mod auth;
pub mod base;
pub mod conn;
pub mod dialect;
pub mod engine;
pub mod fanout;
pub mod http;
pub mod hub;
pub mod metrics;
pub mod model;
pub mod ws;

#[cfg(feature = "shell")]
pub mod config;
#[cfg(feature = "shell")]
pub mod shell;
