//! Tokens of our own, for `ringway token mint` and a first run without configuration. Only algorithms that need
//! no randomness: HMAC and Ed25519.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{hmac, signature::Ed25519KeyPair};

use super::{algorithm::Algorithm, claims::ClaimNames, error::KeyError, key, pem};
use crate::base::{TenantName, UserName};

/// What signs tokens with one algorithm.
pub struct SigningKey {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Secret(hmac::Key),
    Ed25519(Box<Ed25519KeyPair>),
}

/// What a minted token says. Dates are Unix seconds.
#[derive(Clone, Debug)]
pub struct MintClaims {
    pub user: UserName,
    /// Written under the first of the names; `None` leaves the token to the default tenant.
    pub tenant: Option<TenantName>,
    pub issued_at_s: u64,
    pub expires_at_s: Option<u64>,
    pub issuer: Option<Box<str>>,
    pub audience: Option<Box<str>>,
    /// Written under their names when there are any.
    pub roles: Vec<Box<str>>,
    pub abilities: Vec<Box<str>>,
    /// Its own name (`jti`), by which its connections can be ended.
    pub id: Option<Box<str>>,
    /// As the verifier that the token is for is configured.
    pub names: ClaimNames,
}

impl SigningKey {
    /// A secret for HS256, HS384 or HS512, under the rules of [`super::Key::from_secret`].
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self { id: None, algorithm, material: Material::Secret(key::hmac_key(algorithm, secret)?) })
    }

    /// An Ed25519 private key as PKCS#8 PEM (`PRIVATE KEY`); signs with EdDSA.
    pub fn from_private_pem(text: &str) -> Result<Self, KeyError> {
        let pair = pem::ed25519_private_key(text)?;
        Ok(Self { id: None, algorithm: Algorithm::EdDsa, material: Material::Ed25519(Box::new(pair)) })
    }

    /// The same key, named by `kid` in the tokens' headers.
    #[must_use]
    pub fn with_id(self, id: &str) -> Self {
        Self { id: Some(Box::from(id)), ..self }
    }

    fn sign(&self, message: &[u8]) -> String {
        match &self.material {
            Material::Secret(key) => URL_SAFE_NO_PAD.encode(hmac::sign(key, message)),
            Material::Ed25519(pair) => URL_SAFE_NO_PAD.encode(pair.sign(message)),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// A signed compact JWS with these claims.
pub fn mint(key: &SigningKey, claims: &MintClaims) -> String {
    let mut header = Object::default();
    header.text("alg", key.algorithm.as_str());
    header.text("typ", "JWT");
    if let Some(id) = &key.id {
        header.text("kid", id);
    }
    let mut token = URL_SAFE_NO_PAD.encode(header.finish());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims_set(claims), &mut token);
    let signature = key.sign(token.as_bytes());
    token.push('.');
    token.push_str(&signature);
    token
}

fn claims_set(claims: &MintClaims) -> String {
    let mut set = Object::default();
    set.text(&claims.names.user, claims.user.as_str());
    if let (Some(name), Some(tenant)) = (claims.names.tenant.first(), &claims.tenant) {
        set.text(name, tenant.as_str());
    }
    if let Some(issuer) = &claims.issuer {
        set.text("iss", issuer);
    }
    if let Some(audience) = &claims.audience {
        set.text("aud", audience);
    }
    for (name, texts) in [(&claims.names.roles, &claims.roles), (&claims.names.abilities, &claims.abilities)]
    {
        if !texts.is_empty() {
            let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
            set.member(name, &format!("[{}]", texts.join(",")));
        }
    }
    if let Some(id) = &claims.id {
        set.text("jti", id);
    }
    set.number("iat", claims.issued_at_s);
    if let Some(expires_at_s) = claims.expires_at_s {
        set.number("exp", expires_at_s);
    }
    set.finish()
}

/// A JSON object under construction.
#[derive(Default)]
struct Object(String);

impl Object {
    fn text(&mut self, name: &str, value: &str) {
        self.member(name, &quoted(value));
    }

    fn number(&mut self, name: &str, value: u64) {
        self.member(name, &value.to_string());
    }

    fn member(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(value);
    }

    /// Called with one member at least.
    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn quoted(text: &str) -> String {
    sonic_rs::to_string(text).expect("a string is always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_8037_a4_is_signed_as_there() {
        let key = SigningKey::from_private_pem(include_str!("testdata/rfc8037_a.key.pem")).unwrap();
        let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let expected =
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(key.sign(input), expected);
    }
}
