//! The list of API keys: tables in the file, each with its own errors and lines.

use std::sync::Arc;

use super::{
    error::Problem,
    kind::{At, Context, Kind, Part, Refused, quote, unknown_field},
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

const FIELDS: [&str; 4] = ["name", "hash", "scopes", "tenants"];

/// `[[api.keys]]`, or an array of inline tables. Only the file can hold it.
pub(super) struct ApiKeys(pub(super) At<Vec<ApiKey>>);

impl Kind for ApiKeys {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let Value::List(items) = value else { return Err(Refused::Hidden) };
        let (mut keys, mut parts): (Vec<ApiKey>, _) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            let Some(key) = read(index, item, &mut parts) else { continue };
            let rule = if keys.iter().any(|other| other.name == key.name || other.hash == key.hash) {
                Some("has the name or the hash of a key before it")
            } else if key.scopes.includes(Scope::Admin) && key.tenants != Tenants::Every {
                Some("the scope `admin` shows the whole node: it wants tenants = [\"*\"]")
            } else {
                None
            };
            match rule {
                Some(reason) => parts.push(part(index, item.line, "", None, Problem::Rule(reason.into()))),
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
        "a list of tables `{ name, hash, scopes, tenants }` in the configuration file".into()
    }

    fn is_same(&self, one: &mut Settings, other: &mut Settings) -> bool {
        (self.0)(one) == (self.0)(other)
    }
}

fn part(index: usize, line: usize, field: &str, value: Option<String>, problem: Problem) -> Part {
    Part { line, suffix: format!("[{index}]{field}"), value, problem }
}

/// One key; `None` when something was wrong, which `parts` then says.
fn read(index: usize, item: &Located, parts: &mut Vec<Part>) -> Option<ApiKey> {
    let Value::Table(fields) = &item.value else {
        let problem = Problem::NotAllowed("a table `{ name, hash, scopes, tenants }`".into());
        // It may be the key itself.
        parts.push(part(index, item.line, "", None, problem));
        return None;
    };
    let (mut name, mut hash, mut scopes, mut tenants) = (None, None, None, None);
    for (field, Located { value, line }) in fields {
        // Somebody may have put the key where its hash belongs: that one is not repeated.
        let (taken, shown, allowed) = match field.as_str() {
            "name" => {
                name = value.as_text().and_then(|text| UserName::parse(text).ok());
                (name.is_some(), Some(value.show()), "a name of 1 to 256 bytes without control characters")
            }
            "hash" => {
                hash = value.as_text().and_then(digest);
                (
                    hash.is_some(),
                    None,
                    "the key's SHA-256 in 64 hexadecimal digits, as `ringway key make` prints it",
                )
            }
            "scopes" => {
                scopes = value.as_texts().and_then(|texts| read_scopes(&texts));
                (
                    scopes.is_some(),
                    Some(value.show()),
                    "some of `publish`, `request`, `rooms`, `presence`, `history`, `connections` and `admin`",
                )
            }
            "tenants" => {
                tenants = value.as_texts().and_then(|texts| read_tenants(&texts));
                (tenants.is_some(), Some(value.show()), "names of tenants, or [\"*\"] for all")
            }
            other => {
                let problem = unknown_field(other, &FIELDS);
                parts.push(part(index, *line, &format!(".{other}"), None, problem));
                continue;
            }
        };
        if !taken {
            let problem = Problem::NotAllowed(allowed.into());
            parts.push(part(index, *line, &format!(".{field}"), shown, problem));
        }
    }
    for field in FIELDS {
        if fields.iter().all(|(name, _)| name != field) {
            let problem = Problem::Rule("is missing".into());
            parts.push(part(index, item.line, &format!(".{field}"), None, problem));
        }
    }
    Some(ApiKey { name: name?, hash: Hash(hash?), scopes: scopes?, tenants: tenants? })
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
