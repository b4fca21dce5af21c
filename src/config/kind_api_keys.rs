//! The list of API keys: what stands in the table of one, and what of it is shown.

use std::sync::Arc;

use super::{
    error::Problem,
    kind::{At, Context, Kind, Refused, quote},
    kind_tables::{Draft, Wrong, allowed, read},
    settings::{ApiKey, Hash, Settings},
    value::{Located, Value},
};
use crate::{
    auth::{KeyDigest, Tenants},
    base::{TenantName, UserName},
    model::{Scope, Scopes},
};

/// Stands for every tenant.
const EVERY_TENANT: &str = "*";

const NAME: &str = "a name of 1 to 256 bytes without control characters";
const HASH: &str = "the key's SHA-256 in 64 hexadecimal digits, as `ringway key make` prints it";
const SCOPES: &str =
    "some of `publish`, `request`, `rooms`, `presence`, `history`, `connections` and `admin`";
const TENANTS: &str = "names of tenants, or [\"*\"] for all";

/// `api.keys`.
pub(super) struct ApiKeys(pub(super) At<Vec<ApiKey>>);

impl Kind for ApiKeys {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let Value::List(items) = value else { return Err(Refused::Hidden) };
        let (mut keys, mut parts): (Vec<ApiKey>, _) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            let mut wrong = Wrong::new(index, &mut parts);
            let draft = read::<ApiKeyDraft>(item, &mut wrong);
            let Some(key) = draft.and_then(ApiKeyDraft::finish) else { continue };
            let rule = if keys.iter().any(|other| other.name == key.name || other.hash == key.hash) {
                Some("has the name or the hash of a key before it")
            } else if key.scopes.includes(Scope::Admin) && key.tenants != Tenants::Every {
                Some("the scope `admin` shows the whole node: it wants tenants = [\"*\"]")
            } else {
                None
            };
            match rule {
                Some(reason) => wrong.refuse(item.line, "", None, Problem::Rule(reason.into())),
                None => keys.push(key),
            }
        }
        if !parts.is_empty() {
            return Err(Refused::Parts(parts));
        }
        *(self.0)(settings) = keys;
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        let keys = (self.0)(settings);
        let show = |key: &ApiKey| {
            let scopes = Scope::ALL.into_iter().filter(|scope| key.scopes.includes(*scope));
            let scopes: Vec<_> = scopes.map(|scope| quote(scope.as_str())).collect();
            let tenants = match &key.tenants {
                Tenants::Every => quote(EVERY_TENANT),
                Tenants::These(tenants) => {
                    tenants.iter().map(|tenant| quote(tenant.as_str())).collect::<Vec<_>>().join(", ")
                }
            };
            let (name, scopes) = (quote(key.name.as_str()), scopes.join(", "));
            format!("{{ name = {name}, hash = \"***\", scopes = [{scopes}], tenants = [{tenants}] }}")
        };
        (!keys.is_empty()).then(|| format!("[{}]", keys.iter().map(show).collect::<Vec<_>>().join(", ")))
    }

    fn allowed(&self) -> String {
        allowed::<ApiKeyDraft>()
    }

    fn is_same(&self, one: &mut Settings, other: &mut Settings) -> bool {
        (self.0)(one) == (self.0)(other)
    }
}

/// A key whose fields stand for themselves.
#[derive(Default)]
struct ApiKeyDraft {
    name: Option<UserName>,
    hash: Option<KeyDigest>,
    scopes: Option<Scopes>,
    tenants: Option<Tenants>,
}

impl Draft for ApiKeyDraft {
    const FIELDS: &'static [&'static str] = &["name", "hash", "scopes", "tenants"];
    const REQUIRED: &'static [&'static str] = Self::FIELDS;
    /// It may be the key itself.
    const IS_SECRET: bool = true;

    fn take(&mut self, field: &str, found: &Located, wrong: &mut Wrong<'_>) -> bool {
        let value = &found.value;
        match field {
            "name" => {
                let name = value.as_text().and_then(|text| UserName::parse(text).ok());
                self.name = wrong.taken(name, field, found, NAME);
            }
            "hash" => {
                self.hash = value.as_text().and_then(digest);
                if self.hash.is_none() {
                    // Somebody may have put the key where its hash belongs.
                    wrong.refuse(found.line, field, None, Problem::NotAllowed(HASH.into()));
                }
            }
            "scopes" => {
                let scopes = value.as_texts().and_then(|texts| read_scopes(&texts));
                self.scopes = wrong.taken(scopes, field, found, SCOPES);
            }
            "tenants" => {
                let tenants = value.as_texts().and_then(|texts| read_tenants(&texts));
                self.tenants = wrong.taken(tenants, field, found, TENANTS);
            }
            _ => return false,
        }
        true
    }
}

impl ApiKeyDraft {
    fn finish(self) -> Option<ApiKey> {
        let Self { name, hash, scopes, tenants } = self;
        Some(ApiKey { name: name?, hash: Hash(hash?), scopes: scopes?, tenants: tenants? })
    }
}

fn read_scopes(names: &[&str]) -> Option<Scopes> {
    let all = names.iter().try_fold(Scopes::default(), |scopes, name| Some(scopes.with(Scope::parse(name)?)));
    all.filter(|_| !names.is_empty())
}

fn read_tenants(names: &[&str]) -> Option<Tenants> {
    if names == [EVERY_TENANT] {
        return Some(Tenants::Every);
    }
    if names.is_empty() || names.contains(&EVERY_TENANT) {
        return None;
    }
    let tenants: Result<Arc<[TenantName]>, _> = names.iter().map(|name| TenantName::parse(name)).collect();
    tenants.ok().map(Tenants::These)
}

/// 32 bytes from 64 hexadecimal digits.
fn digest(text: &str) -> Option<KeyDigest> {
    let mut digest = KeyDigest::default();
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != digest.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = (high? << 4 | low?) as u8;
    }
    Some(digest)
}
