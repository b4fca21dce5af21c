//! Strings and numbers as JSON spells them.

/// How many leading bytes stand for themselves inside a JSON string: all but `"`, `\` and U+0000–U+001F
/// (RFC 8259 section 7). Eight bytes at a time while there are eight.
pub(super) fn plain_len(bytes: &[u8]) -> usize {
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

/// Appends `text` as a JSON string, quotes and all.
pub(in crate::dialect) fn put_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = special.split_first() else { break };
        put_escape(out, byte);
        rest = after;
    }
    out.push(b'"');
}

fn put_escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(br#"\""#),
        b'\\' => out.extend_from_slice(br"\\"),
        b'\n' => out.extend_from_slice(br"\n"),
        b'\r' => out.extend_from_slice(br"\r"),
        b'\t' => out.extend_from_slice(br"\t"),
        control => {
            out.extend_from_slice(br"\u00");
            out.extend([control >> 4, control & 0xf].map(hex_digit));
        }
    }
}

/// Appends a number in decimal.
pub(in crate::dialect) fn put_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a number as a string of 16 hexadecimal digits.
pub(super) fn put_hex(out: &mut Vec<u8>, number: u64) {
    out.push(b'"');
    put_hex_half(out, (number >> 32) as u32);
    put_hex_half(out, number as u32);
    out.push(b'"');
}

/// Appends a number as eight hexadecimal digits.
pub(super) fn put_hex_half(out: &mut Vec<u8>, number: u32) {
    let digits: [u8; 8] = std::array::from_fn(|place| hex_digit((number >> (28 - place * 4)) as u8 & 0xf));
    out.extend_from_slice(&digits);
}

fn hex_digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    }
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

    #[test]
    fn strings_are_escaped_where_they_must_be() {
        let rows = [
            ("", r#""""#),
            ("plain, ünï 😀 \u{7f}\u{2028}/", "\"plain, ünï 😀 \u{7f}\u{2028}/\""),
            ("say \"hi\"", r#""say \"hi\"""#),
            (r"a\b", r#""a\\b""#),
            ("\n\r\t", r#""\n\r\t""#),
            ("\0\u{8}\u{c}\u{1f}", r#""\u0000\u0008\u000c\u001f""#),
            ("eight..\"", r#""eight..\"""#),
        ];
        for (text, expected) in rows {
            let mut out = Vec::new();
            put_string(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn numbers() {
        let mut out = Vec::new();
        for number in [0, 10, u64::MAX] {
            put_number(&mut out, number);
            put_hex(&mut out, number);
        }
        let expected = r#"0"0000000000000000"10"000000000000000a"18446744073709551615"ffffffffffffffff""#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
