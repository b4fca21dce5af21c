//! Where a JSON string says something else than its own bytes: for who reads strings and who writes them.

/// How many leading bytes stand for themselves inside a JSON string: all but `"`, `\` and U+0000–U+001F
/// (RFC 8259 section 7). Eight bytes at a time while there are eight.
pub fn plain_len(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return index * 8 + (special.trailing_zeros() / 8) as usize;
        }
    }
    let plain = rest.iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count();
    words.len() * 8 + plain
}

/// The lowest bit set is the high bit of the lowest byte that is special. Bits above it may be set wrongly,
/// since the subtractions borrow upward only from bytes that are special themselves.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let zeroes = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zeroes(word ^ (ONES * b'"' as u64));
    let backslash = zeroes(word ^ (ONES * b'\\' as u64));
    (control | quote | backslash) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_special_byte_is_found_at_every_place() {
        for len in 0..40 {
            for place in 0..=len {
                for special in (0..0x20).chain([b'"', b'\\']) {
                    // What follows is special too: the lowest must win.
                    let mut bytes = vec![special; len];
                    bytes[..place].fill(0xff - (place % 3) as u8);
                    assert_eq!(plain_len(&bytes), place, "{bytes:x?}");
                }
            }
        }
    }

    #[test]
    fn every_byte_is_plain_or_special_whatever_stands_beside_it() {
        for byte in 0..=u8::MAX {
            let plain = byte >= 0x20 && byte != b'"' && byte != b'\\';
            for neighbour in [0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xa2, 0xff] {
                let mut bytes = [neighbour; 17];
                bytes[9] = byte;
                assert_eq!(plain_len(&bytes), if plain { 17 } else { 9 }, "{byte:#x} beside {neighbour:#x}");
            }
        }
    }
}
