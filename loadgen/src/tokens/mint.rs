//! Tokens of our own: JWS compact serialisation (RFC 7515) of a few claims, a user of its own for each connection.
//!
//! Signs with what needs no randomness: HMAC with SHA-2, and Ed25519 (RFC 8037).

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use ring::{hmac, signature::Ed25519KeyPair};

use crate::plan::ConnId;

/// How a token with a secret is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// What it takes to sign.
pub(crate) struct Mint {
    signer: Signer,
    /// JSON.
    header: String,
    /// JSON text.
    tenant: String,
    issued_unix_s: u64,
    expires_unix_s: u64,
}

enum Signer {
    Hmac(hmac::Key),
    Ed25519(Box<Ed25519KeyPair>),
}

/// What all tokens of a run say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims<'a> {
    pub(crate) tenant: Option<&'a str>,
    /// Names the key.
    pub(crate) key_id: Option<&'a str>,
    pub(crate) issued_unix_s: u64,
    pub(crate) expires_unix_s: u64,
}

impl Mint {
    pub(crate) fn with_secret(hash: Hash, secret: &[u8], claims: Claims<'_>) -> Self {
        let (name, algorithm) = match hash {
            Hash::Sha256 => ("HS256", hmac::HMAC_SHA256),
            Hash::Sha384 => ("HS384", hmac::HMAC_SHA384),
            Hash::Sha512 => ("HS512", hmac::HMAC_SHA512),
        };
        Self::new(Signer::Hmac(hmac::Key::new(algorithm, secret)), name, claims)
    }

    /// With an Ed25519 private key in PEM (PKCS#8); `None` when it is something else.
    pub(crate) fn with_key(pem: &str, claims: Claims<'_>) -> Option<Self> {
        let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
        let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
        let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
        let der = BASE64_STANDARD.decode(body).ok()?;
        // Keys of common tools come without the public half.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok()?;
        Some(Self::new(Signer::Ed25519(Box::new(pair)), "EdDSA", claims))
    }

    fn new(signer: Signer, algorithm: &str, claims: Claims<'_>) -> Self {
        // A text always has its JSON.
        let json = |text: &str| sonic_rs::to_string(text).unwrap_or_default();
        let key_id = claims.key_id.map(|id| format!(r#","kid":{}"#, json(id))).unwrap_or_default();
        Self {
            signer,
            header: format!(r#"{{"alg":"{algorithm}","typ":"JWT"{key_id}}}"#),
            tenant: json(claims.tenant.unwrap_or("default")),
            issued_unix_s: claims.issued_unix_s,
            expires_unix_s: claims.expires_unix_s,
        }
    }

    /// The token of a connection.
    pub(crate) fn token(&self, conn: ConnId) -> String {
        let claims = format!(
            r#"{{"sub":"load-{}","tenant":{},"iat":{},"exp":{}}}"#,
            conn.0, self.tenant, self.issued_unix_s, self.expires_unix_s
        );
        sign(&self.signer, &self.header, &claims)
    }
}

/// JWS compact serialisation (RFC 7515, 3.1).
fn sign(signer: &Signer, header: &str, claims: &str) -> String {
    let mut token = BASE64_URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = match signer {
        Signer::Hmac(key) => BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(key, token.as_bytes())),
        Signer::Ed25519(pair) => BASE64_URL_SAFE_NO_PAD.encode(pair.sign(token.as_bytes())),
    };
    token.push('.');
    token.push_str(&signature);
    token
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, KeyPair, UnparsedPublicKey};

    use super::*;

    const CLAIMS: Claims<'static> =
        Claims { tenant: Some("a\"b"), key_id: None, issued_unix_s: 10, expires_unix_s: 20 };
    /// The key of RFC 8032, 7.1, test 1, as PKCS#8 (RFC 8410).
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";

    fn part(token: &str, index: usize) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()
    }

    #[test]
    fn signatures_are_those_of_rfc_7515_a_1() {
        let secret = BASE64_URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let token = sign(
            &Signer::Hmac(hmac::Key::new(hmac::HMAC_SHA256, &secret)),
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
        let mint = Mint::with_secret(Hash::Sha256, b"secret", CLAIMS);
        let token = mint.token(ConnId(7));
        assert_eq!(part(&token, 0), br#"{"alg":"HS256","typ":"JWT"}"#);
        assert_eq!(part(&token, 1), br#"{"sub":"load-7","tenant":"a\"b","iat":10,"exp":20}"#);
        assert_ne!(token, mint.token(ConnId(8)));
    }

    #[test]
    fn algorithm_and_key_are_named() {
        let claims = Claims { key_id: Some("k\"1"), ..CLAIMS };
        for (hash, bytes, name) in [(Hash::Sha384, 48, "HS384"), (Hash::Sha512, 64, "HS512")] {
            let token = Mint::with_secret(hash, b"secret", claims).token(ConnId(0));
            assert_eq!(part(&token, 0), format!(r#"{{"alg":"{name}","typ":"JWT","kid":"k\"1"}}"#).as_bytes());
            assert_eq!(part(&token, 2).len(), bytes);
        }
    }

    #[test]
    fn a_key_signs_what_its_public_half_verifies() {
        let mint = Mint::with_key(PEM, CLAIMS).unwrap();
        let token = mint.token(ConnId(3));
        assert_eq!(part(&token, 0), br#"{"alg":"EdDSA","typ":"JWT"}"#);
        let Signer::Ed25519(pair) = &mint.signer else { panic!() };
        let (signed, _) = token.rsplit_once('.').unwrap();
        let public = UnparsedPublicKey::new(&ED25519, pair.public_key());
        assert_eq!(public.verify(signed.as_bytes(), &part(&token, 2)), Ok(()));
        for bad in ["", "no key", &PEM.replace("MC4C", "MC4D"), &PEM.replace("PRIVATE", "RSA PRIVATE")] {
            assert!(Mint::with_key(bad, CLAIMS).is_none(), "{bad}");
        }
    }
}
