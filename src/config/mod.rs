//! The one door of the configuration: raw text in, one typed [`Settings`] out, and where each value came from.
//!
//! Layers, the later the stronger: defaults, the TOML file, environment, flags. What settings there are is one
//! table (`table`); files, names, checks and both reports follow from it. Every error of every layer is
//! reported at once. Nothing else in the program reads a configuration file or the environment.

#[cfg(test)]
mod ability_tests;
pub mod assemble;
mod changes;
pub mod cli;
mod error;
mod explain;
#[cfg(test)]
mod keys_tests;
mod kind;
mod kind_abilities;
mod kind_api_keys;
mod kind_history;
mod kind_keys;
mod kind_outside;
mod kind_resources;
mod kind_tables;
mod layers;
mod load;
#[cfg(test)]
mod outside_tests;
mod production;
mod report;
#[cfg(test)]
mod resource_tests;
mod rules;
pub mod settings;
mod source;
mod standing_alone;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use changes::{Change, changes};
pub use error::{ConfigError, ConfigErrors, Problem};
pub use explain::{Question, explain};
pub use load::{Flag, Inputs, Loaded, load, load_process};
pub use report::{default_file, effective, plain_names};
pub use settings::Settings;
pub use source::Source;
