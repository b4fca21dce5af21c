//! Who of a shard's connections holds which grants: connections with the same rights share them.
//!
//! Four bytes for a connection, by its slot. Grants are made when they are first asked for, and anew when the rules have
//! changed. Invariants: an entry has as many holders as there are slots that name it, and none is kept without; so
//! there are never more entries than connections.

use std::sync::Arc;

use super::{
    rights::Rights,
    rules::{Abilities, Grants},
};
use crate::base::{
    chunked::ChunkedVec,
    hash::{HashSeed, Map, map_with_seed},
};

/// In place of an entry: the slot's connection has no rights to hold, being nobody's.
const NOBODY: u32 = u32::MAX;

/// One shard's grants, and who holds them.
#[derive(Debug)]
pub struct Holders {
    /// By slot.
    held: ChunkedVec<u32>,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_rights: Map<Option<Arc<Rights>>, u32>,
    /// What the rules come to for some roles: entries with the same share it, whatever else their tokens say.
    lists: Map<Arc<[u32]>, ()>,
    /// How often the rules have changed.
    edition: u64,
}

#[derive(Debug)]
struct Entry {
    rights: Option<Arc<Rights>>,
    holders: u32,
    /// With the edition of the rules that they were made of.
    grants: Option<(u64, Grants)>,
}

impl Holders {
    /// Nobody holds anything.
    pub fn new(hash: HashSeed) -> Self {
        Self {
            held: ChunkedVec::new(),
            entries: Vec::new(),
            free: Vec::new(),
            by_rights: map_with_seed(hash),
            lists: map_with_seed(hash),
            edition: 0,
        }
    }

    /// The connection at `slot` has these rights from now on. Whether it had others before.
    pub fn hold(&mut self, slot: u32, rights: Option<Arc<Rights>>) -> bool {
        while self.held.len() <= slot as usize {
            self.held.push(NOBODY);
        }
        let before = self.held[slot as usize];
        let entry = match self.by_rights.get(&rights) {
            Some(&entry) if entry == before => return false,
            Some(&entry) => entry,
            None => self.add(rights),
        };
        if let Some(Some(entry)) = self.entries.get_mut(entry as usize) {
            entry.holders += 1;
        }
        self.release(slot);
        self.held[slot as usize] = entry;
        before != NOBODY
    }

    /// The connection at `slot` is nobody's any more.
    pub fn release(&mut self, slot: u32) {
        let Some(held) = self.held.get_mut(slot as usize) else { return };
        let index = std::mem::replace(held, NOBODY);
        let Some(place) = self.entries.get_mut(index as usize) else { return };
        let Some(entry) = place else { return };
        entry.holders -= 1;
        if entry.holders == 0 {
            self.by_rights.remove(&entry.rights);
            let grants = place.take().and_then(|entry| entry.grants);
            drop_list(&mut self.lists, grants);
            self.free.push(index);
        }
    }

    /// The rules have changed: grants are made anew.
    pub fn renew(&mut self) {
        self.edition += 1;
    }

    /// What the connection at `slot` has been granted by the rules, which are those of the last [`Holders::renew`].
    pub fn grants(&mut self, slot: u32, abilities: &Abilities) -> Option<&Grants> {
        let index = *self.held.get(slot as usize)?;
        let entry = self.entries.get_mut(index as usize)?.as_mut()?;
        if entry.grants.as_ref().is_none_or(|(edition, _)| *edition != self.edition) {
            let mut grants = abilities.grants(entry.rights.as_deref());
            match self.lists.get_key_value(&grants.of_roles) {
                Some((list, ())) => grants.of_roles = Arc::clone(list),
                None => {
                    self.lists.insert(Arc::clone(&grants.of_roles), ());
                }
            }
            let last = entry.grants.replace((self.edition, grants));
            drop_list(&mut self.lists, last);
        }
        entry.grants.as_ref().map(|(_, grants)| grants)
    }

    /// Slots that have ever held something: all above hold nothing.
    pub fn slots(&self) -> u32 {
        self.held.len() as u32
    }

    /// Whether nobody holds anything.
    pub fn is_empty(&self) -> bool {
        self.by_rights.is_empty()
    }

    fn add(&mut self, rights: Option<Arc<Rights>>) -> u32 {
        let entry = Entry { rights: rights.clone(), holders: 0, grants: None };
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = Some(entry);
                index
            }
            None => {
                self.entries.push(Some(entry));
                self.entries.len() as u32 - 1
            }
        };
        self.by_rights.insert(rights, index);
        index
    }
}

/// Grants that nobody holds any more: their list goes with the last.
fn drop_list(lists: &mut Map<Arc<[u32]>, ()>, grants: Option<(u64, Grants)>) {
    let Some((_, Grants { of_roles, .. })) = grants else { return };
    // One is in the table, one is here.
    if Arc::strong_count(&of_roles) == 2 {
        lists.remove(&of_roles);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::rules::Rule, *};
    use crate::{
        auth::abilities::Who,
        base::Prng,
        model::{Action, Actions},
    };

    fn rights(roles: &[&str]) -> Option<Arc<Rights>> {
        Rights::new(roles, &[])
    }

    /// Against a list of who holds what.
    #[test]
    fn equal_rights_are_held_together_and_go_with_the_last_holder() {
        let mut holders = Holders::new(HashSeed::new(1));
        let mut model: Vec<Option<usize>> = vec![None; 40];
        let sets: [&[&str]; 4] = [&[], &["a"], &["b"], &["b", "a"]];
        let abilities = Abilities::new(vec![Rule::everything()]);
        let mut prng = Prng::new(3);
        for _ in 0..5_000 {
            let slot = prng.below(40) as usize;
            if prng.below(3) == 0 {
                holders.release(slot as u32);
                model[slot] = None;
            } else {
                let set = prng.below(4) as usize;
                let changed = holders.hold(slot as u32, rights(sets[set]));
                assert_eq!(changed, model[slot].is_some_and(|before| before != set));
                model[slot] = Some(set);
            }
            let mut distinct: Vec<usize> = model.iter().flatten().copied().collect();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(holders.by_rights.len(), distinct.len());
            assert!(holders.entries.len() <= 5);
            for (slot, set) in model.iter().enumerate() {
                assert_eq!(holders.grants(slot as u32, &abilities).is_some(), set.is_some());
            }
        }
        (0..holders.slots() + 9).for_each(|slot| holders.release(slot));
        assert!(holders.is_empty() && holders.free.len() == holders.entries.len());
    }

    /// With many rules, and tokens that each say something else, memory is not their product.
    #[test]
    fn what_the_rules_come_to_is_shared_by_all_of_the_same_roles() {
        let rules: Vec<Rule> = (0..100).map(|_| Rule::everything()).collect();
        let (abilities, fewer) = (Abilities::new(rules.clone()), Abilities::new(rules[..9].to_vec()));
        let mut holders = Holders::new(HashSeed::new(1));
        let own = |slot: u32| Rights::new(&["member"], &[&*format!("join:project.{slot}")]);
        for slot in 0..1_000 {
            holders.hold(slot, own(slot));
        }
        for rules in [&abilities, &fewer, &abilities] {
            holders.renew();
            let lists = |holders: &mut Holders, slot| {
                Arc::clone(&holders.grants(slot, rules).expect("it holds something").of_roles)
            };
            let first = lists(&mut holders, 0);
            assert!((1..1_000).all(|slot| Arc::ptr_eq(&first, &lists(&mut holders, slot))));
            assert_eq!(holders.lists.len(), 1, "those of other rules are gone");
        }
        (0..1_000).for_each(|slot| holders.release(slot));
        assert!(holders.is_empty() && holders.lists.is_empty());
    }

    #[test]
    fn new_rules_make_new_grants() {
        let who = Who { user: "ada", tenant: "acme" };
        let mut holders = Holders::new(HashSeed::new(1));
        holders.hold(3, None);
        let open = Abilities::new(vec![Rule::everything()]);
        let shut = Abilities::new(Vec::new());
        let joins = |holders: &mut Holders, abilities: &Abilities| {
            let grants = holders.grants(3, abilities).expect("slot 3 holds something");
            abilities.actions_in(grants, "a", who).includes(Action::Join)
        };
        assert!(joins(&mut holders, &open));
        holders.renew();
        assert!(!joins(&mut holders, &shut));
        holders.renew();
        assert!(joins(&mut holders, &open));
        assert_eq!(open.actions_in(holders.grants(3, &open).unwrap(), "a", who), Actions::EVERY);
    }
}
