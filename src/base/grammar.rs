//! The token of RFC 9110, of which header names, subprotocols and extensions are made. Not a token that says who somebody
//! is: that is `Token`.

/// Any visible ASCII character but delimiters (RFC 9110 5.6.2).
pub fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// One such character at least.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
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
