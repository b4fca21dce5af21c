//! The engine under test: whole nodes of one to four shards, driven as the shell drives them, with a stepped clock,
//! parcels that may be late, sockets that may be slow, and clients that speak real bytes.

mod client;
mod harness;

mod api;
mod api_errands;
mod api_lines;
mod api_signed;
mod close;
mod company;
mod dev;
mod drain;
mod ended;
mod history;
mod hostile;
mod http;
mod json;
mod keepalive;
mod origin;
mod outbox;
mod presence;
mod presence_truth;
mod quality;
mod recovery;
mod relay;
mod relay_rooms;
mod requests;
mod requests_chance;
mod revocation;
mod rooms;
mod survey;
mod tenants;
mod tokens;
mod traffic;
mod upgrade;
