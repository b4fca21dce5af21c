//! Opaque tokens: what the operator's server says of one, as an identity. Where its answer has what, is configured.
//!
//! 2xx is a good token, 401 and 403 a bad one, as is an answer with `"active": false` (RFC 7662 §2.2); anything else says
//! nothing of the token. Owns neither the call nor its cache. Invariant: an answer is read as strictly as a token's claims.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    claims::{Claims, Dates, Texts, identifier, numeric_date, text},
    error::{AuthError, Claim, Part, Unjudged},
    json::{self, Text, Value},
    verdicts::VerdictLimits,
    verifier::{Identity, identity},
};
use crate::base::{BreakerLimits, TenantName};

/// The longest answer that is taken, in bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How opaque tokens are looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Introspection {
    /// Asked with the token in `Authorization: Bearer`.
    pub url: Box<str>,
    pub timeout_ms: u64,
    /// Calls that one shard may have under way.
    pub in_flight_max: usize,
    pub fields: Fields,
    pub verdicts: VerdictLimits,
    pub breaker: BreakerLimits,
}

/// Where an answer has what. What is missing or `null` is as if a token did not have the claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fields {
    pub user: FieldPath,
    pub tenant: FieldPath,
    pub roles: FieldPath,
    pub abilities: FieldPath,
    /// The token's own name.
    pub token_id: FieldPath,
    /// As `expires_at`.
    pub issued_at: FieldPath,
    /// Unix seconds, or a date and time as in RFC 3339.
    pub expires_at: FieldPath,
}

/// Names of members, from the outermost object inwards: `data.user.id`. Of what may be several, a name behind a list is
/// looked for in each of its elements: `roles.name`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldPath(Box<[Box<str>]>);

impl FieldPath {
    /// Names with dots between them, up to eight.
    pub fn parse(text: &str) -> Option<Self> {
        const NAMES_MAX: usize = 8;
        let names: Box<[Box<str>]> = text.split('.').map(Box::from).collect();
        let is_good = names.len() <= NAMES_MAX && names.iter().all(|name| !name.is_empty());
        is_good.then_some(Self(names))
    }

    /// The value there, if there is one.
    fn find<'a>(&self, answer: &'a str) -> Result<Option<Value<'a>>, AuthError> {
        let mut value = Value::Object(answer);
        for name in &self.0 {
            let Value::Object(object) = value else { return Ok(None) };
            match member(object, name)? {
                Some(Value::Null) | None => return Ok(None),
                Some(inner) => value = inner,
            }
        }
        Ok(Some(value))
    }

    /// All texts there, if there is anything.
    fn find_texts<'a>(&self, claim: Claim, answer: &'a str) -> Result<Option<Texts<'a>>, AuthError> {
        let mut texts = Vec::new();
        let found = gather(&self.0, claim, Value::Object(answer), &mut texts)?;
        Ok(found.then_some(Texts::Listed(texts)))
    }
}

fn member<'a>(object: &'a str, wanted: &str) -> Result<Option<Value<'a>>, AuthError> {
    let mut found = None;
    json::members(Part::Answer, object.as_bytes(), |name, value| {
        if name == wanted {
            found = Some(value);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Collects the texts that lie behind these names. What is on the way and holds nothing has none; what is at the end and is
/// neither a text nor a list of texts spoils the answer. Whether there was anything.
fn gather<'a>(
    names: &[Box<str>],
    claim: Claim,
    value: Value<'a>,
    texts: &mut Vec<Text<'a>>,
) -> Result<bool, AuthError> {
    match (names.split_first(), value) {
        (_, Value::Null) => Ok(false),
        (Some((name, rest)), Value::Object(object)) => match member(object, name)? {
            Some(inner) => gather(rest, claim, inner, texts),
            None => Ok(false),
        },
        (Some(_), Value::Array(array)) => {
            let mut found = false;
            json::elements(Part::Answer, array, |element| {
                found |= gather(names, claim, element, texts)?;
                Ok(())
            })?;
            Ok(found)
        }
        (Some(_), Value::Text(_) | Value::Number(_) | Value::True | Value::False) => Ok(false),
        (None, Value::Text(one)) => {
            texts.push(one);
            Ok(true)
        }
        (None, Value::Array(many)) => {
            json::elements(Part::Answer, many, |element| {
                texts.push(text(claim, element)?);
                Ok(())
            })?;
            Ok(true)
        }
        (None, Value::Number(_) | Value::Object(_) | Value::True | Value::False) => {
            Err(AuthError::BadClaim(claim))
        }
    }
}

/// What an answer comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judgement {
    Good(Identity),
    Bad,
    /// With what cannot be read, where there is something.
    Unclear(Unjudged, Option<AuthError>),
}

/// What an answer says at `now_unix_s` (Unix seconds) of a token that is taken for `leeway_s` past its end.
pub fn judge(fields: &Fields, status: u16, body: &[u8], now_unix_s: u64, leeway_s: u64) -> Judgement {
    match status {
        200..=299 => {}
        401 | 403 => return Judgement::Bad,
        _ => return Judgement::Unclear(Unjudged::Status, None),
    }
    match read(fields, body) {
        Ok(Some(identity)) => {
            let is_over =
                identity.expires_at_s.is_some_and(|at_s| now_unix_s >= at_s.saturating_add(leeway_s));
            if is_over { Judgement::Bad } else { Judgement::Good(identity) }
        }
        Ok(None) => Judgement::Bad,
        Err(error) => Judgement::Unclear(Unjudged::Unreadable, Some(error)),
    }
}

/// `None` for a token that is not active.
fn read(fields: &Fields, body: &[u8]) -> Result<Option<Identity>, AuthError> {
    let mut is_active = true;
    json::members(Part::Answer, body, |name, value| {
        is_active &= !(name == "active" && value == Value::False);
        Ok(())
    })?;
    if !is_active {
        return Ok(None);
    }
    let answer = std::str::from_utf8(body).map_err(|_| AuthError::BadClaim(Claim::User))?;
    let one = |path: &FieldPath, claim| path.find(answer)?.map(|value| identifier(claim, value)).transpose();
    let at = |path: &FieldPath, claim| path.find(answer)?.map(|value| date(claim, value)).transpose();
    let (expires_at_s, issued_at_s) =
        (at(&fields.expires_at, Claim::Expiry)?, at(&fields.issued_at, Claim::IssuedAt)?);
    let claims = Claims {
        user: one(&fields.user, Claim::User)?,
        tenant: one(&fields.tenant, Claim::Tenant)?,
        token_id: one(&fields.token_id, Claim::TokenId)?,
        dates: Dates { expires_at_s, issued_at_s, not_before_s: None },
        roles: fields.roles.find_texts(Claim::Roles, answer)?,
        abilities: fields.abilities.find_texts(Claim::Abilities, answer)?,
        ..Claims::default()
    };
    identity(&claims, TenantName::parse).map(Some)
}

/// Unix seconds.
fn date(claim: Claim, value: Value<'_>) -> Result<u64, AuthError> {
    let Value::Text(text) = value else { return numeric_date(claim, value) };
    let date = OffsetDateTime::parse(&text.decode(), &Rfc3339).map_err(|_| AuthError::BadClaim(claim))?;
    Ok(u64::try_from(date.unix_timestamp()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::JsonError,
        base::{TokenId, UserName},
    };

    const NOW_S: u64 = 1_800_000_000;

    fn fields(paths: [&str; 4]) -> Fields {
        let [user, tenant, abilities, expires_at] = paths.map(|path| FieldPath::parse(path).unwrap());
        let [roles, token_id, issued_at] =
            ["roles", "jti", "iat"].map(|path| FieldPath::parse(path).unwrap());
        Fields { user, tenant, roles, abilities, token_id, issued_at, expires_at }
    }

    fn flat() -> Fields {
        fields(["id", "tenant_id", "abilities", "expires_at"])
    }

    fn who(user: &str, tenant: &str, expires_at_s: Option<u64>) -> Identity {
        let (user, tenant) = (UserName::parse(user).unwrap(), TenantName::parse(tenant).unwrap());
        let (issued_at_s, token) = (None, TokenId::NONE);
        Identity {
            user,
            tenant,
            expires_at_s,
            issued_at_s,
            token,
            admin: false,
            publishes: false,
            rights: None,
        }
    }

    #[test]
    fn good_tokens() {
        let admin = Identity { admin: true, ..who("root", "default", None) };
        let named =
            Identity { token: TokenId::of("7"), issued_at_s: Some(NOW_S), ..who("ada", "default", None) };
        let rows: [(&str, Identity); 10] = [
            (r#"{"id":"ada","jti":7,"iat":1800000000}"#, named),
            (r#"{"id":7}"#, who("7", "default", None)),
            (r#"{"id":"ada","tenant_id":"acme","email":"a@example.com"}"#, who("ada", "acme", None)),
            (
                r#"{"id":"ada","tenant_id":null,"abilities":null,"expires_at":null}"#,
                who("ada", "default", None),
            ),
            (r#"{"id":"ada","tenant_id":5,"active":true}"#, who("ada", "5", None)),
            (r#"{"id":"ada","expires_at":1800000060}"#, who("ada", "default", Some(NOW_S + 60))),
            (
                r#"{"id":"ada","expires_at":"2027-01-15T08:01:00.000000Z"}"#,
                who("ada", "default", Some(NOW_S + 60)),
            ),
            (
                r#"{"id":"ada","expires_at":"2027-01-15T10:01:00+02:00"}"#,
                who("ada", "default", Some(NOW_S + 60)),
            ),
            (r#"{"id":"root","abilities":["x","ringway:admin"]}"#, admin),
            (r#"{"id":"ada","expires_at":1799999996}"#, who("ada", "default", Some(NOW_S - 4))),
        ];
        for (body, expected) in rows {
            assert_eq!(judge(&flat(), 200, body.as_bytes(), NOW_S, 5), Judgement::Good(expected), "{body}");
        }
    }

    #[test]
    fn fields_may_lie_deep() {
        let fields = fields(["data.user.id", "data.tenant", "data.token.can", "data.token.ends.at"]);
        let body = br#"{"data":{"user":{"id":9,"name":"x"},"tenant":"acme",
            "token":{"can":"ringway:publish","ends":{"at":1900000000}}},"other":[{"data":1}]}"#;
        let expected = Identity { publishes: true, ..who("9", "acme", Some(1_900_000_000)) };
        assert_eq!(judge(&fields, 200, body, NOW_S, 0), Judgement::Good(expected));
        // What is on the way and no object holds nothing.
        for body in
            [r#"{"data":{"user":{"id":9},"token":[1]}}"#, r#"{"data":{"user":{"id":9},"token":null}}"#]
        {
            let expected = Judgement::Good(who("9", "default", None));
            assert_eq!(judge(&fields, 204, body.as_bytes(), NOW_S, 0), expected, "{body}");
        }
    }

    #[test]
    fn roles_may_be_named_inside_lists() {
        type Row<'a> = (&'a str, &'a str, Option<&'a [&'a str]>);
        let none: Option<&[&str]> = Some(&[]);
        let rows: [Row<'_>; 22] = [
            ("roles", r#"{"roles":"a"}"#, Some(&["a"])),
            ("roles", r#"{"roles":["b","a"]}"#, Some(&["a", "b"])),
            ("roles", r#"{"roles":[]}"#, none),
            ("roles", r#"{"roles":null}"#, none),
            ("roles", "{}", none),
            ("roles", r#"{"roles":[{"name":"a"}]}"#, None),
            ("roles", r#"{"roles":{"name":"a"}}"#, None),
            ("roles", r#"{"roles":["a",null]}"#, None),
            ("roles.name", r#"{"roles":[{"name":"a"}]}"#, Some(&["a"])),
            ("roles.name", r#"{"roles":[{"id":1,"name":"a"},{"name":"\u0062"}]}"#, Some(&["a", "b"])),
            ("roles.name", r#"{"roles":{"name":"a"}}"#, Some(&["a"])),
            (
                "roles.name",
                r#"{"roles":[{"name":["a","b"]},{"name":null},{},null,7,"x",[]]}"#,
                Some(&["a", "b"]),
            ),
            ("roles.name", r#"{"roles":[[{"name":"a"}],[[{"name":"b"}]]]}"#, Some(&["a", "b"])),
            ("roles.name", r#"{"roles":[]}"#, none),
            ("roles.name", r#"{"roles":"name"}"#, none),
            ("roles.name", r#"{"roles":[{"name":1}]}"#, None),
            ("roles.name", r#"{"roles":[{"name":"a"},{"name":{}}]}"#, None),
            ("roles.name", r#"{"roles":[{"name":"a","name":"b"}]}"#, None),
            (
                "teams.roles.name",
                r#"{"teams":[{"roles":[{"name":"a"}]},{"roles":[{"name":"b"}]}]}"#,
                Some(&["a", "b"]),
            ),
            ("data.roles.name", r#"{"data":{"roles":[{"name":"a"}]}}"#, Some(&["a"])),
            ("data.roles.name", r#"{"data":7}"#, none),
            ("roles.name.x", r#"{"roles":[{"name":"a"}]}"#, none),
        ];
        for (path, body, expected) in rows {
            let mut fields = flat();
            fields.roles = FieldPath::parse(path).unwrap();
            let body = format!(r#"{{"id":"ada",{}"#, &body[1..]).replace(",}", "}");
            let judged = judge(&fields, 200, body.as_bytes(), NOW_S, 0);
            match expected {
                Some(roles) => {
                    let rights = crate::auth::abilities::Rights::new(roles, &[]);
                    assert_eq!(
                        judged,
                        Judgement::Good(Identity { rights, ..who("ada", "default", None) }),
                        "{body}"
                    );
                }
                None => assert!(
                    matches!(judged, Judgement::Unclear(Unjudged::Unreadable, _)),
                    "{body} {judged:?}"
                ),
            }
        }
        // Abilities likewise; whose token it is stands in one place.
        let fields = fields(["users.id", "tenant_id", "can.name", "expires_at"]);
        let body = br#"{"users":[{"id":"ada"}],"can":[{"name":"x"},{"name":"ringway:admin"}]}"#;
        assert!(matches!(judge(&fields, 200, body, NOW_S, 0), Judgement::Unclear(..)));
        let admin = Identity { admin: true, ..who("ada", "default", None) };
        let fields = self::fields(["id", "tenant_id", "can.name", "expires_at"]);
        let body = br#"{"id":"ada","can":[{"name":"x"},{"name":"ringway:admin"}]}"#;
        assert_eq!(judge(&fields, 200, body, NOW_S, 0), Judgement::Good(admin));
    }

    #[test]
    fn bad_tokens() {
        let rows: [(u16, &str); 6] = [
            (401, ""),
            (403, "<html>"),
            (401, r#"{"id":"ada"}"#),
            (200, r#"{"active":false}"#),
            (200, r#"{"active":false,"id":"ada"}"#),
            (200, r#"{"id":"ada","expires_at":1799999995}"#),
        ];
        for (status, body) in rows {
            assert_eq!(judge(&flat(), status, body.as_bytes(), NOW_S, 5), Judgement::Bad, "{status} {body}");
        }
    }

    #[test]
    fn what_says_nothing_of_the_token() {
        for status in [100, 301, 302, 304, 400, 404, 419, 429, 500, 502, 503, 504] {
            let expected = Judgement::Unclear(Unjudged::Status, None);
            assert_eq!(judge(&flat(), status, br#"{"id":"ada"}"#, NOW_S, 5), expected, "{status}");
        }
        let json = |error| AuthError::Json { part: Part::Answer, error };
        let rows: [(&[u8], AuthError); 12] = [
            (b"", json(JsonError::Syntax { at: 0 })),
            (b"<html></html>", json(JsonError::Syntax { at: 0 })),
            (b"[]", json(JsonError::Syntax { at: 0 })),
            (b"{}", AuthError::MissingClaim(Claim::User)),
            (b"{\"id\":null}", AuthError::MissingClaim(Claim::User)),
            (b"{\"id\":1.5}", AuthError::BadClaim(Claim::User)),
            (b"{\"id\":{}}", AuthError::BadClaim(Claim::User)),
            (b"{\"id\":1,\"id\":2}", json(JsonError::Duplicate)),
            (b"{\"id\":1,\"tenant_id\":[]}", AuthError::BadClaim(Claim::Tenant)),
            (b"{\"id\":1,\"abilities\":[1]}", AuthError::BadClaim(Claim::Abilities)),
            (b"{\"id\":1,\"expires_at\":\"soon\"}", AuthError::BadClaim(Claim::Expiry)),
            (b"{\"id\":\"\xff\"}", json(JsonError::Utf8)),
        ];
        for (body, error) in rows {
            let expected = Judgement::Unclear(Unjudged::Unreadable, Some(error));
            let shown = String::from_utf8_lossy(body);
            assert_eq!(judge(&flat(), 200, body, NOW_S, 5), expected, "{shown}");
        }
        let empty = judge(&flat(), 200, br#"{"id":""}"#, NOW_S, 5);
        assert!(matches!(empty, Judgement::Unclear(_, Some(AuthError::BadName { .. }))), "{empty:?}");
    }

    #[test]
    fn paths() {
        for path in ["id", "data.user.id", "a.b.c.d.e.f.g.h", "Ä b"] {
            assert!(FieldPath::parse(path).is_some(), "{path}");
        }
        for path in ["", ".", "a.", ".a", "a..b", "a.b.c.d.e.f.g.h.i"] {
            assert!(FieldPath::parse(path).is_none(), "{path}");
        }
    }
}
