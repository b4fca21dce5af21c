//! The list of public keys: what stands in the table of one, and a file to read each.

use std::path::PathBuf;

use super::{
    error::Problem,
    kind::{At, Context, Kind, Refused, named, names, quote},
    kind_tables::{Draft, Wrong, allowed, read},
    settings::{PUBLIC_ALGORITHMS, PublicKey, Settings},
    value::{Located, Value},
};
use crate::auth::Algorithm;

const FILE: &str = "file";

/// `auth.keys`.
pub(super) struct Keys(pub(super) At<Vec<PublicKey>>);

impl Kind for Keys {
    fn set(&self, settings: &mut Settings, value: &Value, context: &Context<'_>) -> Result<(), Refused> {
        let Value::List(items) = value else { return Err(Refused::Value) };
        let (mut keys, mut parts): (Vec<PublicKey>, _) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            let mut wrong = Wrong::new(index, &mut parts);
            let draft = read::<KeyDraft>(item, &mut wrong);
            let Some(key) = draft.and_then(|draft| draft.finish(context, &mut wrong)) else { continue };
            if keys.iter().any(|other| other.kid == key.kid && other.algorithm == key.algorithm) {
                let reason =
                    "the same kid and algorithm as a key before it: tokens could not tell them apart";
                wrong.refuse(item.line, "", None, Problem::Rule(reason.into()));
            } else {
                keys.push(key);
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
        let show = |key: &PublicKey| {
            let kid = key.kid.as_deref().map(|kid| format!("kid = {}, ", quote(kid))).unwrap_or_default();
            let file = quote(&key.file.display().to_string());
            format!("{{ {kid}algorithm = {}, file = {file} }}", quote(key.algorithm.as_str()))
        };
        (!keys.is_empty()).then(|| format!("[{}]", keys.iter().map(show).collect::<Vec<_>>().join(", ")))
    }

    fn allowed(&self) -> String {
        allowed::<KeyDraft>()
    }

    fn is_same(&self, one: &mut Settings, other: &mut Settings) -> bool {
        (self.0)(one) == (self.0)(other)
    }
}

/// A key whose file has not been read.
#[derive(Default)]
struct KeyDraft {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    /// With its line.
    file: Option<(PathBuf, usize)>,
}

impl Draft for KeyDraft {
    const FIELDS: &'static [&'static str] = &["kid", "algorithm", FILE];
    const REQUIRED: &'static [&'static str] = &["algorithm", FILE];

    fn take(&mut self, field: &str, found: &Located, wrong: &mut Wrong<'_>) -> bool {
        let text = found.value.as_text();
        let some = text.filter(|text| !text.is_empty());
        match field {
            "kid" => {
                let allowed = "a text that is not empty, as in a token's header";
                self.kid = wrong.taken(some.map(str::to_owned), field, found, allowed);
            }
            "algorithm" => {
                let algorithm = text.and_then(|text| named(PUBLIC_ALGORITHMS, text));
                self.algorithm = wrong.taken(algorithm, field, found, &names(PUBLIC_ALGORITHMS));
            }
            FILE => {
                let file = some.map(|path| (path.into(), found.line));
                self.file = wrong.taken(file, field, found, "the path of a PEM file");
            }
            _ => return false,
        }
        true
    }
}

impl KeyDraft {
    /// Reads the file of one with which nothing is wrong.
    fn finish(self, context: &Context<'_>, wrong: &mut Wrong<'_>) -> Option<PublicKey> {
        let (algorithm, (file, line)) = (self.algorithm?, self.file?);
        if !wrong.is_nothing() {
            return None;
        }
        let file = context.base.join(file);
        let problem = match (context.read)(&file) {
            Ok(pem) if pem.contains("PRIVATE KEY") => {
                Problem::Rule("holds a private key: the gateway needs the public one, and only that".into())
            }
            Ok(pem) => return Some(PublicKey { kid: self.kid, algorithm, file, pem }),
            Err(error) => Problem::Unreadable(error.to_string()),
        };
        wrong.refuse(line, FILE, Some(&Value::Text(file.display().to_string())), problem);
        None
    }
}
