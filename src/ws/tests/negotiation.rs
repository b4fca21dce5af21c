//! Offers and answers of permessage-deflate (RFC 7692 5 and 7.1): what is accepted, with which answer, and
//! what is declined. The grammar below it is tested where it is.

use proptest::prelude::*;

use super::deflate::{AnswerError, accept, negotiate, offer};

const BASE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

#[test]
fn offers() {
    let rows: [(&[&str], Option<&str>); 37] = [
        (&[], None),
        (&[""], None),
        (&["permessage-deflate"], Some("")),
        (&["x-webkit-deflate-frame", "permessage-deflate"], Some("")),
        (&["permessage-deflate; client_max_window_bits"], Some("")),
        (&["permessage-deflate; client_max_window_bits=15"], Some("; client_max_window_bits=15")),
        (&["permessage-deflate; client_max_window_bits=9"], Some("; client_max_window_bits=9")),
        (&["permessage-deflate; client_max_window_bits=8"], Some("")),
        (&["permessage-deflate; server_max_window_bits=15"], Some("; server_max_window_bits=15")),
        (&["permessage-deflate; server_max_window_bits=9"], Some("; server_max_window_bits=9")),
        (&[r#"permessage-deflate; server_max_window_bits="10""#], Some("; server_max_window_bits=10")),
        (&[r#"permessage-deflate; server_max_window_bits="1\0""#], Some("; server_max_window_bits=10")),
        (&["permessage-deflate;server_no_context_takeover;client_no_context_takeover"], Some("")),
        (
            &["permessage-deflate; client_max_window_bits=11; server_max_window_bits=12"],
            Some("; server_max_window_bits=12; client_max_window_bits=11"),
        ),
        // Declined.
        (&["permessage-deflate; server_max_window_bits=8"], None),
        (&["permessage-deflate; server_max_window_bits"], None),
        (&["permessage-deflate; server_max_window_bits=7"], None),
        (&["permessage-deflate; server_max_window_bits=16"], None),
        (&["permessage-deflate; server_max_window_bits=010"], None),
        (&["permessage-deflate; server_max_window_bits=+9"], None),
        (&["permessage-deflate; server_max_window_bits=ten"], None),
        (&["permessage-deflate; server_max_window_bits=1000000000000000000010"], None),
        (&["permessage-deflate; server_max_window_bits=10; server_max_window_bits=10"], None),
        (&["permessage-deflate; client_max_window_bits=7"], None),
        (&["permessage-deflate; client_max_window_bits=16"], None),
        (&["permessage-deflate; client_max_window_bits=08"], None),
        (&["permessage-deflate; client_max_window_bits; client_max_window_bits"], None),
        (&["permessage-deflate; server_no_context_takeover=1"], None),
        (&["permessage-deflate; client_no_context_takeover=true"], None),
        (&["permessage-deflate; server_no_context_takeover; server_no_context_takeover"], None),
        (&["permessage-deflate; unknown"], None),
        (&["Permessage-Deflate"], None),
        (&["permessage-deflate; server_max_window_bits=10,"], Some("; server_max_window_bits=10")),
        // The first acceptable one wins.
        (
            &[
                "permessage-deflate; unknown, permessage-deflate; server_max_window_bits=10, permessage-deflate",
            ],
            Some("; server_max_window_bits=10"),
        ),
        (
            &["permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=9"],
            Some("; server_max_window_bits=9"),
        ),
        // A malformed value offers nothing.
        (&["permessage-deflate, ;"], None),
        (&["permessage-deflate;", "permessage-deflate"], Some("")),
    ];
    for (values, expected) in rows {
        let response = negotiate(values.iter().copied()).map(|agreed| agreed.response());
        assert_eq!(response, expected.map(|rest| format!("{BASE}{rest}")), "{values:?}");
    }
}

#[test]
fn answers() {
    type WindowBits = (u8, u8);
    type Row = (&'static str, Result<Option<WindowBits>, AnswerError>);
    let rows: [Row; 16] = [
        ("", Ok(None)),
        ("permessage-deflate; server_no_context_takeover", Ok(Some((15, 15)))),
        (BASE, Ok(Some((15, 15)))),
        ("permessage-deflate; server_no_context_takeover; server_max_window_bits=8", Ok(Some((8, 15)))),
        ("permessage-deflate; client_max_window_bits=9; server_no_context_takeover", Ok(Some((15, 9)))),
        ("permessage-deflate", Err(AnswerError::Parameters)),
        (
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=8",
            Err(AnswerError::Parameters),
        ),
        (
            "permessage-deflate; server_no_context_takeover; client_max_window_bits",
            Err(AnswerError::Parameters),
        ),
        (
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=16",
            Err(AnswerError::Parameters),
        ),
        ("permessage-deflate; server_no_context_takeover; unknown", Err(AnswerError::Parameters)),
        (
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            Err(AnswerError::Parameters),
        ),
        ("permessage-bzip2", Err(AnswerError::NotOffered)),
        ("permessage-deflate; server_no_context_takeover, foo", Err(AnswerError::NotOffered)),
        (
            "permessage-deflate; server_no_context_takeover, permessage-deflate; server_no_context_takeover",
            Err(AnswerError::NotOffered),
        ),
        ("permessage-deflate; ", Err(AnswerError::Malformed)),
        ("permessage deflate", Err(AnswerError::Malformed)),
    ];
    for (answer, expected) in rows {
        let found =
            accept(answer).map(|agreed| agreed.map(|it| (it.server_window_bits, it.client_window_bits)));
        assert_eq!(found, expected, "{answer:?}");
    }
}

#[test]
fn our_two_ends_agree() {
    let server = negotiate([offer()].into_iter()).unwrap();
    let client = accept(&server.response()).unwrap().unwrap();
    assert_eq!(
        (server.server_window_bits, server.client_window_bits),
        (client.server_window_bits, client.client_window_bits)
    );
}

/// Pieces of offers, so that random ones get past the first name.
fn soup() -> impl Strategy<Value = Vec<String>> {
    const PIECES: &[&str] = &[
        "permessage-deflate",
        ";",
        "; ",
        ",",
        "=",
        "\"",
        "\\",
        "server_max_window_bits",
        "client_max_window_bits",
        "server_no_context_takeover",
        "client_no_context_takeover",
        "8",
        "9",
        "15",
        "16",
        "0",
        "é",
        "\0",
        "\t",
        "x",
    ];
    let value = prop::collection::vec(prop::sample::select(PIECES), 0..12).prop_map(|pieces| pieces.concat());
    prop::collection::vec(value, 0..3)
}

proptest! {
    /// Whatever is agreed on has an answer that a client takes, with windows that there are.
    #[test]
    fn any_offer_is_declined_or_answered_well(values in soup()) {
        if let Some(agreed) = negotiate(values.iter().map(String::as_str)) {
            let answer = accept(&agreed.response());
            prop_assert!(matches!(answer, Ok(Some(_))), "{answer:?}");
            prop_assert!((9..=15).contains(&agreed.server_window_bits) && (8..=15).contains(&agreed.client_window_bits));
        }
        for value in &values {
            let _ = accept(value);
        }
    }
}
