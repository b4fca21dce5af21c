//! The token of RFC 9110, of which header names, subprotocols and extensions are made. Not a token that says who somebody
//! is: that is `Token`.

/// Bytes by whether they are letters, digits or one of `others`. Browsers hand over bearer tokens as subprotocols, so
/// that whole tokens are checked byte by byte.
pub const fn alphanumeric_or(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
}

const TOKEN: [bool; 256] = alphanumeric_or(b"!#$%&'*+-.^_`|~");

/// Any visible ASCII character but delimiters (RFC 9110 5.6.2).
pub fn is_token_char(c: char) -> bool {
    u8::try_from(c).is_ok_and(|byte| TOKEN[usize::from(byte)])
}

/// One such character at least.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| TOKEN[usize::from(byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        for text in ["a", "ringway.json.v1", "permessage-deflate", "!#$%&'*+-.^_`|~09azAZ"] {
            assert!(is_token(text), "{text:?}");
        }
        for text in ["", "a b", "\u{e9}", "a\t", "a\x7f", "\0"] {
            assert!(!is_token(text), "{text:?}");
        }
        assert!(!"\"(),/:;<=>?@[\\]{}".chars().any(is_token_char), "delimiters");
    }
}
