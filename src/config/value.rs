//! A value before its setting has looked at it, from whichever layer.

use std::borrow::Cow;

use toml::{Spanned, de::DeValue};

/// Integers and booleans of the file are typed; what comes from environment and flags is text that the setting
/// reads as it needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Untyped(String),
    Text(String),
    Whole(u64),
    Flag(bool),
    List(Vec<Located>),
    Table(Vec<(String, Located)>),
    /// What no setting takes (floats, dates, negative numbers), as it was written.
    Other(String),
}

/// A value inside another, with its line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Located {
    pub(super) value: Value,
    pub(super) line: usize,
}

/// The line of a byte of `text`; the first is 1.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', &text.as_bytes()[..byte.min(text.len())]).count()
}

impl Value {
    /// A value of the document `text`.
    pub(super) fn from_toml(value: &DeValue<'_>, text: &str) -> Self {
        let located = |item: &Spanned<DeValue<'_>>| Located {
            value: Self::from_toml(item.get_ref(), text),
            line: line_of(text, item.span().start),
        };
        match value {
            DeValue::String(text) => Self::Text(text.clone().into_owned()),
            DeValue::Integer(integer) => match u64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(whole) => Self::Whole(whole),
                Err(_) => Self::Other(integer.to_string()),
            },
            DeValue::Boolean(flag) => Self::Flag(*flag),
            DeValue::Float(float) => Self::Other(float.to_string()),
            DeValue::Datetime(datetime) => Self::Other(datetime.to_string()),
            DeValue::Array(items) => Self::List(items.iter().map(located).collect()),
            DeValue::Table(table) => Self::Table(
                table.iter().map(|(key, item)| (key.get_ref().to_string(), located(item))).collect(),
            ),
        }
    }

    pub(super) fn as_whole(&self) -> Option<u64> {
        match self {
            Self::Whole(whole) => Some(*whole),
            Self::Untyped(text) => text.trim().parse().ok(),
            Self::Text(_) | Self::Flag(_) | Self::List(_) | Self::Table(_) | Self::Other(_) => None,
        }
    }

    pub(super) fn as_flag(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            Self::Untyped(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" => Some(false),
                _ => None,
            },
            Self::Text(_) | Self::Whole(_) | Self::List(_) | Self::Table(_) | Self::Other(_) => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Untyped(text) => Some(text),
            Self::Whole(_) | Self::Flag(_) | Self::List(_) | Self::Table(_) | Self::Other(_) => None,
        }
    }

    /// A list of texts; outside the file they are separated by commas.
    pub(super) fn as_texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Untyped(text) => {
                Some(text.split(',').map(str::trim).filter(|element| !element.is_empty()).collect())
            }
            Self::List(items) => items.iter().map(|item| item.value.as_text()).collect(),
            Self::Text(_) | Self::Whole(_) | Self::Flag(_) | Self::Table(_) | Self::Other(_) => None,
        }
    }

    /// The value for an error message: short, on one line.
    pub(super) fn show(&self) -> String {
        const CHARS_MAX: usize = 60;
        match self {
            Self::Untyped(text) | Self::Text(text) => {
                format!("\"{}\"", cut(&hide_password(text), CHARS_MAX).escape_debug())
            }
            Self::Whole(whole) => whole.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| item.value.show()).collect();
                format!("[{}]", cut(&items.join(", "), CHARS_MAX))
            }
            Self::Table(_) => "{…}".into(),
            Self::Other(text) => text.clone(),
        }
    }
}

/// The first characters, and a sign if there are more.
fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A text that may be a URL, without the password in it: `redis://user:***@host`. What stands alone before the `@` may
/// be a token and is hidden, too.
pub(super) fn hide_password(text: &str) -> Cow<'_, str> {
    let Some(start) = text.find("://").map(|at| at + "://".len()) else { return Cow::Borrowed(text) };
    let len = text[start..].find(['/', '?', '#']).unwrap_or(text.len() - start);
    let Some(at) = text[start..start + len].rfind('@') else { return Cow::Borrowed(text) };
    let user = match text[start..start + at].split_once(':') {
        Some((user, _)) => format!("{user}:"),
        None => String::new(),
    };
    Cow::Owned(format!("{}{user}***{}", &text[..start], &text[start + at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_hidden() {
        let rows = [
            ("redis://ada:s3cret@host:6379/0", "redis://ada:***@host:6379/0"),
            ("redis://:s3cret@host", "redis://:***@host"),
            ("https://s3cret@host/a?b", "https://***@host/a?b"),
            ("https://a:s3:cr@et@host", "https://a:***@host"),
            ("https://host/a@b:c@d", "https://host/a@b:c@d"),
            ("https://host?a:b@c", "https://host?a:b@c"),
            ("https://host", "https://host"),
            ("a:b@c", "a:b@c"),
            ("://@", "://***@"),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(hide_password(text), expected, "{text}");
        }
    }

    #[test]
    fn values_are_shown_short_and_on_one_line() {
        let text = |text: &str| Value::Text(text.into());
        let list = |values: &[Value]| {
            Value::List(values.iter().map(|value| Located { value: value.clone(), line: 1 }).collect())
        };
        let rows = [
            (text("a\nb"), "\"a\\nb\"".to_owned()),
            (text(&"é".repeat(61)), format!("\"{}…\"", "é".repeat(60))),
            (text(&"é".repeat(60)), format!("\"{}\"", "é".repeat(60))),
            (list(&[text("a"), Value::Whole(7)]), "[\"a\", 7]".to_owned()),
            (list(&[text(&"a".repeat(80))]), format!("[\"{}…]", "a".repeat(59))),
            (list(&[list(&[]), Value::Table(vec![])]), "[[], {…}]".to_owned()),
            (text("https://a:b@c"), "\"https://a:***@c\"".to_owned()),
        ];
        for (value, expected) in rows {
            assert_eq!(value.show(), expected);
        }
    }
}
