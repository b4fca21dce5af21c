//! The claims set (RFC 7519 §4), out of a payload whose signature holds, into types. A claim that is read here
//! must have its right type even where the configuration does not check it; what they mean is judged elsewhere.

use std::borrow::Cow;

use super::{
    error::{AuthError, Claim, Part},
    json::{self, Text, Value},
};

/// What the claims are called that no RFC fixes for us.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimNames {
    /// The user: a string, or an integer, which is written in decimal.
    pub user: Box<str>,
    /// The tenant, likewise. A token may have several of these claims if they agree.
    pub tenant: Vec<Box<str>>,
    /// The roles: a string or an array of strings.
    pub roles: Box<str>,
    /// The abilities, likewise.
    pub abilities: Box<str>,
    /// What people call the user.
    pub name: Box<str>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            user: "sub".into(),
            tenant: vec!["tenant".into(), "tenant_id".into()],
            roles: "roles".into(),
            abilities: "abilities".into(),
            name: "name".into(),
        }
    }
}

/// The claims that a verifier looks at.
#[derive(Default)]
pub(super) struct Claims<'a> {
    pub(super) user: Option<Cow<'a, str>>,
    pub(super) tenant: Option<Cow<'a, str>>,
    pub(super) dates: Dates,
    pub(super) issuer: Option<Cow<'a, str>>,
    pub(super) audience: Option<Texts<'a>>,
    /// What the configuration knows the bearer as.
    pub(super) roles: Option<Texts<'a>>,
    /// What the bearer may do beside what its roles give it.
    pub(super) abilities: Option<Texts<'a>>,
    /// What people call the user; of another type it is not there, since nothing is decided by it.
    pub(super) name: Option<Cow<'a, str>>,
    /// The token's own name.
    pub(super) token_id: Option<Cow<'a, str>>,
}

/// When a token holds, in Unix seconds.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Dates {
    pub(super) expires_at_s: Option<u64>,
    pub(super) not_before_s: Option<u64>,
    pub(super) issued_at_s: Option<u64>,
}

/// A claim that is one string or several.
pub(super) enum Texts<'a> {
    One(Text<'a>),
    /// The JSON array. Invariant: of strings.
    Many(&'a str),
    /// From wherever they stood.
    Listed(Vec<Text<'a>>),
}

impl<'a> Claims<'a> {
    /// Reads the payload, which must be a strict JSON object.
    pub(super) fn read(payload: &'a [u8], names: &ClaimNames) -> Result<Self, AuthError> {
        let mut claims = Self::default();
        json::members(Part::Claims, payload, |name, value| {
            if *name == *names.user {
                claims.user = Some(identifier(Claim::User, value)?);
            }
            if names.tenant.iter().any(|tenant| *name == **tenant) {
                claims.add_tenant(identifier(Claim::Tenant, value)?)?;
            }
            if *name == *names.roles {
                claims.roles = Some(Texts::read(Claim::Roles, value)?);
            }
            if *name == *names.abilities {
                claims.abilities = Some(Texts::read(Claim::Abilities, value)?);
            }
            if *name == *names.name {
                claims.name = match value {
                    Value::Text(name) => Some(name.decode()),
                    Value::Number(_)
                    | Value::Array(_)
                    | Value::Object(_)
                    | Value::True
                    | Value::False
                    | Value::Null => None,
                };
            }
            match name {
                "exp" => claims.dates.expires_at_s = Some(numeric_date(Claim::Expiry, value)?),
                "nbf" => claims.dates.not_before_s = Some(numeric_date(Claim::NotBefore, value)?),
                "iat" => claims.dates.issued_at_s = Some(numeric_date(Claim::IssuedAt, value)?),
                "iss" => claims.issuer = Some(text(Claim::Issuer, value)?.decode()),
                "aud" => claims.audience = Some(Texts::read(Claim::Audience, value)?),
                "jti" => claims.token_id = Some(identifier(Claim::TokenId, value)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(claims)
    }

    fn add_tenant(&mut self, tenant: Cow<'a, str>) -> Result<(), AuthError> {
        match &self.tenant {
            Some(other) if *other != tenant => Err(AuthError::TenantConflict),
            Some(_) | None => {
                self.tenant = Some(tenant);
                Ok(())
            }
        }
    }
}

impl<'a> Texts<'a> {
    pub(super) fn read(claim: Claim, value: Value<'a>) -> Result<Self, AuthError> {
        match value {
            Value::Text(one) => Ok(Self::One(one)),
            Value::Array(many) => {
                json::elements(Part::Claims, many, |element| text(claim, element).map(drop))?;
                Ok(Self::Many(many))
            }
            Value::Number(_) | Value::Object(_) | Value::True | Value::False | Value::Null => {
                Err(AuthError::BadClaim(claim))
            }
        }
    }

    /// All of them.
    pub(super) fn decode(&self, claim: Claim) -> Result<Vec<Cow<'a, str>>, AuthError> {
        match self {
            Self::One(one) => Ok(vec![one.decode()]),
            Self::Many(many) => {
                let mut texts = Vec::new();
                json::elements(Part::Claims, many, |element| {
                    texts.push(text(claim, element)?.decode());
                    Ok(())
                })?;
                Ok(texts)
            }
            Self::Listed(texts) => Ok(texts.iter().map(|text| text.decode()).collect()),
        }
    }

    /// Whether one of them is `wanted`.
    pub(super) fn includes(&self, claim: Claim, wanted: &str) -> Result<bool, AuthError> {
        match self {
            Self::One(one) => Ok(one.decode() == wanted),
            Self::Many(many) => {
                let mut found = false;
                json::elements(Part::Claims, many, |element| {
                    found |= text(claim, element)?.decode() == wanted;
                    Ok(())
                })?;
                Ok(found)
            }
            Self::Listed(texts) => Ok(texts.iter().any(|text| text.decode() == wanted)),
        }
    }
}

/// A string.
pub(super) fn text(claim: Claim, value: Value<'_>) -> Result<Text<'_>, AuthError> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Number(_) | Value::Array(_) | Value::Object(_) | Value::True | Value::False | Value::Null => {
            Err(AuthError::BadClaim(claim))
        }
    }
}

/// A string, or an integer from 0 to 2^64 - 1 in decimal. `1.0`, `1e3` and `-0` are no such integers.
pub(super) fn identifier(claim: Claim, value: Value<'_>) -> Result<Cow<'_, str>, AuthError> {
    match value {
        Value::Text(text) => Ok(text.decode()),
        Value::Number(number) if number.parse::<u64>().is_ok() => Ok(Cow::Borrowed(number)),
        Value::Number(_) | Value::Array(_) | Value::Object(_) | Value::True | Value::False | Value::Null => {
            Err(AuthError::BadClaim(claim))
        }
    }
}

/// NumericDate (RFC 7519 §2): a number of seconds, not negative and finite, without its fraction.
pub(super) fn numeric_date(claim: Claim, value: Value<'_>) -> Result<u64, AuthError> {
    let Value::Number(number) = value else { return Err(AuthError::BadClaim(claim)) };
    if let Ok(seconds) = number.parse::<u64>() {
        return Ok(seconds);
    }
    match number.parse::<f64>() {
        // The cast floors and saturates: a date past 2^64 never comes either way.
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(seconds as u64),
        Ok(_) | Err(_) => Err(AuthError::BadClaim(claim)),
    }
}
