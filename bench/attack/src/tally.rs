//! What attackers count of what they do and what is done to them.

use serde::{Deserialize, Serialize};

/// Counts of one attack, as the process of attackers writes it when it ends.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) elapsed_s: f64,
    /// Of the attackers' process.
    pub(crate) cpu_s: f64,
    /// Attempts to connect.
    pub(crate) dials: u64,
    /// Those of them that found no free port on this machine.
    pub(crate) no_port: u64,
    /// Connections that were ended without a word before anything was answered.
    pub(crate) unheard: u64,
    /// Upgrades that were answered, by status.
    pub(crate) switched: u64,
    pub(crate) unauthorized: u64,
    pub(crate) too_many: u64,
    pub(crate) answered_otherwise: u64,
    /// Bytes that were sent behind an upgrade.
    pub(crate) flooded_bytes: u64,
    /// Sockets that were open or being opened, on average.
    pub(crate) open: f64,
}

impl Tally {
    /// The status line of an answer to an upgrade has come, or its beginning.
    pub(crate) fn answered(&mut self, head: &[u8]) {
        let count = match head.get(..12) {
            Some(b"HTTP/1.1 101") => &mut self.switched,
            Some(b"HTTP/1.1 401") => &mut self.unauthorized,
            Some(b"HTTP/1.1 429") => &mut self.too_many,
            Some(_) | None => &mut self.answered_otherwise,
        };
        *count += 1;
    }

    pub(crate) fn per_s(&self, count: u64) -> f64 {
        if self.elapsed_s > 0.0 { count as f64 / self.elapsed_s } else { 0.0 }
    }

    /// Of a core.
    pub(crate) fn cpu_share(&self) -> f64 {
        if self.elapsed_s > 0.0 { self.cpu_s / self.elapsed_s } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_known_by_their_status() {
        let mut tally = Tally::default();
        for head in ["HTTP/1.1 101 Switching", "HTTP/1.1 401 U", "HTTP/1.1 429", "HTTP/1.1 503 S", "HT"] {
            tally.answered(head.as_bytes());
        }
        let counts = [tally.switched, tally.unauthorized, tally.too_many, tally.answered_otherwise];
        assert_eq!(counts, [1, 1, 1, 2]);
    }

    #[test]
    fn rates_need_time() {
        let tally = Tally { elapsed_s: 2.0, cpu_s: 0.5, dials: 10, ..Tally::default() };
        assert_eq!((tally.per_s(tally.dials), tally.cpu_share()), (5.0, 0.25));
        assert_eq!(Tally::default().per_s(10), 0.0);
    }
}
