//! Tokens, good and forged. Signed here, not by the gateway's own code, so that both sides of the check are not one.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};

/// The secret of all gateways under test; long enough for production.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The header of a good token.
pub(crate) const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// An hour for `user` of `tenant`.
pub(crate) fn token(user: &str, tenant: &str) -> String {
    lasting(user, tenant, 3600)
}

/// So many seconds for `user` of `tenant`, from now; below zero it has expired already.
pub(crate) fn lasting(user: &str, tenant: &str, seconds: i64) -> String {
    let now_s = unix_s();
    sign(HS256, &format!(r#"{{"sub":"{user}","tenant":"{tenant}","iat":{now_s},"exp":{}}}"#, now_s + seconds))
}

/// An administrator's.
pub(crate) fn admin() -> String {
    let claims = r#"{"sub":"root","abilities":["ringway:admin"],"exp":4102444800}"#;
    sign(HS256, claims)
}

/// Any header and claims, signed with the gateway's secret.
pub(crate) fn sign(header: &str, claims: &str) -> String {
    sign_with(SECRET, header, claims)
}

/// Any header and claims, signed with any secret.
pub(crate) fn sign_with(secret: &str, header: &str, claims: &str) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A key pair of an issuer (EdDSA).
pub(crate) struct Issuer {
    kid: &'static str,
    pair: Ed25519KeyPair,
}

impl Issuer {
    pub(crate) fn new(kid: &'static str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("there are random bytes");
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("just made");
        Self { kid, pair }
    }

    /// The public key as PEM: a SubjectPublicKeyInfo (RFC 8410).
    pub(crate) fn public_pem(&self) -> String {
        const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let der = [&PREFIX, self.pair.public_key().as_ref()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    /// The public key in a set (RFC 8037).
    pub(crate) fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{}","x":"{x}"}}]}}"#, self.kid)
    }

    /// An hour for `user` of `tenant`.
    pub(crate) fn token(&self, user: &str, tenant: &str) -> String {
        let header = format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, self.kid);
        let claims = format!(r#"{{"sub":"{user}","tenant":"{tenant}","exp":{}}}"#, unix_s() + 3600);
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }
}

/// Seconds since 1970.
pub(crate) fn unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("now is after 1970");
    since.as_secs().try_into().expect("and before the year 292277026596")
}
