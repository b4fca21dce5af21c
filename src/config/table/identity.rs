//! The rows of who may connect, for how long, and what he may do: `auth`, `auth.claims`, `abilities`, `token`.
//! Invariant: as in the table, sections stand together.

use super::{Setting, setting};
use crate::config::{
    kind::{Choice, MaybeSecret, MaybeText, Number, OnOff, Text, Texts},
    kind_abilities::AbilityDraft,
    kind_keys::Keys,
    kind_outside::{MaybeFile, MaybeUrl, check_jwks},
    kind_tables::Rules,
    settings::{RSA_ALGORITHMS, SECRET_ALGORITHMS},
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
        "auth.jwks_file",
        &MaybeFile {
            check: check_jwks,
            allowed: "the path of a JSON file with a set of public keys (relative to this file)",
            at: |s| &mut s.auth.jwks_file,
        },
        "A set of public keys (JWKS, RFC 7517) that tokens may be signed for. Keys that are for something else are left out. A \
         key without `alg` is for the one of its kind: ES256, ES384, EdDSA, or auth.jwks_rsa_algorithm.",
    )
    .example("\"keys/jwks.json\"")
    .live(),
    setting(
        "auth.jwks_url",
        &MaybeUrl(|s| &mut s.auth.jwks_url),
        "Where an issuer publishes such a set. The last good one stays while a newer one cannot be had.",
    )
    .example("\"https://id.example.com/.well-known/jwks.json\"")
    .live(),
    setting(
        "auth.jwks_refresh_s",
        &Number { unit: "seconds", range: 10..=86_400, at: |s| &mut s.auth.jwks_refresh_s },
        "How often it is looked at.",
    )
    .live(),
    setting(
        "auth.jwks_refetch_s",
        &Number { unit: "seconds", range: 1..=3600, at: |s| &mut s.auth.jwks_refetch_s },
        "A token that names an unknown key makes the gateway look at once, but never sooner than so long after the last look.",
    )
    .live(),
    setting(
        "auth.jwks_rsa_algorithm",
        &Choice { of: RSA_ALGORITHMS, at: |s| &mut s.auth.jwks_rsa_algorithm },
        "What RSA keys of a set are for that have no `alg`.",
    )
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
        "auth.revocations_tenant_percent",
        &Number { unit: "percent", range: 1..=100, at: |s| &mut s.auth.revocations_tenant_percent },
        "How much of them, less what the other tenants have, one tenant may have: with 50 the first to take all it may has \
         half, the next a quarter, and there is always room for one more. 100 is no limit for one tenant.",
    ),
    setting(
        "auth.claims.user",
        &Text { check: is_claim, allowed: CLAIM, at: |s| &mut s.auth.claims.user },
        "The user.",
    )
    .live(),
    setting(
        "auth.claims.tenant",
        &Texts { name_of: claim, allowed: CLAIMS, at: |s| &mut s.auth.claims.tenant },
        "The tenant: any of these, and all of them that are there must agree. Without one it is `default`.",
    )
    .live(),
    setting(
        "auth.claims.roles",
        &Text { check: is_claim, allowed: CLAIM, at: |s| &mut s.auth.claims.roles },
        "The roles that abilities.rules know: a text or a list of texts.",
    )
    .live(),
    setting(
        "auth.claims.abilities",
        &Text { check: is_claim, allowed: CLAIM, at: |s| &mut s.auth.claims.abilities },
        "The token's own abilities, likewise.",
    )
    .live(),
    setting(
        "auth.claims.name",
        &Text { check: is_claim, allowed: CLAIM, at: |s| &mut s.auth.claims.name },
        "What people call the user; nothing is decided by it.",
    )
    .live(),
    setting(
        "abilities.rules",
        &Rules::<AbilityDraft>(|s| &mut s.abilities.rules),
        "Who has the role (`*` is everybody) may do these actions (join, send, presence, history, request; `*` is all) in rooms \
         like these. `{user_id}` and `{tenant_id}` are his own; `*` is any text without `.`, `:` and `/`, as is any other name \
         in braces; `**`, once and alone between these, is any text. To send, to see who is there and to read history one has \
         to be in the room, too. For a request the room is `user:ID` or `connection:ID`. Where ids hold `.`, `:` or `/`, do not have both `x.{user_id}` and \
         `x.{user_id}.*`: the second of a user `ann` is the first of a user `ann.lee`. Unless set, outside production everybody may do \
         everything inside his tenant; in production he may join, see and read dashboard, alerts and notifications \
         `.{user_id}`, join and read metrics and system `.{tenant_id}`, and nothing else. `ringway config check --explain` says which \
         rule decides.",
    )
    .example(
        "[{ role = \"*\", actions = [\"join\", \"history\"], rooms = [\"dashboard.{user_id}\"] }, \
         { role = \"member\", actions = [\"join\", \"send\"], rooms = [\"project.*\"] }]",
    )
    .live(),
    setting(
        "token.expiring_notice_s",
        &Number { unit: "seconds", range: 0..=86_400, at: |s| &mut s.token.expiring_notice_s },
        "How long before its token ends a client is told to refresh it. 0 is never.",
    ),
];

const CLAIM: &str = "the name of a claim";
const CLAIMS: &str = "a list of names of claims";

fn claim(name: &str) -> Option<&str> {
    (!name.is_empty()).then_some(name)
}

fn is_claim(name: &str) -> bool {
    claim(name).is_some()
}
