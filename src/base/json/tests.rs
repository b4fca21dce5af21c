//! The reader against RFC 8259: a table of what must and must not pass, and serde_json as a second opinion.

use std::borrow::Cow;

use proptest::prelude::*;

use super::{DEPTH_MAX, Kind, Malformed, elements, members};

fn scan(text: &str) -> Result<Vec<(String, Kind, &str)>, Malformed> {
    let mut seen = Vec::new();
    members(text, |name, value| seen.push((name.text().unwrap().into_owned(), value.kind, value.raw)))?;
    Ok(seen)
}

/// Values of RFC 8259; each arrives as written, alone and with space around it.
const VALID_VALUES: &[&str] = &[
    // literals and numbers
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "10",
    "1234567890123456789012345678901234567890",
    "0.0",
    "-0.0",
    "0.5",
    "123.456",
    "1e1",
    "1E1",
    "1e+1",
    "1e-1",
    "0e0",
    "0e+1",
    "1.5e300",
    "-1.5E-300",
    "1e999",
    "100000000000000000000000000000000.100000000000000000000000000000000e10",
    // strings
    r#""""#,
    r#""a""#,
    r#"" ""#,
    r#""/""#,
    r#""\/""#,
    r#""\"""#,
    r#""\\""#,
    r#""\\\"""#,
    r#""\b\f\n\r\t""#,
    r#""\u0000""#,
    r#""\u001f""#,
    r#""\u0022\u005c""#,
    r#""\u00e9\u00E9""#,
    r#""\uFFFF\ufdd0""#,
    r#""\ud83d\ude00""#,
    r#""\uD800\uDC00\uDBFF\uDFFF""#,
    r#""\\ud800""#,
    "\"\u{7f}\"",
    "\"ü€😀\"",
    "\"\u{2028}\u{2029}\u{feff}\u{fffd}\u{10ffff}\"",
    r#""[{]}:,""#,
    r#""0123456\"89012345\\7890123456\n8901""#,
    // arrays
    "[]",
    "[ ]",
    "[[]]",
    "[[],[]]",
    "[{}]",
    "[1]",
    "[1,2,3]",
    "[ 1 , 2 ]",
    "[\n1\t,\r2\n]",
    "[null,true,false]",
    r#"["a",1,{"b":[2]},[3]]"#,
    r#"["",""]"#,
    "[0,-0]",
    "[1e1,2E2]",
    // objects
    "{}",
    "{ }",
    r#"{"a":1}"#,
    r#"{ "a" : 1 }"#,
    r#"{"a":1,"b":2}"#,
    r#"{"a":1,"a":2}"#,
    r#"{"":0}"#,
    r#"{"\u0061":1}"#,
    r#"{"a":{}}"#,
    r#"{"a":[]}"#,
    r#"{"a":{"b":{"c":[{}]}}}"#,
    r#"{"a\"b":"c\"d"}"#,
    "{\"a\"\n:\r\"b\"\t}",
    r#"{"a":[1,{"b":2}],"c":null}"#,
];

/// What is no value, or not only one.
const INVALID_VALUES: &[&str] = &[
    "",
    " ",
    // literals
    "nul",
    "nulll",
    "NULL",
    "True",
    "tru",
    "fals",
    "truefalse",
    "undefined",
    "NaN",
    "Infinity",
    "-Infinity",
    "nan",
    "None",
    // numbers
    "-",
    "+1",
    "01",
    "-01",
    "00",
    "1.",
    ".5",
    "-.5",
    "1.e1",
    "1e",
    "1e+",
    "1E-",
    "1e1.5",
    "1.5.5",
    "1ee1",
    "0x1",
    "0b1",
    "1_000",
    "1 000",
    "--1",
    "-+1",
    "- 1",
    "1-",
    "1+1",
    "٣",
    "１",
    "1a",
    "1e٣",
    "0e",
    "-a",
    "²",
    // strings
    "\"",
    r#""a"#,
    r#"""""#,
    "'a'",
    "a",
    r#""\""#,
    r#""\a""#,
    r#""\x41""#,
    r#""\0""#,
    r#""\'""#,
    r#""\U0041""#,
    r#""\ ""#,
    r#""\ü""#,
    r#""\u""#,
    r#""\u1""#,
    r#""\u12""#,
    r#""\u123""#,
    r#""\u123"#,
    r#""\u12g4""#,
    r#""\u+123""#,
    r#""\u 123""#,
    r#""\u٣٣٣٣""#,
    "\"\n\"",
    "\"\t\"",
    "\"\0\"",
    "\"\u{1f}\"",
    "\"12345678\n\"",
    r#""\ud800""#,
    r#""\udc00""#,
    r#""\ud800a""#,
    r#""\ud800\n""#,
    r#""\ud800\ud800""#,
    r#""\udc00\ud800""#,
    r#""\ud800\u0041""#,
    r#""\ud800\"#,
    r#""\ud800\u""#,
    r#""\uD83D\uDE0""#,
    // arrays
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[,]",
    "[1,,2]",
    "[1 2]",
    "[1;2]",
    "[1:2]",
    "[1}",
    "[\"a\"",
    "[[]",
    "[]]",
    "[1]2",
    "[1]]",
    "[[1,]]",
    "[\"a\":1]",
    "[a]",
    "[\"",
    "[1\u{a0}]",
    "[1,\u{b}2]",
    "[\u{c}]",
    "[\u{feff}]",
    "[1\u{2028}]",
    "[//\n]",
    "[/**/]",
    // objects
    "{",
    "}",
    r#"{"a"}"#,
    r#"{"a":}"#,
    r#"{"a":1"#,
    r#"{"a":1,"#,
    r#"{"a":1,}"#,
    r#"{,"a":1}"#,
    r#"{"a":1,,"b":2}"#,
    r#"{"a" 1}"#,
    r#"{"a"::1}"#,
    r#"{"a":1 "b":2}"#,
    r#"{"a":1]"#,
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    r#"{:1}"#,
    r#"{"a":1;"b":2}"#,
    r#"{"a":1}}"#,
    r#"{"a":1}#"#,
    r#"{"a":1}/**/"#,
    r#"{"a"=1}"#,
    r#"{["a"]:1}"#,
    r#"{"\ud800":1}"#,
    "{\"\n\":1}",
    r#"{"a":[}]}"#,
    r#"{"a":{]}"#,
    r#"{"a"#,
    r#"{"a":"#,
    r#"{"a":"b"#,
    r#"{"a" "b"}"#,
    "{{}}",
    "{[]}",
    "{}{}",
    "{},",
    r#"{"a",1}"#,
];

#[test]
fn what_the_rfc_allows_passes_and_arrives_as_written() {
    for &value in VALID_VALUES {
        for (before, after) in [("", ""), (" ", "\t\r\n "), ("\n\n", "")] {
            let text = format!("{before}{{{before}\"v\"{after}:{before}{value}{after}}}{after}");
            let seen = scan(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(seen.len(), 1, "{text}");
            assert_eq!((seen[0].0.as_str(), seen[0].2), ("v", value), "{text}");
        }
    }
}

#[test]
fn what_the_rfc_forbids_is_refused_at_every_depth() {
    for &value in INVALID_VALUES {
        let inside = [
            format!(r#"{{"v":{value}}}"#),
            format!(r#"{{"v":{value},"w":0}}"#),
            format!(r#"{{"v":[{value},1]}}"#),
            format!(r#"{{"v":[[1,{value}],1]}}"#),
            format!(r#"{{"v":{{"w":[{value} ]}},"x":0}}"#),
        ];
        // Some are valid inside the nested forms only by accident: an empty array, or two elements.
        let accidents = ["", " ", "[]]", "]", "[1]]"];
        for text in &inside[..if accidents.contains(&value) { 2 } else { inside.len() }] {
            assert!(scan(text).is_err(), "{text}");
        }
    }
}

#[test]
fn a_message_is_one_object() {
    let rows = [
        ("", 0, "'{'"),
        ("  ", 2, "'{'"),
        ("[]", 0, "'{'"),
        ("null", 0, "'{'"),
        ("\u{feff}{}", 0, "'{'"),
        ("{", 1, "a string that names a member"),
        ("{}{}", 2, "the end"),
        ("{} x", 3, "the end"),
        ("{}\0", 2, "the end"),
        ("{}\u{a0}", 2, "the end"),
        (r#"{"a":1,}"#, 7, "a string that names a member"),
        (r#"{"a":1]"#, 6, "',' or '}'"),
        (r#"{"a":[1}"#, 7, "',' or ']'"),
        (r#"{"a":{"b":1]"#, 11, "',' or '}'"),
        (r#"{"a"}"#, 4, "':'"),
        (r#"{"a":"\ud800x"}"#, 12, "a low surrogate after the high one"),
        (r#"{"a":-}"#, 6, "a digit"),
    ];
    for (text, at, expected) in rows {
        let error = scan(text).expect_err(text).to_string();
        assert_eq!(error, format!("not one JSON object: expected {expected} at byte {at}"), "{text:?}");
    }
    for text in ["{}", " \t\r\n{ \n} \n"] {
        assert_eq!(scan(text), Ok(vec![]), "{text:?}");
    }
}

#[test]
fn elements_come_in_order_and_a_list_is_one_array() {
    let read = |text| {
        let mut seen = Vec::new();
        elements(text, |element| seen.push(element.raw)).map(|()| seen)
    };
    let rows: [(&str, &[&str]); 4] = [
        ("[]", &[]),
        (" [ ] ", &[]),
        ("[1]", &["1"]),
        ("[ {\"a\":[2]} ,\"b\",[]]\n", &["{\"a\":[2]}", "\"b\"", "[]"]),
    ];
    for (text, expected) in rows {
        assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
    }
    for (text, at) in
        [("", 0), ("{}", 0), ("[", 1), ("[1", 2), ("[1,]", 3), ("[1 2]", 3), ("[1}", 2), ("[]]", 2)]
    {
        assert!(matches!(read(text), Err(Malformed::Syntax { at: found, .. }) if found == at), "{text}");
    }
}

#[test]
fn members_come_in_order_with_their_kinds() {
    let text = r#" { "s" : "x" , "e\u0073c":"\n","n":-1.5e3,"t":true,"f":false,"z":null,"a":[1, 2],"o":{"s":{}},"s":0}"#;
    let expected = [
        ("s", Kind::String { escaped: false }, r#""x""#),
        ("esc", Kind::String { escaped: true }, r#""\n""#),
        ("n", Kind::Number, "-1.5e3"),
        ("t", Kind::Bool(true), "true"),
        ("f", Kind::Bool(false), "false"),
        ("z", Kind::Null, "null"),
        ("a", Kind::Array, "[1, 2]"),
        ("o", Kind::Object, r#"{"s":{}}"#),
        ("s", Kind::Number, "0"),
    ];
    let expected = expected.map(|(name, kind, raw)| (name.to_owned(), kind, raw));
    assert_eq!(scan(text), Ok(expected.to_vec()));
}

#[test]
fn escapes_say_what_the_rfc_says() {
    let text = r#"{"v":"\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\uDE00\u0000|"}"#;
    let mut said = None;
    members(text, |_, value| said = value.text()).unwrap();
    assert_eq!(said.as_deref(), Some("\"\\/\u{8}\u{c}\n\r\tAé€😀\0|"));
}

#[test]
fn nesting_ends_at_the_limit_and_costs_no_stack() {
    let nested = |levels: usize, open: &str, close: &str| {
        format!(r#"{{"v":{}{}}}"#, open.repeat(levels), close.repeat(levels))
    };
    let below = DEPTH_MAX as usize - 1;
    for (open, close) in [("[", "]"), ("[{\"a\":[", "]}]")] {
        let per_repeat = open.matches(['[', '{']).count();
        assert_eq!(below % per_repeat, 0);
        assert!(scan(&nested(below / per_repeat, open, close)).is_ok(), "{open}");
        assert!(scan(&nested(below / per_repeat + 1, open, close)).is_err(), "{open}");
    }
    for opening in ["[", "{\"a\":", "[{\"a\":"] {
        let error = scan(&format!("{{\"v\":{}", opening.repeat(65_536 / opening.len()))).expect_err(opening);
        assert!(error.to_string().contains("no deeper nesting"), "{error}");
    }
    // Breadth is no depth.
    assert!(scan(&format!("{{\"v\":[{}[]]}}", "[{}],".repeat(10_000))).is_ok());
}

#[test]
fn every_proper_prefix_of_a_message_is_refused() {
    let text = r#"{"a":[1,{"b":"\ud83d\ude00"},-1.5e-3,true],"é":{"c":null}}"#;
    assert!(scan(text).is_ok());
    for (at, _) in text.char_indices() {
        assert!(scan(&text[..at]).is_err(), "{}", &text[..at]);
    }
}

/// Pieces of JSON, so that random texts get past the first byte.
fn soup() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"b\":", "\\", "\\n", "\\u", "\\u0041", "\\ud800",
        "\\udc00", "00", "12", "-", ".5", "e", "E+1", "true", "null", "fals", "e", " ", "\n", "\t", "é",
        "\u{1}", "\u{a0}", "😀", "0", "{}", "[]", "1",
    ];
    prop::collection::vec(prop::sample::select(PIECES), 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn serde_json_takes_what_the_scanner_takes_and_nothing_else(
        text in prop_oneof![soup().prop_map(|text| format!(r#"{{"v":{text}}}"#)), soup(), any::<String>()],
    ) {
        let second = serde_json::from_str::<serde_json::Value>(&text);
        // A number past f64 is valid JSON all the same.
        let is_range = second.as_ref().is_err_and(|error| error.to_string().contains("number out of range"));
        let expected = second.is_ok_and(|value| value.is_object());
        prop_assert!(is_range || scan(&text).is_ok() == expected, "{text:?}");
    }

    #[test]
    fn strings_say_what_serde_json_reads(pieces in prop::collection::vec(string_piece(), 0..8)) {
        let raw = format!("\"{}\"", pieces.concat());
        let mut said = None;
        let read = members(&format!("{{\"v\":{raw}}}"), |_, value| said = value.text().map(Cow::into_owned));
        prop_assert_eq!(read.ok().and(said), serde_json::from_str::<String>(&raw).ok(), "{}", raw);
    }
}

fn string_piece() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\f",
        "\\n",
        "\\r",
        "\\t",
        "\\u0000",
        "\\u005C",
        "\\ud83d\\ude00",
        "\\uDBFF\\uDFFF",
        "\\uffff",
        "\\ud800",
        "\\udfff",
        "\\u",
        "\\",
        "\"",
    ];
    prop_oneof![prop::sample::select(PIECES).prop_map(str::to_owned), any::<char>().prop_map(String::from)]
}
