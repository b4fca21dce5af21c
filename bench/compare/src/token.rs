//! HS256 tokens for the gateway, one user for each connection, all of one length. Made before a run, so that the
//! generator has nothing to sign while it measures.

use std::time::{SystemTime, UNIX_EPOCH};

use ringway::{
    auth::{Algorithm, ClaimNames, MintClaims, SigningKey, mint},
    base::{TenantName, UserName},
};

/// What the gateway is started with.
pub const SECRET: &str = "a secret of a comparison, known to all and used for nothing else";

/// Whose all users are.
pub const TENANT: &str = "bench";

const LIFETIME_S: u64 = 24 * 3600;

/// Tokens of that many users.
pub fn tokens(count: u32) -> Vec<String> {
    tokens_of("user", count)
}

/// The same of users whose names begin with `prefix`, one that a name may have.
pub fn tokens_of(prefix: &str, count: u32) -> Vec<String> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let key =
        SigningKey::from_secret(Algorithm::Hs256, SECRET.as_bytes()).expect("the secret is long enough");
    let token = |user: u32| {
        let claims = MintClaims {
            user: UserName::parse(&format!("{prefix}-{user:05}")).expect("a plain name"),
            tenant: Some(TenantName::parse(TENANT).expect("a plain name")),
            issued_at_s: now_s,
            expires_at_s: Some(now_s + LIFETIME_S),
            issuer: None,
            audience: None,
            roles: Vec::new(),
            abilities: Vec::new(),
            id: None,
            names: ClaimNames::default(),
        };
        mint(&key, &claims)
    };
    (0..count).map(token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_of_the_same_length() {
        let tokens = tokens(3);
        assert_ne!(tokens[0], tokens[1]);
        assert!(tokens.iter().all(|it| it.len() == tokens[0].len()));
    }
}
