//! The rows of what servers decide in rooms: `resources`.
//! Invariant: as in the table, sections stand together.

use super::{Setting, setting};
use crate::config::{
    kind::Number, kind_outside::MaybeUrl, kind_resources::ResourceDraft, kind_tables::Rules,
};

pub(super) static ROWS: &[Setting] = &[
    setting(
        "resources.base_url",
        &MaybeUrl(|s| &mut s.resources.base_url),
        "What the paths in resources.rules are of.",
    )
    .example("\"http://127.0.0.1:8000\"")
    .live(),
    setting(
        "resources.rules",
        &Rules::<ResourceDraft>(|s| &mut s.resources.rules),
        "Which resource a room stands for. Whoever wants to do one of `actions` in a room like `room` (a pattern as in \
         abilities.rules) may if a GET of `url` with his own token is answered with 2xx, whatever his abilities; with \
         401, 403 or 404 he is refused with that status, with anything else as `unavailable`. The first rule that names the action \
         decides; without one, abilities do. `actions` are some of join, send, presence and history (`*` is all of these); unless \
         said, the ones that read: join, presence and history. `{id}`, or any other name in braces, is what stands there in the \
         room's name, `{user_id}` and `{tenant_id}` are who asks; all are percent-encoded. To be in a room is asked for once, with the join; \
         what is done there, anew after resources.cache_s. `ringway config check --explain` says who decides.",
    )
    .example(
        "[{ room = \"task:{id}\", url = \"https://app.example.com/tasks/{id}\" }, \
         { room = \"note:{id}\", url = \"https://app.example.com/notes/{id}\", actions = [\"*\"] }]",
    )
    .live(),
    setting(
        "resources.timeout_ms",
        &Number { unit: "milliseconds", range: 10..=60_000, at: |s| &mut s.resources.timeout_ms },
        "How long an answer may take, and how long a question may wait for its turn before. What a client says about the room \
         waits meanwhile.",
    )
    .live(),
    setting(
        "resources.in_flight",
        &Number { unit: "", range: 1..=10_000, at: |s| &mut s.resources.in_flight },
        "How many of these calls may be under way, shared out to the shards. Further questions wait, up to 1024 on a shard, and 128 of one connection. Equal \
         ones share a call.",
    )
    .live(),
    setting(
        "resources.cache_s",
        &Number { unit: "seconds", range: 0..=3600, at: |s| &mut s.resources.cache_s },
        "How long a yes is known without another call. 0 is not at all.",
    )
    .live(),
    setting(
        "resources.cache_denied_s",
        &Number { unit: "seconds", range: 0..=600, at: |s| &mut s.resources.cache_denied_s },
        "How long a no is. 0 is not at all.",
    )
    .live(),
    setting(
        "resources.cache_entries",
        &Number { unit: "", range: 1..=1_000_000, at: |s| &mut s.resources.cache_entries },
        "How many of each a shard knows, by a keyed hash of token and URL.",
    )
    .live(),
    setting(
        "resources.breaker_failures",
        &Number { unit: "", range: 0..=1000, at: |s| &mut s.resources.breaker_failures },
        "After so many failures in a row a shard stops asking that server for a while; 0 is never. Those of one user are one, and \
         while anybody has had an answer within 5 seconds it goes on, unless the server cannot be connected to.",
    )
    .live(),
    setting(
        "resources.breaker_open_ms",
        &Number { unit: "milliseconds", range: 10..=600_000, at: |s| &mut s.resources.breaker_open_ms },
        "For so long. Then one question is tried: first of a user who is not among those who failed, of those after twice that.",
    )
    .live(),
];
