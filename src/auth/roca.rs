//! RSA keys whose primes were made by a broken generator (ROCA, CVE-2017-15361): whoever sees the public half of one can find
//! the private half.
//!
//! Such a prime is `k * M + 65537^a mod M`, where `M` is the product of the first primes, and so is the product of two of them.
//! So modulo each of those primes the modulus is a power of 65537, which one in 2^28 of all others is. (Nemec, Sys, Svenda,
//! Klinec, Matyas: "The Return of Coppersmith's Attack", CCS 2017, section 2.3: the fingerprint.)

/// The primes that are in `M` for keys of every length, but 2, modulo which all moduli are alike.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

const GENERATOR: u32 = 65_537;

/// Whether a modulus, big-endian, has the fingerprint.
pub(super) fn has_fingerprint(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| is_power_of_generator(residue(modulus, *prime), *prime))
}

fn residue(number: &[u8], prime: u32) -> u32 {
    number.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime)
}

/// Whether `residue` is in the group that 65537 generates modulo `prime`.
fn is_power_of_generator(residue: u32, prime: u32) -> bool {
    let mut power = 1;
    loop {
        if power == residue {
            return true;
        }
        power = power * (GENERATOR % prime) % prime;
        if power == 1 {
            return false;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Big-endian, as [`add`].
    fn multiply(number: &[u8], factor: u32) -> Vec<u8> {
        let mut carry = 0;
        let mut product = Vec::new();
        for byte in [0; 4].iter().chain(number).rev() {
            carry += u64::from(*byte) * u64::from(factor);
            product.push(carry as u8);
            carry >>= 8;
        }
        product.into_iter().rev().skip_while(|byte| *byte == 0).collect()
    }

    fn add(longer: &[u8], shorter: &[u8]) -> Vec<u8> {
        let mut carry = 0;
        let addends = shorter.iter().rev().chain(std::iter::repeat(&0));
        let mut sum: Vec<u8> = Vec::new();
        for (one, other) in longer.iter().rev().zip(addends) {
            carry += u32::from(*one) + u32::from(*other);
            sum.push(carry as u8);
            carry >>= 8;
        }
        sum.extend((carry > 0).then_some(carry as u8));
        sum.into_iter().rev().collect()
    }

    /// `k * M + 65537^exponent`, `k` the product of `factors`: what the product of two such primes looks like. Odd, since `M` is
    /// even.
    pub(in crate::auth) fn made_up(factors: &[u32], exponent: u32) -> Vec<u8> {
        let power = (0..exponent).fold(vec![1], |power, _| multiply(&power, GENERATOR));
        let multiple =
            PRIMES.iter().chain(factors).fold(vec![2], |product, factor| multiply(&product, *factor));
        if power.len() > multiple.len() { add(&power, &multiple) } else { add(&multiple, &power) }
    }

    #[test]
    fn of_other_moduli_one_in_2_to_the_28_has_it() {
        // By how many residues a product of large primes may have, for each that is a power.
        let bits: f64 = PRIMES
            .iter()
            .map(|prime| {
                let powers = (1..*prime).filter(|residue| is_power_of_generator(*residue, *prime)).count();
                (f64::from(prime - 1) / powers as f64).log2()
            })
            .sum();
        assert_eq!(bits.round(), 28.0, "{bits}");
    }

    proptest! {
        #[test]
        fn made_up_moduli_have_it_and_their_neighbours_do_not(
            factors in prop::collection::vec(1_u32.., 57..60),
            exponent in 1_u32..120,
        ) {
            let mut modulus = made_up(&factors, exponent);
            prop_assert!(has_fingerprint(&modulus));
            // Another residue modulo each of the primes; so few of these are powers that it cannot be chance.
            *modulus.last_mut().unwrap() ^= 2;
            prop_assert!(!has_fingerprint(&modulus));
        }

        #[test]
        fn others_do_not(modulus in prop::collection::vec(any::<u8>(), 256)) {
            prop_assert!(!has_fingerprint(&modulus));
        }
    }
}
