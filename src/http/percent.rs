//! Percent escapes (RFC 3986 2.1), decoded strictly: whole escapes only, and what they make must be UTF-8.

use std::borrow::Cow;

/// What `text` says; `None` for a broken escape or bytes that are not UTF-8. In a query a `+` is a space.
pub(super) fn decode(text: &str, plus_is_space: bool) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| byte == b'%' || (plus_is_space && byte == b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(hex);
                digit()? << 4 | digit()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).ok()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let rows = [
            ("abc", Some("abc"), Some("abc")),
            ("a%2Fb%2f+c", Some("a/b/+c"), Some("a/b/ c")),
            ("%C3%BC", Some("ü"), Some("ü")),
            ("%00", Some("\0"), Some("\0")),
            ("%", None, None),
            ("%4", None, None),
            ("%4g", None, None),
            ("%+1", None, None),
            ("%ff", None, None),
            ("%%41", None, None),
        ];
        for (text, path, query) in rows {
            assert_eq!(decode(text, false).as_deref(), path, "{text}");
            assert_eq!(decode(text, true).as_deref(), query, "{text}");
        }
    }
}
