//! The engine under test: whole nodes of one to four shards, driven as the shell drives them, with a stepped clock,
//! parcels that may be late, sockets that may be slow, and clients that speak real bytes.

mod client;
mod harness;

mod abilities;
mod admission;
mod ahead;
mod api;
mod api_errands;
mod api_lines;
mod close;
mod company;
mod dev;
mod doors;
mod drain;
mod ended;
mod history;
mod hostile;
mod hostile_calls;
mod hostile_frames;
mod hostile_heads;
mod hostile_inputs;
mod hostile_tokens;
mod http;
mod isolation;
mod json;
mod keepalive;
mod limits;
mod outbox;
mod people;
mod presence;
mod presence_truth;
mod quality;
mod recovery;
mod relay;
mod relay_rooms;
mod reload;
mod requests;
mod requests_chance;
mod revocation;
mod rooms;
mod survey;
mod tenants;
mod tokens;
mod traffic;
mod upgrade;
