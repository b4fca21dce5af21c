//! URLs of resources, with places for what stands in the name of a room, and for who asks.
//!
//! Invariant: whatever stands in a room's name, the URL has the server, and the path and the query the parts, of the
//! template: each value is percent-encoded, and one that is empty, or that a server could take for a step in a path,
//! makes no URL.

use std::fmt;

use super::super::abilities::{AbilityPattern, Who};
use crate::model::without_query;

/// An absolute URL, or a path, with places in braces.
#[derive(Clone, PartialEq, Eq)]
pub struct UrlTemplate {
    text: Box<str>,
    /// How much of the text is scheme, host and port.
    server_bytes: usize,
    pieces: Box<[Piece]>,
}

/// What stands before its query, which may be a key.
impl fmt::Debug for UrlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UrlTemplate({})", without_query(&self.text))
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    User,
    Tenant,
    /// What is called so in the room's pattern.
    Name(Box<str>),
}

/// Why a text is no template for a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlError {
    #[error("braces hold the name of a place: one that stands in braces in `room`, `user_id` or `tenant_id`")]
    Braces,
    #[error("what is in braces does not stand in braces in `room`, nor is it `user_id` or `tenant_id`")]
    UnknownName,
    #[error("which server is asked cannot come from a room's name: braces stand in the path or behind it")]
    Server,
    #[error("a path has no part `.` or `..`")]
    Dots,
    /// Which of two is meant?
    #[error("a name stands in braces once in `room`")]
    NameTwice,
}

impl UrlTemplate {
    /// Takes a template apart, whose places are those of `room`.
    ///
    /// # Errors
    /// When it has places that are none, or where none may be; see [`UrlError`].
    pub fn parse(text: &str, room: &AbilityPattern) -> Result<Self, UrlError> {
        let mut names: Vec<&str> = room.names().collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(UrlError::NameTwice);
        }
        // What stands in a path or behind it may be a URL, too.
        let scheme = if text.starts_with('/') { None } else { text.find("://") };
        let behind_scheme = scheme.map_or(0, |at| at + "://".len());
        let server_bytes = match behind_scheme {
            0 => 0,
            start => text[start..].find(['/', '?']).map_or(text.len(), |at| start + at),
        };
        if text[..server_bytes].contains(['{', '}']) {
            return Err(UrlError::Server);
        }
        if has_dots(&text[server_bytes..]) {
            return Err(UrlError::Dots);
        }
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, braces) = rest.split_at(at);
            let end = braces.find('}').filter(|end| *end > 0).ok_or(UrlError::Braces)?;
            let piece = match &braces[1..end] {
                "" => return Err(UrlError::Braces),
                "user_id" => Piece::User,
                "tenant_id" => Piece::Tenant,
                name if names.binary_search(&name).is_ok() => Piece::Name(name.into()),
                _ => return Err(UrlError::UnknownName),
            };
            pieces.extend([Piece::Text(before.into()), piece]);
            rest = &braces[end + 1..];
        }
        pieces.push(Piece::Text(rest.into()));
        Ok(Self { text: text.into(), server_bytes, pieces: pieces.into() })
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port; empty for a path.
    pub fn server(&self) -> &str {
        &self.text[..self.server_bytes]
    }

    /// The URL for a room, which is like `pattern`, the one of [`UrlTemplate::parse`]; `None` when what stands in it makes none.
    pub fn expand(&self, pattern: &AbilityPattern, room: &str, who: Who<'_>) -> Option<Box<str>> {
        let mut values = Vec::new();
        pattern.captures(room, who, |name, value| values.push((name.to_owned(), value)));
        let mut url = String::with_capacity(self.text.len() + room.len());
        for piece in &self.pieces {
            let value = match piece {
                Piece::Text(text) => {
                    url.push_str(text);
                    continue;
                }
                Piece::User => who.user,
                Piece::Tenant => who.tenant,
                Piece::Name(name) => values.iter().find(|(found, _)| **found == **name)?.1,
            };
            let is_step = |part: &str| matches!(part, "." | "..");
            if value.is_empty() || value.split(['/', '\\']).any(is_step) {
                return None;
            }
            encode(value, &mut url);
        }
        // A dot of the template and one of a name could have met.
        (!has_dots(&url[self.server_bytes..])).then(|| url.into())
    }
}

/// Whether a path, a query behind it or not, has parts that are steps.
fn has_dots(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    path.split('/').any(|part| matches!(part, "." | ".."))
}

/// All but the unreserved characters (RFC 3986 §2.3) as escapes.
fn encode(value: &str, url: &mut String) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                url.push(char::from(byte));
            }
            other => {
                url.extend(['%', HEX[usize::from(other >> 4)], HEX[usize::from(other & 15)]]);
            }
        }
    }
}
