//! Asks a gateway that runs without a secret for tokens: `GET /dev/token?count=N&prefix=U`, which it
//! serves to local clients outside production and answers with `{"tokens": [...]}`.

use std::{sync::Arc, time::Duration};

use rustls::crypto::ring;
use serde::Deserialize;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::client::{target::Target, tls::TlsTarget};

/// Tokens the gateway hands out at once.
const BATCH_MAX: u32 = 10_000;
const TIMEOUT: Duration = Duration::from_secs(20);
/// No batch of tokens is longer.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// Why the gateway gave none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevTokenError {
    #[error("none was given, and GET /dev/token of the gateway answers {status}")]
    Refused { status: u16 },
    #[error("none was given, and GET /dev/token of the gateway fails: {0}")]
    Failed(#[from] ureq::Error),
    #[error(
        "none was given, and GET /dev/token of the gateway answers something else than {expected} tokens"
    )]
    Unusable { expected: u32 },
}

#[derive(Deserialize)]
struct Batch {
    tokens: Vec<String>,
}

/// `count` tokens of as many users.
pub(crate) fn fetch(target: &Target, count: u32, tenant: Option<&str>) -> Result<Vec<String>, DevTokenError> {
    let config = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT));
    let (scheme, config) = match &target.tls {
        Some(tls) => ("https", config.tls_config(trust(tls)).https_only(true)),
        None => ("http", config),
    };
    let agent = ureq::Agent::new_with_config(config.build());
    let mut tokens = Vec::with_capacity(count as usize);
    for first in (0..count).step_by(BATCH_MAX as usize) {
        let expected = BATCH_MAX.min(count - first);
        let mut request = agent
            .get(format!("{scheme}://{}/dev/token", target.host))
            .query("count", expected.to_string())
            .query("prefix", format!("load{}", first / BATCH_MAX));
        if let Some(tenant) = tenant {
            request = request.query("tenant", tenant);
        }
        let mut response = request.call()?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(DevTokenError::Refused { status });
        }
        let body = response.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_string()?;
        let batch: Batch = sonic_rs::from_str(&body).map_err(|_| DevTokenError::Unusable { expected })?;
        let sound = |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if batch.tokens.len() != expected as usize || !batch.tokens.iter().all(sound) {
            return Err(DevTokenError::Unusable { expected });
        }
        tokens.extend(batch.tokens);
    }
    Ok(tokens)
}

/// Whoever is believed to be the target is believed here.
fn trust(tls: &TlsTarget) -> TlsConfig {
    let config = TlsConfig::builder().unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()));
    let Some(authorities) = tls.authorities() else { return config.disable_verification(true).build() };
    let roots: Vec<_> = authorities.iter().map(|it| Certificate::from_der(it).to_owned()).collect();
    config.root_certs(RootCerts::new_with_certs(&roots)).build()
}
