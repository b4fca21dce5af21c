//! A quick walk through JSON as programs write it: no whitespace between the parts that the caller names, no escapes in keys.
//!
//! Everything here answers `None` to what it does not know at sight, and a real parser decides then. Invariant: a text that is
//! walked to its end without `None` is valid JSON, so that the walk never accepts what the parser would refuse.

use std::borrow::Cow;

use sonic_rs::LazyValue;

/// Deeper values are the parser's.
const DEPTH_MAX: u32 = 16;
/// Longer integers are the parser's: it may find them too large.
const DIGITS_MAX: usize = 18;

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'a> {
    text: &'a str,
    /// Invariant: at most the text's length, and between two characters.
    at: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Steps over `expected`, which must stand here.
    #[inline]
    pub(crate) fn literal(&mut self, expected: &str) -> Option<()> {
        self.rest().starts_with(expected.as_bytes()).then(|| self.at += expected.len())
    }

    /// Steps over this ASCII character, which must stand here.
    #[inline]
    fn byte(&mut self, expected: u8) -> Option<()> {
        (self.text.as_bytes().get(self.at) == Some(&expected)).then(|| self.at += 1)
    }

    /// Steps over an object; `field` gets each key and steps over its value.
    #[inline]
    pub(crate) fn object(&mut self, mut field: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.byte(b'{')?;
        if self.byte(b'}').is_some() {
            return Some(());
        }
        loop {
            let key = self.plain_string()?;
            self.byte(b':')?;
            field(self, key)?;
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Steps over a string without escapes; what stands between its quotes.
    #[inline]
    pub(crate) fn plain_string(&mut self) -> Option<&'a str> {
        self.byte(b'"')?;
        let start = self.at;
        self.at += special(self.rest())?;
        let inner = self.text.get(start..self.at);
        self.byte(b'"')?;
        inner
    }

    /// Steps over any value; the value as it stands there.
    #[inline]
    pub(crate) fn value(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.skip(DEPTH_MAX)?;
        self.text.get(start..self.at)
    }

    /// Steps over a natural number.
    pub(crate) fn number(&mut self) -> Option<u64> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=DIGITS_MAX).contains(&digits) || (digits > 1 && self.rest()[0] == b'0') {
            return None;
        }
        let number = self.text.get(self.at..self.at + digits)?.parse().ok();
        self.at += digits;
        number
    }

    /// The text must be over.
    #[inline]
    pub(crate) fn end(&self) -> Option<()> {
        (self.at == self.text.len()).then_some(())
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.rest().first().copied()?;
        // Only ASCII is matched by callers; a step into the middle of a character would end in a panic later.
        self.at += usize::from(byte.is_ascii());
        Some(byte)
    }

    #[inline]
    fn skip(&mut self, depth: u32) -> Option<()> {
        match self.rest().first()? {
            b'"' => self.skip_string(),
            b'{' => self.skip_items(depth, b'}', |walk| {
                walk.skip_string()?;
                walk.skip_space();
                walk.byte(b':')?;
                walk.skip_space();
                walk.skip(depth - 1)
            }),
            b'[' => self.skip_items(depth, b']', |walk| walk.skip(depth - 1)),
            b'-' => {
                self.at += 1;
                self.skip_number()
            }
            b'0'..=b'9' => self.skip_number(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => None,
        }
    }

    /// Integers; what a fraction or an exponent follows is the parser's.
    fn skip_number(&mut self) -> Option<()> {
        self.number()?;
        match self.rest().first() {
            Some(b'.' | b'e' | b'E') => None,
            Some(_) | None => Some(()),
        }
    }

    fn skip_items(
        &mut self,
        depth: u32,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        if depth == 0 {
            return None;
        }
        self.at += 1;
        self.skip_space();
        if self.rest().first() == Some(&close) {
            self.at += 1;
            return Some(());
        }
        loop {
            item(self)?;
            self.skip_space();
            match self.next()? {
                b',' => self.skip_space(),
                byte if byte == close => return Some(()),
                _ => return None,
            }
        }
    }

    #[inline]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.rest().first() {
            self.at += 1;
        }
    }

    #[inline]
    fn skip_string(&mut self) -> Option<()> {
        self.byte(b'"')?;
        loop {
            self.at += special(self.rest())?;
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        let digits = self.rest().get(..4)?;
                        // Halves of surrogate pairs are the parser's.
                        let half =
                            matches!(digits, [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..]);
                        if half || !digits.iter().all(u8::is_ascii_hexdigit) {
                            return None;
                        }
                        self.at += 4;
                    }
                    _ => return None,
                },
                _ => return None,
            }
        }
    }
}

/// Keeps the first value of a key; a second one is the parser's.
pub(crate) fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// What `string`, a JSON string with its quotes that was stepped over, says, if its only escapes are those of the quote,
/// the backslash and the slash: JSON inside JSON has no others.
pub(crate) fn unescape(string: &str) -> Option<Vec<u8>> {
    let mut rest = string.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let escaped = *rest.get(at + 1)?;
        if !matches!(escaped, b'"' | b'\\' | b'/') {
            return None;
        }
        out.extend_from_slice(&rest[..at]);
        out.push(escaped);
        rest = &rest[at + 2..];
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// A value of `text` as it stands there: a `LazyValue` only lends it for as long as it lives itself, and of a string with
/// escapes it has a copy.
pub(crate) fn raw_within<'a>(text: &'a str, value: &LazyValue<'_>) -> Cow<'a, str> {
    let raw = value.as_raw_str();
    let start = (raw.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    match start.checked_add(raw.len()).and_then(|end| text.get(start..end)) {
        Some(own) => Cow::Borrowed(own),
        None => Cow::Owned(raw.to_owned()),
    }
}

/// The same, as bytes.
pub(crate) fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// Where the first quote, backslash or control character is: eight bytes at a time.
#[inline]
fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    // The lowest mark is exact (borrows only travel up), and no lower one can be missing.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGHS;
    let (words, tail) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let marks = below(word, 0x20)
            | below(word ^ (ONES * u64::from(b'"')), 1)
            | below(word ^ (ONES * u64::from(b'\\')), 1);
        if marks != 0 {
            return Some(number * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    let at = tail.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\')?;
    Some(words.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &str) -> Option<&str> {
        let mut walk = Walk::new(text);
        let value = walk.value()?;
        walk.end()?;
        Some(value)
    }

    #[test]
    fn values_are_stepped_over() {
        let known = [
            r#"{"lg": "\u00e9\"é{}[]:,\\\/"}"#,
            r#"{"a":[1,-2,{"b":[]},{}],"c":null,"d":true , "e":false}"#,
            "[ ]",
            "0",
            "\"\"",
            r#""0123456789abcdef""#,
        ];
        for text in known {
            assert_eq!(whole(text), Some(text), "{text}");
            for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
                assert_eq!(whole(&text[..end]), None, "{}", &text[..end]);
            }
        }
        let unknown = [
            "",
            " 1",
            "1 ",
            "01",
            "1.5",
            "1e3",
            "-",
            "+1",
            "tru",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1,}",
            "[1,]",
            "[1 2]",
            "]",
            "é",
            "{\"a\":1é",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"\\é\"",
            "1234567890123456789",
            "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
        ];
        for text in unknown {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn objects_are_walked_field_by_field() {
        fn fields(text: &str) -> Option<Vec<(&str, &str)>> {
            let (mut walk, mut fields) = (Walk::new(text), Vec::new());
            walk.object(|walk, key| {
                fields.push((key, walk.value()?));
                Some(())
            })?;
            walk.end()?;
            Some(fields)
        }
        assert_eq!(fields("{}"), Some(vec![]));
        assert_eq!(fields(r#"{"a":1,"b":{"c": 2}}"#), Some(vec![("a", "1"), ("b", "{\"c\": 2}")]));
        for text in [r#"{"a":1} "#, r#"{"a": 1}"#, r#"{"\u0061":1}"#, r#"{"a":1"#, r#"{"a":1;"b":2}"#, "{,}"]
        {
            assert_eq!(fields(text), None, "{text}");
        }
    }

    #[test]
    fn lazy_values_are_given_back_as_they_stand() {
        let text = r#"[{"a": "\n"},"plain","with \"escapes\" \u00e9 of more than a few letters", "\/",7]"#;
        let values: Vec<LazyValue<'_>> = sonic_rs::from_str(text).unwrap();
        let raws: Vec<Cow<'_, str>> = values.iter().map(|value| raw_within(text, value)).collect();
        assert_eq!(raws.join(","), text.trim_matches(['[', ']']).replace(", ", ","));
        assert!(matches!(raws[0], Cow::Borrowed(_)), "objects are not copied");
    }

    #[test]
    fn simple_escapes_are_undone() {
        let rows = [
            (r#""""#, Some("")),
            (r#""{\"lg\":\"a\\\/b\"}""#, Some(r#"{"lg":"a\/b"}"#)),
            (r#""\n""#, None),
            (r#""\u0041""#, None),
            (r#""\"#, None),
            ("", None),
        ];
        for (string, expected) in rows {
            assert_eq!(unescape(string), expected.map(|text| text.as_bytes().to_vec()), "{string}");
        }
    }

    proptest! {
        #[test]
        fn specials_are_found_where_a_look_at_each_byte_finds_them(bytes in prop::collection::vec(prop_oneof![Just(b'a'), Just(0x1f), Just(0x20), Just(b'"'), Just(b'!'), Just(b'#'), Just(b'\\'), Just(0x80), Just(0xff), any::<u8>()], 0..40)) {
            let naive = bytes.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\');
            prop_assert_eq!(special(&bytes), naive);
        }

        #[test]
        fn what_is_walked_is_json(text in r#"([\[\]{},:" \\ux0-9a-eé-]|"a":|\\u00e9|true|null|\n){0,14}"#) {
            if whole(&text).is_some() {
                prop_assert!(sonic_rs::from_str::<sonic_rs::Value>(&text).is_ok(), "{}", text);
            }
        }
    }
}
