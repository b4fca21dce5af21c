//! The rows of who may connect, and for how long: `auth`, `token`.
//! Invariant: as in the table, sections stand together.

use super::{Setting, setting};
use crate::config::{
    kind::{Choice, MaybeSecret, MaybeText, Number, OnOff},
    kind_keys::Keys,
    settings::SECRET_ALGORITHMS,
};

pub(super) static ROWS: &[Setting] = &[
    setting(
        "auth.jwt_secret",
        &MaybeSecret(|s| &mut s.auth.jwt_secret),
        "The secret that tokens are signed with. Better in the environment than in a file.",
    )
    .plain(&["JWT_SECRET"])
    .example("\"<openssl rand -hex 32>\"")
    .secret()
    .live(),
    setting(
        "auth.jwt_algorithm",
        &Choice { of: SECRET_ALGORITHMS, at: |s| &mut s.auth.jwt_algorithm },
        "The algorithm of that secret. A token cannot choose it.",
    )
    .live(),
    setting(
        "auth.issuer",
        &MaybeText(|s| &mut s.auth.issuer),
        "What a token's `iss` must be. Unless set, it may be anything.",
    )
    .example("\"https://id.example.com\"")
    .live(),
    setting(
        "auth.audience",
        &MaybeText(|s| &mut s.auth.audience),
        "What must be among a token's `aud`. Unless set, it may be anything.",
    )
    .example("\"ringway\"")
    .live(),
    setting(
        "auth.leeway_s",
        &Number { unit: "seconds", range: 0..=600, at: |s| &mut s.auth.leeway_s },
        "How far the issuer's clock may be off.",
    )
    .live(),
    setting(
        "auth.require_exp",
        &OnOff(|s| &mut s.auth.require_exp),
        "Whether a token that never expires is refused.",
    )
    .live(),
    setting(
        "auth.cache_entries",
        &Number { unit: "", range: 0..=1_000_000, at: |s| &mut s.auth.cache_entries },
        "How many verified tokens each shard remembers, so that clients that come back cost no second signature; about \
         200 bytes each. Only those signed with `auth.keys`: a secret's are verified as fast. 0 is none.",
    ),
    setting(
        "auth.timeout_ms",
        &Number { unit: "milliseconds", range: 10..=600_000, at: |s| &mut s.auth.timeout_ms },
        "How long a connection may stay without a token. It is then closed with 4408.",
    ),
    setting(
        "auth.keys",
        &Keys(|s| &mut s.auth.keys),
        "Public keys that tokens may be signed for, each with its algorithm and a PEM file (relative to this \
         file). With several, `kid` tells them apart.",
    )
    .example("[{ kid = \"2026\", algorithm = \"RS256\", file = \"keys/2026.pem\" }]")
    .live(),
    setting(
        "auth.revocation_s",
        &Number { unit: "seconds", range: 1..=31_536_000, at: |s| &mut s.auth.revocation_s },
        "How long a token that was revoked through the API stays so where the call does not say until when: at least as \
         long as the longest token is good.",
    ),
    setting(
        "auth.revocations_max",
        &Number { unit: "", range: 1..=10_000_000, at: |s| &mut s.auth.revocations_max },
        "How many revocations can be remembered at a time, on every shard; about 250 bytes each. Further ones are refused \
         with `unavailable`.",
    ),
    setting(
        "token.expiring_notice_s",
        &Number { unit: "seconds", range: 0..=86_400, at: |s| &mut s.token.expiring_notice_s },
        "How long before its token ends a client is told to refresh it. 0 is never.",
    ),
];
