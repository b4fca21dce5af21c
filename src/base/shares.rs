//! A table that many share: how many of its places each of them has, and whether he may have one more.
//!
//! The rule: of what the others leave, one may have a part, so much in a hundred. Whoever is alone has that part of all; however
//! many take all that they may, one more finds room; those that keep taking and giving back come to equal shares. Owns no
//! entries. Invariants: the counts of all add up to what is taken; who has no place is not remembered.

use std::{borrow::Borrow, collections::BTreeMap};

/// How much one of those who share a table may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShareLimits {
    /// The places of the table.
    pub total: usize,
    /// How much of what the others leave is one's own; 100 is all.
    pub percent: u8,
}

/// Who has how many places of one table.
#[derive(Debug)]
pub struct Shares<K> {
    limits: ShareLimits,
    taken: usize,
    by_holder: BTreeMap<K, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoPlace {
    /// For this one: he has his share.
    Share,
    /// For anybody.
    Total,
}

impl<K: Ord> Shares<K> {
    /// Nobody has a place; allocates nothing.
    pub const fn new(limits: ShareLimits) -> Self {
        Self { limits, taken: 0, by_holder: BTreeMap::new() }
    }

    /// Whether there is one more place for this one.
    pub fn check<Q: Ord + ?Sized>(&self, holder: &Q) -> Result<(), NoPlace>
    where
        K: Borrow<Q>,
    {
        self.check_many(holder, 1)
    }

    /// Whether there are so many more.
    pub fn check_many<Q: Ord + ?Sized>(&self, holder: &Q, places: usize) -> Result<(), NoPlace>
    where
        K: Borrow<Q>,
    {
        let own = self.by_holder.get(holder).copied().unwrap_or(0);
        let left = self.limits.total.saturating_sub(self.taken - own);
        if self.taken + places > self.limits.total {
            Err(NoPlace::Total)
        } else if own + places > (left * usize::from(self.limits.percent)).div_ceil(100) {
            Err(NoPlace::Share)
        } else {
            Ok(())
        }
    }

    /// He takes one, also without room: whoever decides on it [checks](Self::check) before.
    pub fn take(&mut self, holder: K) {
        self.take_many(holder, 1);
    }

    /// He takes so many.
    pub fn take_many(&mut self, holder: K, places: usize) {
        if places > 0 {
            self.taken += places;
            *self.by_holder.entry(holder).or_default() += places;
        }
    }

    /// He gives one back that he has.
    pub fn give_back<Q: Ord + ?Sized>(&mut self, holder: &Q)
    where
        K: Borrow<Q>,
    {
        self.give_back_many(holder, 1);
    }

    /// He gives so many back, all of which he has.
    pub fn give_back_many<Q: Ord + ?Sized>(&mut self, holder: &Q, places: usize)
    where
        K: Borrow<Q>,
    {
        if places == 0 {
            return;
        }
        let Some(own) = self.by_holder.get_mut(holder) else {
            debug_assert!(false, "it was taken before");
            return;
        };
        *own -= places;
        self.taken -= places;
        if *own == 0 {
            self.by_holder.remove(holder);
        }
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Other limits hold from here on. Whoever has more than they give keeps it.
    pub fn limit(&mut self, limits: ShareLimits) {
        self.limits = limits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    fn shares(total: usize, percent: u8) -> Shares<u32> {
        Shares::new(ShareLimits { total, percent })
    }

    /// Takes all that this one may have; how many that are.
    fn fill(shares: &mut Shares<u32>, holder: u32) -> usize {
        let before = shares.taken();
        while shares.check(&holder).is_ok() {
            shares.take(holder);
        }
        shares.taken() - before
    }

    #[test]
    fn each_has_a_part_of_what_the_others_leave() {
        let rows: [(usize, u8, &[usize]); 5] = [
            (64, 50, &[32, 16, 8, 4, 2, 1, 1, 0]),
            (100, 75, &[75, 19, 5, 1, 0]),
            (10, 100, &[10, 0]),
            (1, 50, &[1, 0]),
            (0, 50, &[0]),
        ];
        for (total, percent, expected) in rows {
            let mut shares = shares(total, percent);
            for (holder, &expected) in (0..).zip(expected) {
                assert_eq!(fill(&mut shares, holder), expected, "{holder} of {total}, {percent} %");
            }
        }
    }

    #[test]
    fn whose_share_is_full_and_when_all_is() {
        let mut shares = shares(4, 50);
        fill(&mut shares, 1);
        assert_eq!([1, 2].map(|holder| shares.check(&holder)), [Err(NoPlace::Share), Ok(())]);
        fill(&mut shares, 2);
        fill(&mut shares, 3);
        assert_eq!(shares.check(&4), Err(NoPlace::Total));
        shares.give_back(&1);
        assert_eq!([1, 4].map(|holder| shares.check(&holder)), [Err(NoPlace::Share), Ok(())]);
        shares.limit(ShareLimits { total: 8, percent: 50 });
        assert_eq!(shares.check(&1), Ok(()));
    }

    #[test]
    fn many_places_are_taken_whole_or_not_at_all() {
        let mut shares = shares(100, 50);
        assert_eq!(shares.check_many(&1, 50), Ok(()));
        assert_eq!(shares.check_many(&1, 51), Err(NoPlace::Share));
        assert_eq!(shares.check_many(&1, 101), Err(NoPlace::Total));
        shares.take_many(1, 40);
        assert_eq!([10, 11].map(|more| shares.check_many(&1, more)), [Ok(()), Err(NoPlace::Share)]);
        assert_eq!([30, 31].map(|more| shares.check_many(&2, more)), [Ok(()), Err(NoPlace::Share)]);
        shares.give_back_many(&1, 40);
        shares.take_many(2, 0);
        shares.give_back_many(&2, 0);
        assert!(shares.taken() == 0 && shares.by_holder.is_empty());
    }

    /// Whoever wants more than there is gets as much as the others once places come and go.
    #[test]
    fn what_comes_and_goes_is_shared_alike() {
        let mut shares = shares(1_000, 50);
        let mut held: Vec<u32> = Vec::new();
        let mut prng = Prng::new(7);
        (0..4).for_each(|holder| held.extend((0..fill(&mut shares, holder)).map(|_| holder)));
        for _ in 0..20_000 {
            let gone = held.swap_remove(prng.below(held.len() as u64) as usize);
            shares.give_back(&gone);
            for holder in 0..4 {
                if shares.check(&holder).is_ok() {
                    shares.take(holder);
                    held.push(holder);
                }
            }
        }
        for holder in 0..4 {
            let own = held.iter().filter(|it| **it == holder).count();
            assert!((190..=210).contains(&own), "{holder} has {own}");
        }
        assert_eq!(shares.taken(), held.len());
        for holder in held {
            shares.give_back(&holder);
        }
        assert!(shares.taken() == 0 && shares.by_holder.is_empty());
    }
}
