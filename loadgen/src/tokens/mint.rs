//! Tokens of our own: a few claims, signed, with a user of its own for each connection.

use crate::{plan::ConnId, tokens::signer::Signer};

/// What it takes to make them.
pub(crate) struct Mint {
    signer: Signer,
    /// JSON text.
    tenant: String,
    issued_unix_s: u64,
    expires_unix_s: u64,
}

/// What all tokens of a run say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims<'a> {
    pub(crate) tenant: Option<&'a str>,
    pub(crate) issued_unix_s: u64,
    pub(crate) expires_unix_s: u64,
}

impl Mint {
    pub(crate) fn new(signer: Signer, claims: Claims<'_>) -> Self {
        Self {
            signer,
            // A text always has its JSON.
            tenant: sonic_rs::to_string(claims.tenant.unwrap_or("default")).unwrap_or_default(),
            issued_unix_s: claims.issued_unix_s,
            expires_unix_s: claims.expires_unix_s,
        }
    }

    /// The token of a connection. `None` when signing wants random numbers and the system has none: then the target says so.
    pub(crate) fn token(&self, conn: ConnId) -> Option<String> {
        let claims = format!(
            r#"{{"sub":"load-{}","tenant":{},"iat":{},"exp":{}}}"#,
            conn.0, self.tenant, self.issued_unix_s, self.expires_unix_s
        );
        self.signer.sign(&claims).ok()
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn every_connection_is_a_user_of_its_own() {
        let claims = Claims { tenant: Some("a\"b"), issued_unix_s: 10, expires_unix_s: 20 };
        let mint = Mint::new(Signer::with_secret(b"secret", None, None).unwrap(), claims);
        let token = mint.token(ConnId(7)).unwrap();
        let said = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        assert_eq!(said, br#"{"sub":"load-7","tenant":"a\"b","iat":10,"exp":20}"#);
        assert_ne!(mint.token(ConnId(8)).unwrap(), token);
    }
}
