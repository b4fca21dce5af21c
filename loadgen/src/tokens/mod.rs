//! The token of each connection: one for all, minted here from an HS256 secret, or handed out by a
//! gateway that runs without a secret. Nothing here prints a token or a secret.

mod dev_token;

use std::{
    borrow::Cow,
    env, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::hmac;

use crate::{
    cli::{args::Config, flags::TokenFlags},
    client::target::Target,
    plan::ConnId,
    tokens::dev_token::DevTokenError,
};

/// Environment variables that hold the gateway's secret, in order of precedence.
const SECRET_VARIABLES: [&str; 2] = ["RINGWAY_AUTH__JWT_SECRET", "JWT_SECRET"];
/// Tokens outlive the planned run by this.
const EXPIRY_MARGIN: Duration = Duration::from_secs(3600);

/// Where tokens come from.
pub(crate) enum Tokens {
    /// The path needs none.
    None,
    One(String),
    Minted(Mint),
    /// One per connection, in order.
    Given(Vec<String>),
}

/// What it takes to sign.
pub(crate) struct Mint {
    key: hmac::Key,
    tenant: String,
    issued_unix_s: u64,
    expires_unix_s: u64,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{origin} holds nothing")]
    Empty { origin: String },
    #[error("{origin} holds characters that no token has")]
    NotAToken { origin: String },
    #[error(
        "no token: {0}\n\
         Say how to sign in: --secret-file FILE (- is standard input) with the gateway's HS256 secret, the same in\n\
         JWT_SECRET, or --token-file FILE with one token for all. A gateway that runs without a secret outside\n\
         production serves GET /dev/token to local clients; then none of these is needed"
    )]
    NoneGiven(#[from] DevTokenError),
}

impl Tokens {
    /// Tokens as the flags, the environment or the gateway give them, and a word on where they came from.
    pub(crate) fn find(
        flags: &TokenFlags,
        config: &Config,
        target: &Target,
    ) -> Result<(Self, String), TokenError> {
        if !config.mode.joins() {
            return Ok((Self::None, "none".to_owned()));
        }
        if let Some(token) = &flags.token {
            return one(token, "--token".to_owned());
        }
        if let Some(path) = &flags.token_file {
            return one(&read(path)?, format!("--token-file {}", path.display()));
        }
        let tenant = flags.tenant.as_deref();
        if let Some(secret) = &flags.secret {
            return minted(secret, "--secret".to_owned(), tenant, config);
        }
        if let Some(path) = &flags.secret_file {
            return minted(&read(path)?, format!("--secret-file {}", path.display()), tenant, config);
        }
        for variable in SECRET_VARIABLES {
            if let Ok(secret) = env::var(variable) {
                return minted(&secret, variable.to_owned(), tenant, config);
            }
        }
        let tokens = dev_token::fetch(target, config.conns, tenant)?;
        Ok((Self::Given(tokens), "from the gateway's /dev/token".to_owned()))
    }

    /// What `conn` shows.
    pub(crate) fn of(&self, conn: ConnId) -> Option<Cow<'_, str>> {
        match self {
            Self::None => None,
            Self::One(token) => Some(Cow::Borrowed(token)),
            Self::Minted(mint) => Some(Cow::Owned(mint.token(conn))),
            Self::Given(tokens) => tokens.get(conn.0 as usize).map(|token| Cow::Borrowed(token.as_str())),
        }
    }
}

impl Mint {
    fn token(&self, conn: ConnId) -> String {
        let claims = format!(
            r#"{{"sub":"load-{}","tenant":{},"iat":{},"exp":{}}}"#,
            conn.0, self.tenant, self.issued_unix_s, self.expires_unix_s
        );
        sign(&self.key, r#"{"alg":"HS256","typ":"JWT"}"#, &claims)
    }
}

/// JWS compact serialisation (RFC 7515, 3.1).
fn sign(key: &hmac::Key, header: &str, claims: &str) -> String {
    let mut token = BASE64_URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = hmac::sign(key, token.as_bytes());
    token.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

fn one(token: &str, origin: String) -> Result<(Tokens, String), TokenError> {
    let token = token.trim();
    if token.is_empty() {
        return Err(TokenError::Empty { origin });
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::NotAToken { origin });
    }
    Ok((Tokens::One(token.to_owned()), format!("one for all, from {origin}")))
}

fn minted(
    secret: &str,
    origin: String,
    tenant: Option<&str>,
    config: &Config,
) -> Result<(Tokens, String), TokenError> {
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(TokenError::Empty { origin });
    }
    let issued = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let connecting = Duration::try_from_secs_f64(f64::from(config.conns) / config.connect_rate);
    let run = connecting.unwrap_or(Duration::MAX).saturating_add(config.publishing());
    let expires = issued.saturating_add(run.min(Duration::from_secs(30 * 24 * 3600))) + EXPIRY_MARGIN;
    let mint = Mint {
        key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
        tenant: sonic_rs::to_string(tenant.unwrap_or("default")).unwrap_or_default(),
        issued_unix_s: issued.as_secs(),
        expires_unix_s: expires.as_secs(),
    };
    Ok((Tokens::Minted(mint), format!("minted with the secret from {origin}")))
}

fn read(path: &Path) -> Result<String, TokenError> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().lock().take(64 << 10).read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    text.map_err(|source| TokenError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_rfc_7515_a_1() {
        let secret = BASE64_URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let token = sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &secret),
            "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}",
            "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}",
        );
        let expected = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
            .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
            .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(token, expected);
    }

    #[test]
    fn every_connection_is_a_user_of_its_own() {
        let mint = Mint {
            key: hmac::Key::new(hmac::HMAC_SHA256, b"secret"),
            tenant: sonic_rs::to_string("a\"b").unwrap(),
            issued_unix_s: 10,
            expires_unix_s: 20,
        };
        let token = mint.token(ConnId(7));
        let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        assert_eq!(claims, br#"{"sub":"load-7","tenant":"a\"b","iat":10,"exp":20}"#);
        assert_ne!(token, mint.token(ConnId(8)));
    }

    #[test]
    fn a_token_from_a_file_may_end_in_a_line_feed_but_hold_none() {
        assert_eq!(one("abc.def.ghi\n", String::new()).unwrap().0.of(ConnId(0)).unwrap(), "abc.def.ghi");
        assert!(matches!(one(" \n", String::new()), Err(TokenError::Empty { .. })));
        assert!(matches!(one("a\r\nX: y", String::new()), Err(TokenError::NotAToken { .. })));
    }
}
