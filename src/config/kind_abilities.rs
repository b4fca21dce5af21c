//! The list of rules that say who may do what in which rooms: tables in the file, each with its own errors and lines.

use super::{
    error::Problem,
    kind::{At, Context, Kind, Part, Refused, quote, unknown_field},
    settings::{AbilityRule, Settings},
    value::{Located, Value},
};
use crate::{
    auth::{AbilityPattern, Role, Rule},
    model::Actions,
};

/// How many rules there may be, and how many patterns in one.
const RULES_MAX: usize = 1_000;
const ROOMS_MAX: usize = 1_000;

const FIELDS: [&str; 3] = ["role", "actions", "rooms"];

const ACTIONS: &str = "some of `join`, `send`, `presence`, `history` and `request`, or [\"*\"] for all";
const ROLE: &str = "the name of a role, or `*` for whoever has a good token";
const ROOMS: &str = "a list of patterns of rooms, one at least, like `project.*` or `dashboard.{user_id}`";
const TABLE: &str = "a table `{ role, actions, rooms }`";

/// `[[abilities.rules]]`, or an array of inline tables. Only the file can hold it.
pub(super) struct AbilityRules(pub(super) At<Vec<AbilityRule>>);

impl Kind for AbilityRules {
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
        format!(
            "a list of tables `{{ role, actions, rooms }}` in the configuration file, {RULES_MAX} at most"
        )
    }
}

/// A rule as TOML.
pub(super) fn show_rule(rule: &Rule) -> String {
    let list = |texts: Vec<&str>| texts.into_iter().map(quote).collect::<Vec<_>>().join(", ");
    let actions = match rule.actions {
        Actions::EVERY => vec![Actions::EVERY_NAME],
        some => some.iter().map(|action| action.as_str()).collect(),
    };
    let rooms = rule.rooms.iter().map(AbilityPattern::as_str).collect();
    let (role, actions, rooms) = (quote(rule.role.as_str()), list(actions), list(rooms));
    format!("{{ role = {role}, actions = [{actions}], rooms = [{rooms}] }}")
}

/// `None` when something was wrong, which `parts` then says.
fn read(index: usize, item: &Located, parts: &mut Vec<Part>) -> Option<AbilityRule> {
    let mut refuse = |line, field: String, value: Option<&Value>, problem| {
        let suffix = format!("[{index}]{field}");
        parts.push(Part { line, suffix, value: value.map(Value::show), problem });
    };
    let Value::Table(fields) = &item.value else {
        refuse(item.line, String::new(), Some(&item.value), Problem::NotAllowed(TABLE.into()));
        return None;
    };
    let (mut role, mut actions, mut rooms) = (None, None, None);
    for (name, Located { value, line }) in fields {
        let (taken, allowed) = match name.as_str() {
            "role" => {
                role = value.as_text().and_then(Role::parse);
                (role.is_some(), ROLE)
            }
            "actions" => {
                actions = value.as_texts().and_then(|names| read_actions(&names));
                (actions.is_some(), ACTIONS)
            }
            "rooms" => match value {
                Value::List(items) if (1..=ROOMS_MAX).contains(&items.len()) => {
                    let mut patterns = Vec::with_capacity(items.len());
                    for (place, item) in items.iter().enumerate() {
                        let pattern = item.value.as_text().map(AbilityPattern::parse);
                        let problem = match pattern {
                            Some(Ok(pattern)) => {
                                patterns.push(pattern);
                                continue;
                            }
                            Some(Err(error)) => Problem::Rule(error.to_string()),
                            None => Problem::NotAllowed("a pattern of rooms, like `project.*`".into()),
                        };
                        refuse(item.line, format!(".rooms[{place}]"), Some(&item.value), problem);
                    }
                    rooms = (patterns.len() == items.len()).then_some(patterns);
                    (true, ROOMS)
                }
                Value::List(_)
                | Value::Untyped(_)
                | Value::Text(_)
                | Value::Whole(_)
                | Value::Flag(_)
                | Value::Table(_)
                | Value::Other(_) => (false, ROOMS),
            },
            other => {
                refuse(*line, format!(".{other}"), None, unknown_field(other, &FIELDS));
                continue;
            }
        };
        if !taken {
            refuse(*line, format!(".{name}"), Some(value), Problem::NotAllowed(allowed.into()));
        }
    }
    for field in FIELDS {
        if fields.iter().all(|(name, _)| name != field) {
            refuse(item.line, format!(".{field}"), None, Problem::Rule("is missing".into()));
        }
    }
    let rule = Rule { role: role?, actions: actions?, rooms: rooms? };
    Some(AbilityRule { rule, line: Some(item.line) })
}

fn read_actions(names: &[&str]) -> Option<Actions> {
    let actions: Option<Vec<Actions>> = names.iter().map(|name| Actions::parse(name)).collect();
    let actions = actions?.into_iter().fold(Actions::NONE, Actions::and);
    (!actions.is_empty()).then_some(actions)
}
