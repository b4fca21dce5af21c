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
    let unknown = |byte: usize, key: String| {
        let problem = Problem::Unknown { nearest: table::nearest(&key).map(str::to_owned) };
        ConfigError { source: at(byte), key, value: None, problem }
    };
    for (section, value) in document.get_ref() {
        let start = section.span().start;
        let (section, value) = (section.get_ref().as_ref(), value.get_ref());
        if SECTIONS.iter().all(|(name, _)| *name != section) {
            layer.errors.push(unknown(start, section.into()));
            continue;
        }
        let DeValue::Table(entries) = value else {
            let (source, value) = (at(start), Value::from_toml(value, text).show());
            let problem = Problem::NotAllowed("a section".into());
            layer.errors.push(ConfigError { source, key: section.into(), value: Some(value), problem });
            continue;
        };
        for (name, value) in entries {
            let key = format!("{section}.{}", name.get_ref());
            match table::find(&key) {
                Some(setting) => layer.raws.push(Raw {
                    setting,
                    value: Value::from_toml(value.get_ref(), text),
                    source: at(name.span().start),
                }),
                None => layer.errors.push(unknown(name.span().start, key)),
            }
        }
    }
    layer
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
