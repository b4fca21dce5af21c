//! `loadgen limits`: what the flags want of this machine.

use super::{LimitsArgs, flags::Sources};
use crate::{
    client::target::{CONNS_PER_SOURCE, Target},
    host::limits::Wanted,
};

impl LimitsArgs {
    /// What a run with these flags would need.
    pub(crate) fn wanted(&self) -> Wanted {
        let both_ends = self.url.iter().all(|url| is_loopback(url));
        let named: usize = self.source.iter().map(Sources::count).sum();
        let sources = addresses(named, self.conns, both_ends);
        let targets = u32::try_from(self.url.len().max(1)).unwrap_or(u32::MAX);
        Wanted { conns: self.conns, threads: self.threads, targets, sources, both_ends }
    }
}

/// Addresses that a run connects from, where `named` were named.
pub(super) fn sources(named: usize, conns: u32, targets: &[Target]) -> u32 {
    addresses(
        named,
        conns,
        targets.iter().all(|target| target.addr.is_ipv4() && target.addr.ip().is_loopback()),
    )
}

/// Towards loopback there are as many as are wanted.
fn addresses(named: usize, conns: u32, to_loopback: bool) -> u32 {
    match (named, to_loopback) {
        (0, true) => conns.div_ceil(CONNS_PER_SOURCE),
        (0, false) => 1,
        (named, _) => u32::try_from(named).unwrap_or(u32::MAX),
    }
}

/// Whether a URL leads to this machine, as far as its text tells.
fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["localhost", "127.", "[::1]"].iter().any(|host| rest.starts_with(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, parse};

    #[test]
    fn flags_say_what_is_wanted() {
        // flags, targets, sources, both ends
        let rows = [
            ("", 1, 313, true),
            ("--url ws://localhost:1 --url ws://127.0.0.1:2", 2, 313, true),
            ("--url ws://other.example/ws", 1, 1, false),
            ("--url ws://a/ --url ws://[::1]/ --source 10.0.0.1-10.0.0.4", 2, 4, false),
        ];
        for (flags, targets, sources, both_ends) in rows {
            let Command::Limits(args) = parse(format!("loadgen limits {flags}").split_whitespace()).unwrap()
            else {
                panic!("{flags}");
            };
            let wanted = Wanted { conns: 10_000, threads: 1, targets, sources, both_ends };
            assert_eq!(args.wanted(), wanted, "{flags}");
        }
    }
}
