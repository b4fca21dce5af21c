//! The list of rules that say which rooms stand for which resources of a REST API: tables in the file, each with its own errors
//! and lines.

use super::{
    error::{ConfigError, Problem},
    kind::{At, Context, Kind, Part, Refused, quote, unknown_field},
    kind_outside::{hide_query, is_plaintext, is_url},
    load::Loaded,
    settings::{ResourceRule, Settings},
    value::{Located, Value},
};
use crate::{
    auth::{self, AbilityPattern, UrlTemplate, resources::MAPPABLE, resources::READING},
    model::{Action, Actions},
};

/// How many rules there may be.
const RULES_MAX: usize = 1_000;

const FIELDS: [&str; 3] = ["room", "url", "actions"];
const REQUIRED: [&str; 2] = ["room", "url"];

const ACTIONS: &str = "some of `join`, `send`, `presence` and `history`, or [\"*\"] for all of these";
const ROOM: &str = "a pattern of rooms, like `task:{id}`";
const URL: &str = "a path behind resources.base_url, like `/api/tasks/{id}`, or a whole URL, http or https, without user, \
                   password and fragment";
const TABLE: &str = "a table `{ room, url, actions }`";

/// `[[resources.rules]]`, or an array of inline tables. Only the file can hold it.
pub(super) struct ResourceRules(pub(super) At<Vec<ResourceRule>>);

impl Kind for ResourceRules {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let Value::List(items) = value else { return Err(Refused::Value) };
        if items.len() > RULES_MAX {
            return Err(Refused::Value);
        }
        let mut parts = Vec::new();
        let rules: Vec<_> =
            items.iter().enumerate().filter_map(|(index, item)| read(index, item, &mut parts)).collect();
        if !parts.is_empty() {
            return Err(Refused::Parts(parts));
        }
        *(self.0)(settings) = rules;
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        let rules: Vec<_> = (self.0)(settings).iter().map(|rule| show_rule(&rule.rule)).collect();
        Some(format!("[{}]", rules.join(", ")))
    }

    fn allowed(&self) -> String {
        format!("a list of tables `{{ room, url, actions }}` in the configuration file, {RULES_MAX} at most")
    }

    fn is_same(&self, one: &mut Settings, other: &mut Settings) -> bool {
        (self.0)(one) == (self.0)(other)
    }
}

/// A rule as TOML, without what stands in the URL's query: it may be a key.
pub(super) fn show_rule(rule: &auth::ResourceRule) -> String {
    let actions: Vec<_> = rule.actions.iter().map(|action| quote(action.as_str())).collect();
    let (room, url) = (quote(rule.room.as_str()), quote(&hide_query(rule.url.as_str())));
    format!("{{ room = {room}, url = {url}, actions = [{}] }}", actions.join(", "))
}

/// `None` when something was wrong, which `parts` then says.
fn read(index: usize, item: &Located, parts: &mut Vec<Part>) -> Option<ResourceRule> {
    let mut refuse = |line, field: &str, value: Option<&Value>, problem| {
        let suffix = if field.is_empty() { format!("[{index}]") } else { format!("[{index}].{field}") };
        parts.push(Part { line, suffix, value: value.map(Value::show), problem });
    };
    let Value::Table(fields) = &item.value else {
        refuse(item.line, "", Some(&item.value), Problem::NotAllowed(TABLE.into()));
        return None;
    };
    let (mut room, mut url, mut actions) = (None, None, Some(all(&READING)));
    for (name, Located { value, line }) in fields {
        match name.as_str() {
            "room" => match value.as_text().map(AbilityPattern::parse) {
                Some(Ok(pattern)) => room = Some(pattern),
                Some(Err(error)) => refuse(*line, name, Some(value), Problem::Rule(error.to_string())),
                None => refuse(*line, name, Some(value), Problem::NotAllowed(ROOM.into())),
            },
            "url" => match value.as_text() {
                Some(text) => url = Some((text, *line)),
                None => refuse(*line, name, Some(value), Problem::NotAllowed(URL.into())),
            },
            "actions" => {
                actions = value.as_texts().and_then(|names| read_actions(&names));
                if actions.is_none() {
                    refuse(*line, name, Some(value), Problem::NotAllowed(ACTIONS.into()));
                }
            }
            other => refuse(*line, other, None, unknown_field(other, &FIELDS)),
        }
    }
    for field in REQUIRED {
        if fields.iter().all(|(name, _)| name != field) {
            refuse(item.line, field, None, Problem::Rule("is missing".into()));
        }
    }
    let (text, line) = url?;
    if !is_template(text) {
        // What is wrong with it may be a password that stands in it.
        refuse(line, "url", None, Problem::NotAllowed(URL.into()));
        return None;
    }
    let room = room?;
    match UrlTemplate::parse(text, &room) {
        Ok(url) => {
            let rule = auth::ResourceRule { room, actions: actions?, url };
            Some(ResourceRule { rule, line: Some(item.line) })
        }
        Err(error) => {
            refuse(line, "url", Some(&Value::Text(hide_query(text))), Problem::Rule(error.to_string()));
            None
        }
    }
}

/// What must hold between the rules and other settings.
pub(super) fn broken(loaded: &Loaded) -> Vec<ConfigError> {
    let Settings { server, outside, resources, .. } = &loaded.settings;
    let mut errors = Vec::new();
    if resources.base_url.as_deref().is_some_and(|url| url.contains(['?', '{', '}'])) {
        let reason = "has no query and no braces: paths are put behind it".to_owned();
        let source = loaded.source("resources.base_url").clone();
        let key = "resources.base_url".to_owned();
        errors.push(ConfigError { source, key, value: None, problem: Problem::Rule(reason) });
    }
    for (index, ResourceRule { rule, line }) in resources.rules.iter().enumerate() {
        let reason = match resources.url_of(rule) {
            None => "is a path: resources.base_url must say of which server".to_owned(),
            Some(url) => match UrlTemplate::parse(&url, &rule.room) {
                Err(error) => format!("makes no URL with resources.base_url: {error}"),
                Ok(_) if server.production && !outside.plaintext && is_plaintext(&url) => {
                    "production wants https: who can read along on the way could read every token \
                     (outside.plaintext = true states that nobody can)"
                        .to_owned()
                }
                Ok(_) => continue,
            },
        };
        let source = loaded.source("resources.rules").clone();
        let source = line.map_or(source.clone(), |line| source.at_line(line));
        let (key, value) = (format!("resources.rules[{index}].url"), quote(&hide_query(rule.url.as_str())));
        errors.push(ConfigError { source, key, value: Some(value), problem: Problem::Rule(reason) });
    }
    errors
}

/// Whether a text is a URL, or a path with something behind it or not, but for its braces.
fn is_template(text: &str) -> bool {
    let plain = text.replace(['{', '}'], "");
    let is_path = plain.starts_with('/') && !plain.starts_with("//");
    if is_path { is_url(&format!("http://host{plain}")) } else { is_url(&plain) }
}

fn read_actions(names: &[&str]) -> Option<Actions> {
    let mut actions = Actions::NONE;
    for name in names {
        let more = match *name {
            Actions::EVERY_NAME => all(&MAPPABLE),
            name => Action::parse(name).filter(|action| MAPPABLE.contains(action))?.into(),
        };
        actions = actions.and(more);
    }
    (!actions.is_empty()).then_some(actions)
}

fn all(actions: &[Action]) -> Actions {
    actions.iter().fold(Actions::NONE, |all, action| all.and((*action).into()))
}
