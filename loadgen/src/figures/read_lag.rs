//! How late a thread sees what arrives: while it is at work, or has no core, it looks at none of its sockets, and what comes
//! meanwhile is stamped when it looks again. Kept as the lengths of these gaps, one for each time that it looked.
//!
//! What matters is how much of the *time* such gaps take, since deliveries arrive at any moment: a single gap of 300 ms among
//! thousands of short ones is 3 % of 10 s, and so of what arrives in them.

use crate::figures::hdr::Hdr;

/// The gaps of one phase.
#[derive(Clone, Debug)]
pub(crate) struct ReadLag {
    gaps: Hdr,
}

impl Default for ReadLag {
    fn default() -> Self {
        Self { gaps: Hdr::coarse() }
    }
}

impl ReadLag {
    /// The thread did not look for so long.
    #[inline]
    pub(crate) fn gap(&mut self, ns: u64) {
        self.gaps.record(ns);
    }

    /// The longest one.
    pub(crate) fn max_ns(&self) -> u64 {
        self.gaps.max().unwrap_or(0)
    }

    /// In all but this share of `wall_ns`, what arrived was seen within so much time: `wait` of which the sum over all gaps of
    /// what they are longer than it is that share.
    pub(crate) fn exceeded_in(&self, share: f64, wall_ns: u64) -> u64 {
        let allowed_ns = wall_ns as f64 * share;
        let Some(gaps) = self.gaps.filled() else { return 0 };
        let mut ascending: Vec<(f64, f64)> = gaps
            .iter_recorded()
            .map(|gap| (gap.value_iterated_to() as f64, gap.count_since_last_iteration() as f64))
            .collect();
        // Of those that are longer: how many, and how long together.
        let (mut count, mut sum_ns) = (0.0, 0.0);
        while let Some((ns, times)) = ascending.pop() {
            if sum_ns - count * ns >= allowed_ns && count > 0.0 {
                break;
            }
            count += times;
            sum_ns += times * ns;
        }
        ((sum_ns - allowed_ns) / count).max(0.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn time_counts_and_not_the_number_of_gaps() {
        // gaps as (ms, how many), of 10 s, whose 1 % is 100 ms; exceeded by 1 % of the time (ms)
        let rows: [(&[(u64, u64)], u64); 7] = [
            (&[], 0),
            (&[(1, 50)], 0),
            (&[(1, 10_000)], 1), // What arrives waits for 0 to 1 ms, and 1 % of it for 0.99 ms at least.
            (&[(300, 1)], 200),
            (&[(300, 1), (1, 5_000)], 200),
            (&[(300, 2), (100, 4)], 250),
            (&[(40, 1), (30, 3), (20, 9)], 16),
        ];
        for (gaps, expected_ms) in rows {
            let mut lag = ReadLag::default();
            for (ms, times) in gaps {
                (0..*times).for_each(|_| lag.gap(ms * MS));
            }
            let exceeded_ns = lag.exceeded_in(0.01, 10_000 * MS);
            assert!(
                exceeded_ns.abs_diff(expected_ms * MS) < MS + expected_ms * MS / 50,
                "{gaps:?}: {exceeded_ns}"
            );
            let max_ms = gaps.iter().map(|(ms, _)| *ms).max().unwrap_or(0);
            assert!(lag.max_ns().abs_diff(max_ms * MS) <= max_ms * MS / 100, "{}", lag.max_ns());
        }
    }
}
