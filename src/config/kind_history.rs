//! The list of rooms that keep more or less history: tables in the file, each with its own errors and lines.

use std::ops::RangeInclusive;

use super::{
    error::Problem,
    kind::{At, Context, Kind, Part, Refused, quote, unknown_field},
    settings::{RoomHistory, Settings},
    value::{Located, Value},
};
use crate::base::RoomPattern;

/// How many messages a room may keep.
pub(super) const MESSAGES: RangeInclusive<u64> = 0..=10_000;
/// For how many seconds: up to thirty days.
pub(super) const TTL_S: RangeInclusive<u64> = 1..=30 * 86_400;

/// `[[history.rooms]]`, or an array of inline tables. Only the file can hold it.
pub(super) struct RoomHistories(pub(super) At<Vec<RoomHistory>>);

impl Kind for RoomHistories {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let Value::List(items) = value else { return Err(Refused::Value) };
        let mut parts = Vec::new();
        let rooms: Vec<_> =
            items.iter().enumerate().filter_map(|(index, item)| read(index, item, &mut parts)).collect();
        if !parts.is_empty() {
            return Err(Refused::Parts(parts));
        }
        *(self.0)(settings) = rooms;
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        let rooms = (self.0)(settings);
        let number = |name: &str, number: Option<u32>| match number {
            Some(number) => format!(", {name} = {number}"),
            None => String::new(),
        };
        let show = |room: &RoomHistory| {
            let pattern = quote(room.pattern.as_str());
            let (messages, ttl_s) = (number("messages", room.messages), number("ttl_s", room.ttl_s));
            format!("{{ pattern = {pattern}{messages}{ttl_s} }}")
        };
        (!rooms.is_empty()).then(|| format!("[{}]", rooms.iter().map(show).collect::<Vec<_>>().join(", ")))
    }

    fn allowed(&self) -> String {
        "a list of tables `{ pattern, messages, ttl_s }` in the configuration file".into()
    }
}

/// `None` when something was wrong, which `parts` then says.
fn read(index: usize, item: &Located, parts: &mut Vec<Part>) -> Option<RoomHistory> {
    let before = parts.len();
    let mut refuse = |line, field: &str, value: Option<&Value>, problem| {
        let suffix = format!("[{index}]{field}");
        parts.push(Part { line, suffix, value: value.map(Value::show), problem });
    };
    let Value::Table(fields) = &item.value else {
        let allowed = "a table `{ pattern, messages, ttl_s }`".to_owned();
        refuse(item.line, "", Some(&item.value), Problem::NotAllowed(allowed));
        return None;
    };
    let (mut pattern, mut messages, mut ttl_s) = (None, None, None);
    for (name, Located { value, line }) in fields {
        match name.as_str() {
            "pattern" => {
                pattern = value.as_text().and_then(RoomPattern::parse);
                if pattern.is_none() {
                    let allowed = "a pattern of room names, like `orders.*` or `orders.**`".to_owned();
                    refuse(*line, ".pattern", Some(value), Problem::NotAllowed(allowed));
                }
            }
            "messages" | "ttl_s" => {
                let (range, slot) =
                    if name == "messages" { (MESSAGES, &mut messages) } else { (TTL_S, &mut ttl_s) };
                let whole = value.as_whole().filter(|whole| range.contains(whole));
                *slot = whole.and_then(|whole| u32::try_from(whole).ok());
                if slot.is_none() {
                    let allowed = format!("a whole number from {} to {}", range.start(), range.end());
                    refuse(*line, &format!(".{name}"), Some(value), Problem::NotAllowed(allowed));
                }
            }
            other => {
                let problem = unknown_field(other, &["pattern", "messages", "ttl_s"]);
                refuse(*line, &format!(".{other}"), None, problem);
            }
        }
    }
    if !fields.iter().any(|(name, _)| name == "pattern") {
        refuse(item.line, ".pattern", None, Problem::Rule("is missing".into()));
    }
    let pattern = pattern.filter(|_| parts.len() == before)?;
    Some(RoomHistory { pattern, messages, ttl_s })
}
