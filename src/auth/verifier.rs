//! From a token to an identity: what the configuration demands of a token, in one place.
//!
//! Dates are judged with a leeway for clocks that differ: a token holds while `nbf - leeway <= now < exp + leeway`
//! and `iat <= now + leeway`.

use std::sync::Arc;

use super::{
    abilities::Rights,
    algorithm::Algorithm,
    claims::{ClaimNames, Claims, Dates},
    error::{AuthError, Claim},
    jws::{Compact, Scratch},
    key::Key,
    key_set::KeySet,
    mint::MintClaims,
};
use crate::base::{NameError, TenantName, TokenId, UserName, names::DEFAULT_TENANT};

/// The leeway unless it is configured: clocks kept by NTP differ by less.
pub const LEEWAY_S_DEFAULT: u64 = 5;

/// The ability that opens the operator's pages.
pub const ABILITY_ADMIN: &str = "ringway:admin";

/// The ability of backends that have no key.
pub const ABILITY_PUBLISH: &str = "ringway:publish";

/// What tokens are verified with and held to.
#[derive(Clone, Debug)]
pub struct Config {
    pub keys: KeySet,
    /// What `iss` must be; `None`: anything or nothing.
    pub issuer: Option<Box<str>>,
    /// What `aud` must be or include; `None`: anything or nothing.
    pub audience: Option<Box<str>>,
    /// How far the issuer's clock may be off, in seconds.
    pub leeway_s: u64,
    /// Whether a token without `exp` is refused.
    pub require_exp: bool,
    pub claims: ClaimNames,
}

impl Config {
    /// These keys and the defaults: any issuer and audience, [`LEEWAY_S_DEFAULT`], `exp` optional, standard names.
    pub fn new(keys: KeySet) -> Self {
        Self {
            keys,
            issuer: None,
            audience: None,
            leeway_s: LEEWAY_S_DEFAULT,
            require_exp: false,
            claims: ClaimNames::default(),
        }
    }
}

/// Who a token says its bearer is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub user: UserName,
    pub tenant: TenantName,
    /// The token's `exp` in Unix seconds. It is honoured for [`Verifier::leeway_s`] longer.
    pub expires_at_s: Option<u64>,
    /// The token's `iat` in Unix seconds, if it has one.
    pub issued_at_s: Option<u64>,
    /// Of `jti`.
    pub token: TokenId,
    /// Whether `abilities` has [`ABILITY_ADMIN`].
    pub admin: bool,
    /// Whether `abilities` has [`ABILITY_PUBLISH`].
    pub publishes: bool,
    /// Its roles and what it may do in rooms by `abilities`; `None` when it says nothing of either.
    pub rights: Option<Arc<Rights>>,
}

/// A token that was good, with what a cache needs to judge it again.
pub(super) struct Verified {
    pub(super) identity: Identity,
    pub(super) dates: Dates,
    pub(super) algorithm: Algorithm,
}

/// Verifies tokens. Shared between shards or cloned into each: it does not change.
///
/// ```
/// use ringway::auth::{Algorithm, Config, Key, KeySet, Verifier};
///
/// let key = Key::from_secret(Algorithm::Hs256, b"a secret of thirty-two bytes or more")?;
/// let verifier = Verifier::new(Config::new(KeySet::new(vec![key])?));
/// let refused = verifier.verify("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.", 1_767_225_600);
/// assert_eq!(refused.unwrap_err().reason(), "wrong_algorithm");
/// # Ok::<(), ringway::auth::KeyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Verifier {
    config: Config,
}

impl Verifier {
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// The same, which also takes tokens that are signed with `keys`, as many as there is room for.
    #[must_use]
    pub fn with_keys(&self, keys: &[Key]) -> Self {
        Self { config: Config { keys: self.config.keys.with(keys), ..self.config.clone() } }
    }

    /// The bearer's identity, if the token is signed by a key of ours and holds at `now_unix_s` (Unix seconds).
    pub fn verify(&self, token: &str, now_unix_s: u64) -> Result<Identity, AuthError> {
        self.verify_with(token, now_unix_s, TenantName::parse).map(|verified| verified.identity)
    }

    /// As [`Verifier::verify`]; `name` makes the tenant's name out of its text.
    pub(super) fn verify_with(
        &self,
        token: &str,
        now_unix_s: u64,
        name: impl FnOnce(&str) -> Result<TenantName, NameError>,
    ) -> Result<Verified, AuthError> {
        let mut scratch = Scratch::new();
        let signed = Compact::split(token)?.verify(&self.config.keys, &mut scratch)?;
        let claims = Claims::read(signed.payload, &self.config.claims)?;
        self.check_dates(&claims.dates, now_unix_s)?;
        self.check_parties(&claims)?;
        let identity = identity(&claims, name)?;
        Ok(Verified { identity, dates: claims.dates, algorithm: signed.algorithm })
    }

    /// How many signatures of public keys a verification of this token would check at most.
    pub(super) fn public_signatures(&self, token: &str) -> usize {
        if !self.has_public_keys() {
            return 0;
        }
        let signatures =
            Compact::split(token).and_then(|compact| compact.public_signatures(&self.config.keys));
        signatures.unwrap_or(0)
    }

    /// Whether a verification may cost more than hashing the token.
    pub(super) fn has_public_keys(&self) -> bool {
        self.config.keys.has_public_keys()
    }

    /// How long past its `exp` a token is honoured, in seconds.
    pub fn leeway_s(&self) -> u64 {
        self.config.leeway_s
    }

    /// Claims that this verifier accepts, for a token of our own; `issued_at_s` is now, in Unix seconds.
    pub fn claims_for(
        &self,
        user: UserName,
        tenant: Option<TenantName>,
        issued_at_s: u64,
        ttl_s: u64,
    ) -> MintClaims {
        MintClaims {
            user,
            tenant,
            issued_at_s,
            expires_at_s: Some(issued_at_s.saturating_add(ttl_s)),
            issuer: self.config.issuer.clone(),
            audience: self.config.audience.clone(),
            roles: Vec::new(),
            abilities: Vec::new(),
            id: None,
            names: self.config.claims.clone(),
        }
    }

    pub(super) fn claim_names(&self) -> &ClaimNames {
        &self.config.claims
    }

    /// Whether a token with these dates holds now.
    pub(super) fn check_dates(&self, dates: &Dates, now_s: u64) -> Result<(), AuthError> {
        let Config { leeway_s, require_exp, .. } = self.config;
        match dates.expires_at_s {
            Some(at_s) if now_s >= at_s.saturating_add(leeway_s) => {
                return Err(AuthError::Expired { ago_s: now_s - at_s });
            }
            None if require_exp => return Err(AuthError::MissingClaim(Claim::Expiry)),
            Some(_) | None => {}
        }
        let latest_s = now_s.saturating_add(leeway_s);
        if let Some(at_s) = dates.not_before_s.filter(|&at_s| at_s > latest_s) {
            return Err(AuthError::NotYetValid { in_s: at_s - now_s });
        }
        if let Some(at_s) = dates.issued_at_s.filter(|&at_s| at_s > latest_s) {
            return Err(AuthError::IssuedInFuture { in_s: at_s - now_s });
        }
        Ok(())
    }

    fn check_parties(&self, claims: &Claims<'_>) -> Result<(), AuthError> {
        if self.config.issuer.is_some() && claims.issuer.as_deref() != self.config.issuer.as_deref() {
            return Err(AuthError::WrongIssuer);
        }
        match (self.config.audience.as_deref(), &claims.audience) {
            (None, _) => Ok(()),
            (Some(wanted), Some(audience)) if audience.includes(Claim::Audience, wanted)? => Ok(()),
            (Some(_), Some(_) | None) => Err(AuthError::WrongAudience),
        }
    }
}

/// Who the claims say it is.
pub(super) fn identity(
    claims: &Claims<'_>,
    name: impl FnOnce(&str) -> Result<TenantName, NameError>,
) -> Result<Identity, AuthError> {
    let bad_name = |claim| move |error: NameError| AuthError::BadName { claim, error };
    let user = claims.user.as_deref().ok_or(AuthError::MissingClaim(Claim::User))?;
    let user = UserName::parse(user).map_err(bad_name(Claim::User))?;
    let tenant = name(claims.tenant.as_deref().unwrap_or(DEFAULT_TENANT)).map_err(bad_name(Claim::Tenant))?;
    let may = |ability| match &claims.abilities {
        Some(abilities) => abilities.includes(Claim::Abilities, ability),
        None => Ok(false),
    };
    Ok(Identity {
        user,
        tenant,
        expires_at_s: claims.dates.expires_at_s,
        issued_at_s: claims.dates.issued_at_s,
        token: claims.token_id.as_deref().map_or(TokenId::NONE, TokenId::of),
        admin: may(ABILITY_ADMIN)?,
        publishes: may(ABILITY_PUBLISH)?,
        rights: rights(claims)?,
    })
}

fn rights(claims: &Claims<'_>) -> Result<Option<Arc<Rights>>, AuthError> {
    let roles = claims.roles.as_ref().map(|roles| roles.decode(Claim::Roles)).transpose()?;
    let abilities = claims.abilities.as_ref().map(|texts| texts.decode(Claim::Abilities)).transpose()?;
    Ok(Rights::new(&roles.unwrap_or_default(), &abilities.unwrap_or_default()))
}
