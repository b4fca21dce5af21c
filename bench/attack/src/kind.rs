//! The kinds of attack.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What attackers do with the sockets that they have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Upgrade with a good token, leave as soon as there is an answer, and come again
    Connect,
    /// Send a head that never ends, a byte a second
    Slowloris,
    /// Connect and say nothing
    HalfOpen,
    /// Upgrade with a token whose signature is bad
    BadToken,
    /// Upgrade with a good token, then messages and pings as fast as the socket takes them
    Flood,
    /// Upgrade with a good token, join a room of good clients, and never read
    NeverRead,
    /// All of these at once
    Mixed,
    /// As `connect`, but at a bare accept loop on the gateway's core: what the machine alone makes of it
    Decoy,
}

impl Kind {
    /// Those that are one thing.
    pub(crate) const PLAIN: [Self; 6] =
        [Self::Connect, Self::Slowloris, Self::HalfOpen, Self::BadToken, Self::Flood, Self::NeverRead];

    /// What the socket with this number does.
    pub(crate) fn of_socket(self, number: usize) -> Self {
        if self == Self::Mixed { Self::PLAIN[number % Self::PLAIN.len()] } else { self }
    }
}

/// As on the command line.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Connect => "connect",
            Self::Slowloris => "slowloris",
            Self::HalfOpen => "half-open",
            Self::BadToken => "bad-token",
            Self::Flood => "flood",
            Self::NeverRead => "never-read",
            Self::Mixed => "mixed",
            Self::Decoy => "decoy",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for kind in Kind::value_variants() {
            assert_eq!(Kind::from_str(&kind.to_string(), false), Ok(*kind));
        }
    }

    #[test]
    fn mixed_is_all_of_them() {
        let mixed: Vec<Kind> = (0..6).map(|it| Kind::Mixed.of_socket(it)).collect();
        assert_eq!(mixed, Kind::PLAIN);
        assert_eq!(Kind::Flood.of_socket(3), Kind::Flood);
    }
}
