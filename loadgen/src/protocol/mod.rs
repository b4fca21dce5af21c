//! What is said to a target, and what it says: text and bytes to meaning and back. Pure.

pub(crate) mod json;
