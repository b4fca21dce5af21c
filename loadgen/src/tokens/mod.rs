//! The token of each connection: one for all, minted here with a secret or a key, or handed out by a
//! gateway that runs without a secret. Nothing here prints a token or a secret.

mod dev_token;
mod mint;
pub(crate) mod signer;

use std::{
    borrow::Cow,
    env, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    cli::flags::{Secret, TokenFlags},
    client::target::Target,
    plan::ConnId,
    scenario::{PhaseKind, Protocol, Scenario},
    tokens::{
        dev_token::DevTokenError,
        mint::{Claims, Mint},
        signer::{Signer, SignerError},
    },
};

/// Environment variables that hold the gateway's secret, in order of precedence.
const SECRET_VARIABLES: [&str; 2] = ["RINGWAY_AUTH__JWT_SECRET", "JWT_SECRET"];
/// Tokens outlive the planned run by this.
const EXPIRY_MARGIN: Duration = Duration::from_secs(3600);
const LIFETIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
const STDIN_BYTES_MAX: u64 = 64 << 10;

/// Where tokens come from.
pub(crate) enum Tokens {
    /// The path needs none.
    None,
    One(String),
    Minted(Box<Mint>),
    /// One per connection, in order.
    Given(Vec<String>),
}

/// What a run needs of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Need {
    sign_in: SignIn,
    connections: u32,
    /// How long the run is to take.
    planned: Duration,
}

/// Whether connections show tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SignIn {
    Never,
    /// When flags give some.
    IfGiven,
    Always,
}

impl Need {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let sign_in = match scenario.protocol {
            Protocol::Echo | Protocol::Pusher => SignIn::Never,
            Protocol::Nchan | Protocol::Centrifugo => SignIn::IfGiven,
            Protocol::Json | Protocol::Relay | Protocol::SocketIo | Protocol::SocketIoPolling => {
                SignIn::Always
            }
        };
        let length = |kind: PhaseKind| match kind {
            PhaseKind::Ramp { share, per_s } => {
                let dials = f64::from(scenario.connections) * share;
                Duration::try_from_secs_f64(dials / per_s).unwrap_or(Duration::MAX)
            }
            PhaseKind::Steady
            | PhaseKind::Storm { .. }
            | PhaseKind::Spike { .. }
            | PhaseKind::Drain { .. } => Duration::ZERO,
        };
        let planned = scenario.phases.iter().fold(Duration::ZERO, |sum, phase| {
            sum.saturating_add(phase.duration).saturating_add(length(phase.kind))
        });
        Self { sign_in, connections: scenario.connections, planned }
    }
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
    #[error("{origin}: {source}")]
    Signer { origin: String, source: SignerError },
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
        need: &Need,
        target: &Target,
    ) -> Result<(Self, String), TokenError> {
        if need.sign_in == SignIn::Never {
            return Ok((Self::None, "none".to_owned()));
        }
        if let Some(token) = &flags.token {
            return one(token.reveal(), "--token".to_owned());
        }
        if let Some(path) = &flags.token_file {
            return one(&read(path, flags)?, format!("--token-file {}", path.display()));
        }
        if let Some(secret) = &flags.secret {
            return minted(secret.reveal(), "--secret".to_owned(), flags, need);
        }
        if let Some(path) = &flags.secret_file {
            return minted(&read(path, flags)?, format!("--secret-file {}", path.display()), flags, need);
        }
        if let Some(path) = &flags.key_file {
            return minted_with_key(path, flags, need);
        }
        if need.sign_in == SignIn::IfGiven {
            return Ok((Self::None, "none".to_owned()));
        }
        for variable in SECRET_VARIABLES {
            if let Ok(secret) = env::var(variable) {
                return minted(&secret, variable.to_owned(), flags, need);
            }
        }
        let tokens = dev_token::fetch(target, need.connections, flags.tenant.as_deref())?;
        Ok((Self::Given(tokens), "from the gateway's /dev/token".to_owned()))
    }

    /// What `conn` shows.
    pub(crate) fn of(&self, conn: ConnId) -> Option<Cow<'_, str>> {
        match self {
            Self::None => None,
            Self::One(token) => Some(Cow::Borrowed(token)),
            Self::Minted(mint) => mint.token(conn).map(Cow::Owned),
            Self::Given(tokens) => tokens.get(conn.0 as usize).map(|token| Cow::Borrowed(token.as_str())),
        }
    }
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
    flags: &TokenFlags,
    need: &Need,
) -> Result<(Tokens, String), TokenError> {
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(TokenError::Empty { origin });
    }
    let signer = Signer::with_secret(secret.as_bytes(), flags.alg.as_deref(), flags.kid.as_deref());
    let signer = signer.map_err(|source| TokenError::Signer { origin: origin.clone(), source })?;
    let mint = Mint::new(signer, claims(flags, need));
    Ok((Tokens::Minted(Box::new(mint)), format!("minted with the secret from {origin}")))
}

fn minted_with_key(path: &Path, flags: &TokenFlags, need: &Need) -> Result<(Tokens, String), TokenError> {
    let origin = path.display().to_string();
    let signer = Signer::with_key(&read(path, flags)?, flags.alg.as_deref(), flags.kid.as_deref());
    let signer = signer.map_err(|source| TokenError::Signer { origin: origin.clone(), source })?;
    let mint = Mint::new(signer, claims(flags, need));
    Ok((Tokens::Minted(Box::new(mint)), format!("minted with the key from {origin}")))
}

fn claims<'f>(flags: &'f TokenFlags, need: &Need) -> Claims<'f> {
    let issued = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let expires = issued.saturating_add(need.planned.min(LIFETIME_MAX)) + EXPIRY_MARGIN;
    Claims {
        tenant: flags.tenant.as_deref(),
        issued_unix_s: issued.as_secs(),
        expires_unix_s: expires.as_secs(),
    }
}

/// Reads standard input, if a flag names it as its file: it can be read only once, however many runs there are.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn take_stdin(flags: &mut TokenFlags) -> Result<(), TokenError> {
    let files = [&flags.secret_file, &flags.key_file, &flags.token_file];
    let Some(path) = files.into_iter().flatten().find(|path| is_stdin(path)) else { return Ok(()) };
    let mut text = String::new();
    let read = io::stdin().lock().take(STDIN_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|source| TokenError::File { path: path.clone(), source })?;
    flags.stdin = Some(Secret::from(text));
    Ok(())
}

fn read<'f>(path: &Path, flags: &'f TokenFlags) -> Result<Cow<'f, str>, TokenError> {
    if let Some(text) = flags.stdin.as_ref().filter(|_| is_stdin(path)) {
        return Ok(Cow::Borrowed(text.reveal()));
    }
    let text = fs::read_to_string(path).map(Cow::Owned);
    text.map_err(|source| TokenError::File { path: path.to_owned(), source })
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_from_a_file_may_end_in_a_line_feed_but_hold_none() {
        assert_eq!(one("abc.def.ghi\n", String::new()).unwrap().0.of(ConnId(0)).unwrap(), "abc.def.ghi");
        assert!(matches!(one(" \n", String::new()), Err(TokenError::Empty { .. })));
        assert!(matches!(one("a\r\nX: y", String::new()), Err(TokenError::NotAToken { .. })));
    }
}
