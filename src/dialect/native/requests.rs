//! The values that only requests and responses have: whom a request is for, and what a responder calls an error.

use crate::{
    base::{
        ConnId, UserName,
        json::{self, Value},
    },
    model::Target,
};

/// The longest `code` of a responder's error, in bytes of what the string says.
const ERROR_CODE_BYTES_MAX: usize = 64;

/// Reads `{user}` or `{connection}`, each at most once and not both; other members are ignored.
pub(super) fn target(value: Value<'_>) -> Option<Target> {
    let mut found = Vec::new();
    json::members(value.raw, |name, value| match name.text().as_deref() {
        Some("user") => {
            found.push(value.text().and_then(|text| UserName::parse(&text).ok()).map(Target::User))
        }
        Some("connection") => {
            let id = value.text().and_then(|text| ConnId::from_public(&text));
            found.push(id.map(|(node, conn)| Target::Connection { node, conn }));
        }
        _ => {}
    })
    .ok()?;
    match <[_; 1]>::try_from(found) {
        Ok([target]) => target,
        Err(_) => None,
    }
}

/// Whether a value is an object with the strings `code` and `message`, each once, and `code` neither empty nor long.
pub(super) fn is_error(value: Value<'_>) -> bool {
    let (mut codes, mut messages) = (Vec::new(), Vec::new());
    let read = json::members(value.raw, |name, value| match name.text().as_deref() {
        Some("code") => codes.push(value.text()),
        Some("message") => messages.push(value.text()),
        _ => {}
    });
    let (Ok(()), [Some(code)], [Some(_)]) = (read, &*codes, &*messages) else { return false };
    !code.is_empty() && code.len() <= ERROR_CODE_BYTES_MAX
}
