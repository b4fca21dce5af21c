//! Patterns against tables, against a matcher that tries everything, and against users who are each other's prefixes.

use proptest::prelude::*;

use super::pattern::{AbilityPattern, PatternError, Who};
use crate::base::RoomPattern;

const ADA: Who<'_> = Who { user: "ada", tenant: "acme" };

#[test]
fn patterns_and_rooms() {
    let rows = [
        ("lobby", &["lobby"][..], &["lobb", "lobbyy", "Lobby", "", "lobby."][..]),
        ("*", &["a", "räume", ""], &["a.b", "a:b", "a/b", "."]),
        ("{project_id}", &["a", ""], &["a.b"]),
        ("**", &["a", "a.b:c/d", ""], &[]),
        ("project.*", &["project.1", "project."], &["project", "project.1.2", "xproject.1", "project:1"]),
        ("project.{id}", &["project.1"], &["project.1.2"]),
        ("task:**", &["task:1", "task:1:2/3", "task:"], &["task", "xtask:1"]),
        ("*.orders", &["eu.orders", ".orders"], &["eu.de.orders", "orders", "eu.orders.x"]),
        ("eu-*-x.*", &["eu-a-x.1", "eu--x.", "eu-a-x-x.1"], &["eu-x.1", "eu-a-x", "eu-a.x.1"]),
        ("a*a", &["aa", "aba"], &["a", "ab"]),
        ("**.x", &["a.x", ".x", "a.b.x"], &["x", "a.xx"]),
        ("a.**.b", &["a..b", "a.x.b", "a.x:y.b"], &["a.b", "a.x.c", "a.x:b"]),
        ("a.*.**.*:z", &["a.1..2:z", "a.1.x.y.2:z"], &["a.1.2:z", "a.1.x.2:y"]),
        ("dashboard.{user_id}", &["dashboard.ada"], &["dashboard.adam", "dashboard.ada.x", "dashboard.bob"]),
        ("{tenant_id}.{user_id}", &["acme.ada"], &["acme.bob", "other.ada"]),
        ("x{user_id}y/{tenant_id}", &["xaday/acme"], &["xada/acme", "xaday/acm"]),
        ("**:{user_id}", &["a.b:ada", ":ada"], &["ada", "a:bob", "a:xada"]),
        ("räume.*", &["räume.é"], &["raume.e"]),
    ];
    for (text, like, unlike) in rows {
        let pattern = AbilityPattern::parse(text).unwrap();
        assert_eq!((pattern.as_str(), format!("{pattern:?}")), (text, format!("{text:?}")));
        for (rooms, expected) in [(like, true), (unlike, false)] {
            for room in rooms {
                assert_eq!(pattern.matches(room, ADA), expected, "{text} {room}");
                let has_ends = room.starts_with(pattern.lead()) && room.ends_with(pattern.trail());
                assert!(!expected || has_ends, "{text} {room}");
            }
        }
    }
}

#[test]
fn what_is_no_pattern() {
    let long = "x".repeat(257);
    let rows = [
        ("", PatternError::Text),
        ("a\nb", PatternError::Text),
        (&long, PatternError::Text),
        ("***", PatternError::Rest),
        ("a**", PatternError::Rest),
        ("**.{user_id}**", PatternError::Rest),
        ("a.**.b.**", PatternError::Rest),
        ("*a*", PatternError::Stars),
        ("a.{x}{y}", PatternError::Stars),
        ("a.{x", PatternError::Braces),
        ("a.x}", PatternError::Braces),
        ("a.{}", PatternError::Braces),
        ("a.{X}", PatternError::Braces),
        ("a.{x.y}", PatternError::Braces),
        ("a.{{user_id}}", PatternError::Braces),
        ("a.{userid}", PatternError::LooksLikeWho),
        ("a.{user}", PatternError::LooksLikeWho),
        ("a.{tenant}", PatternError::LooksLikeWho),
        ("a.{user_id}-*", PatternError::WhoBesideStar),
        ("a.{x}{tenant_id}", PatternError::WhoBesideStar),
    ];
    for (text, expected) in rows {
        assert_eq!(AbilityPattern::parse(text), Err(expected), "{text:?}");
    }
}

/// An id with separators is one piece, but with `**` it has no room.
#[test]
fn ids_of_several_parts() {
    let who = Who { user: "ada@x.org", tenant: "a.b" };
    let rows = [
        ("inbox.{user_id}", "inbox.ada@x.org", true),
        ("inbox.{user_id}.*", "inbox.ada@x.org.new", true),
        ("*.{user_id}.*", "inbox.ada@x.org.new", true),
        ("inbox.{user_id}.*", "inbox.ada@x.new", false),
        ("inbox.{user_id}.**", "inbox.ada@x.org.new", false),
        ("**.{user_id}", "inbox.ada@x.org", false),
        ("{tenant_id}.**", "a.b.c", true),
        ("a.**", "a.ada@x.org", true),
    ];
    for (text, room, expected) in rows {
        assert_eq!(AbilityPattern::parse(text).unwrap().matches(room, who), expected, "{text} {room}");
    }
}

/// The shapes that make matchers go back and forth: here each is looked at once, or is no pattern.
#[test]
fn long_names_and_many_stars_take_no_time() {
    let parts = |part: &str, count| vec![part; count].join(".");
    let name = parts("a", 128);
    let almost = format!("{}b", &name[..name.len() - 1]);
    let many = AbilityPattern::parse(&parts("*", 128)).unwrap();
    let framed = AbilityPattern::parse(&format!("{}.**.{}", parts("*", 42), parts("*", 42))).unwrap();
    let last = AbilityPattern::parse(&format!("{}.**.{}", parts("*", 42), parts("a*", 40))).unwrap();
    for _ in 0..200 {
        assert!(many.matches(&name, ADA) && many.matches(&almost, ADA) && !many.matches(&name[2..], ADA));
        assert!(framed.matches(&name, ADA) && last.matches(&name, ADA) && !last.matches(&almost, ADA));
    }
    assert!(
        AbilityPattern::parse(&parts("**", 60)).is_err() && AbilityPattern::parse(&"a*".repeat(9)).is_err()
    );
}

/// What a character of a pattern's text means.
#[derive(Clone, Debug)]
enum Token {
    Char(char),
    Star,
    Rest,
}

fn tokens(mut text: &str, who: Who<'_>) -> Vec<Token> {
    let mut tokens = Vec::new();
    while let Some(first) = text.chars().next() {
        let end = text.find('}').filter(|_| first == '{');
        let length = end.map_or(if text.starts_with("**") { 2 } else { first.len_utf8() }, |end| end + 1);
        match &text[..length] {
            "{user_id}" => tokens.extend(who.user.chars().map(Token::Char)),
            "{tenant_id}" => tokens.extend(who.tenant.chars().map(Token::Char)),
            "**" => tokens.push(Token::Rest),
            "*" => tokens.push(Token::Star),
            _ if end.is_some() => tokens.push(Token::Star),
            _ => tokens.push(Token::Char(first)),
        }
        text = &text[length..];
    }
    tokens
}

/// Tries all that a star can stand for.
fn try_all(tokens: &[Token], room: &[char]) -> bool {
    let goes_on = |stops: fn(char) -> bool, rest: &[Token]| {
        let ends = (0..=room.len()).take_while(|end| *end == 0 || !stops(room[end - 1]));
        ends.into_iter().any(|end| try_all(rest, &room[end..]))
    };
    match tokens {
        [] => room.is_empty(),
        [Token::Char(char), rest @ ..] => room.first() == Some(char) && try_all(rest, &room[1..]),
        [Token::Star, rest @ ..] => goes_on(|char| matches!(char, '.' | ':' | '/'), rest),
        [Token::Rest, rest @ ..] => goes_on(|_| false, rest),
    }
}

fn naive(text: &str, room: &str, who: Who<'_>) -> bool {
    let is_apart = who.user.contains(['.', ':', '/']);
    if text.contains("**") && text.contains("{user_id}") && is_apart {
        return false;
    }
    try_all(&tokens(text, who), &room.chars().collect::<Vec<_>>())
}

fn a_pattern() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a",
        "b",
        "",
        "ab",
        "*",
        "a*",
        "*b",
        "a*b",
        "{x}",
        "{user_id}",
        "a{user_id}",
        "{user_id}b",
        "{tenant_id}",
        "**",
    ]);
    let parts = prop::collection::vec((part, prop::sample::select(vec![".", ":", "/"])), 1..6);
    parts.prop_map(|parts| {
        let mut text: String = parts.iter().flat_map(|(part, separator)| [*part, *separator]).collect();
        text.pop();
        text
    })
}

/// A room that the pattern may well be about.
fn filled(text: &str, fill: &[String], who: Who<'_>) -> String {
    let mut fill = fill.iter().cycle();
    let parts = tokens(text, who).into_iter().map(|token| match token {
        Token::Char(char) => char.to_string(),
        Token::Star => fill.next().map(|text| text.replace(['.', ':', '/'], "")).unwrap_or_default(),
        Token::Rest => fill.next().cloned().unwrap_or_default(),
    });
    parts.collect()
}

proptest! {
    #[test]
    fn matches_as_one_that_tries_everything(
        text in a_pattern(),
        fill in prop::collection::vec("[ab.:/]{0,3}", 1..4),
        user in "[ab.]{1,3}",
        other in "[ab.:/]{0,8}",
    ) {
        let Ok(pattern) = AbilityPattern::parse(&text) else { return Ok(()) };
        let who = Who { user: &user, tenant: "b" };
        for room in [filled(&text, &fill, who), other] {
            let expected = naive(&text, &room, who);
            prop_assert_eq!(pattern.matches(&room, who), expected, "{} {}", text, room);
            if let Some(plain) = RoomPattern::parse(&text).filter(|_| !text.contains('{')) {
                prop_assert_eq!(plain.matches(&room), expected, "{} {}", text, room);
            }
        }
    }

    /// Whatever the ids are, a pattern that names the user gives no room to two.
    #[test]
    fn no_two_users_have_one_room(
        text in a_pattern(),
        fill in prop::collection::vec("[ab.:/]{0,3}", 1..4),
        users in prop::collection::vec("[ab.:/]{1,4}", 6),
    ) {
        let Ok(pattern) = AbilityPattern::parse(&text) else { return Ok(()) };
        if !text.contains("{user_id}") {
            return Ok(());
        }
        for user in &users {
            let room = filled(&text, &fill, Who { user, tenant: "a.b" });
            let theirs = users.iter().filter(|user| pattern.matches(&room, Who { user, tenant: "a.b" }));
            let mut theirs: Vec<&String> = theirs.collect();
            theirs.sort();
            theirs.dedup();
            prop_assert!(theirs.len() <= 1, "{} {}: {:?}", text, room, theirs);
        }
    }
}
