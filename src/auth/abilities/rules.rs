//! The rules of the configuration, compiled, and what they come to for the bearer of some rights.
//!
//! A decision looks at the patterns of the bearer's roles one after another; its first and last eight bytes and
//! those of the name, compared as numbers, pass over nearly all that do not match.

use std::sync::Arc;

use super::{
    pattern::{AbilityPattern, Who},
    rights::Rights,
};
#[cfg(test)]
use crate::model::Action;
use crate::model::Actions;

/// Whom a rule is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// Whoever has a good token.
    Everyone,
    /// Who has this among the roles of his token.
    Named(Box<str>),
}

impl Role {
    /// What stands for everyone where names of roles stand.
    pub const EVERYONE_NAME: &str = "*";

    /// The role of that name; `None` for no name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "" => None,
            Self::EVERYONE_NAME => Some(Self::Everyone),
            name => Some(Self::Named(name.into())),
        }
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Everyone => Self::EVERYONE_NAME,
            Self::Named(name) => name,
        }
    }

    /// Whether a bearer of these rights has it.
    pub(super) fn is_of(&self, rights: Option<&Rights>) -> bool {
        match self {
            Self::Everyone => true,
            Self::Named(name) => rights.is_some_and(|rights| rights.has(name)),
        }
    }
}

/// One rule of the configuration: who has the role may do these actions in rooms like these.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    pub role: Role,
    pub actions: Actions,
    pub rooms: Vec<AbilityPattern>,
}

impl Rule {
    /// Everyone may do everything inside his tenant.
    ///
    /// # Panics
    /// Never: the pattern is a good one.
    pub fn everything() -> Self {
        let all = AbilityPattern::parse("**").expect("two stars are a pattern");
        Self { role: Role::Everyone, actions: Actions::EVERY, rooms: vec![all] }
    }
}

/// All rules.
#[derive(Clone, Debug)]
pub struct Abilities {
    rules: Box<[Rule]>,
    /// The rules' patterns, each with its own, in their order.
    entries: Box<[Entry]>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Of its rule, by index.
    rule: u32,
    grant: Grant,
}

/// Some actions in the rooms of one pattern.
#[derive(Clone, Debug)]
struct Grant {
    ends: Ends,
    actions: Actions,
    pattern: AbilityPattern,
}

/// What a bearer has been granted.
#[derive(Clone, Debug)]
pub struct Grants {
    /// By the configuration: indices of entries. There may be many, and the same for many bearers.
    pub(super) of_roles: Arc<[u32]>,
    /// By his token.
    own: Box<[Grant]>,
}

/// The first and the last bytes of a text, each eight as a number.
#[derive(Clone, Copy, Debug)]
struct Ends {
    bytes: [u64; 2],
    /// Of which all bits count that are in the text.
    mask: [u64; 2],
}

impl Ends {
    fn of(lead: &str, trail: &str) -> Self {
        let numbers = [number(lead.bytes()), number(trail.bytes().rev())];
        Self { bytes: numbers.map(|(bytes, _)| bytes), mask: numbers.map(|(_, mask)| mask) }
    }

    /// Whether a name that begins and ends with those bytes may begin and end with these. Names hold no zeros, so that where
    /// a short one has none it is like nothing.
    fn may_be_of(self, name: Self) -> bool {
        let differs = |end: usize| (name.bytes[end] & self.mask[end]) ^ self.bytes[end];
        (differs(0) | differs(1)) == 0
    }
}

/// Up to eight bytes, and where there are some.
fn number(text: impl Iterator<Item = u8>) -> (u64, u64) {
    let (mut bytes, mut mask) = ([0; 8], [0; 8]);
    for (index, byte) in text.take(8).enumerate() {
        (bytes[index], mask[index]) = (byte, 0xff);
    }
    (u64::from_le_bytes(bytes), u64::from_le_bytes(mask))
}

impl Grant {
    fn new(actions: Actions, pattern: AbilityPattern) -> Self {
        Self { ends: Ends::of(pattern.lead(), pattern.trail()), actions, pattern }
    }

    fn covers(&self, room: &str, ends: Ends, who: Who<'_>) -> bool {
        self.ends.may_be_of(ends) && self.pattern.matches(room, who)
    }
}

impl Abilities {
    /// Compiles rules; their order decides only what is named as the reason.
    pub fn new(rules: Vec<Rule>) -> Self {
        let entries = rules.iter().zip(0_u32..).flat_map(|(rule, index)| {
            let entry = move |pattern: &AbilityPattern| Entry {
                rule: index,
                grant: Grant::new(rule.actions, pattern.clone()),
            };
            rule.rooms.iter().map(entry)
        });
        Self { entries: entries.collect(), rules: rules.into() }
    }

    /// The rules that these were made of.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What they come to for a bearer.
    pub fn grants(&self, rights: Option<&Rights>) -> Grants {
        let is_theirs: Vec<bool> = self.rules.iter().map(|rule| rule.role.is_of(rights)).collect();
        let of_roles = self.entries.iter().zip(0..).filter(|(entry, _)| is_theirs[entry.rule as usize]);
        let abilities = rights.into_iter().flat_map(Rights::abilities);
        Grants {
            of_roles: of_roles.map(|(_, index)| index).collect(),
            own: abilities.map(|(_, actions, pattern)| Grant::new(actions, pattern)).collect(),
        }
    }

    /// Everything that the bearer may do in a room of his tenant.
    pub fn actions_in(&self, grants: &Grants, room: &str, who: Who<'_>) -> Actions {
        let ends = Ends::of(room, room);
        let mut actions = Actions::NONE;
        for grant in self.granted(grants) {
            let is_more = actions.and(grant.actions) != actions;
            if is_more && grant.covers(room, ends, who) {
                actions = actions.and(grant.actions);
            }
        }
        actions
    }

    /// Whether the bearer may do this there: the plain way, that tests hold the others against.
    #[cfg(test)]
    pub(super) fn allows(&self, grants: &Grants, action: Action, room: &str, who: Who<'_>) -> bool {
        let ends = Ends::of(room, room);
        self.granted(grants).any(|grant| grant.actions.includes(action) && grant.covers(room, ends, who))
    }

    fn granted<'a>(&'a self, grants: &'a Grants) -> impl Iterator<Item = &'a Grant> {
        let of_roles = grants.of_roles.iter().filter_map(|index| self.entries.get(*index as usize));
        of_roles.map(|entry| &entry.grant).chain(&grants.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Who<'_> = Who { user: "ada", tenant: "acme" };

    fn rule(role: &str, actions: &[&str], rooms: &[&str]) -> Rule {
        let actions = actions.iter().filter_map(|name| Actions::parse(name));
        Rule {
            role: Role::parse(role).unwrap(),
            actions: actions.fold(Actions::NONE, Actions::and),
            rooms: rooms.iter().map(|pattern| AbilityPattern::parse(pattern).unwrap()).collect(),
        }
    }

    fn names(actions: Actions) -> Vec<&'static str> {
        actions.iter().map(Action::as_str).collect()
    }

    #[test]
    fn roles_and_abilities_add_up_and_what_nothing_allows_is_denied() {
        let abilities = Abilities::new(vec![
            rule("*", &["join", "history"], &["dashboard.{user_id}", "metrics.{tenant_id}"]),
            rule("member", &["join", "presence"], &["project.*"]),
            rule("editor", &["send"], &["project.*", "drafts.**"]),
            rule("support", &["request"], &["user:**"]),
            rule("root", &["*"], &["**"]),
        ]);
        type Row<'a> = (&'a [&'a str], &'a [&'a str], &'a str, &'a [&'a str]);
        let rows: &[Row<'_>] = &[
            (&[], &[], "dashboard.ada", &["join", "history"]),
            (&[], &[], "dashboard.bob", &[]),
            (&[], &[], "metrics.acme", &["join", "history"]),
            (&[], &[], "metrics.other", &[]),
            (&[], &[], "project.1", &[]),
            (&["member"], &[], "project.1", &["join", "presence"]),
            (&["member"], &[], "project.1.x", &[]),
            (&["editor"], &[], "project.1", &["send"]),
            (&["editor", "member"], &[], "project.1", &["join", "send", "presence"]),
            (&["editor"], &[], "drafts.1.x", &["send"]),
            (&["support"], &[], "user:bob@x.org", &["request"]),
            (&["Member", "*"], &[], "project.1", &[]),
            (&[], &["join:project.1", "send:project.2"], "project.1", &["join"]),
            (&[], &["*:task:{user_id}"], "task:ada", &["join", "send", "presence", "history", "request"]),
            (&[], &["*:task:{user_id}"], "task:bob", &[]),
            (&[], &["ringway:admin", "*"], "lobby", &[]),
            (&["member"], &["history:project.**"], "project.1", &["join", "presence", "history"]),
            (&["root"], &[], "anything:at/all", &["join", "send", "presence", "history", "request"]),
        ];
        for (roles, own, room, expected) in rows {
            let rights = Rights::new(roles, own);
            let grants = abilities.grants(rights.as_deref());
            let actions = abilities.actions_in(&grants, room, ADA);
            assert_eq!(names(actions), *expected, "{roles:?} {own:?} {room}");
            for action in Action::ALL {
                assert_eq!(abilities.allows(&grants, action, room, ADA), actions.includes(action), "{room}");
            }
        }
    }

    #[test]
    fn without_rules_nothing_and_with_the_open_one_everything() {
        let none = Abilities::new(Vec::new());
        assert!(none.actions_in(&none.grants(None), "lobby", ADA).is_empty());
        let open = Abilities::new(vec![Rule::everything()]);
        assert_eq!(open.actions_in(&open.grants(None), "a.b:c/d", ADA), Actions::EVERY);
    }

    #[test]
    fn what_is_passed_over_does_not_match() {
        let names = ["a", "ab", "abcdefgh", "abcdefghij", "b", "räume.12", "raume", "xabcdefghi"];
        for text in ["", "a", "abcdefg", "abcdefgh", "abcdefghi", "räume.1"] {
            for name in names {
                let of = Ends::of(name, name);
                let (first, last) = (Ends::of(text, "").may_be_of(of), Ends::of("", text).may_be_of(of));
                assert!(first || !name.starts_with(text), "{text} {name}");
                assert!(last || !name.ends_with(text), "{text} {name}");
                assert!(!first || name.starts_with(text) || text.len() > 8, "{text} {name}");
                assert!(!last || name.ends_with(text) || text.len() > 8, "{text} {name}");
            }
        }
    }
}
