//! The rules that say which rooms stand for which resources of a REST API: what stands in the table of one, and what must hold
//! between them and other settings.

use super::{
    error::{ConfigError, Problem},
    kind::quote,
    kind_outside::{hide_query, is_plaintext, is_url},
    kind_tables::{Draft, RuleDraft, Wrong},
    load::Loaded,
    settings::{ResourceRule, Settings},
    value::{Located, Value},
};
use crate::{
    auth::{self, AbilityPattern, UrlTemplate, resources::MAPPABLE, resources::READING},
    model::{Action, Actions},
};

const ACTIONS: &str = "some of `join`, `send`, `presence` and `history`, or [\"*\"] for all of these";
const ROOM: &str = "a pattern of rooms, like `task:{id}`";
const URL: &str = "a path behind resources.base_url, like `/api/tasks/{id}`, or a whole URL, http or https, without user, \
                   password and fragment";

/// Of `resources.rules`.
pub(super) struct ResourceDraft {
    room: Option<AbilityPattern>,
    /// With its line.
    url: Option<(String, usize)>,
    actions: Option<Actions>,
}

impl Default for ResourceDraft {
    fn default() -> Self {
        Self { room: None, url: None, actions: Some(all(&READING)) }
    }
}

impl Draft for ResourceDraft {
    const FIELDS: &'static [&'static str] = &["room", "url", "actions"];
    const REQUIRED: &'static [&'static str] = &["room", "url"];

    fn take(&mut self, field: &str, found: &Located, wrong: &mut Wrong<'_>) -> bool {
        let Located { value, line } = found;
        match field {
            "room" => match value.as_text().map(AbilityPattern::parse) {
                Some(Err(error)) => {
                    wrong.refuse(*line, field, Some(value), Problem::Rule(error.to_string()));
                }
                parsed => self.room = wrong.taken(parsed.and_then(Result::ok), field, found, ROOM),
            },
            "url" => {
                let text = value.as_text().map(|text| (text.to_owned(), *line));
                self.url = wrong.taken(text, field, found, URL);
            }
            "actions" => {
                let actions = value.as_texts().and_then(|names| read_actions(&names));
                self.actions = wrong.taken(actions, field, found, ACTIONS);
            }
            _ => return false,
        }
        true
    }
}

impl RuleDraft for ResourceDraft {
    type Rule = ResourceRule;

    fn finish(self, line: usize, wrong: &mut Wrong<'_>) -> Option<ResourceRule> {
        const FIELD: &str = "url";
        let (text, url_line) = self.url?;
        if !is_template(&text) {
            // What is wrong with it may be a password that stands in it.
            wrong.refuse(url_line, FIELD, None, Problem::NotAllowed(URL.into()));
            return None;
        }
        let room = self.room?;
        match UrlTemplate::parse(&text, &room) {
            Ok(url) => {
                let rule = auth::ResourceRule { room, actions: self.actions?, url };
                Some(ResourceRule { rule, line: Some(line) })
            }
            Err(error) => {
                let shown = Value::Text(hide_query(&text));
                wrong.refuse(url_line, FIELD, Some(&shown), Problem::Rule(error.to_string()));
                None
            }
        }
    }

    fn show(rule: &ResourceRule) -> String {
        show_rule(&rule.rule)
    }
}

/// A rule as TOML, without what stands in the URL's query: it may be a key.
pub(super) fn show_rule(rule: &auth::ResourceRule) -> String {
    let actions: Vec<_> = rule.actions.iter().map(|action| quote(action.as_str())).collect();
    let (room, url) = (quote(rule.room.as_str()), quote(&hide_query(rule.url.as_str())));
    format!("{{ room = {room}, url = {url}, actions = [{}] }}", actions.join(", "))
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
