//! From a layer's text to raw values with their sources. Finds unknown keys; judges no value.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{
    error::{ConfigError, Problem},
    load::Flag,
    source::Source,
    table::{self, ENVIRONMENT_PREFIX, PRODUCTION_NAMES, SECTIONS, Setting},
    value::{Value, line_of},
};

/// A value on its way to its setting.
pub(super) struct Raw {
    pub(super) setting: &'static Setting,
    pub(super) value: Value,
    pub(super) source: Source,
}

/// What a layer gave.
#[derive(Default)]
pub(super) struct Layer {
    pub(super) raws: Vec<Raw>,
    pub(super) errors: Vec<ConfigError>,
}

/// The TOML file. With a syntax error nothing else of it is looked at: what follows one means little.
pub(super) fn file(path: &Path, text: &str) -> Layer {
    let mut layer = Layer::default();
    let at = |byte: usize| Source::File { path: path.to_owned(), line: line_of(text, byte) };
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    if !syntax_errors.is_empty() {
        layer.errors.extend(syntax_errors.iter().map(|error| ConfigError {
            source: at(error.span().map_or(0, |span| span.start)),
            key: String::new(),
            value: None,
            problem: Problem::Syntax(error.message().to_owned()),
        }));
        return layer;
    }
    for (name, value) in document.get_ref() {
        layer.entry(&at, text, name.get_ref().to_string(), name.span().start, value.get_ref());
    }
    layer
}

impl Layer {
    /// What the file has under a key: a setting, a section of settings and of sections, or something unknown.
    fn entry(
        &mut self,
        at: &dyn Fn(usize) -> Source,
        text: &str,
        key: String,
        start: usize,
        value: &DeValue<'_>,
    ) {
        let source = at(start);
        if let Some(setting) = table::find(&key) {
            self.raws.push(Raw { setting, value: Value::from_toml(value, text), source });
            return;
        }
        let (shown, problem) = match value {
            _ if SECTIONS.iter().all(|(section, _)| *section != key) => {
                (None, Problem::Unknown { nearest: table::nearest(&key).map(str::to_owned) })
            }
            DeValue::Table(entries) => {
                for (name, value) in entries {
                    let key = format!("{key}.{}", name.get_ref());
                    self.entry(at, text, key, name.span().start, value.get_ref());
                }
                return;
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                (Some(Value::from_toml(value, text).show()), Problem::NotAllowed("a section".into()))
            }
        };
        self.errors.push(ConfigError { source, key, value: shown, problem });
    }
}

/// The environment. An empty variable counts as not set, as compose files leave them.
///
/// Only names with `__` are taken for ours: Kubernetes gives every pod `RINGWAY_PORT` and the like for a
/// service of that name.
pub(super) fn environment(variables: &[(String, String)]) -> Layer {
    let mut layer = Layer::default();
    let value_of = |name: &str| {
        let found = variables.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    };
    for setting in table::settings() {
        for name in setting.plain_names {
            let value = match value_of(name) {
                Some("production") if PRODUCTION_NAMES.contains(name) => Value::Flag(true),
                Some(_) if PRODUCTION_NAMES.contains(name) => continue,
                Some(value) => Value::Untyped(value.into()),
                None => continue,
            };
            layer.raws.push(Raw { setting, value, source: Source::Environment((*name).into()) });
        }
        let name = setting.environment_name();
        if let Some(value) = value_of(&name) {
            layer.raws.push(Raw {
                setting,
                value: Value::Untyped(value.into()),
                source: Source::Environment(name),
            });
        }
    }
    for (name, _) in variables {
        let Some(path) = name.strip_prefix(ENVIRONMENT_PREFIX).filter(|path| path.contains("__")) else {
            continue;
        };
        let key = path.replace("__", ".").to_ascii_lowercase();
        if table::find(&key).is_none() || path.bytes().any(|byte| byte.is_ascii_lowercase()) {
            let nearest = table::nearest(&key).and_then(table::find).map(Setting::environment_name);
            let problem = Problem::Unknown { nearest };
            layer.errors.push(ConfigError {
                source: Source::Environment(name.clone()),
                key,
                value: None,
                problem,
            });
        }
    }
    layer
}

/// The flags, in order; a later one is stronger.
pub(super) fn flags(flags: &[Flag]) -> Layer {
    let mut layer = Layer::default();
    for Flag { name, key, value } in flags {
        let source = Source::Flag(name);
        match table::find(key) {
            Some(setting) => layer.raws.push(Raw { setting, value: Value::Untyped(value.clone()), source }),
            None => {
                let problem = Problem::Unknown { nearest: table::nearest(key).map(str::to_owned) };
                layer.errors.push(ConfigError { source, key: key.clone(), value: None, problem });
            }
        }
    }
    layer
}
