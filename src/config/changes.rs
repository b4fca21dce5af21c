//! What is different between two configurations, setting by setting: what a reload says that it has done, and what it
//! cannot do.
//!
//! Owns the comparison only. Values are shown as everywhere, so that a secret is seen to change but not seen.

use std::fmt;

use super::{
    load::Loaded,
    source::Source,
    table::{self, Setting},
};

/// A setting whose value is not what it was. Displays on one line, and never shows a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    pub key: &'static str,
    /// Whether a running node takes it; else it needs a restart.
    pub is_live: bool,
    /// As TOML; `None` for what was not set.
    pub was: Option<String>,
    pub is: Option<String>,
    /// Where the new value came from.
    pub source: Source,
}

/// What `new` changes, in the order of the table: of live settings beside what is `running`, of all others beside what
/// the node has `started` with.
pub fn changes(started: &Loaded, running: &Loaded, new: &Loaded) -> Vec<Change> {
    let of_setting = |setting: &'static Setting| {
        let old = if setting.is_live { running } else { started };
        let (mut before, mut after) = (old.settings.clone(), new.settings.clone());
        if setting.kind.is_same(&mut before, &mut after) {
            return None;
        }
        Some(Change {
            key: setting.key,
            is_live: setting.is_live,
            was: setting.kind.show(&mut before),
            is: setting.kind.show(&mut after),
            source: new.source(setting.key).clone(),
        })
    };
    table::settings().filter_map(of_setting).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, was, is, source, .. } = self;
        match is {
            Some(is) => write!(f, "{key} = {is}")?,
            None => write!(f, "{key} is not set")?,
        }
        match was {
            _ if was == is => write!(f, " (another than before; {source})"),
            Some(was) => write!(f, " (was {was}; {source})"),
            None => write!(f, " (was not set; {source})"),
        }
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
