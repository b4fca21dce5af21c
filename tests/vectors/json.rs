//! JSONTestSuite (n_: no parser may take it, y_: every parser must, i_: each as it likes) in every place where a stranger's
//! JSON is read. It comes with the crate `json-syntax`, whose `y_` has numbers of any size as well; what that leaves
//! out stands here.

use std::fs;

use super::{
    place,
    reader::{VALUES, is_body, is_message},
};

/// Texts of the suite that the crate has not.
const OTHERS: [(&str, &[u8]); 5] = [
    ("i_string_1st_surrogate_but_2nd_missing.json", br#"["\uDADA"]"#),
    ("i_string_UTF-16LE_with_BOM.json", b"\xff\xfe[\0\"\0\xe9\0\"\0]\0"),
    ("i_string_utf16BE_no_BOM.json", b"\0[\0\"\0\xe9\0\"\0]"),
    ("i_string_utf16LE_no_BOM.json", b"[\0\"\0\xe9\0\"\0]\0"),
    ("i_structure_UTF-8_BOM_empty_object.json", b"\xef\xbb\xbf{}"),
];

/// The fewest that are the suite; the crate's `.json` files in version 0.12.5 are 314.
const TEXTS_MIN: usize = 310;

/// All others nest less than any limit of ours.
const NESTED: &str = "y_structure_500_nested_arrays.json";

#[test]
fn texts_that_are_json_are_read_and_no_others() {
    let Some(folder) = place("RINGWAY_JSON_VECTORS", "JSONTestSuite") else { return };
    let mut texts: Vec<(String, Vec<u8>)> = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".json") {
            texts.push((name, fs::read(path).unwrap()));
        }
    }
    assert!(texts.len() >= TEXTS_MIN, "{} texts are not the suite", texts.len());
    texts.extend(OTHERS.map(|(name, text)| (name.to_owned(), text.to_vec())));
    texts.sort();
    let mut wrong = Vec::new();
    for (name, text) in &texts {
        // Of the i_ that are left all are halves of surrogate pairs or no UTF-8: refused, since members' parsers differ.
        let is_json = name.starts_with("y_");
        for place in VALUES {
            let expected = is_json && (name != NESTED || place.depth_max >= 500);
            if (place.takes)(text) != expected {
                wrong.push(format!("{name} as {}: expected {expected}", place.name));
            }
        }
        let is_object = is_json && text.trim_ascii_start().starts_with(b"{");
        for (whole, reads) in [("a message", is_message(text)), ("a body", is_body(text))] {
            if reads != is_object {
                wrong.push(format!("{name} as {whole}: expected {is_object}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} texts:\n{}", wrong.len(), texts.len(), wrong.join("\n"));
}

/// The limits of depth, at each of them.
#[test]
fn nesting_ends_where_it_is_said_to() {
    for place in VALUES {
        for (depth, expected) in
            [(1, true), (place.depth_max, true), (place.depth_max + 1, false), (500, false)]
        {
            for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
                let text = format!("{}0{}", open.repeat(depth), close.repeat(depth));
                assert_eq!((place.takes)(text.as_bytes()), expected, "{} {open} {depth}", place.name);
            }
        }
    }
}
