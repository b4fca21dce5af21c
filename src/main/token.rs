//! `ringway token`: makes tokens for tries and tests, and says what is wrong with one.

use std::{
    fs,
    io::{Read, Write},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use ringway::{
    auth::{Algorithm, Explanation, SigningKey, mint},
    base::{TenantName, UserName},
    config::{
        self, assemble,
        cli::{CheckArgs, MintArgs},
    },
};

use super::EXIT_CONFIG;

/// The algorithms that `mint` signs with.
const NAMES: &str = "HS256, HS384, HS512 (a secret), EdDSA (a private key)";

type Failure = Box<dyn std::error::Error>;

/// A signed token and a line end.
pub(super) fn mint_token(args: &MintArgs) -> Result<String, Failure> {
    let loaded = config::load_process(&args.settings.clone().into())?;
    let key = signing_key(args, &loaded)?;
    let user = UserName::parse(&args.user).map_err(|error| format!("--user: {error}"))?;
    let tenant = args.tenant.as_deref().map(TenantName::parse).transpose();
    let tenant = tenant.map_err(|error| format!("--tenant: {error}"))?;
    let verifier = assemble::verifier(&loaded.settings)?;
    let mut claims = verifier.claims_for(user, tenant, unix_s(), args.ttl_s);
    claims.roles = args.roles.iter().map(|role| role.as_str().into()).collect();
    claims.abilities = args.abilities.iter().map(|ability| ability.as_str().into()).collect();
    claims.id = args.jti.as_deref().map(Box::from);
    Ok(format!("{}\n", mint(&key, &claims)))
}

fn signing_key(args: &MintArgs, loaded: &config::Loaded) -> Result<SigningKey, Failure> {
    if let Some(file) = &args.key_file {
        let pem = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let key =
            SigningKey::from_private_pem(&pem).map_err(|error| format!("{}: {error}", file.display()))?;
        return Ok(match &args.kid {
            Some(kid) => key.with_id(kid),
            None => key,
        });
    }
    let configured = loaded.settings.auth.jwt_algorithm;
    let algorithm = match args.algorithm.as_deref() {
        Some(name) => {
            Algorithm::parse(name).ok_or_else(|| format!("--algorithm: {name} is none of {NAMES}"))?
        }
        None => configured,
    };
    let configured_secret =
        loaded.settings.auth.jwt_secret.as_ref().filter(|_| !loaded.secret_is_generated());
    let secret = args.secret.as_ref().or(configured_secret);
    let secret =
        secret.ok_or("no secret to sign with: set JWT_SECRET or auth.jwt_secret, or give --key-file")?;
    Ok(SigningKey::from_secret(algorithm, secret.expose().as_bytes())?)
}

/// What a token says and whether it is taken; the exit code says the same.
pub(super) fn check(args: &CheckArgs) -> ExitCode {
    match explanation(args) {
        Ok(explanation) => {
            let _ = std::io::stdout().write_all(told(&explanation).as_bytes());
            if explanation.verdict.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) }
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "ringway: {error}");
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn explanation(args: &CheckArgs) -> Result<Explanation, Failure> {
    let loaded = config::load_process(&args.settings.clone().into())?;
    let mut token = args.token.expose().to_owned();
    if token == "-" {
        token.clear();
        std::io::stdin().read_to_string(&mut token)?;
    }
    Ok(assemble::verifier(&loaded.settings)?.explain(token.trim(), unix_s()))
}

fn told(explanation: &Explanation) -> String {
    let mut text = String::new();
    for (title, part) in [("header", &explanation.header), ("claims", &explanation.claims)] {
        text += &format!("{title}: {}\n", part.as_deref().unwrap_or("cannot be read"));
    }
    match &explanation.verdict {
        Ok(identity) => {
            text += &format!("valid: user {}", identity.user);
            if let Some(name) = &explanation.name {
                // What a token says does not steer the terminal.
                text += &format!(" ({})", name.escape_debug());
            }
            text += &format!(", tenant {}", identity.tenant);
            let roles: Vec<_> = identity.rights.iter().flat_map(|rights| rights.roles()).collect();
            if !roles.is_empty() {
                text += &format!(", roles {}", roles.join(" ").escape_debug());
            }
            match explanation.expires_in_s {
                Some(seconds) => text += &format!(", {seconds} s left\n"),
                None => text += ", does not expire\n",
            }
        }
        Err(error) => text += &format!("not valid: {error}\n"),
    }
    text
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
