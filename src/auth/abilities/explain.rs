//! Why somebody may do something in a room, or why not: for people. Decides as the gateway does, and says by what.

use super::{
    pattern::Who,
    rights::Rights,
    rules::{Abilities, Rule},
};
use crate::model::Action;

/// The answer to one question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ruling {
    Allowed(Basis),
    /// With the rules that are about the room, and what each would have needed.
    Denied(Vec<Miss>),
}

/// What allows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Basis {
    /// A rule of the configuration, by index, and the first pattern of it that is like the room.
    Rule { index: usize, pattern: String },
    /// An ability of the token, as it was written there.
    Token(String),
}

/// A rule that is about the room and does not allow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Miss {
    pub index: usize,
    pub pattern: String,
    pub lacks: Lack,
}

/// What a rule would have needed to allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lack {
    /// It is for another role.
    Role,
    /// It is for other actions.
    Action,
    Both,
}

impl Abilities {
    /// Whether a bearer of these rights may do this in a room, and by what; rules come before the token's abilities.
    pub fn explain(&self, rights: Option<&Rights>, action: Action, room: &str, who: Who<'_>) -> Ruling {
        let about = |rule: &Rule| rule.rooms.iter().find(|pattern| pattern.matches(room, who)).cloned();
        let mut misses = Vec::new();
        for (index, rule) in self.rules().iter().enumerate() {
            let Some(pattern) = about(rule).map(|pattern| pattern.as_str().to_owned()) else { continue };
            let lacks = match (rule.role.is_of(rights), rule.actions.includes(action)) {
                (true, true) => return Ruling::Allowed(Basis::Rule { index, pattern }),
                (true, false) => Lack::Action,
                (false, true) => Lack::Role,
                (false, false) => Lack::Both,
            };
            misses.push(Miss { index, pattern, lacks });
        }
        let mut abilities = rights.into_iter().flat_map(Rights::abilities);
        let own = abilities
            .find(|(_, actions, pattern)| actions.includes(action) && pattern.matches(room, who))
            .map(|(text, ..)| text.to_owned());
        own.map_or(Ruling::Denied(misses), |text| Ruling::Allowed(Basis::Token(text)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        auth::{AbilityPattern, Role},
        model::Actions,
    };

    const ADA: Who<'_> = Who { user: "ada", tenant: "acme" };

    fn rule(role: &str, actions: Actions, room: &str) -> Rule {
        let rooms = vec![AbilityPattern::parse(room).unwrap()];
        Rule { role: Role::parse(role).unwrap(), actions, rooms }
    }

    #[test]
    fn the_reason_is_the_first_rule_then_the_token() {
        let join = Actions::from(Action::Join);
        let abilities = Abilities::new(vec![
            rule("member", join, "project.*"),
            rule("*", Action::Send.into(), "project.*"),
            rule("editor", Action::Send.into(), "**"),
            rule("*", join, "lobby"),
        ]);
        let explain = |roles: &[&str], own: &[&str], action, room| {
            abilities.explain(Rights::new(roles, own).as_deref(), action, room, ADA)
        };
        let by_rule = |index, pattern: &str| Ruling::Allowed(Basis::Rule { index, pattern: pattern.into() });
        assert_eq!(explain(&["member"], &[], Action::Join, "project.1"), by_rule(0, "project.*"));
        assert_eq!(explain(&["member", "editor"], &[], Action::Send, "project.1"), by_rule(1, "project.*"));
        let own = explain(&[], &["join:project.1"], Action::Join, "project.1");
        assert_eq!(own, Ruling::Allowed(Basis::Token("join:project.1".into())));
        let miss = |index, pattern: &str, lacks| Miss { index, pattern: pattern.into(), lacks };
        let expected = vec![
            miss(0, "project.*", Lack::Role),
            miss(1, "project.*", Lack::Action),
            miss(2, "**", Lack::Both),
        ];
        assert_eq!(explain(&[], &["join:project.2"], Action::Join, "project.1"), Ruling::Denied(expected));
        assert_eq!(explain(&[], &[], Action::Join, "x"), Ruling::Denied(vec![miss(2, "**", Lack::Both)]));
    }

    proptest! {
        /// The explanation and the decision are one.
        #[test]
        fn explains_what_is_decided(
            rules in prop::collection::vec((0..3_usize, 0..32_u8, 0..5_usize), 0..6),
            roles in prop::collection::vec(0..3_usize, 0..3),
            own in prop::option::of(0..5_usize),
            room in 0..4_usize,
        ) {
            let (names, patterns) = (["*", "a", "b"], ["x", "x.*", "**", "x.{user_id}", "*"]);
            let rooms = ["x", "x.1", "x.ada", "y"];
            let rules = rules.iter().map(|(role, actions, pattern)| {
                rule(names[*role], Actions::from_bits(*actions), patterns[*pattern])
            });
            let abilities = Abilities::new(rules.collect());
            let roles: Vec<String> = roles.iter().map(|role| names[*role].to_owned()).collect();
            let own: Vec<String> = own.iter().map(|pattern| format!("send:{}", patterns[*pattern])).collect();
            let rights = Rights::new(&roles, &own);
            let grants = abilities.grants(rights.as_deref());
            for action in Action::ALL {
                let ruling = abilities.explain(rights.as_deref(), action, rooms[room], ADA);
                let is_allowed = matches!(ruling, Ruling::Allowed(_));
                prop_assert_eq!(abilities.allows(&grants, action, rooms[room], ADA), is_allowed);
            }
        }
    }
}
