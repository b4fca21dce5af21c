//! Signs tokens: JWS in its compact serialisation (RFC 7515, 3.1) with a secret or with a private key.
//!
//! Owns no claim. Neither prints nor lends a key. Keys are read as PEM: PKCS#8, and for RSA also PKCS#1.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair},
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};

/// What signs, and the header that says so.
pub(crate) struct Signer {
    /// In base64, with its full stop.
    header: String,
    key: Key,
}

enum Key {
    Secret(hmac::Key),
    Rsa(Box<RsaKeyPair>, &'static dyn signature::RsaEncoding),
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// Why there is nothing to sign with.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum SignerError {
    #[error(
        "{0:?} is no algorithm: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA"
    )]
    Unknown(String),
    #[error("{0} signs with a secret (--secret-file), not with a private key")]
    WantsSecret(&'static str),
    #[error("{0} signs with a private key (--key-file), not with a secret")]
    WantsKey(&'static str),
    #[error("no private key in PEM: PRIVATE KEY (PKCS#8) or RSA PRIVATE KEY is wanted")]
    NotPem,
    #[error("an RSA key signs with {RSA_NAMES}: say which with --alg")]
    WhichRsa,
    #[error("the key cannot be used for {0}")]
    WrongKey(&'static str),
    #[error("signing failed")]
    Failed,
}

const RSA_NAMES: &str = "RS256, RS384, RS512, PS256, PS384 or PS512";

/// The algorithms of JWA (RFC 7518, 3.1; RFC 8037) that there are.
#[derive(Clone, Copy)]
struct Algorithm {
    name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Hmac(hmac::Algorithm),
    Rsa(&'static dyn signature::RsaEncoding),
    Ecdsa(&'static signature::EcdsaSigningAlgorithm),
    Ed25519,
}

const ED25519: Algorithm = Algorithm { name: "EdDSA", kind: Kind::Ed25519 };
const ES256: Algorithm =
    Algorithm { name: "ES256", kind: Kind::Ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING) };
const ES384: Algorithm =
    Algorithm { name: "ES384", kind: Kind::Ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING) };

/// What [`Signer`] can be asked for.
pub(crate) const NAMES: [&str; 12] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
    "EdDSA",
];

fn algorithms() -> [Algorithm; 12] {
    let hmac = |name, with| Algorithm { name, kind: Kind::Hmac(with) };
    let rsa = |name, with| Algorithm { name, kind: Kind::Rsa(with) };
    [
        hmac("HS256", hmac::HMAC_SHA256),
        hmac("HS384", hmac::HMAC_SHA384),
        hmac("HS512", hmac::HMAC_SHA512),
        rsa("RS256", &signature::RSA_PKCS1_SHA256),
        rsa("RS384", &signature::RSA_PKCS1_SHA384),
        rsa("RS512", &signature::RSA_PKCS1_SHA512),
        rsa("PS256", &signature::RSA_PSS_SHA256),
        rsa("PS384", &signature::RSA_PSS_SHA384),
        rsa("PS512", &signature::RSA_PSS_SHA512),
        ES256,
        ES384,
        ED25519,
    ]
}

fn named(name: &str) -> Result<Algorithm, SignerError> {
    let found = algorithms().into_iter().find(|algorithm| algorithm.name == name);
    found.ok_or_else(|| SignerError::Unknown(name.to_owned()))
}

impl Signer {
    /// With a secret; HS256 where nothing else is said.
    ///
    /// # Errors
    /// When the algorithm is unknown or wants a private key.
    pub(crate) fn with_secret(
        secret: &[u8],
        alg: Option<&str>,
        kid: Option<&str>,
    ) -> Result<Self, SignerError> {
        let Algorithm { name, kind } = named(alg.unwrap_or("HS256"))?;
        match kind {
            Kind::Hmac(with) => Ok(Self::new(name, kid, Key::Secret(hmac::Key::new(with, secret)))),
            Kind::Rsa(_) | Kind::Ecdsa(_) | Kind::Ed25519 => Err(SignerError::WantsKey(name)),
        }
    }

    /// With a private key in PEM. What a key of an elliptic curve signs with follows from its curve.
    ///
    /// # Errors
    /// When the text holds no key, or one that the algorithm cannot use.
    pub(crate) fn with_key(pem: &str, alg: Option<&str>, kid: Option<&str>) -> Result<Self, SignerError> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| SignerError::NotPem)?;
        if let Some(name) = alg {
            let algorithm = named(name)?;
            let key = key_for(algorithm, &der)?.ok_or(SignerError::WrongKey(algorithm.name))?;
            return Ok(Self::new(algorithm.name, kid, key));
        }
        for algorithm in [ED25519, ES256, ES384] {
            if let Some(key) = key_for(algorithm, &der)? {
                return Ok(Self::new(algorithm.name, kid, key));
            }
        }
        Err(if rsa_pair(&der).is_some() { SignerError::WhichRsa } else { SignerError::NotPem })
    }

    /// The token that makes these claims, which are a JSON object.
    ///
    /// # Errors
    /// When the system has no random numbers (those that want some).
    pub(crate) fn sign(&self, claims: &str) -> Result<String, SignerError> {
        let mut token = self.header.clone();
        BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let random = SystemRandom::new();
        let signature = match &self.key {
            Key::Secret(key) => hmac::sign(key, token.as_bytes()).as_ref().to_vec(),
            Key::Ed25519(pair) => pair.sign(token.as_bytes()).as_ref().to_vec(),
            Key::Ecdsa(pair) => {
                let signed = pair.sign(&random, token.as_bytes());
                signed.map_err(|_| SignerError::Failed)?.as_ref().to_vec()
            }
            Key::Rsa(pair, with) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*with, &random, token.as_bytes(), &mut signature)
                    .map_err(|_| SignerError::Failed)?;
                signature
            }
        };
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    fn new(name: &str, kid: Option<&str>, key: Key) -> Self {
        let kid = kid.map(|kid| format!(r#","kid":{}"#, sonic_rs::to_string(kid).unwrap_or_default()));
        let header = format!(r#"{{"alg":"{name}","typ":"JWT"{}}}"#, kid.unwrap_or_default());
        Self { header: BASE64_URL_SAFE_NO_PAD.encode(header) + ".", key }
    }
}

/// `None` when the key is not of the algorithm's kind.
fn key_for(algorithm: Algorithm, der: &PrivateKeyDer<'_>) -> Result<Option<Key>, SignerError> {
    let pkcs8 = if let PrivateKeyDer::Pkcs8(key) = der { Some(key.secret_pkcs8_der()) } else { None };
    Ok(match algorithm.kind {
        Kind::Hmac(_) => return Err(SignerError::WantsSecret(algorithm.name)),
        Kind::Rsa(with) => rsa_pair(der).map(|pair| Key::Rsa(Box::new(pair), with)),
        Kind::Ecdsa(with) => pkcs8
            .and_then(|key| EcdsaKeyPair::from_pkcs8(with, key, &SystemRandom::new()).ok())
            .map(|pair| Key::Ecdsa(Box::new(pair))),
        // Most tools leave the public key out (RFC 5958), which is no reason to refuse.
        Kind::Ed25519 => pkcs8
            .and_then(|key| Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).ok())
            .map(|pair| Key::Ed25519(Box::new(pair))),
    })
}

fn rsa_pair(der: &PrivateKeyDer<'_>) -> Option<RsaKeyPair> {
    if let PrivateKeyDer::Pkcs8(key) = der {
        return RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok();
    }
    let PrivateKeyDer::Pkcs1(key) = der else { return None };
    RsaKeyPair::from_der(key.secret_pkcs1_der()).ok()
}

#[cfg(test)]
mod tests {
    use ring::signature::{KeyPair, UnparsedPublicKey, VerificationAlgorithm};

    use super::*;

    const CLAIMS: &str = r#"{"sub":"load-7"}"#;

    fn pem(label: &str, der: &[u8]) -> String {
        let body = base64::prelude::BASE64_STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    /// Header and whether the signature holds.
    fn verify(token: &str, with: &'static dyn VerificationAlgorithm, public: &[u8]) -> (String, bool) {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        let header = BASE64_URL_SAFE_NO_PAD.decode(message.split('.').next().unwrap()).unwrap();
        let good = UnparsedPublicKey::new(with, public).verify(message.as_bytes(), &signature).is_ok();
        (String::from_utf8(header).unwrap(), good)
    }

    #[test]
    fn a_secret_signs_as_rfc_7515_a_1_does() {
        let secret = BASE64_URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let mut signer = Signer::with_secret(&secret, None, None).unwrap();
        signer.header = BASE64_URL_SAFE_NO_PAD.encode("{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}") + ".";
        let claims = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
        let expected = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
            .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
            .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(signer.sign(claims).unwrap(), expected);
    }

    #[test]
    fn keys_sign_with_what_their_curve_says() {
        let random = SystemRandom::new();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let public = Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap().public_key().as_ref().to_vec();
        let signer = Signer::with_key(&pem("PRIVATE KEY", ed.as_ref()), None, Some("k\"1")).unwrap();
        let got = verify(&signer.sign(CLAIMS).unwrap(), &signature::ED25519, &public);
        assert_eq!(got, (r#"{"alg":"EdDSA","typ":"JWT","kid":"k\"1"}"#.to_owned(), true));

        type Row =
            (&'static str, &'static signature::EcdsaSigningAlgorithm, &'static dyn VerificationAlgorithm);
        let rows: [Row; 2] = [
            ("ES256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING, &signature::ECDSA_P256_SHA256_FIXED),
            ("ES384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING, &signature::ECDSA_P384_SHA384_FIXED),
        ];
        for (name, with, verified_with) in rows {
            let der = EcdsaKeyPair::generate_pkcs8(with, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(with, der.as_ref(), &random).unwrap();
            let text = pem("PRIVATE KEY", der.as_ref());
            for alg in [None, Some(name)] {
                let token = Signer::with_key(&text, alg, None).unwrap().sign(CLAIMS).unwrap();
                let got = verify(&token, verified_with, pair.public_key().as_ref());
                assert_eq!(got, (format!(r#"{{"alg":"{name}","typ":"JWT"}}"#), true));
            }
            let wrong = Signer::with_key(&text, Some("EdDSA"), None).err();
            assert_eq!(wrong, Some(SignerError::WrongKey("EdDSA")));
        }
    }

    #[test]
    fn an_rsa_key_signs_with_what_is_said() {
        let text = include_str!("testdata/rsa.pem");
        let pair = rsa_pair(&PrivateKeyDer::from_pem_slice(text.as_bytes()).unwrap()).unwrap();
        let public = pair.public().as_ref().to_vec();
        let rows: [(&str, &'static dyn VerificationAlgorithm); 2] = [
            ("RS256", &signature::RSA_PKCS1_2048_8192_SHA256),
            ("PS384", &signature::RSA_PSS_2048_8192_SHA384),
        ];
        for (name, with) in rows {
            let token = Signer::with_key(text, Some(name), None).unwrap().sign(CLAIMS).unwrap();
            assert!(verify(&token, with, &public).1, "{name}");
        }
        assert_eq!(Signer::with_key(text, None, None).err(), Some(SignerError::WhichRsa));
    }

    #[test]
    fn every_name_is_an_algorithm() {
        assert_eq!(algorithms().map(|algorithm| algorithm.name), NAMES);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_reason() {
        let rsa = include_str!("testdata/rsa.pem");
        let rows = [
            (Signer::with_secret(b"s", Some("hs256"), None).err(), SignerError::Unknown("hs256".to_owned())),
            (Signer::with_secret(b"s", Some("none"), None).err(), SignerError::Unknown("none".to_owned())),
            (Signer::with_secret(b"s", Some("ES256"), None).err(), SignerError::WantsKey("ES256")),
            (Signer::with_key(rsa, Some("HS256"), None).err(), SignerError::WantsSecret("HS256")),
            (Signer::with_key(rsa, Some("ES256"), None).err(), SignerError::WrongKey("ES256")),
            (Signer::with_key("secret", None, None).err(), SignerError::NotPem),
            (Signer::with_key(&pem("PRIVATE KEY", b"no key"), None, None).err(), SignerError::NotPem),
        ];
        for (got, expected) in rows {
            assert_eq!(got, Some(expected));
        }
    }
}
