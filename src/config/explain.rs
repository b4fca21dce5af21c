//! `ringway config check --explain`: whether somebody may do something in a room, and which rule says so.

use std::{fmt::Write, sync::Arc};

use super::{
    kind_abilities::show_rule, kind_outside::hide_query, kind_resources::show_rule as show_resource_rule,
    load::Loaded, source::Source,
};
use crate::{
    auth::{
        Resource, Rights,
        abilities::{Basis, Lack, Ruling, Who},
        resources::NoResource,
    },
    base::{RoomName, TenantName, UserName, names::DEFAULT_TENANT},
    config::assemble,
    model::Action,
};

/// What is asked, out of `key=value`s.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    user: UserName,
    tenant: TenantName,
    rights: Option<Arc<Rights>>,
    action: Action,
    room: RoomName,
}

const KEYS: &str = "user, tenant, roles, abilities, action and room";

impl Question {
    /// Reads `user=ada tenant=acme roles=member,editor abilities=join:a.* action=join room=project.7`, in any order;
    /// without a tenant it is the one of tokens that name none.
    ///
    /// # Errors
    /// What is wrong about which of them.
    pub fn parse(pairs: &[String]) -> Result<Self, String> {
        let (mut user, mut action, mut room) = (None, None, None);
        let mut tenant = TenantName::parse(DEFAULT_TENANT).map_err(|error| error.to_string())?;
        let (mut roles, mut abilities): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for pair in pairs {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair}: write key=value"))?;
            let bad_name = |error| format!("{key}: {error}");
            let list = || value.split(',').map(str::trim).filter(|text| !text.is_empty());
            match key {
                "user" => user = Some(UserName::parse(value).map_err(bad_name)?),
                "tenant" => tenant = TenantName::parse(value).map_err(bad_name)?,
                "roles" => roles.extend(list()),
                "abilities" => abilities.extend(list()),
                "action" => {
                    let names = Action::ALL.map(Action::as_str).join(", ");
                    let unknown = || format!("action: {value} is none of {names}");
                    action = Some(Action::parse(value).ok_or_else(unknown)?);
                }
                "room" => room = Some(RoomName::parse(value).map_err(bad_name)?),
                _ => return Err(format!("{key} is none of {KEYS}")),
            }
        }
        let missing =
            |key| format!("{key} is missing: --explain user=ada roles=member action=join room=project.7");
        Ok(Self {
            user: user.ok_or_else(|| missing("user"))?,
            tenant,
            rights: Rights::new(&roles, &abilities),
            action: action.ok_or_else(|| missing("action"))?,
            room: room.ok_or_else(|| missing("room"))?,
        })
    }
}

/// The answer, and whether it is yes, or a server of resources may say so.
pub fn explain(loaded: &Loaded, question: &Question) -> (String, bool) {
    let Question { user, tenant, rights, action, room } = question;
    let who = Who { user: user.as_str(), tenant: tenant.as_str() };
    if let Some(resources) = assemble::resources(&loaded.settings.resources, 1)
        && let Some(found) = resources.find(room.as_str(), *action, who)
    {
        return by_resource(loaded, question, found);
    }
    let abilities = assemble::abilities(&loaded.settings);
    let ruling = abilities.explain(rights.as_deref(), *action, room.as_str(), who);
    let roles: Vec<_> = rights.iter().flat_map(|rights| rights.roles()).collect();
    let roles = if roles.is_empty() { "no roles".to_owned() } else { format!("roles {}", roles.join(", ")) };
    let may = if matches!(ruling, Ruling::Allowed(_)) { "may" } else { "may not" };
    let mut text = format!("user {user} of tenant {tenant}, {roles}, {may} {} {room}\n", words(*action));
    let is_allowed = match ruling {
        Ruling::Allowed(Basis::Rule { index, .. }) => {
            line(&mut text, format_args!("by {}", rule(loaded, index)));
            true
        }
        Ruling::Allowed(Basis::Token(ability)) => {
            line(&mut text, format_args!("by the token's ability {ability}"));
            true
        }
        Ruling::Denied(misses) => {
            line(&mut text, format_args!("no rule and no ability of the token allows it"));
            for miss in misses {
                let lacks = match miss.lacks {
                    Lack::Role => "another role",
                    Lack::Action => "other actions",
                    Lack::Both => "another role and other actions",
                };
                line(&mut text, format_args!("for {lacks}: {}", rule(loaded, miss.index)));
            }
            false
        }
    };
    if is_allowed {
        mention_membership(&mut text, *action);
    }
    (text, is_allowed)
}

/// That some things are for members.
fn mention_membership(text: &mut String, action: Action) {
    match action {
        Action::Send | Action::Presence | Action::History => {
            line(text, format_args!("as a member: it has to be in the room"));
        }
        Action::Join | Action::Request => {}
    }
}

/// What a server decides, by which rule, and where it is asked.
fn by_resource(
    loaded: &Loaded,
    question: &Question,
    (index, resource): (usize, Result<Resource, NoResource>),
) -> (String, bool) {
    const KEY: &str = "resources.rules";
    let Question { user, tenant, action, room, .. } = question;
    let may = if resource.is_ok() { "may" } else { "may not" };
    let if_so = if resource.is_ok() { " if the backend lets it" } else { "" };
    let mut text = format!("user {user} of tenant {tenant} {may} {} {room}{if_so}\n", words(*action));
    if let Some(rule) = loaded.settings.resources.rules.get(index) {
        let (source, shown) = (source_of(loaded, KEY, rule.line), show_resource_rule(&rule.rule));
        line(&mut text, format_args!("by {KEY}[{index}] ({source}): {shown}"));
    }
    match &resource {
        Ok(Resource { url, .. }) => {
            let url = hide_query(url);
            line(
                &mut text,
                format_args!("GET {url} with the user's token: 2xx is yes, 401, 403 and 404 are no"),
            );
            mention_membership(&mut text, *action);
        }
        Err(NoResource) => {
            line(&mut text, format_args!("what stands in the room's name makes no URL: it is `not_found`"));
        }
    }
    (text, resource.is_ok())
}

/// What the action is, before the room's name.
fn words(action: Action) -> &'static str {
    match action {
        Action::Join => "join",
        Action::Send => "send to",
        Action::Presence => "see who is in",
        Action::History => "read the history of",
        Action::Request => "ask",
    }
}

/// A rule, and where it stands.
fn rule(loaded: &Loaded, index: usize) -> String {
    const KEY: &str = "abilities.rules";
    let Some(rule) = loaded.settings.abilities.rules.get(index) else { return String::new() };
    let source = source_of(loaded, KEY, rule.line);
    format!("{KEY}[{index}] ({source}): {}", show_rule(&rule.rule))
}

fn source_of(loaded: &Loaded, key: &str, line: Option<usize>) -> Source {
    let source = loaded.source(key);
    line.map_or(source.clone(), |line| source.at_line(line))
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "  {arguments}").expect("a String takes what is written to it");
}
