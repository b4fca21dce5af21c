//! What can be wrong with a configuration. All of it is collected; one error never hides another.

use std::fmt;

use super::source::Source;

/// One thing that is wrong. Displays on one line, and never shows a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Where the value stands; [`Source::Default`] when it stands nowhere.
    pub source: Source,
    /// The setting, or what was taken for one; empty when the whole source is wrong.
    pub key: String,
    /// The value as it was written.
    pub value: Option<String>,
    pub problem: Problem,
}

/// What is wrong about it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// No such setting; what may have been meant, as it would be written there.
    #[error("is no setting{}", nearest.as_ref().map(|key| format!("; did you mean `{key}`?")).unwrap_or_default())]
    Unknown { nearest: Option<String> },
    /// A value out of what the setting takes.
    #[error("must be {0}")]
    NotAllowed(String),
    /// Values that do not go together, or not with production.
    #[error("{0}")]
    Rule(String),
    /// Text that cannot be taken apart: TOML, or a `--set` without `=`.
    #[error("{0}")]
    Syntax(String),
    /// A file that cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source != Source::Default {
            write!(f, "{}: ", self.source)?;
        }
        match (self.key.as_str(), &self.value) {
            ("", _) => {}
            (key, None) => write!(f, "{key}: ")?,
            (key, Some(value)) => write!(f, "{key} = {value}: ")?,
        }
        write!(f, "{}", self.problem)
    }
}

/// Everything that is wrong, in the order of the layers; at least one error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the configuration is wrong: {one}"),
            errors => {
                write!(f, "the configuration has {} errors:", errors.len())?;
                errors.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
        }
    }
}

impl std::error::Error for ConfigErrors {}
