//! Strict JSON (RFC 8259) for what strangers sign: one object and nothing behind it, no member twice (names
//! compared unescaped), nesting and members bounded, no lone surrogate. Values come back as slices of the text.
//!
//! Why not sonic-rs: its object iterator keeps duplicates, does not look behind the object, and skips nested
//! values by recursion without a bound.

use std::borrow::Cow;

use super::error::{AuthError, JsonError, Part};

/// How deep arrays and objects may nest, the outermost object counted.
const DEPTH_MAX: usize = 32;

/// Members of an object; bounds the quadratic search for duplicates.
const MEMBERS_MAX: usize = 128;

/// A value, already checked, in the text that it came from.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Value<'a> {
    Text(Text<'a>),
    /// The number as written.
    Number(&'a str),
    /// With its brackets.
    Array(&'a str),
    /// With its braces.
    Object(&'a str),
    True,
    False,
    Null,
}

/// What stands between a string's quotes. Invariant: its escapes are valid.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// The string that is meant, borrowed unless it has escapes.
    pub(super) fn decode(self) -> Cow<'a, str> {
        if memchr::memchr(b'\\', self.0.as_bytes()).is_none() {
            return Cow::Borrowed(self.0);
        }
        let mut decoded = String::with_capacity(self.0.len());
        let mut rest = self.0;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            let (char, after) = unescape(&rest[at..]).expect("the scanner has checked every escape");
            decoded.push_str(&rest[..at]);
            decoded.push(char);
            rest = after;
        }
        decoded.push_str(rest);
        Cow::Owned(decoded)
    }
}

/// Reads `bytes` as one object and hands over each member; `part` only names the culprit.
///
/// An error of `member` ends the reading. What was handed over counts only if the whole returns `Ok`.
pub(super) fn members<'a>(
    part: Part,
    bytes: &'a [u8],
    mut member: impl FnMut(&str, Value<'a>) -> Result<(), AuthError>,
) -> Result<(), AuthError> {
    let text =
        simdutf8::basic::from_utf8(bytes).map_err(|_| AuthError::Json { part, error: JsonError::Utf8 })?;
    let mut scanner = Scanner { part, text, at: 0 };
    let mut names: Vec<Cow<'a, str>> = Vec::with_capacity(16);
    scanner.space();
    scanner.expect(b'{')?;
    scanner.list(b'}', |scanner| {
        let (name, value) = scanner.member(1)?;
        let name = name.decode();
        if names.contains(&name) {
            return Err(scanner.refuse(JsonError::Duplicate));
        }
        if names.len() == MEMBERS_MAX {
            return Err(scanner.refuse(JsonError::TooMany));
        }
        member(&name, value)?;
        names.push(name);
        Ok(())
    })?;
    scanner.space();
    if scanner.at < text.len() { Err(scanner.syntax()) } else { Ok(()) }
}

/// Hands over each element of a [`Value::Array`]; `part` only names the culprit.
pub(super) fn elements<'a>(
    part: Part,
    array: &'a str,
    mut element: impl FnMut(Value<'a>) -> Result<(), AuthError>,
) -> Result<(), AuthError> {
    let mut scanner = Scanner { part, text: array, at: 0 };
    scanner.expect(b'[')?;
    scanner.list(b']', |scanner| element(scanner.value(1)?))
}

/// Invariant: `at` is at most the length of `text` and on a character boundary, since only whole characters are passed.
struct Scanner<'a> {
    part: Part,
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The items of an array or object up to and with `close`; the opening bracket has been read.
    fn list(
        &mut self,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), AuthError>,
    ) -> Result<(), AuthError> {
        self.space();
        if self.eat(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            self.space();
            if self.eat(close) {
                return Ok(());
            }
            self.expect(b',')?;
            self.space();
        }
    }

    /// A name, a colon and a value. `depth` counts the arrays and objects around it.
    fn member(&mut self, depth: usize) -> Result<(Text<'a>, Value<'a>), AuthError> {
        let name = self.string()?;
        self.space();
        self.expect(b':')?;
        self.space();
        Ok((name, self.value(depth)?))
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, AuthError> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b'[') => {
                self.enter(depth)?;
                self.list(b']', |scanner| scanner.value(depth + 1).map(drop))?;
                Ok(Value::Array(&self.text[start..self.at]))
            }
            Some(b'{') => {
                self.enter(depth)?;
                self.list(b'}', |scanner| scanner.member(depth + 1).map(drop))?;
                Ok(Value::Object(&self.text[start..self.at]))
            }
            Some(b't') => self.literal("true", Value::True),
            Some(b'f') => self.literal("false", Value::False),
            Some(b'n') => self.literal("null", Value::Null),
            Some(_) | None => Err(self.syntax()),
        }
    }

    /// Passes the bracket of one more level.
    fn enter(&mut self, depth: usize) -> Result<(), AuthError> {
        if depth == DEPTH_MAX {
            return Err(self.refuse(JsonError::TooDeep));
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<Text<'a>, AuthError> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let (_, rest) = unescape(&self.text[self.at..]).ok_or_else(|| self.syntax())?;
                    self.at = self.text.len() - rest.len();
                }
                Some(0x20..) => self.at += 1,
                Some(..0x20) | None => return Err(self.syntax()),
            }
        }
        let text = Text(&self.text[start..self.at]);
        self.at += 1;
        Ok(text)
    }

    fn number(&mut self) -> Result<&'a str, AuthError> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _signed = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), AuthError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.syntax()) } else { Ok(()) }
    }

    fn literal(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, AuthError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(value)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), AuthError> {
        if self.eat(byte) { Ok(()) } else { Err(self.syntax()) }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn syntax(&self) -> AuthError {
        self.refuse(JsonError::Syntax { at: self.at })
    }

    fn refuse(&self, error: JsonError) -> AuthError {
        AuthError::Json { part: self.part, error }
    }
}

/// Reads the escape sequence that `text` begins with; returns its character and what follows.
fn unescape(text: &str) -> Option<(char, &str)> {
    let rest = text.strip_prefix('\\')?;
    let char = match rest.as_bytes().first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unescape_unicode(&rest[1..]),
        _ => return None,
    };
    Some((char, &rest[1..]))
}

/// Four hexadecimal digits, or a whole surrogate pair.
fn unescape_unicode(text: &str) -> Option<(char, &str)> {
    let (first, rest) = utf16_unit(text)?;
    if let Some(char) = char::from_u32(u32::from(first)) {
        return Some((char, rest));
    }
    let (second, rest) = utf16_unit(rest.strip_prefix("\\u")?)?;
    let char = char::decode_utf16([first, second]).next()?.ok()?;
    Some((char, rest))
}

fn utf16_unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> Result<Vec<(String, Value<'_>)>, JsonError> {
        let mut found = Vec::new();
        let verdict = members(Part::Header, text, |name, value| {
            found.push((name.to_owned(), value));
            Ok(())
        });
        match verdict {
            Err(AuthError::Json { part: Part::Header, error }) => Err(error),
            verdict => Ok(verdict.map(|()| found).unwrap()),
        }
    }

    #[test]
    fn objects_are_read_member_by_member() {
        let text = br#" { "a" : "x\u00e9\n\ud83d\ude00\/" , "\u0062":-1.5e+3,"c":[1,{"d":[]}], "e":{},
            "f":true,"g":false,"h":null,"":0 } "#;
        let found = read(text).unwrap();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "e", "f", "g", "h", ""]);
        let Value::Text(first) = found[0].1 else { panic!("{:?}", found[0]) };
        assert_eq!(first.decode(), "xé\n😀/");
        assert_eq!(found[1].1, Value::Number("-1.5e+3"));
        assert_eq!(found[2].1, Value::Array(r#"[1,{"d":[]}]"#));
        let rest: Vec<_> = found[3..7].iter().map(|(_, value)| *value).collect();
        assert_eq!(rest, [Value::Object("{}"), Value::True, Value::False, Value::Null]);
    }

    #[test]
    fn what_is_not_one_strict_object_is_refused_where_it_breaks() {
        let rows: &[(&[u8], usize)] = &[
            (b"", 0),
            (b"[]", 0),
            (b"\"a\"", 0),
            (b"{", 1),
            (b"{}x", 2),
            (b"{}{}", 2),
            (b"{\"a\":1}\0", 7),
            (b"{,}", 1),
            (b"{\"a\":1,}", 7),
            (b"{\"a\" 1}", 5),
            (b"{\"a\":}", 5),
            (b"{a:1}", 1),
            (b"{'a':1}", 1),
            (b"{\"a\":01}", 6),
            (b"{\"a\":+1}", 5),
            (b"{\"a\":.5}", 5),
            (b"{\"a\":1.}", 7),
            (b"{\"a\":1e}", 7),
            (b"{\"a\":-}", 6),
            (b"{\"a\":0x1}", 6),
            (b"{\"a\":NaN}", 5),
            (b"{\"a\":Infinity}", 5),
            (b"{\"a\":tru}", 5),
            (b"{\"a\":truex}", 9),
            (b"{\"a\":\"\n\"}", 6),
            (b"{\"a\":\"\\x\"}", 6),
            (b"{\"a\":\"\\u12\"}", 6),
            (b"{\"a\":\"\\u+123\"}", 6),
            (b"{\"a\":\"\\ud800\"}", 6),
            (b"{\"a\":\"\\ud800\\u0041\"}", 6),
            (b"{\"a\":\"\\udc00\\ud800\"}", 6),
            (b"{\"a\":\"", 6),
            (b"{\"a\":[1 2]}", 8),
            (b"{\"a\":[1,]}", 8),
            (b"{\"a\":{\"b\"}}", 9),
            (b"{/**/}", 1),
            (b"\xef\xbb\xbf{}", 0),
        ];
        for (text, at) in rows {
            let shown = String::from_utf8_lossy(text);
            assert_eq!(read(text).unwrap_err(), JsonError::Syntax { at: *at }, "{shown}");
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}").unwrap_err(), JsonError::Utf8);
        assert_eq!(read(b"{\"a\":\"\xed\xa0\x80\"}").unwrap_err(), JsonError::Utf8);
    }

    #[test]
    fn names_stand_once_however_they_are_spelled() {
        for text in
            [r#"{"a":1,"a":1}"#, r#"{"sub":1,"x":2,"\u0073ub":3}"#, r#"{"\/":1,"/":1}"#, r#"{"":1,"":1}"#]
        {
            assert_eq!(read(text.as_bytes()).unwrap_err(), JsonError::Duplicate, "{text}");
        }
        assert!(read(br#"{"a":1,"A":1,"a ":1}"#).is_ok());
    }

    #[test]
    fn members_and_depth_are_bounded() {
        let object = |count: usize| {
            let members: Vec<String> = (0..count).map(|n| format!("\"m{n}\":{n}")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(read(object(MEMBERS_MAX).as_bytes()).is_ok());
        assert_eq!(read(object(MEMBERS_MAX + 1).as_bytes()).unwrap_err(), JsonError::TooMany);

        let nested = |open: &str, close: &str, levels: usize| {
            format!("{{\"a\":{}0{}}}", open.repeat(levels), close.repeat(levels))
        };
        for (open, close) in [("[", "]"), ("{\"b\":", "}")] {
            assert!(read(nested(open, close, DEPTH_MAX - 1).as_bytes()).is_ok());
            for levels in [DEPTH_MAX, 1_000_000] {
                assert_eq!(read(nested(open, close, levels).as_bytes()).unwrap_err(), JsonError::TooDeep);
                assert_eq!(read(nested(open, "", levels).as_bytes()).unwrap_err(), JsonError::TooDeep);
            }
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let text = r#"{"a":"\ud83d\ude00é","b":[-0.5e-1,true,{"c":null}]}"#.as_bytes();
        assert!(read(text).is_ok());
        for end in 0..text.len() {
            assert!(read(&text[..end]).is_err(), "{end}");
        }
    }

    proptest! {
        /// Whatever is accepted here is JSON to an independent parser too, with the same members.
        #[test]
        fn agrees_with_sonic_rs(text in r#"\{("[ab\\un0/]{0,4}" ?[:,] ?("[a\\u0"]{0,3}"|-?[0-9.eE+]{1,4}|\[[0-9,\[\] ]{0,5}\]|true|nul|null),?){0,3}\}"#) {
            let ours = read(text.as_bytes());
            let theirs: Result<sonic_rs::Object, _> = sonic_rs::from_str(&text);
            match ours {
                Ok(members) => {
                    let theirs = theirs.map_err(|error| TestCaseError::fail(error.to_string()))?;
                    prop_assert_eq!(members.len(), theirs.len());
                    for (name, _) in members {
                        prop_assert!(theirs.contains_key(&name.as_str()));
                    }
                }
                Err(JsonError::Syntax { .. }) => prop_assert!(theirs.is_err(), "{}", text),
                Err(JsonError::Duplicate) => {}
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }
}
