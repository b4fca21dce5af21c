//! Load generator for WebSocket gateways.
fn main() {}
