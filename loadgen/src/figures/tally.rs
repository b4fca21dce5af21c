//! The cheapest histogram to count in: the buckets of [`Hdr::fine`] and nothing else. One second of deliveries is counted here, and
//! then handed over to histograms that know more.

use crate::figures::hdr::{Hdr, NS_MAX};

/// Values below are told apart to the last nanosecond: those that three digits need.
const EXACT_BITS: u32 = 11;
/// So many buckets are one nanosecond each, and fewer of the coarse ones.
const EXACT: usize = 1 << EXACT_BITS;
/// Further up, so many neighbouring buckets are one in [`Hdr::coarse`].
const COARSE_BITS: u32 = 3;
const BUCKETS: usize = bucket(NS_MAX) + 1;

/// Counts by bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Empty before the first one.
    counts: Vec<u32>,
}

/// The upper bits of a number, as many as are exact, and how many bits are left out.
const fn bucket(ns: u64) -> usize {
    let bits = u64::BITS - (ns | ((1 << EXACT_BITS) - 1)).leading_zeros();
    let shift = bits - EXACT_BITS;
    ((shift as usize) << (EXACT_BITS - 1)) + (ns >> shift) as usize
}

/// The smallest number in the bucket.
const fn smallest(bucket: usize) -> u64 {
    let half = 1 << (EXACT_BITS - 1);
    let shift = (bucket / half).saturating_sub(1);
    ((bucket - shift * half) as u64) << shift
}

impl Tally {
    #[inline]
    pub(crate) fn count(&mut self, ns: u64) {
        match self.counts.get_mut(bucket(ns.min(NS_MAX))) {
            Some(count) => *count += 1,
            None => self.begin(ns),
        }
    }

    #[cold]
    fn begin(&mut self, ns: u64) {
        self.counts = vec![0; BUCKETS];
        self.counts[bucket(ns.min(NS_MAX))] = 1;
    }

    /// Adds all to both histograms, and begins anew; gives how many there were.
    pub(crate) fn hand_over(&mut self, fine: &mut Hdr, coarse: &mut Hdr) -> u64 {
        let mut total = 0;
        for (group, counts) in self.counts.chunks_mut(1 << COARSE_BITS).enumerate() {
            let first = group << COARSE_BITS;
            let mut together = 0;
            for (index, count) in counts.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
                let ns = smallest(first + index);
                fine.record_n(ns, (*count).into());
                if first < EXACT {
                    coarse.record_n(ns, (*count).into());
                } else {
                    together += u64::from(*count);
                }
                total += u64::from(*count);
                *count = 0;
            }
            if together > 0 {
                coarse.record_n(smallest(first), together);
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_as_the_histograms_do() {
        let mut rng = fastrand::Rng::with_seed(4);
        let edges = (0..40).flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1]);
        let any = (0..5_000).map(|_| rng.u64(..) >> rng.u32(20..64));
        let values: Vec<u64> = edges.chain(any).chain([0, NS_MAX, u64::MAX]).collect();
        let (mut tally, mut fine, mut coarse) = (Tally::default(), Hdr::fine(), Hdr::coarse());
        let (mut fine_twin, mut coarse_twin) = (Hdr::fine(), Hdr::coarse());
        for ns in &values {
            tally.count(*ns);
            fine_twin.record(*ns);
            coarse_twin.record(*ns);
        }
        assert_eq!(tally.hand_over(&mut fine, &mut coarse), values.len() as u64);
        assert_eq!((&fine, &coarse), (&fine_twin, &coarse_twin));
        assert_eq!(tally.hand_over(&mut fine, &mut coarse), 0, "it began anew");
        assert_eq!(fine, fine_twin);
    }
}
