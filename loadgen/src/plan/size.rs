//! Draws payload sizes.
//!
//! Invariant: every drawn size is one that the scenario names, and none is above [`Sizes::max`].

use fastrand::Rng;

use crate::scenario::Size;

/// A distribution of sizes, ready to be drawn from.
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    of: Of,
    max: usize,
}

#[derive(Clone, Debug)]
enum Of {
    Fixed(usize),
    Uniform(usize, usize),
    /// Each size with the weights up to and including its own.
    Weighted(Vec<(f64, usize)>),
}

impl Sizes {
    /// The distribution that `size` describes: sizes with weights must have one above 0.
    pub(crate) fn new(size: &Size) -> Self {
        match size {
            Size::Fixed(bytes) => Self { of: Of::Fixed(*bytes), max: *bytes },
            Size::Uniform(least, most) => {
                debug_assert!(least <= most);
                Self { of: Of::Uniform(*least, *most), max: *most }
            }
            Size::Weighted(rows) => {
                let mut total = 0.0;
                let rows: Vec<(f64, usize)> = rows
                    .iter()
                    .filter(|(_, weight)| *weight > 0.0)
                    .map(|(bytes, weight)| {
                        total += weight;
                        (total, *bytes)
                    })
                    .collect();
                debug_assert!(!rows.is_empty());
                let max = rows.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default();
                Self { of: Of::Weighted(rows), max }
            }
        }
    }

    /// The size of the next payload, in bytes.
    pub(crate) fn draw(&self, rng: &mut Rng) -> usize {
        match &self.of {
            Of::Fixed(bytes) => *bytes,
            Of::Uniform(least, most) => rng.usize(*least..=*most),
            Of::Weighted(rows) => {
                let total = rows.last().map_or(0.0, |(total, _)| *total);
                let point = rng.f64() * total;
                // Rounding may carry the point up to the total itself, which is the last row's.
                let row = rows.partition_point(|(upto, _)| *upto <= point);
                rows.get(row).or(rows.last()).map_or(self.max, |(_, bytes)| *bytes)
            }
        }
    }

    /// The largest size that can be drawn.
    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// How often each size came in 100,000 draws.
    fn drawn(size: &Size) -> BTreeMap<usize, u32> {
        let (sizes, mut rng, mut seen) = (Sizes::new(size), Rng::with_seed(9), BTreeMap::new());
        for _ in 0..100_000 {
            *seen.entry(sizes.draw(&mut rng)).or_default() += 1;
        }
        assert!(seen.keys().all(|bytes| *bytes <= sizes.max()));
        seen
    }

    #[test]
    fn a_fixed_size_is_always_the_same() {
        assert_eq!(drawn(&Size::Fixed(128)), BTreeMap::from([(128, 100_000)]));
    }

    #[test]
    fn uniform_sizes_include_both_ends_and_are_equally_likely() {
        let seen = drawn(&Size::Uniform(64, 73));
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), (64..=73).collect::<Vec<_>>());
        // 10,000 expected, standard deviation 95.
        assert!(seen.values().all(|times| (9_600..10_400).contains(times)), "{seen:?}");
        assert_eq!(drawn(&Size::Uniform(64, 64)).len(), 1);
    }

    #[test]
    fn weights_need_not_add_up_to_anything() {
        let seen = drawn(&Size::Weighted(vec![(200, 6.0), (4_096, 1.0), (100, 3.0), (9_000, 0.0)]));
        assert_eq!(seen.len(), 3, "a weight of 0 is never drawn: {seen:?}");
        for (bytes, expected) in [(200, 60_000), (4_096, 10_000), (100, 30_000)] {
            assert!(seen[&bytes].abs_diff(expected) < 600, "{bytes}: {seen:?}");
        }
        assert_eq!(Sizes::new(&Size::Weighted(vec![(200, 6.0), (9_000, 0.0)])).max(), 200);
    }
}
