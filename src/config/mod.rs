//! The one door of the configuration: raw text in, one typed [`Settings`] out, and where each value came from.
//!
//! Layers, the later the stronger: defaults, the TOML file, environment, flags. What settings there are is one
//! table (`table`); files, names, checks and both reports follow from it. Every error of every layer is
//! reported at once. Nothing else in the program reads a configuration file or the environment.

pub mod assemble;
pub mod cli;
mod error;
#[cfg(test)]
mod key_tests;
mod kind;
mod kind_api_keys;
mod kind_history;
mod kind_keys;
mod layers;
mod load;
mod report;
mod rules;
pub mod settings;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use error::{ConfigError, ConfigErrors, Problem};
pub use load::{Flag, Inputs, Loaded, load, load_process};
pub use report::{default_file, effective};
pub use settings::Settings;
pub use source::Source;
