//! Strict JSON for what strangers sign: one object, no member twice (names compared unescaped), and members bounded.
//! Values come back as slices of the text; what is JSON, [`json`](crate::base::json) says.

use std::borrow::Cow;

use super::error::{AuthError, JsonError, Part};
use crate::base::json::{self, Kind, Malformed};

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

/// A string. Invariant: the value is one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Text<'a>(json::Value<'a>);

impl<'a> Text<'a> {
    /// The string that is meant, borrowed unless it has escapes.
    pub(super) fn decode(self) -> Cow<'a, str> {
        self.0.text().expect("a string whose escapes were checked")
    }
}

impl<'a> From<json::Value<'a>> for Value<'a> {
    fn from(value: json::Value<'a>) -> Self {
        match value.kind {
            Kind::String { .. } => Self::Text(Text(value)),
            Kind::Number => Self::Number(value.raw),
            Kind::Array => Self::Array(value.raw),
            Kind::Bool(true) => Self::True,
            Kind::Bool(false) => Self::False,
            Kind::Null => Self::Null,
            Kind::Object => Self::Object(value.raw),
        }
    }
}

/// Reads `bytes` as one object and hands over each member; `part` only names the culprit.
///
/// After an error of `member` nothing more is handed over. What was counts only if the whole returns `Ok`.
pub(super) fn members<'a>(
    part: Part,
    bytes: &'a [u8],
    mut member: impl FnMut(&str, Value<'a>) -> Result<(), AuthError>,
) -> Result<(), AuthError> {
    let text = simdutf8::basic::from_utf8(bytes).map_err(|_| refused(part, JsonError::Utf8))?;
    let mut names: Vec<Cow<'a, str>> = Vec::with_capacity(16);
    let mut verdict = Ok(());
    let read = json::members(text, |name, value| {
        if verdict.is_err() {
            return;
        }
        let name = Text(name).decode();
        verdict = if names.contains(&name) {
            Err(refused(part, JsonError::Duplicate))
        } else if names.len() == MEMBERS_MAX {
            Err(refused(part, JsonError::TooMany))
        } else {
            member(&name, value.into())
        };
        names.push(name);
    });
    read.map_err(|malformed| refused(part, malformed.into())).and(verdict)
}

/// Hands over each element of a [`Value::Array`], up to an error of `element`; `part` only names the culprit.
pub(super) fn elements<'a>(
    part: Part,
    array: &'a str,
    mut element: impl FnMut(Value<'a>) -> Result<(), AuthError>,
) -> Result<(), AuthError> {
    let mut verdict = Ok(());
    let read = json::elements(array, |value| {
        if verdict.is_ok() {
            verdict = element(value.into());
        }
    });
    read.map_err(|malformed| refused(part, malformed.into())).and(verdict)
}

fn refused(part: Part, error: JsonError) -> AuthError {
    AuthError::Json { part, error }
}

impl From<Malformed> for JsonError {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Syntax { at, .. } => Self::Syntax { at },
            Malformed::TooDeep { .. } => Self::TooDeep,
        }
    }
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
            (b"{\"a\":\"\\x\"}", 7),
            (b"{\"a\":\"\\u12\"}", 10),
            (b"{\"a\":\"\\u+123\"}", 8),
            (b"{\"a\":\"\\ud800\"}", 12),
            (b"{\"a\":\"\\ud800\\u0041\"}", 18),
            (b"{\"a\":\"\\udc00\\ud800\"}", 12),
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

        for levels in [json::DEPTH_MAX as usize, 1_000_000] {
            let nested = format!("{{\"a\":{}", "[".repeat(levels));
            assert_eq!(read(nested.as_bytes()).unwrap_err(), JsonError::TooDeep);
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
