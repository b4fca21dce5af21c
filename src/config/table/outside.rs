//! The rows of what servers outside are asked, and how: `introspection`, `outside`.
//! Invariant: as in the table, sections stand together.

use super::{Setting, setting};
use crate::config::{
    kind::{Number, OnOff, Text},
    kind_outside::{MaybeFile, MaybeUrl, check_certificates, is_field_path},
};

const PATH: &str =
    "names of members with dots between them, from the outermost object inwards, like `data.user.id`";

pub(super) static ROWS: &[Setting] = &[
    setting(
        "introspection.url",
        &MaybeUrl(|s| &mut s.introspection.url),
        "What is asked about a token that no key here has signed: a GET with the token in `Authorization: Bearer`. 2xx is a \
         good one, 401 and 403 a bad one, as is `\"active\": false`; with any other answer the client is told to come again.",
    )
    .example("\"http://127.0.0.1:8000/api/user\"")
    .live(),
    setting(
        "introspection.timeout_ms",
        &Number { unit: "milliseconds", range: 10..=60_000, at: |s| &mut s.introspection.timeout_ms },
        "How long an answer may take. At most auth.timeout_ms.",
    )
    .live(),
    setting(
        "introspection.in_flight",
        &Number { unit: "", range: 1..=10_000, at: |s| &mut s.introspection.in_flight },
        "How many of these calls may be under way, shared out to the shards. Further tokens wait, up to 1024 on a shard, \
         but not more of one address (IPv6: one /64) than a quarter of what the others leave.",
    )
    .live(),
    setting(
        "introspection.cache_s",
        &Number { unit: "seconds", range: 0..=3600, at: |s| &mut s.introspection.cache_s },
        "How long a good token is known without another call. 0 is not at all.",
    )
    .live(),
    setting(
        "introspection.cache_bad_s",
        &Number { unit: "seconds", range: 0..=600, at: |s| &mut s.introspection.cache_bad_s },
        "How long a bad one is. 0 is not at all.",
    )
    .live(),
    setting(
        "introspection.cache_entries",
        &Number { unit: "", range: 1..=1_000_000, at: |s| &mut s.introspection.cache_entries },
        "How many good tokens a shard knows so, and how many bad ones. Tokens are not kept, but a keyed hash.",
    )
    .live(),
    setting(
        "introspection.breaker_failures",
        &Number { unit: "", range: 0..=1000, at: |s| &mut s.introspection.breaker_failures },
        "After so many failures in a row a shard stops asking for a while; 0 is never. While any token has had an answer within \
         5 seconds it goes on, unless the server cannot be connected to.",
    )
    .live(),
    setting(
        "introspection.breaker_open_ms",
        &Number { unit: "milliseconds", range: 10..=600_000, at: |s| &mut s.introspection.breaker_open_ms },
        "For so long. Then one token is tried.",
    )
    .live(),
    setting(
        "introspection.user",
        &Text { check: is_field_path, allowed: PATH, at: |s| &mut s.introspection.user },
        "Where the answer has the user: a text or a whole number.",
    )
    .live(),
    setting(
        "introspection.tenant",
        &Text { check: is_field_path, allowed: PATH, at: |s| &mut s.introspection.tenant },
        "Where it has the tenant. Missing or null, the tenant is `default`.",
    )
    .live(),
    setting(
        "introspection.roles",
        &Text { check: is_field_path, allowed: PATH, at: |s| &mut s.introspection.roles },
        "Where it has the roles: a text or a list of texts, or nothing. Of a list of objects, a name behind it is looked for in \
         each: `roles.name` reads [{\"name\": \"admin\"}].",
    )
    .live(),
    setting(
        "introspection.abilities",
        &Text { check: is_field_path, allowed: PATH, at: |s| &mut s.introspection.abilities },
        "Where it has the abilities, likewise.",
    )
    .live(),
    setting(
        "introspection.token_id",
        &Text { check: is_field_path, allowed: PATH, at: |s| &mut s.introspection.token_id },
        "Where it has the token's own name, by which it can be revoked: a text or a whole number, or nothing.",
    )
    .live(),
    setting(
        "introspection.issued_at",
        &Text { check: is_field_path, allowed: PATH, at: |s| &mut s.introspection.issued_at },
        "Where it has when the token was issued, like its end. A token without is older than any revocation of its user.",
    )
    .live(),
    setting(
        "introspection.expires_at",
        &Text { check: is_field_path, allowed: PATH, at: |s| &mut s.introspection.expires_at },
        "Where it has the token's end: Unix seconds, or a date like 2026-11-21T12:00:00Z, or nothing for none.",
    )
    .live(),
    setting(
        "outside.ca_file",
        &MaybeFile {
            check: check_certificates,
            allowed: "the path of a PEM file with certificates (relative to this file)",
            at: |s| &mut s.outside.ca_file,
        },
        "Certificates to trust beside the system's.",
    )
    .example("\"certificates/own-ca.pem\""),
    setting(
        "outside.plaintext",
        &OnOff(|s| &mut s.outside.plaintext),
        "States that nobody reads or writes along on the way to servers that are asked by http. Production wants https, \
         this, or a server on this machine.",
    )
    .live(),
    setting(
        "outside.in_flight",
        &Number { unit: "", range: 1..=100_000, at: |s| &mut s.outside.in_flight },
        "How many calls may be under way, of whatever kind. What is more fails.",
    ),
];
