//! What the operator's servers have said of tokens, for a few seconds: whose a good opaque one is, and which are bad; or
//! whether the bearer of one may have a resource.
//!
//! Good and bad are kept apart, so that a flood of bad tokens pushes out no good one. Found by the keyed hash of what was asked
//! about; no token is kept. Owns no clock. Invariants: as many entries as were asked for, at most; an entry whose time is over
//! is never found.

use super::{token_digest::TokenDigest, verifier::Identity};

/// Entries of a set: to make room is one step.
const WAYS: usize = 4;

/// Until when a verdict holds, how many of each kind there may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerdictLimits {
    /// How long a good one is taken without another look; 0 is not at all.
    pub good_ms: u64,
    /// How long a bad one is refused so.
    pub bad_ms: u64,
    /// Of each kind, rounded up to whole sets of four.
    pub entries_max: usize,
}

/// One shard's memory of what was said: `Good` goes with a good verdict, `Bad` with a bad one.
#[derive(Debug)]
pub struct Verdicts<Good = Identity, Bad = ()> {
    limits: VerdictLimits,
    good: Box<[Set<Box<Good>>]>,
    bad: Box<[Set<Bad>]>,
}

type Set<T> = [Option<Entry<T>>; WAYS];

#[derive(Clone, Debug)]
struct Entry<T> {
    digest: TokenDigest,
    until_ms: u64,
    value: T,
}

impl<Good: Clone, Bad: Copy> Verdicts<Good, Bad> {
    /// Remembers nothing yet.
    pub fn new(limits: VerdictLimits) -> Self {
        let sets = |lasts_ms: u64| if lasts_ms == 0 { 0 } else { limits.entries_max.div_ceil(WAYS) };
        Self { limits, good: empty(sets(limits.good_ms)), bad: empty(sets(limits.bad_ms)) }
    }

    /// What is known at `now_ms` (monotonic), good or bad.
    pub fn find(&self, digest: TokenDigest, now_ms: u64) -> Option<Result<&Good, Bad>> {
        self.find_with_end(digest, now_ms).map(|(verdict, _)| verdict)
    }

    /// The same, and until when.
    pub fn find_with_end(&self, digest: TokenDigest, now_ms: u64) -> Option<(Result<&Good, Bad>, u64)> {
        if let Some(Entry { value, until_ms, .. }) = find(&self.good, digest, now_ms) {
            return Some((Ok(value), *until_ms));
        }
        find(&self.bad, digest, now_ms).map(|entry| (Err(entry.value), entry.until_ms))
    }

    /// Remembers what was said. `lasts_ms` is what is left of the token, where that is known.
    pub fn remember(
        &mut self,
        digest: TokenDigest,
        verdict: Result<&Good, Bad>,
        lasts_ms: Option<u64>,
        now_ms: u64,
    ) {
        let VerdictLimits { good_ms, bad_ms, .. } = self.limits;
        match verdict {
            Ok(good) => {
                let until_ms = now_ms + good_ms.min(lasts_ms.unwrap_or(u64::MAX));
                put(&mut self.good, Entry { digest, until_ms, value: Box::new(good.clone()) }, now_ms);
            }
            Err(bad) => put(&mut self.bad, Entry { digest, until_ms: now_ms + bad_ms, value: bad }, now_ms),
        }
    }
}

fn empty<T: Clone>(sets: usize) -> Box<[Set<T>]> {
    std::iter::repeat_with(|| std::array::from_fn(|_| None)).take(sets).collect()
}

fn find<T>(sets: &[Set<T>], digest: TokenDigest, now_ms: u64) -> Option<&Entry<T>> {
    let is_it = |entry: &&Entry<T>| entry.digest == digest && entry.until_ms > now_ms;
    let mut places = places(sets.len(), digest)?.into_iter();
    places.find_map(|set| sets[set].iter().flatten().find(is_it))
}

/// In its own place, in one that is free or over, or in place of what is over soonest.
fn put<T>(sets: &mut [Set<T>], entry: Entry<T>, now_ms: u64) {
    let Some(places) = places(sets.len(), entry.digest) else { return };
    let worth = |place: &Option<Entry<T>>| match place {
        Some(other) if other.digest == entry.digest => 0,
        Some(other) if other.until_ms > now_ms => other.until_ms,
        Some(_) | None => 1,
    };
    let ways = places.into_iter().flat_map(|set| (0..WAYS).map(move |way| (set, way)));
    let place = ways.min_by_key(|&(set, way)| worth(&sets[set][way]));
    if let Some((set, way)) = place {
        sets[set][way] = Some(entry);
    }
}

/// With two sets to choose from, nearly all places are filled before one is taken from another.
fn places(sets: usize, digest: TokenDigest) -> Option<[usize; 2]> {
    let sets = sets as u64;
    (sets > 0).then(|| digest.halves().map(|half| (half % sets) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::TokenHasher,
        base::{TenantName, TokenId, UserName},
    };

    const LIMITS: VerdictLimits = VerdictLimits { good_ms: 5_000, bad_ms: 1_000, entries_max: 64 };

    fn identity(user: &str) -> Identity {
        Identity {
            user: UserName::parse(user).unwrap(),
            tenant: TenantName::default_tenant(),
            expires_at_s: None,
            issued_at_s: None,
            token: TokenId::NONE,
            admin: false,
            publishes: false,
            rights: None,
        }
    }

    fn digest(number: u32) -> TokenDigest {
        TokenHasher::new(&[7; 32]).digest(&number.to_string())
    }

    #[test]
    fn verdicts_last_their_time_and_no_longer_than_the_token() {
        let ada = identity("ada");
        type Row<'a> = (Result<&'a Identity, ()>, Option<u64>, u64, bool);
        let rows: [Row<'_>; 7] = [
            (Ok(&ada), None, 4_999, true),
            (Ok(&ada), None, 5_000, false),
            (Ok(&ada), Some(300), 299, true),
            (Ok(&ada), Some(300), 300, false),
            (Ok(&ada), Some(0), 0, false),
            (Err(()), None, 999, true),
            (Err(()), None, 1_000, false),
        ];
        for (verdict, lasts_ms, after_ms, found) in rows {
            let mut verdicts: Verdicts = Verdicts::new(LIMITS);
            assert_eq!(verdicts.find(digest(1), 7), None);
            verdicts.remember(digest(1), verdict, lasts_ms, 7);
            let expected = found.then_some(verdict);
            assert_eq!(verdicts.find(digest(1), 7 + after_ms), expected, "{verdict:?} after {after_ms}");
            assert_eq!(verdicts.find(digest(2), 7), None);
        }
    }

    #[test]
    fn the_last_word_counts() {
        let (ada, bob) = (identity("ada"), identity("bob"));
        let mut verdicts: Verdicts = Verdicts::new(LIMITS);
        verdicts.remember(digest(1), Ok(&ada), None, 0);
        verdicts.remember(digest(1), Ok(&bob), None, 1);
        assert_eq!(verdicts.find(digest(1), 1), Some(Ok(&bob)));
        assert_eq!(verdicts.find(digest(1), 5_000), Some(Ok(&bob)), "the newer one's time");
    }

    #[test]
    fn bad_tokens_push_out_no_good_one_and_both_are_bounded() {
        let ada = identity("ada");
        let mut verdicts: Verdicts = Verdicts::new(LIMITS);
        (0..20).for_each(|number| verdicts.remember(digest(number), Ok(&ada), None, 0));
        (1_000..100_000).for_each(|number| verdicts.remember(digest(number), Err(()), None, 0));
        assert!((0..20).all(|number| verdicts.find(digest(number), 1).is_some()));
        (1_000..100_000).for_each(|number| verdicts.remember(digest(number), Ok(&ada), None, 2));
        let is_good = |number: &u32| matches!(verdicts.find(digest(*number), 3), Some(Ok(_)));
        let found = (1_000..100_000).filter(is_good).count();
        assert!(found <= 64, "{found}");
        assert!(verdicts.find(digest(99_999), 3).is_some(), "the newest has a place");
    }

    #[test]
    fn what_is_over_is_replaced_first() {
        let ada = identity("ada");
        let mut verdicts: Verdicts = Verdicts::new(VerdictLimits { entries_max: 4, ..LIMITS });
        verdicts.remember(digest(0), Ok(&ada), None, 0);
        verdicts.remember(digest(1), Ok(&ada), Some(10), 0);
        (2..4).for_each(|number| verdicts.remember(digest(number), Ok(&ada), None, 5));
        verdicts.remember(digest(4), Ok(&ada), None, 20);
        let known: Vec<bool> = (0..5).map(|number| verdicts.find(digest(number), 20).is_some()).collect();
        assert_eq!(known, [true, false, true, true, true]);
    }

    #[test]
    fn a_time_of_0_remembers_nothing() {
        let mut verdicts: Verdicts = Verdicts::new(VerdictLimits { good_ms: 0, bad_ms: 0, ..LIMITS });
        verdicts.remember(digest(1), Ok(&identity("ada")), None, 0);
        verdicts.remember(digest(2), Err(()), None, 0);
        assert_eq!((verdicts.find(digest(1), 0), verdicts.find(digest(2), 0)), (None, None));
    }
}
