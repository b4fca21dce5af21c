//! What a token says its bearer may do: roles, which the configuration knows, and abilities in rooms of its own.

use std::sync::Arc;

use super::pattern::AbilityPattern;
use crate::model::Actions;

/// Roles and abilities; equal whatever their order was. Bounded by the size of the token that says them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rights {
    roles: Box<[Box<str>]>,
    abilities: Box<[Box<str>]>,
}

impl Rights {
    /// Of what stands in a token. Of its abilities only those are kept that are about rooms: an action, or `*`, a colon
    /// and a pattern. Others have their meaning elsewhere (`ringway:admin`, or with another service). `None` when nothing
    /// is left.
    pub fn new<S: AsRef<str>>(roles: &[S], abilities: &[S]) -> Option<Arc<Self>> {
        let roles = sorted(roles.iter().map(S::as_ref));
        let abilities = sorted(abilities.iter().map(S::as_ref).filter(|text| split(text).is_some()));
        let is_empty = roles.is_empty() && abilities.is_empty();
        (!is_empty).then(|| Arc::new(Self { roles, abilities }))
    }

    /// The roles, in order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|role| &**role)
    }

    /// Whether a role is among them.
    pub(super) fn has(&self, role: &str) -> bool {
        self.roles.binary_search_by(|own| (**own).cmp(role)).is_ok()
    }

    /// The abilities as they were written, with what they mean; those whose pattern is none give nothing.
    pub(super) fn abilities(&self) -> impl Iterator<Item = (&str, Actions, AbilityPattern)> {
        self.abilities.iter().filter_map(|text| {
            let (actions, pattern) = split(text)?;
            Some((&**text, actions, AbilityPattern::parse(pattern).ok()?))
        })
    }
}

fn split(ability: &str) -> Option<(Actions, &str)> {
    let (actions, pattern) = ability.split_once(':')?;
    Some((Actions::parse(actions)?, pattern))
}

fn sorted<'a>(texts: impl Iterator<Item = &'a str>) -> Box<[Box<str>]> {
    let mut texts: Vec<Box<str>> = texts.map(Box::from).collect();
    texts.sort_unstable();
    texts.dedup();
    texts.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_and_what_does_not() {
        let none: [&str; 0] = [];
        assert_eq!(Rights::new(&none, &["ringway:admin", "*", "posts:read", "join", ":a", "Join:a"]), None);
        let one = Rights::new(&["b", "a", "b"], &["join:x", "send:y"]).unwrap();
        let two = Rights::new(&["a", "b"], &["send:y", "ringway:publish", "join:x", "join:x"]).unwrap();
        assert_eq!(one, two);
        assert!(one.has("a") && one.has("b") && !one.has("c") && one.roles().eq(["a", "b"]));
        let rights = Rights::new(&none, &["*:a.*", "join:urn:x", "send:a***"]).unwrap();
        let abilities: Vec<_> =
            rights.abilities().map(|(text, actions, pattern)| (text.to_owned(), actions, pattern)).collect();
        assert_eq!(abilities.len(), 2, "{abilities:?}");
        assert_eq!((abilities[0].1, abilities[0].2.as_str()), (Actions::EVERY, "a.*"));
        assert_eq!(abilities[1].2.as_str(), "urn:x", "the first colon counts");
    }
}
