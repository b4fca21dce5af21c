//! A value before its setting has looked at it, from whichever layer.

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
                let more = if text.chars().nth(CHARS_MAX).is_some() { "…" } else { "" };
                let start: String = text.chars().take(CHARS_MAX).collect();
                format!("\"{}{more}\"", start.escape_debug())
            }
            Self::Whole(whole) => whole.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(_) => "[…]".into(),
            Self::Table(_) => "{…}".into(),
            Self::Other(text) => text.clone(),
        }
    }
}
