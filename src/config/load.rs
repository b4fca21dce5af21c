//! The layers, one over the other, into [`Settings`]; every error of every layer and rule at once.

use std::{
    collections::BTreeMap,
    env, io,
    path::{Path, PathBuf},
};

use ring::rand::{SecureRandom, SystemRandom};

use super::{
    cli::ServeArgs,
    error::{ConfigError, ConfigErrors, Problem},
    kind::{Context, Refused},
    layers::{self, Layer, Raw},
    rules,
    settings::Settings,
    source::Source,
    standing_alone,
    table::{self, Setting},
};
use crate::base::Secret;

/// The file that is read when none is named; it may be missing.
const FILE_DEFAULT: &str = "ringway.toml";

/// A setting from the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flag {
    /// As it is spelled: `--port`.
    pub name: &'static str,
    /// The setting's key.
    pub key: String,
    pub value: String,
}

/// All that a configuration is made from.
pub struct Inputs<'a> {
    /// The named file; `None`: `ringway.toml`, if it is there.
    pub file: Option<&'a Path>,
    pub environment: &'a [(String, String)],
    pub flags: &'a [Flag],
    /// Reads a file as text. Relative paths are the configuration's own, to the working directory.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// A configuration that passed every check.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What is no error, and should be known to whoever has set it.
    pub warning: Option<String>,
    sources: BTreeMap<&'static str, Source>,
}

impl Loaded {
    /// Where a setting's value came from.
    pub fn source(&self, key: &str) -> &Source {
        self.sources.get(key).unwrap_or(&Source::Default)
    }

    /// Whether nobody set a secret, so that this start made one.
    pub fn secret_is_generated(&self) -> bool {
        matches!(self.source("auth.jwt_secret"), Source::Generated)
    }

    /// The rules that this breaks in a node which has started with other values of what needs a restart.
    pub fn broken_beside(&self, started: &Self) -> Vec<ConfigError> {
        let mut effective = self.clone();
        effective.settings.admin.clone_from(&started.settings.admin);
        effective.settings.auth.timeout_ms = started.settings.auth.timeout_ms;
        rules::broken(&effective)
    }

    /// Takes over the secret that was made for this run, if there still is no other: its tokens are out there.
    pub fn keep_secret_of(&mut self, running: &Self) {
        if self.secret_is_generated() && running.secret_is_generated() {
            self.settings.auth.jwt_secret.clone_from(&running.settings.auth.jwt_secret);
        }
    }
}

/// Loads from this process's files and environment and the given arguments.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load_process(args: &ServeArgs) -> Result<Loaded, ConfigErrors> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let environment: Vec<_> = env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect();
    let (flags, malformed) = args.flags();
    let loaded = load(&Inputs {
        file: args.settings.config.as_deref(),
        environment: &environment,
        flags: &flags,
        read: &|path| std::fs::read_to_string(path),
    });
    if malformed.is_empty() {
        return loaded;
    }
    let mut errors = loaded.err().map(|errors| errors.0).unwrap_or_default();
    errors.extend(malformed);
    Err(ConfigErrors(errors))
}

/// Loads from what is given; touches nothing else but the random source, for a secret that nobody set.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(inputs: &Inputs<'_>) -> Result<Loaded, ConfigErrors> {
    let (file, file_layer) = read_file(inputs);
    let layers = [file_layer, layers::environment(inputs.environment), layers::flags(inputs.flags)];
    let (raws, mut errors) = merge(layers);
    let base = file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let context = Context { base, read: inputs.read };

    let mut settings = Settings::defaults(is_production(&raws, &context));
    let mut sources = BTreeMap::new();
    for raw in raws {
        match raw.setting.kind.set(&mut settings, &raw.value, &context) {
            Ok(()) => drop(sources.insert(raw.setting.key, raw.source)),
            Err(refused) => errors.extend(explain(&raw, refused)),
        }
    }
    let warning = standing_alone::warning(inputs.environment);
    let mut loaded = Loaded { settings, file, warning, sources };
    let mut broken = rules::broken(&loaded);
    // A value that was refused already needs no second error for the default that stands in its place.
    let refused = |key: &str| errors.iter().any(|error| error.key.starts_with(key));
    let lacks_secret = |rule: &ConfigError| rule.key == "auth.jwt_secret" && rule.value.is_none();
    let is_any = || ["auth.keys", "auth.jwks", "introspection.url"].into_iter().any(refused);
    broken.retain(|rule| !refused(&rule.key) && (!lacks_secret(rule) || !is_any()));
    errors.extend(broken);
    errors.sort_by_key(|error| error.source.rank());
    if !errors.is_empty() {
        return Err(ConfigErrors(errors));
    }
    loaded.make_secret();
    Ok(loaded)
}

fn read_file(inputs: &Inputs<'_>) -> (Option<PathBuf>, Layer) {
    let path = inputs.file.unwrap_or(Path::new(FILE_DEFAULT));
    match (inputs.read)(path) {
        Ok(text) => (Some(path.to_owned()), layers::file(path, &text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && inputs.file.is_none() => {
            (None, Layer::default())
        }
        Err(error) => {
            let problem = Problem::Unreadable(error.to_string());
            let key = path.display().to_string();
            let error = ConfigError { source: Source::Default, key, value: None, problem };
            (None, Layer { raws: Vec::new(), errors: vec![error] })
        }
    }
}

/// One list, the stronger later, and in the file by line.
fn merge(layers: [Layer; 3]) -> (Vec<Raw>, Vec<ConfigError>) {
    let (mut raws, mut errors) = (Vec::new(), Vec::new());
    for mut layer in layers {
        layer.raws.sort_by_key(|raw| raw.source.rank());
        raws.extend(layer.raws);
        errors.extend(layer.errors);
    }
    (raws, errors)
}

/// Known before all else, because defaults depend on it.
fn is_production(raws: &[Raw], context: &Context<'_>) -> bool {
    let mut probe = Settings::defaults(false);
    for raw in raws.iter().filter(|raw| raw.setting.key == "server.production") {
        // A wrong value is reported when all values are set.
        let _ = raw.setting.kind.set(&mut probe, &raw.value, context);
    }
    probe.server.production
}

fn explain(raw: &Raw, refused: Refused) -> Vec<ConfigError> {
    let mask = |value: String| if raw.setting.is_secret { "\"***\"".into() } else { value };
    let key = raw.setting.key;
    match refused {
        Refused::Value => vec![ConfigError {
            source: raw.source.clone(),
            key: key.into(),
            value: Some(mask(raw.value.show())),
            problem: Problem::NotAllowed(raw.setting.kind.allowed()),
        }],
        Refused::Hidden => vec![ConfigError {
            source: raw.source.clone(),
            key: key.into(),
            value: None,
            problem: Problem::NotAllowed(raw.setting.kind.allowed()),
        }],
        Refused::For(problem) => vec![ConfigError {
            source: raw.source.clone(),
            key: key.into(),
            value: Some(mask(raw.value.show())),
            problem,
        }],
        Refused::Parts(parts) => parts
            .into_iter()
            .map(|part| ConfigError {
                source: raw.source.at_line(part.line),
                key: format!("{key}{}", part.suffix),
                value: part.value.map(mask),
                problem: part.problem,
            })
            .collect(),
    }
}

impl Loaded {
    /// Outside production, with neither secret nor key, nor anybody to ask: 32 random bytes in hexadecimal, for this run only.
    fn make_secret(&mut self) {
        let introspects = self.settings.introspection.url.is_some();
        let auth = &mut self.settings.auth;
        if auth.jwt_secret.is_some() || auth.has_public_keys() || introspects {
            return;
        }
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).expect("a running Linux has random bytes to give");
        let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        auth.jwt_secret = Some(Secret::from(secret));
        self.sources.insert("auth.jwt_secret", Source::Generated);
    }

    /// Every setting with its value as TOML and its source, in the order of the table.
    pub(super) fn rows(&self) -> Vec<(&'static Setting, Option<String>, &Source)> {
        let mut settings = self.settings.clone();
        let row =
            |setting: &'static Setting| (setting, setting.kind.show(&mut settings), self.source(setting.key));
        table::settings().map(row).collect()
    }
}
