//! Hostile input, row by row: each gets its documented answer, and the next client is served as if nothing had been.

mod floods;
mod frames;
mod heads;
mod messages;
mod patience;
