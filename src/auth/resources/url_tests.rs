//! Rooms and the URLs that they come to: names that mean well, and names that try to get somewhere else.

use proptest::prelude::*;

use super::{super::abilities::AbilityPattern, UrlError, UrlTemplate, Who};

const ADA: Who<'_> = Who { user: "ada", tenant: "acme" };

fn template(pattern: &str, url: &str) -> (AbilityPattern, UrlTemplate) {
    let pattern = AbilityPattern::parse(pattern).unwrap();
    let template = UrlTemplate::parse(url, &pattern).unwrap_or_else(|error| panic!("{url}: {error}"));
    (pattern, template)
}

/// `None` where the room is not like the pattern, or makes no URL.
fn url(pattern: &str, url: &str, room: &str, who: Who<'_>) -> Option<String> {
    let (pattern, template) = template(pattern, url);
    pattern.matches(room, who).then(|| template.expand(&pattern, room, who)).flatten().map(String::from)
}

#[test]
fn rooms_and_their_urls() {
    let api = "http://app:8000/api/tasks/{id}";
    let rows = [
        ("task:{id}", api, "task:7", "http://app:8000/api/tasks/7"),
        ("task:{id}", api, "task:a-b_c~", "http://app:8000/api/tasks/a-b_c~"),
        ("task:{id}", "/api/{id}.json", "task:7", "/api/7.json"),
        ("task:{id}.**", api, "task:7.comments/9", "http://app:8000/api/tasks/7"),
        ("**.task:{id}", api, "eu.de.task:7", "http://app:8000/api/tasks/7"),
        ("{a}.**.{b}:x{c}y", "/{a}/{b}/{c}", "1.2.3.4:x5y", "/1/4/5"),
        ("*.{id}", "/t/{id}?tenant={tenant_id}&as={user_id}", "x.7", "/t/7?tenant=acme&as=ada"),
        ("{tenant_id}.{user_id}.{id}", "/{tenant_id}/{id}/{id}", "acme.ada.7", "/acme/7/7"),
        ("lobby", "https://app/may?room=lobby", "lobby", "https://app/may?room=lobby"),
        ("lobby", "https://app", "lobby", "https://app"),
        ("task:{id}", "https://app?id={id}", "task:7", "https://app?id=7"),
        ("task:{id}", "/go/{id}?next=http://x", "task:7", "/go/7?next=http://x"),
        ("task:{id}", "/go?next=http://{id}/", "task:7", "/go?next=http://7/"),
    ];
    for (pattern, template, room, expected) in rows {
        assert_eq!(
            url(pattern, template, room, ADA).as_deref(),
            Some(expected),
            "{pattern} {template} {room}"
        );
    }
}

#[test]
fn hostile_names_stay_in_their_place() {
    let (pattern, api) = ("task:{id}", "http://app/api/tasks/{id}?by=gateway");
    let rows = [
        ("task:%2e%2e", Some("%252e%252e")),
        ("task:%2F", Some("%252F")),
        ("task:a?admin=1", Some("a%3Fadmin%3D1")),
        ("task:a#b", Some("a%23b")),
        ("task:a&b", Some("a%26b")),
        ("task:a b", Some("a%20b")),
        ("task:a+b", Some("a%2Bb")),
        ("task:a;b=c", Some("a%3Bb%3Dc")),
        ("task:@evil", Some("%40evil")),
        ("task:\\evil", Some("%5Cevil")),
        ("task:a\\..\\b", None),
        ("task:..\\", None),
        ("task:ü", Some("%C3%BC")),
        ("task:🦀", Some("%F0%9F%A6%80")),
        ("task:{id}", Some("%7Bid%7D")),
        ("task:\"<>^`|", Some("%22%3C%3E%5E%60%7C")),
        // Parts end at `.`, `:` and `/`: these are no tasks, and nobody is asked.
        ("task:..", None),
        ("task:.", None),
        ("task:a/b", None),
        ("task:../admin", None),
        ("task:a:b", None),
        ("task:7.8", None),
        // And this is one without an id, which would be the list of all.
        ("task:", None),
    ];
    for (room, expected) in rows {
        let expected = expected.map(|id| format!("http://app/api/tasks/{id}?by=gateway"));
        assert_eq!(url(pattern, api, room, ADA), expected, "{room}");
    }
    // Who asks is of a token, and may hold anything.
    for (user, expected) in [
        ("a/b", Some("http://app/u/a%2Fb")),
        ("a.b", Some("http://app/u/a.b")),
        ("...", Some("http://app/u/...")),
        (".", None),
        ("..", None),
        ("../admin", None),
        ("a/..", None),
        ("a\\..\\b", None),
    ] {
        let who = Who { user, ..ADA };
        let found = url("me.{user_id}", "http://app/u/{user_id}", &format!("me.{user}"), who);
        assert_eq!(found.as_deref(), expected, "{user}");
    }
    // Dots of the template and of a name make no step together.
    let who = Who { user: ".", tenant: "a" };
    assert_eq!(url("{user_id}", "/x/.{user_id}", ".", who), None);
    let who = Who { user: "a", tenant: "acme" };
    assert_eq!(url("x{id}", "/x/{id}", "xa", who).as_deref(), Some("/x/a"));
}

#[test]
fn what_is_no_template() {
    let rows = [
        ("task:{id}", "/tasks/{ids}", UrlError::UnknownName),
        ("task:*", "/tasks/{id}", UrlError::UnknownName),
        ("task:{id}", "/tasks/{id", UrlError::Braces),
        ("task:{id}", "/tasks/id}", UrlError::Braces),
        ("task:{id}", "/tasks/{}", UrlError::Braces),
        ("task:{id}", "http://{id}/", UrlError::Server),
        ("task:{id}", "http://{id}", UrlError::Server),
        ("task:{id}", "http://host:{id}/", UrlError::Server),
        ("task:{id}", "{id}://host/", UrlError::Server),
        ("task:{id}", "http://host/../{id}", UrlError::Dots),
        ("task:{id}", "/./{id}", UrlError::Dots),
        ("task:{id}.{id}", "/{id}", UrlError::NameTwice),
    ];
    for (pattern, url, expected) in rows {
        let room = AbilityPattern::parse(pattern).unwrap();
        assert_eq!(UrlTemplate::parse(url, &room), Err(expected), "{pattern} {url}");
    }
}

proptest! {
    /// However a room is called, the URL differs from the template's in its one part only, and that says the id.
    #[test]
    fn a_name_fills_one_part(id in "\\PC{0,40}|[.%/\\\\?#]{0,6}") {
        let room = format!("task:{id}");
        if let Some(url) = url("task:{id}", "http://app/a/{id}/b?c={id}", &room, ADA) {
            let parts: Vec<&str> = url.split(['/', '?']).collect();
            prop_assert_eq!((parts.len(), parts[2], parts[3], parts[5]), (7, "app", "a", "b"));
            prop_assert!(!matches!(parts[4], "" | "." | "..") && !url.contains(['#', '\\']));
            let decoded = decode(parts[4]);
            prop_assert_eq!(&decoded, id.as_bytes());
            prop_assert_eq!(parts[6], &format!("c={}", parts[4]));
        }
    }
}

fn decode(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next().unwrap()).to_digit(16).unwrap() as u8;
        decoded.push(if byte == b'%' { digit() << 4 | digit() } else { byte });
    }
    decoded
}
