//! Strings and numbers as JSON spells them.

use crate::base::json::plain_len;

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
