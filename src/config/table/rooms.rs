//! The rows of what rooms do, and of how the gateway leaves them: `relay`, `channels`, `presence`, `history`, `drain`.
//! Invariant: as in the table, sections stand together.

use super::{Setting, setting};
use crate::config::{
    kind::{Number, OnOff, Texts},
    kind_history::{MESSAGES, RoomHistories, TTL_S},
};

pub(super) static ROWS: &[Setting] = &[
    setting(
        "relay.room_ttl_s",
        &Number { unit: "seconds", range: 0..=31_536_000, at: |s| &mut s.relay.room_ttl_s },
        "A room that has been joined over relay only is over, and its members are told that they have left it, when \
         nothing was sent to it and nobody joined it for so long. 0 is never.",
    ),
    setting(
        "channels.templates",
        &Texts { name_of: template_name, allowed: TEMPLATES, at: |s| &mut s.channels.templates },
        "What `subscribe` makes of a short name: `dashboard` becomes `dashboard.{user_id}` of whoever asks.",
    )
    .live(),
    setting(
        "presence.enabled",
        &OnOff(|s| &mut s.presence.enabled),
        "Whether clients are told who else is in their rooms.",
    ),
    setting(
        "presence.page_max",
        &Number { unit: "", range: 1..=10_000, at: |s| &mut s.presence.page_max },
        "How many users one answer to `query:presence` may name; without a limit of its own it gets 100. An answer of \
         over about 64 KiB ends early. Each says where the next begins.",
    ),
    setting(
        "presence.metadata_bytes_max",
        &Number { unit: "bytes", range: 0..=64 << 10, at: |s| &mut s.presence.metadata_bytes_max },
        "The largest `metadata` of `room:join` and `presence:status`. It is kept for as long as the user is there.",
    ),
    setting(
        "history.enabled",
        &OnOff(|s| &mut s.history.enabled),
        "Whether anything is kept. Without history, `persistent` is refused.",
    )
    .plain(&["PERSISTENCE_ENABLED"]),
    setting(
        "history.messages",
        &Number { unit: "", range: MESSAGES, at: |s| &mut s.history.messages },
        "How many messages a room keeps. 0 is none.",
    ),
    setting(
        "history.ttl_s",
        &Number { unit: "seconds", range: TTL_S, at: |s| &mut s.history.ttl_s },
        "For how long it keeps them. A room that nobody is in lasts as long as its last message.",
    )
    .plain(&["PERSISTENCE_TTL"]),
    setting(
        "history.rooms",
        &RoomHistories(|s| &mut s.history.rooms),
        "Rooms that keep more, or less; the first pattern that matches counts. `*` is any text without `.`, `:` and `/`, \
         `**` any text.",
    )
    .example("[{ pattern = \"orders.**\", messages = 1000, ttl_s = 86400 }]"),
    setting(
        "history.memory_bytes",
        &Number { unit: "bytes", range: 1 << 20..=1 << 40, at: |s| &mut s.history.memory_bytes },
        "What all rooms together may keep, shared out to the shards. Beyond it the tenant gives up that keeps most: first its \
         room that was used longest ago and has no members, then the oldest messages of others.",
    ),
    setting(
        "history.page_messages",
        &Number { unit: "", range: 1..=10_000, at: |s| &mut s.history.page_messages },
        "How many messages `room:history` answers at most. Half of limits.outbox_bytes bounds it, too.",
    ),
    setting(
        "history.repeat_messages",
        &Number { unit: "", range: 0..=100_000, at: |s| &mut s.history.repeat_messages },
        "How many messages a room knows again by their `messageId`: one that is sent again is acked again and not \
         delivered again. 0 is none.",
    ),
    setting(
        "history.repeat_s",
        &Number { unit: "seconds", range: 1..=86_400, at: |s| &mut s.history.repeat_s },
        "For how long it knows them.",
    ),
    setting(
        "drain.announce_s",
        &Number { unit: "seconds", range: 0..=3600, at: |s| &mut s.drain.announce_s },
        "How long /ready says no before the first connection is closed, for load balancers to notice. Unless set: \
         0, in production 5.",
    )
    .example("5"),
    setting(
        "drain.timeout_s",
        &Number { unit: "seconds", range: 1..=86_400, at: |s| &mut s.drain.timeout_s },
        "When all is over, announcement included. Your supervisor should wait a little longer before it kills.",
    ),
    setting(
        "drain.rate",
        &Number { unit: "connections per second", range: 0..=1_000_000, at: |s| &mut s.drain.rate },
        "How fast connections are closed. 0 spreads them over the time there is.",
    ),
];

const TEMPLATES: &str = "a list of templates, each name once, like `dashboard.{user_id}`: a name, a dot, text with `{placeholders}`";

/// The short name of a template; `None` for what is none.
fn template_name(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once('.')?;
    let has_braces = |text: &str| text.contains(['{', '}']);
    let is_placeholder =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let mut pieces = rest.split('{');
    let start_is_plain = pieces.next().is_some_and(|start| !start.contains('}'));
    let closed = pieces.all(|piece| {
        piece
            .split_once('}')
            .is_some_and(|(placeholder, after)| is_placeholder(placeholder) && !has_braces(after))
    });
    let is_clean = text.len() <= 256 && !text.chars().any(char::is_control);
    (is_clean && !name.is_empty() && !has_braces(name) && !rest.is_empty() && start_is_plain && closed)
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let rows = [
            ("a.{user_id}", Some("a")),
            ("a.b.{user_id}.c-{tenant_id}", Some("a")),
            ("a.b", Some("a")),
            ("a", None),
            ("a.", None),
            (".{user_id}", None),
            ("{user_id}.a", None),
            ("a.{user_id", None),
            ("a.user_id}", None),
            ("a.{}", None),
            ("a.{User}", None),
            ("a.{user_id}}", None),
            ("a.{{user_id}", None),
            ("a.\n", None),
        ];
        for (text, expected) in rows {
            assert_eq!(template_name(text), expected, "{text:?}");
        }
    }
}
