//! The connections by which one user is in one room, and how he shows himself over all of them.
//!
//! There is one of this for every user of every room, so it is kept small: the first connection stands inside, a few
//! are a plain list. Of many the statuses are counted, so that no change needs a look at all of them.
//! Invariants: there is at least one connection; several are in the order of their ids, and no more than [`FEW`] unless
//! they are counted.

use std::mem;

use crate::{
    base::{ConnId, ShardId, Sorted, sorted::Place},
    model::Availability,
};

/// The most connections of a plain list. Those who were more become one again at half of it.
const FEW: usize = 32;

/// A connection in the room, as its home knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Member {
    slot: u32,
    generation: u32,
    shard: ShardId,
    pub(super) status: Availability,
    /// It gets the room's presence events.
    pub(super) listens: bool,
}

/// The connections of one user.
#[derive(Debug)]
pub(super) struct Members(Form);

#[derive(Debug)]
#[expect(clippy::box_collection, reason = "a vector of its own would make everybody larger")]
enum Form {
    One(Member),
    Few(Box<Vec<Member>>),
    Many(Box<Crowd>),
}

/// Connections with a count of those that show themselves in each way.
#[derive(Debug, Default)]
struct Crowd {
    members: Sorted<Member>,
    /// By the place in [`Availability::ALL`]. Invariant: of `members`.
    by_status: [u32; Availability::ALL.len()],
}

const _: () = {
    assert!(size_of::<Member>() == 12);
    assert!(size_of::<Members>() == 16, "there is one for each user of each room");
};

impl Member {
    pub(super) fn new(conn: ConnId, status: Availability, listens: bool) -> Self {
        let ConnId { shard, slot, generation } = conn;
        Self { slot, generation, shard, status, listens }
    }

    pub(super) fn conn(&self) -> ConnId {
        ConnId { shard: self.shard, slot: self.slot, generation: self.generation }
    }
}

impl Members {
    /// The first connection.
    pub(super) fn new(first: Member) -> Self {
        Self(Form::One(first))
    }

    /// Puts a connection in; what it was before, if it was here.
    pub(super) fn put(&mut self, member: Member) -> Option<Member> {
        match &mut self.0 {
            Form::One(only) if only.conn() == member.conn() => return Some(mem::replace(only, member)),
            Form::One(only) => {
                let mut few = vec![*only, member];
                few.sort_unstable_by_key(Member::conn);
                self.0 = Form::Few(Box::new(few));
            }
            Form::Few(few) => match position(few, member.conn()) {
                Ok(index) => return Some(mem::replace(&mut few[index], member)),
                Err(index) if few.len() < FEW => few.insert(index, member),
                Err(_) => {
                    let mut crowd = Box::<Crowd>::default();
                    for member in few.drain(..).chain([member]) {
                        crowd.put(member);
                    }
                    self.0 = Form::Many(crowd);
                }
            },
            Form::Many(crowd) => return crowd.put(member),
        }
        None
    }

    /// Takes a connection out, unless it is the last: then nothing happens.
    pub(super) fn take_out(&mut self, conn: ConnId) {
        match &mut self.0 {
            Form::One(_) => {}
            Form::Few(few) => {
                let Ok(index) = position(few, conn) else { return };
                few.remove(index);
                if let [last] = few[..] {
                    self.0 = Form::One(last);
                }
            }
            Form::Many(crowd) => {
                crowd.take_out(conn);
                if crowd.len() <= FEW / 2 {
                    let few = crowd.members.from(Place::FIRST).copied().collect();
                    self.0 = Form::Few(Box::new(few));
                }
            }
        }
    }

    /// The member of that connection.
    pub(super) fn get(&self, conn: ConnId) -> Option<Member> {
        match &self.0 {
            Form::One(only) => (only.conn() == conn).then_some(*only),
            Form::Few(few) => position(few, conn).ok().map(|index| few[index]),
            Form::Many(crowd) => crowd.find(conn).ok().map(|place| *crowd.members.at(place)),
        }
    }

    /// How many connections there are; one at least.
    pub(super) fn len(&self) -> usize {
        match &self.0 {
            Form::One(_) => 1,
            Form::Few(few) => few.len(),
            Form::Many(crowd) => crowd.len(),
        }
    }

    /// How the user shows himself: as where he is most there.
    pub(super) fn status(&self) -> Availability {
        match &self.0 {
            Form::One(only) => only.status,
            Form::Few(few) => few.iter().map(|member| member.status).max().unwrap_or(Availability::Offline),
            Form::Many(crowd) => crowd.status(),
        }
    }
}

fn position(few: &[Member], conn: ConnId) -> Result<usize, usize> {
    few.binary_search_by_key(&conn, Member::conn)
}

impl Crowd {
    fn put(&mut self, member: Member) -> Option<Member> {
        self.by_status[member.status as usize] += 1;
        match self.find(member.conn()) {
            Ok(place) => {
                let old = mem::replace(self.members.at_mut(place), member);
                self.by_status[old.status as usize] -= 1;
                Some(old)
            }
            Err(place) => {
                self.members.insert(place, member);
                None
            }
        }
    }

    fn take_out(&mut self, conn: ConnId) {
        if let Ok(place) = self.find(conn) {
            let member = self.members.remove(place);
            self.by_status[member.status as usize] -= 1;
        }
    }

    fn find(&self, conn: ConnId) -> Result<Place, Place> {
        self.members.find(|member| member.conn().cmp(&conn))
    }

    fn len(&self) -> usize {
        self.by_status.iter().sum::<u32>() as usize
    }

    fn status(&self) -> Availability {
        let is_shown = |status: &Availability| self.by_status[*status as usize] > 0;
        Availability::ALL.into_iter().rev().find(is_shown).unwrap_or(Availability::Offline)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::base::Prng;

    impl Members {
        fn all(&self) -> Vec<Member> {
            match &self.0 {
                Form::One(only) => vec![*only],
                Form::Few(few) => few.to_vec(),
                Form::Many(crowd) => crowd.members.from(Place::FIRST).copied().collect(),
            }
        }
    }

    proptest! {
        /// Against a map, growing and shrinking through all forms several times over.
        #[test]
        fn agree_with_a_map(seed: u64, slots in 1..200_u64) {
            let mut prng = Prng::new(seed);
            let member = |prng: &mut Prng| {
                let conn = ConnId {
                    shard: ShardId(prng.below(2) as u16),
                    slot: prng.below(slots) as u32,
                    generation: prng.below(2) as u32,
                };
                Member::new(conn, Availability::ALL[prng.below(4) as usize], prng.below(2) == 0)
            };
            let first = member(&mut prng);
            let mut members = Members::new(first);
            let mut model = BTreeMap::from([(first.conn(), first)]);
            for step in 0..1_600 {
                let other = member(&mut prng);
                if prng.below(4) < if step / 320 % 2 == 0 { 3 } else { 1 } {
                    prop_assert_eq!(members.put(other), model.insert(other.conn(), other));
                } else {
                    // Mostly one that is here.
                    let here = model.range(other.conn()..).next().or(model.iter().next());
                    let conn = here.filter(|_| step % 8 > 0).map_or(other.conn(), |(conn, _)| *conn);
                    members.take_out(conn);
                    if model.len() > 1 {
                        model.remove(&conn);
                    }
                }
                prop_assert_eq!(members.get(other.conn()), model.get(&other.conn()).copied());
                prop_assert_eq!(members.len(), model.len());
                prop_assert_eq!(Some(members.status()), model.values().map(|member| member.status).max());
                if step % 31 == 0 {
                    prop_assert!(members.all().iter().eq(model.values()));
                }
            }
        }
    }

    #[test]
    fn many_become_few_again_and_then_one() {
        let member =
            |slot| Member::new(ConnId { shard: ShardId(0), slot, generation: 0 }, Availability::Away, true);
        let mut members = Members::new(member(0));
        let form = |members: &Members| match &members.0 {
            Form::One(_) => "one",
            Form::Few(_) => "few",
            Form::Many(_) => "many",
        };
        let mut forms = Vec::new();
        (1..=FEW as u32).for_each(|slot| {
            members.put(member(slot));
            forms.push(form(&members));
        });
        (1..=FEW as u32).for_each(|slot| {
            members.take_out(member(slot).conn());
            forms.push(form(&members));
        });
        forms.dedup();
        assert_eq!((forms, members.all()), (vec!["few", "many", "few", "one"], vec![member(0)]));
    }
}
