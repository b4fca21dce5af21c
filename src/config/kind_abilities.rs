//! The rules that say who may do what in which rooms: what stands in the table of one.

use super::{
    error::Problem,
    kind::quote,
    kind_tables::{Draft, RuleDraft, Wrong},
    settings::AbilityRule,
    value::{Located, Value},
};
use crate::{
    auth::{AbilityPattern, Role, Rule},
    model::Actions,
};

/// How many patterns there may be in one rule.
const ROOMS_MAX: usize = 1_000;

const ACTIONS: &str = "some of `join`, `send`, `presence`, `history` and `request`, or [\"*\"] for all";
const ROLE: &str = "the name of a role, or `*` for whoever has a good token";
const ROOM: &str = "a pattern of rooms, like `project.*`";
const ROOMS: &str = "a list of patterns of rooms, one at least, like `project.*` or `dashboard.{user_id}`";

/// Of `abilities.rules`.
#[derive(Default)]
pub(super) struct AbilityDraft {
    role: Option<Role>,
    actions: Option<Actions>,
    rooms: Option<Vec<AbilityPattern>>,
}

impl Draft for AbilityDraft {
    const FIELDS: &'static [&'static str] = &["role", "actions", "rooms"];
    const REQUIRED: &'static [&'static str] = Self::FIELDS;

    fn take(&mut self, field: &str, found: &Located, wrong: &mut Wrong<'_>) -> bool {
        let value = &found.value;
        match field {
            "role" => self.role = wrong.taken(value.as_text().and_then(Role::parse), field, found, ROLE),
            "actions" => {
                let actions = value.as_texts().and_then(|names| read_actions(&names));
                self.actions = wrong.taken(actions, field, found, ACTIONS);
            }
            "rooms" => self.rooms = read_rooms(field, found, wrong),
            _ => return false,
        }
        true
    }
}

impl RuleDraft for AbilityDraft {
    type Rule = AbilityRule;

    fn finish(self, line: usize, _: &mut Wrong<'_>) -> Option<AbilityRule> {
        let rule = Rule { role: self.role?, actions: self.actions?, rooms: self.rooms? };
        Some(AbilityRule { rule, line: Some(line) })
    }

    fn show(rule: &AbilityRule) -> String {
        show_rule(&rule.rule)
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

/// All patterns, or none: each that is wrong has its own error.
fn read_rooms(field: &str, found: &Located, wrong: &mut Wrong<'_>) -> Option<Vec<AbilityPattern>> {
    let items = match &found.value {
        Value::List(items) if (1..=ROOMS_MAX).contains(&items.len()) => Some(items),
        Value::List(_)
        | Value::Untyped(_)
        | Value::Text(_)
        | Value::Whole(_)
        | Value::Flag(_)
        | Value::Table(_)
        | Value::Other(_) => None,
    };
    let items = wrong.taken(items, field, found, ROOMS)?;
    let mut patterns = Vec::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        let field = format!("{field}[{place}]");
        match item.value.as_text().map(AbilityPattern::parse) {
            Some(Err(error)) => {
                wrong.refuse(item.line, &field, Some(&item.value), Problem::Rule(error.to_string()));
            }
            parsed => patterns.extend(wrong.taken(parsed.and_then(Result::ok), &field, item, ROOM)),
        }
    }
    (patterns.len() == items.len()).then_some(patterns)
}

fn read_actions(names: &[&str]) -> Option<Actions> {
    let actions: Option<Vec<Actions>> = names.iter().map(|name| Actions::parse(name)).collect();
    let actions = actions?.into_iter().fold(Actions::NONE, Actions::and);
    (!actions.is_empty()).then_some(actions)
}
