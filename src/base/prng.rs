//! Chance as a value: a seeded generator, so that the same seed gives the same bytes (jitter, masks, the
//! simulator). xoshiro256++ (Blackman and Vigna) with its state drawn from the seed by SplitMix64.
//!
//! Not for secrets: the whole future follows from a few outputs.

/// xoshiro256++. Invariant: the state is never all zero.
#[derive(Clone, Debug)]
pub struct Prng {
    state: [u64; 4],
}

impl Prng {
    /// A generator whose output is determined by `seed`.
    pub fn new(seed: u64) -> Self {
        let mut counter = seed;
        // Four outputs of SplitMix64 for four different counters: it is a bijection, so at most one is zero.
        Self { state: std::array::from_fn(|_| split_mix(&mut counter)) }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number in `0..bound`, each equally likely (Lemire's multiplication with rejection).
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no number below 0");
        // 2^64 values fall into `bound` bins; the first (2^64 mod bound) of each are drawn again.
        let redraw_below = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= redraw_below {
                return (product >> 64) as u64;
            }
        }
    }
}

fn split_mix(counter: &mut u64) -> u64 {
    *counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mix(*counter)
}

/// SplitMix64's mixer: a bijection in which every bit of the input moves half of the output's.
pub(super) fn mix(value: u64) -> u64 {
    let mixed = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors that ports of the reference C code are checked with.
    #[test]
    fn published_vectors() {
        let mut prng = Prng { state: [1, 2, 3, 4] };
        let expected: [u64; 10] = [
            41943041,
            58720359,
            3588806011781223,
            3591011842654386,
            9228616714210784205,
            9973669472204895162,
            14011001112246962877,
            12406186145184390807,
            15849039046786891736,
            10450023813501588000,
        ];
        assert_eq!(expected.map(|_| prng.next_u64()), expected);

        let mut counter = 1234567;
        let expected: [u64; 5] = [
            6457827717110365317,
            3203168211198807973,
            9817491932198370423,
            4593380528125082431,
            16408922859458223821,
        ];
        assert_eq!(expected.map(|_| split_mix(&mut counter)), expected);
    }

    #[test]
    fn below_stays_below_and_reaches_everything() {
        let mut prng = Prng::new(7);
        for bound in [1, 2, 3, 10, 1 << 32, (1 << 63) + 1, u64::MAX] {
            assert!((0..200).all(|_| prng.below(bound) < bound), "{bound}");
        }
        let mut seen = [0_u32; 6];
        for _ in 0..6_000 {
            seen[prng.below(6) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| (850..1150).contains(&count)), "{seen:?}");
    }
}
