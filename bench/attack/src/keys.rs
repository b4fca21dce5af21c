//! Tokens of every algorithm: keys made for one run by `openssl`, and what the gateway has to be told of them.
//!
//! The gateway's own mint signs with secrets and Ed25519 only; here `ring` signs with all that it verifies.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use compare::{
    failure::Failure,
    token::{SECRET, TENANT},
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use ringway::auth::{Algorithm, Config, Key, KeySet, Verifier};

const LIFETIME_S: u64 = 24 * 3600;

/// Those that a storm knows.
pub(crate) const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

/// A key pair, or a secret.
pub(crate) struct Keys {
    pub(crate) algorithm: Algorithm,
    private: Private,
    public_pem: Option<String>,
    /// The gateway's configuration with this key.
    config: PathBuf,
}

enum Private {
    Secret(hmac::Key),
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Keys {
    /// Makes a key of the algorithm, with files in `folder`.
    pub(crate) fn make(algorithm: Algorithm, folder: &Path) -> Result<Self, Failure> {
        let config = folder.join(format!("{}.toml", algorithm.as_str()));
        let private = folder.join(format!("{}.private.pem", algorithm.as_str()));
        let public = folder.join(format!("{}.pem", algorithm.as_str()));
        let Some(kind) = openssl_kind(algorithm) else {
            std::fs::write(&config, "")?;
            let private = Private::Secret(hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()));
            return Ok(Self { algorithm, private, public_pem: None, config });
        };
        openssl(Command::new("openssl").arg("genpkey").args(kind).arg("-out").arg(&private))?;
        let mut show = Command::new("openssl");
        openssl(show.args(["pkey", "-pubout", "-in"]).arg(&private).arg("-out").arg(&public))?;
        let der = pkcs8(&std::fs::read_to_string(&private)?)?;
        std::fs::remove_file(&private)?;
        let pem = std::fs::read_to_string(&public)?;
        let file = public.file_name().unwrap_or_default().to_string_lossy();
        let name = algorithm.as_str();
        std::fs::write(
            &config,
            format!("[auth]\nkeys = [{{ algorithm = \"{name}\", file = \"{file}\" }}]\n"),
        )?;
        Ok(Self { algorithm, private: pair(algorithm, &der)?, public_pem: Some(pem), config })
    }

    /// The gateway's options with which it takes these tokens and remembers so many.
    pub(crate) fn options(&self, cache_entries: u32) -> Vec<String> {
        let config = self.config.to_string_lossy().into_owned();
        let cache = format!("auth.cache_entries={cache_entries}");
        ["--config".to_owned(), config, "--set".to_owned(), cache].into()
    }

    /// Tokens of that many users, each another.
    pub(crate) fn tokens(&self, count: u32) -> Result<Vec<String>, Failure> {
        let now_s = now_s();
        let head = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{}","typ":"JWT"}}"#, self.algorithm.as_str()));
        let token = |user: u32| {
            let expires_at_s = now_s + LIFETIME_S;
            let claims = format!(
                r#"{{"sub":"user-{user:05}","tenant":"{TENANT}","iat":{now_s},"exp":{expires_at_s}}}"#
            );
            let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
            let signature = self.sign(signed.as_bytes())?;
            Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
        };
        (0..count).map(token).collect()
    }

    /// What the gateway verifies such tokens with.
    pub(crate) fn verifier(&self) -> Result<Verifier, Failure> {
        let key = match &self.public_pem {
            Some(pem) => Key::from_public_pem(self.algorithm, pem),
            None => Key::from_secret(self.algorithm, SECRET.as_bytes()),
        };
        let keys = key.and_then(|key| KeySet::new(vec![key]));
        Ok(Verifier::new(Config::new(keys.map_err(|it| Failure::Setup(it.to_string()))?)))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let random = SystemRandom::new();
        Ok(match &self.private {
            Private::Secret(key) => hmac::sign(key, message).as_ref().to_vec(),
            Private::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Private::P256(pair) => pair.sign(&random, message).map_err(unsigned)?.as_ref().to_vec(),
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(unsigned)?;
                signature
            }
        })
    }
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What `openssl genpkey` is told; a secret needs none.
fn openssl_kind(algorithm: Algorithm) -> Option<&'static [&'static str]> {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => None,
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512 => Some(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        Algorithm::Es256 => Some(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
        Algorithm::Es384 => Some(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        Algorithm::EdDsa => Some(&["-algorithm", "ED25519"]),
    }
}

fn pair(algorithm: Algorithm, der: &[u8]) -> Result<Private, Failure> {
    let refused = |it: ring::error::KeyRejected| Failure::Setup(format!("a key of openssl's: {it}"));
    if algorithm == Algorithm::Es256 {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new());
        return Ok(Private::P256(Box::new(pair.map_err(refused)?)));
    }
    if algorithm == Algorithm::EdDsa {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(refused)?;
        return Ok(Private::Ed25519(Box::new(pair)));
    }
    Ok(Private::Rsa(Box::new(RsaKeyPair::from_pkcs8(der).map_err(refused)?)))
}

/// What stands in a PEM file: PKCS#8.
fn pkcs8(pem: &str) -> Result<Vec<u8>, Failure> {
    let digits: String = pem.lines().filter(|it| !it.starts_with('-')).collect();
    STANDARD.decode(digits).map_err(|it| Failure::Setup(format!("a key of openssl's: {it}")))
}

fn openssl(command: &mut Command) -> Result<(), Failure> {
    let said = command.output().map_err(|it| Failure::Setup(format!("openssl: {it}")))?;
    if said.status.success() {
        return Ok(());
    }
    Err(Failure::Setup(format!("openssl: {}", String::from_utf8_lossy(&said.stderr).trim())))
}

fn unsigned(_: ring::error::Unspecified) -> Failure {
    Failure::Setup("a token could not be signed".to_owned())
}
