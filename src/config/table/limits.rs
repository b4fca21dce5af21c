//! The rows of signs of life, bounds and what they are measured by: `heartbeat`, `quality`, `limits`, `requests`, `ws`.
//! Invariant: as in the table, sections stand together.

use super::{Setting, setting};
use crate::config::kind::{Number, OnOff};

pub(super) static ROWS: &[Setting] = &[
    setting(
        "heartbeat.interval_ms",
        &Number { unit: "milliseconds", range: 10..=3_600_000, at: |s| &mut s.heartbeat.interval_ms },
        "How often every client is pinged.",
    )
    .plain(&["HEARTBEAT_INTERVAL", "WS_PING_INTERVAL_MS"]),
    setting(
        "heartbeat.timeout_ms",
        &Number { unit: "milliseconds", range: 10..=3_600_000, at: |s| &mut s.heartbeat.timeout_ms },
        "How long a client may be silent, or a message unfinished, before it is closed with 4408. Longer than the interval; \
         of messages it is looked at with each ping.",
    )
    .plain(&["HEARTBEAT_TIMEOUT", "WS_PING_TIMEOUT_MS"]),
    setting(
        "quality.excellent_ms",
        &Number { unit: "milliseconds", range: 1..=600_000, at: |s| &mut s.quality.excellent_ms },
        "An excellent connection's round trip is shorter. It has lost no ping.",
    ),
    setting(
        "quality.good_ms",
        &Number { unit: "milliseconds", range: 1..=600_000, at: |s| &mut s.quality.good_ms },
        "A good connection's round trip is shorter.",
    ),
    setting(
        "quality.good_loss_percent",
        &Number { unit: "percent", range: 1..=100, at: |s| &mut s.quality.good_loss_percent },
        "A good connection has lost less.",
    ),
    setting(
        "quality.fair_ms",
        &Number { unit: "milliseconds", range: 1..=600_000, at: |s| &mut s.quality.fair_ms },
        "A fair connection's round trip is shorter.",
    ),
    setting(
        "quality.fair_loss_percent",
        &Number { unit: "percent", range: 1..=100, at: |s| &mut s.quality.fair_loss_percent },
        "A fair connection has lost less.",
    ),
    setting(
        "limits.message_bytes",
        &Number { unit: "bytes", range: 128..=64 << 20, at: |s| &mut s.limits.message_bytes },
        "The largest message from a client.",
    ),
    setting(
        "limits.fragments",
        &Number { unit: "", range: 1..=1 << 20, at: |s| &mut s.limits.fragments },
        "How many frames one message may come in.",
    ),
    setting(
        "limits.outbox_bytes",
        &Number { unit: "bytes", range: 4096..=1 << 30, at: |s| &mut s.limits.outbox_bytes },
        "What may wait for one slow client before it is closed with 4430. At least the largest message.",
    ),
    setting(
        "limits.rooms_per_connection",
        &Number { unit: "", range: 0..=1_000_000, at: |s| &mut s.limits.rooms_per_connection },
        "How many rooms one connection may be in. 0 is no limit.",
    )
    .live(),
    setting(
        "limits.room_creates_per_ip_per_min",
        &Number { unit: "", range: 0..=1_000_000, at: |s| &mut s.limits.room_creates_per_ip_per_min },
        "How many rooms may be created from one address (IPv6: one /64) in a minute; a join that would create more is \
         refused. Each shard counts the rooms that it orders, so that an address gets this number at least, and this \
         times the shards at most. 0 is no limit. Unless set: 0, in production 10.",
    )
    .plain(&["MAX_ROOM_CREATES_PER_IP_PER_MIN"])
    .example("10")
    .live(),
    setting(
        "limits.connections_total",
        &Number { unit: "", range: 0..=100_000_000, at: |s| &mut s.limits.connections_total },
        "With more connections than this, of any kind, WebSocket upgrades are refused with 503, HTTP clients are not kept, \
         and beyond a sixteenth more, for probes, connections are closed unread. 0 is 90 % of what the open-file limit allows.",
    )
    .plain(&["MAX_TOTAL_CONNECTIONS"])
    .live(),
    setting(
        "limits.connections_per_ip",
        &Number { unit: "", range: 0..=100_000_000, at: |s| &mut s.limits.connections_per_ip },
        "How many WebSockets one address (IPv6: one /64) may have on the node; more are refused with 429. An address with \
         twice as many connections of any kind on one shard has more of them closed unread. 0 is no limit. Unless set: 0, in \
         production 50.",
    )
    .plain(&["MAX_CONNS_PER_IP"])
    .example("50")
    .live(),
    setting(
        "limits.connects_per_ip_per_min",
        &Number { unit: "", range: 0..=100_000_000, at: |s| &mut s.limits.connects_per_ip_per_min },
        "How many WebSockets one address (IPv6: one /64) may open in a minute; more are refused with 429, and twice as many \
         connections of any kind on one shard closed unread. 0 is no limit. Unless set: 0, in production 600.",
    )
    .example("600")
    .live(),
    setting(
        "limits.messages_per_10s",
        &Number { unit: "", range: 0..=1_000_000_000, at: |s| &mut s.limits.messages_per_10s },
        "How many messages, pings among them, one connection may send in ten seconds, all of them at once or one by one. What \
         is over is answered with `rate_limited` and not done. 0 is no limit. Unless set: 0, in production 200.",
    )
    .plain(&["MAX_MSGS_PER_10S"])
    .example("200")
    .live(),
    setting(
        "limits.bytes_per_10s",
        &Number { unit: "bytes", range: 0..=1_000_000_000, at: |s| &mut s.limits.bytes_per_10s },
        "The same for the bytes of its messages, after decompression. A message that is longer than that may be sent by who \
         has sent nothing for long, and is paid for by a longer wait. 0 is no limit. Unless set: 0, in production 1048576.",
    )
    .plain(&["MAX_BYTES_PER_10S"])
    .example("1048576")
    .live(),
    setting(
        "limits.refusals_per_min",
        &Number { unit: "", range: 0..=1_000_000, at: |s| &mut s.limits.refusals_per_min },
        "How many messages of one connection may be refused in a minute for its own limits, or its user's, before it is \
         closed with 4429. 0 never closes. An address that has limits, and sixteen closed in a minute on one shard for their own limits, is not heard \
         for as long as it takes to forget them: four seconds each, three minutes at most.",
    )
    .live(),
    setting(
        "limits.user_messages_per_s",
        &Number { unit: "messages per second", range: 0..=100_000_000, at: |s| &mut s.limits.user_messages_per_s },
        "How many messages all connections of one user may send in a second, whichever shards they are on. 0 is no limit.",
    )
    .live(),
    setting(
        "limits.user_messages_burst",
        &Number { unit: "", range: 1..=100_000_000, at: |s| &mut s.limits.user_messages_burst },
        "How many of them at once. On several shards it may be half as many more, which then take as much longer to come \
         back.",
    )
    .live(),
    setting(
        "limits.tenant_messages_per_s",
        &Number { unit: "messages per second", range: 0..=100_000_000, at: |s| &mut s.limits.tenant_messages_per_s },
        "The same for all connections of one tenant. What is refused for this limit closes nobody. 0 is no limit.",
    )
    .live(),
    setting(
        "limits.tenant_messages_burst",
        &Number { unit: "", range: 1..=100_000_000, at: |s| &mut s.limits.tenant_messages_burst },
        "How many of them at once, as for a user.",
    )
    .live(),
    setting(
        "limits.mailbox_parcels",
        &Number { unit: "", range: 64..=1 << 20, at: |s| &mut s.limits.mailbox_parcels },
        "How many parcels from other shards may wait for a shard before the senders wait too.",
    ),
    setting(
        "requests.timeout_ms",
        &Number { unit: "milliseconds", range: 1..=86_400_000, at: |s| &mut s.requests.timeout_ms },
        "How long a request waits for its answer that does not say `timeoutMs`.",
    ),
    setting(
        "requests.timeout_max_ms",
        &Number { unit: "milliseconds", range: 1..=86_400_000, at: |s| &mut s.requests.timeout_max_ms },
        "The longest `timeoutMs`. One that says more is refused.",
    ),
    setting(
        "requests.per_connection",
        &Number { unit: "", range: 0..=1_000_000, at: |s| &mut s.requests.per_connection },
        "How many requests of one connection may wait for their answer; more are refused with `unavailable`. 0 is no \
         limit but that of all.",
    ),
    setting(
        "requests.total",
        &Number { unit: "", range: 1..=10_000_000, at: |s| &mut s.requests.total },
        "How many requests may wait for their answer on the node, shared out evenly to the shards where they are asked.",
    ),
    setting(
        "requests.tenant_percent",
        &Number { unit: "percent", range: 1..=100, at: |s| &mut s.requests.tenant_percent },
        "How much of them, less what the other tenants have, one tenant may have: with 50 one alone has half, and however many \
         take all that they may come to equal shares. 100 is no limit for one tenant.",
    ),
    setting(
        "ws.deflate",
        &OnOff(|s| &mut s.ws.deflate),
        "Whether clients may have permessage-deflate. A message is compressed once for all of a room.",
    ),
    setting(
        "ws.deflate_min_bytes",
        &Number { unit: "bytes", range: 0..=1 << 20, at: |s| &mut s.ws.deflate_min_bytes },
        "Smaller messages are not worth compressing.",
    ),
];
