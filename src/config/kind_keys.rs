//! The list of public keys: tables in the file, each with its own errors and lines, and a file to read each.

use std::path::PathBuf;

use super::{
    error::Problem,
    kind::{At, Context, Kind, Part, Refused, named, names, quote, unknown_field},
    settings::{PUBLIC_ALGORITHMS, PublicKey, Settings},
    value::{Located, Value},
};
use crate::auth::Algorithm;

/// `[[auth.keys]]`, or an array of inline tables. Only the file can hold it.
pub(super) struct Keys(pub(super) At<Vec<PublicKey>>);

impl Kind for Keys {
    fn set(&self, settings: &mut Settings, value: &Value, context: &Context<'_>) -> Result<(), Refused> {
        let Value::List(items) = value else { return Err(Refused::Value) };
        let mut keys: Vec<PublicKey> = Vec::new();
        let mut parts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match Draft::read(index, item, &mut parts).and_then(|draft| draft.finish(context, &mut parts)) {
                Some(key)
                    if keys.iter().any(|other| other.kid == key.kid && other.algorithm == key.algorithm) =>
                {
                    let reason =
                        "the same kid and algorithm as a key before it: tokens could not tell them apart";
                    parts.push(part(index, item.line, "", None, Problem::Rule(reason.into())));
                }
                Some(key) => keys.push(key),
                None => {}
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
        "a list of tables `{ kid, algorithm, file }` in the configuration file".into()
    }

    fn is_same(&self, one: &mut Settings, other: &mut Settings) -> bool {
        (self.0)(one) == (self.0)(other)
    }
}

fn part(index: usize, line: usize, field: &str, value: Option<String>, problem: Problem) -> Part {
    Part { line, suffix: format!("[{index}]{field}"), value, problem }
}

/// A key whose file has not been read.
struct Draft {
    index: usize,
    kid: Option<String>,
    algorithm: Algorithm,
    file: PathBuf,
    file_line: usize,
}

impl Draft {
    /// `None` when something was wrong, which `parts` then says.
    fn read(index: usize, item: &Located, parts: &mut Vec<Part>) -> Option<Self> {
        let before = parts.len();
        let mut refuse = |line, field: &str, value: Option<&Value>, problem| {
            parts.push(part(index, line, field, value.map(Value::show), problem));
        };
        let Value::Table(fields) = &item.value else {
            let allowed = "a table `{ kid, algorithm, file }`".to_owned();
            refuse(item.line, "", Some(&item.value), Problem::NotAllowed(allowed));
            return None;
        };
        let (mut kid, mut algorithm, mut file) = (None, None, None);
        for (name, Located { value, line }) in fields {
            match (name.as_str(), value.as_text()) {
                ("kid", Some(text)) if !text.is_empty() => kid = Some(text.to_owned()),
                ("kid", _) => {
                    let allowed = "a text that is not empty, as in a token's header".to_owned();
                    refuse(*line, ".kid", Some(value), Problem::NotAllowed(allowed));
                }
                ("algorithm", text) => {
                    algorithm = text.and_then(|text| named(PUBLIC_ALGORITHMS, text));
                    if algorithm.is_none() {
                        let allowed = names(PUBLIC_ALGORITHMS);
                        refuse(*line, ".algorithm", Some(value), Problem::NotAllowed(allowed));
                    }
                }
                ("file", Some(text)) if !text.is_empty() => file = Some((PathBuf::from(text), *line)),
                ("file", _) => {
                    let allowed = "the path of a PEM file".to_owned();
                    refuse(*line, ".file", Some(value), Problem::NotAllowed(allowed));
                }
                (other, _) => {
                    let problem = unknown_field(other, &["kid", "algorithm", "file"]);
                    refuse(*line, &format!(".{other}"), None, problem);
                }
            }
        }
        for field in ["algorithm", "file"] {
            if !fields.iter().any(|(name, _)| name == field) {
                refuse(item.line, &format!(".{field}"), None, Problem::Rule("is missing".into()));
            }
        }
        match (algorithm, file) {
            (Some(algorithm), Some((file, file_line))) if parts.len() == before => {
                Some(Self { index, kid, algorithm, file, file_line })
            }
            _ => None,
        }
    }

    fn finish(self, context: &Context<'_>, parts: &mut Vec<Part>) -> Option<PublicKey> {
        let file = context.base.join(&self.file);
        let problem = match (context.read)(&file) {
            Ok(pem) if pem.contains("PRIVATE KEY") => {
                Problem::Rule("holds a private key: the gateway needs the public one, and only that".into())
            }
            Ok(pem) => return Some(PublicKey { kid: self.kid, algorithm: self.algorithm, file, pem }),
            Err(error) => Problem::Unreadable(error.to_string()),
        };
        let shown = quote(&file.display().to_string());
        parts.push(part(self.index, self.file_line, ".file", Some(shown), problem));
        None
    }
}
