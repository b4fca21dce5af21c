//! What the measured server used: from samples of CPU time and memory to figures of phases and of the run.
//!
//! Samples come about once a second, phases begin when they like: CPU time between two moments is read from the straight lines
//! between samples, and is unknown where there are none.

use crate::figures::{
    record::Counts,
    sum_up::per_delivery_us,
    summary::{Phase, Server, ServerSample},
};

/// A moment that is farther from any sample is not covered. (Samples are a second apart, or a little more.)
const GAP_S_MAX: f64 = 1.25;

impl Server {
    /// From samples in order of time.
    pub(crate) fn sampled(source: String, samples: Vec<ServerSample>, notes: Vec<String>) -> Self {
        Self { source, samples, notes, ..Self::default() }
    }

    /// CPU seconds used from one moment to the other; `None` where they are not covered by samples.
    pub(crate) fn cpu_between(&self, start_s: f64, end_s: f64) -> Option<f64> {
        Some((self.cpu_at(end_s)? - self.cpu_at(start_s)?).max(0.0))
    }

    /// The most memory seen from one moment to the other.
    pub(crate) fn memory_between(&self, start_s: f64, end_s: f64) -> Option<u64> {
        let within = self.samples.iter().filter(|sample| (start_s..=end_s).contains(&sample.at_s));
        within.map(|sample| sample.memory_bytes).max()
    }

    /// With everything that follows from the samples.
    pub(crate) fn summed_up(mut self, phases: &[Phase], measured: &Counts, open_max: u64) -> Self {
        let (Some(first), Some(last)) = (self.samples.first().copied(), self.samples.last().copied()) else {
            return self;
        };
        self.cpu_s = (last.cpu_s - first.cpu_s).max(0.0);
        let cpu_s = phases.iter().filter(|phase| phase.measured).map(|phase| phase.server_cpu_s).sum();
        self.cpu_per_delivery_us = per_delivery_us(cpu_s, measured.arrived);
        self.memory_start_bytes = first.memory_bytes;
        self.memory_end_bytes = last.memory_bytes;
        self.memory_peak_bytes = self.samples.iter().map(|sample| sample.memory_bytes).max().unwrap_or(0);
        let grown = self.memory_peak_bytes.saturating_sub(first.memory_bytes);
        self.memory_per_conn_bytes = (open_max > 0).then(|| grown as f64 / open_max as f64);
        self
    }

    fn cpu_at(&self, at_s: f64) -> Option<f64> {
        let after = self.samples.partition_point(|sample| sample.at_s < at_s);
        let before = after.checked_sub(1).and_then(|index| self.samples.get(index));
        match (before, self.samples.get(after)) {
            (Some(before), Some(after)) => {
                let share = (at_s - before.at_s) / (after.at_s - before.at_s);
                let covered = after.at_s - before.at_s <= 2.0 * GAP_S_MAX;
                covered.then_some(before.cpu_s + share * (after.cpu_s - before.cpu_s))
            }
            (Some(only), None) | (None, Some(only)) => {
                ((at_s - only.at_s).abs() <= GAP_S_MAX).then_some(only.cpu_s)
            }
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(samples: &[(f64, f64, u64)]) -> Server {
        let sample = |&(at_s, cpu_s, memory_bytes)| ServerSample { at_s, cpu_s, memory_bytes };
        Server::sampled("pid 1".to_owned(), samples.iter().map(sample).collect(), Vec::new())
    }

    #[test]
    fn cpu_is_read_between_the_samples() {
        let server = server(&[(-0.5, 10.0, 1), (0.5, 10.0, 5), (1.5, 11.0, 9), (2.5, 11.5, 3)]);
        let rows = [
            (0.5, 1.5, Some(1.0)),
            (1.0, 2.0, Some(0.75)),
            (0.0, 0.5, Some(0.0)),
            (1.5, 3.5, Some(0.5)), // A little after the last sample.
            (1.5, 9.0, None),
            (-9.0, 1.0, None),
        ];
        for (start_s, end_s, cpu_s) in rows {
            assert_eq!(server.cpu_between(start_s, end_s), cpu_s, "{start_s} to {end_s}");
        }
        assert_eq!((server.memory_between(0.0, 1.5), server.memory_between(3.0, 4.0)), (Some(9), None));
    }

    #[test]
    fn what_was_not_seen_is_unknown() {
        assert_eq!(server(&[]).cpu_between(0.0, 1.0), None);
        let gap = server(&[(0.0, 1.0, 1), (30.0, 2.0, 1)]);
        assert_eq!(gap.cpu_between(0.0, 10.0), None, "the process was gone, or the scrape failed");
    }

    #[test]
    fn the_run_has_the_growth_and_the_peak() {
        let server = server(&[(0.0, 1.0, 100), (1.0, 3.0, 900), (2.0, 4.0, 500)]);
        let server = server.summed_up(&[], &Counts::default(), 4);
        assert_eq!(
            (server.cpu_s, server.cpu_per_delivery_us, server.memory_per_conn_bytes),
            (3.0, None, Some(200.0))
        );
        let memory = (server.memory_start_bytes, server.memory_peak_bytes, server.memory_end_bytes);
        assert_eq!(memory, (100, 900, 500));
    }
}
