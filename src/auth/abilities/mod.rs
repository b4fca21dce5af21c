//! Abilities: who may do what in which rooms of his tenant. What nothing allows is denied.
//!
//! The configuration says it by role ([`Rule`], compiled once into [`Abilities`]), a token by its own abilities (texts
//! like `join:project.*`). What a token says ([`Rights`]) comes to [`Grants`], which [`Holders`] keeps once for all
//! connections of a shard with the same rights. Works on names; knows no rooms, connections or members.

mod explain;
mod holders;
mod pattern;
#[cfg(test)]
mod pattern_tests;
mod rights;
mod rules;

pub use explain::{Basis, Lack, Miss, Ruling};
pub use holders::Holders;
pub use pattern::{AbilityPattern, PatternError, Who};
pub use rights::Rights;
pub use rules::{Abilities, Grants, Role, Rule};
