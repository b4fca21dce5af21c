//! The mask of a client's frames (RFC 6455 5.3), eight bytes at a time: the loop over whole words has no
//! branch and becomes vector instructions. Masking and unmasking are the same operation.

/// Applies `key` to `bytes`, whose first byte meets the key's first.
#[inline]
pub fn apply(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

/// The key as it meets the byte after `count` more bytes.
#[inline]
pub(super) fn advance(mut key: [u8; 4], count: usize) -> [u8; 4] {
    key.rotate_left(count % 4);
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(bytes: &mut [u8], key: [u8; 4]) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte ^= key[i % 4];
        }
    }

    #[test]
    fn every_short_length_at_every_alignment() {
        let source: Vec<u8> = (0..=255).cycle().take(300).collect();
        for start in 0..8 {
            for end in start..source.len() {
                let (mut fast, mut slow) = (source.clone(), source.clone());
                apply(&mut fast[start..end], [0x37, 0xfa, 0x21, 0x3d]);
                naive(&mut slow[start..end], [0x37, 0xfa, 0x21, 0x3d]);
                assert_eq!(fast, slow, "{start}..{end}");
            }
        }
    }

    proptest! {
        #[test]
        fn as_the_naive_twin_in_two_pieces(
            source in proptest::collection::vec(any::<u8>(), 0..2000),
            key: [u8; 4],
            cut: proptest::sample::Index,
        ) {
            let cut = cut.index(source.len() + 1);
            let mut slow = source.clone();
            naive(&mut slow, key);
            let mut fast = source;
            let (left, right) = fast.split_at_mut(cut);
            apply(left, key);
            apply(right, advance(key, cut));
            prop_assert_eq!(fast, slow);
        }
    }
}
