//! Where a value came from.

use std::{fmt, path::PathBuf};

/// The origin of one value, exact enough to find and change it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// Made at random for this run.
    Generated,
    /// A line of the file; the first is 1.
    File { path: PathBuf, line: usize },
    /// An environment variable.
    Environment(String),
    /// A flag, as it is spelled: `--port`.
    Flag(&'static str),
}

impl Source {
    /// Its place among others: as the layers stand, in the file by line, and last what nobody set.
    pub(super) fn rank(&self) -> (u8, usize) {
        match self {
            Self::File { line, .. } => (0, *line),
            Self::Environment(_) => (1, 0),
            Self::Flag(_) => (2, 0),
            Self::Default | Self::Generated => (3, 0),
        }
    }

    /// This source, at another line if it has lines.
    pub(super) fn at_line(&self, line: usize) -> Self {
        match self {
            Self::File { path, .. } => Self::File { path: path.clone(), line },
            Self::Default | Self::Generated | Self::Environment(_) | Self::Flag(_) => self.clone(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Generated => f.write_str("made for this run"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}
