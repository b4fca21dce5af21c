//! Purses and ledgers together: what all shards let pass, and what they must not refuse.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::{Empty, Ledger, PayerLimit, PurseId, Purses, Spent};
use crate::base::{HashSeed, Payer, Prng, ShardId, TenantName, UserName};

fn payer(name: &str) -> Payer {
    Payer::User(TenantName::default_tenant(), UserName::parse(name).unwrap())
}

enum Word {
    Report(ShardId, Spent),
    Shut(ShardId, u64),
}

/// A node of which one shard is the payer's home. What shards say to each other takes a while.
struct Node {
    limit: PayerLimit,
    shards: Vec<(Purses, PurseId)>,
    ledger: Ledger,
    words: VecDeque<(u64, Word)>,
    delay_ms: u64,
    now_ms: u64,
}

impl Node {
    fn new(limit: PayerLimit, shards: u16, delay_ms: u64, now_ms: u64) -> Self {
        let hash = HashSeed::new(1);
        let purse = |_| {
            let mut purses = Purses::new(hash);
            let (purse, spent) = purses.open(payer("ada"));
            assert_eq!(spent, Some(Spent { payer: payer("ada"), messages: 0 }));
            (purses, purse)
        };
        let shards_of_node = (0..shards).map(purse).collect();
        let ledger = Ledger::new(hash, shards);
        Self { limit, shards: shards_of_node, ledger, words: VecDeque::new(), delay_ms, now_ms }
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.hear();
    }

    fn send(&mut self, shard: usize) -> Result<(), u64> {
        let (purses, purse) = &mut self.shards[shard];
        purses.check(*purse, self.limit, self.now_ms)?;
        if let Some(spent) = purses.take(*purse, self.limit) {
            let word = Word::Report(ShardId(shard as u16), spent);
            self.words.push_back((self.now_ms + self.delay_ms, word));
        }
        self.hear();
        Ok(())
    }

    fn hear(&mut self) {
        while self.words.front().is_some_and(|(due_ms, _)| *due_ms <= self.now_ms) {
            let Some((due_ms, word)) = self.words.pop_front() else { return };
            match word {
                Word::Report(from, spent) => {
                    let empty = self.ledger.spent(spent, from, self.limit, due_ms);
                    let Some(Empty { until_ms, shards }) = empty else { continue };
                    for shard in shards {
                        self.words.push_back((due_ms + self.delay_ms, Word::Shut(shard, until_ms)));
                    }
                }
                Word::Shut(shard, until_ms) => self.shards[shard.index()].0.shut(&payer("ada"), until_ms),
            }
        }
    }
}

#[test]
fn one_shard_is_exact() {
    let mut node = Node::new(PayerLimit::new(100, 40, 1), 1, 0, 7_000_000);
    for number in 0..40 {
        assert_eq!(node.send(0), Ok(()), "{number}");
    }
    assert_eq!(node.send(0), Err(10));
    node.pass(9);
    assert_eq!(node.send(0), Err(1));
    node.pass(1);
    assert_eq!((node.send(0), node.send(0)), (Ok(()), Err(10)));
    node.pass(3_600_000);
    assert_eq!((0..100).filter(|_| node.send(0).is_ok()).count(), 40, "no more than a burst is saved up");
}

#[test]
fn a_purse_lives_as_long_as_it_is_held_and_leaves_what_it_has_not_reported() {
    let limit = PayerLimit::new(10, 12, 1);
    let mut purses = Purses::new(HashSeed::new(1));
    let (first, spent) = purses.open(payer("ada"));
    assert_eq!(spent, Some(Spent { payer: payer("ada"), messages: 0 }));
    assert_eq!(purses.open(payer("ada")), (first, None));
    let (other, spent) = purses.open(Payer::Tenant(TenantName::default_tenant()));
    assert!(other != first && spent.is_some());
    assert_eq!([purses.take(first, limit), purses.take(first, limit)], [None, None]);
    assert_eq!(purses.close(first), None);
    assert_eq!(purses.take(first, limit), Some(Spent { payer: payer("ada"), messages: 3 }));
    assert_eq!((purses.take(first, limit), purses.close(other)), (None, None));
    assert_eq!(purses.close(first), Some(Spent { payer: payer("ada"), messages: 1 }));
    assert!(purses.is_empty());
    purses.shut(&payer("ada"), 1_000);
    assert_eq!(purses.close(first), None, "nobody holds it");
}

#[test]
fn who_begins_to_send_hears_of_an_empty_bucket() {
    let limit = PayerLimit::new(10, 8, 2);
    let mut ledger = Ledger::new(HashSeed::new(1), 2);
    let spent = |messages| Spent { payer: payer("ada"), messages };
    assert_eq!(ledger.spent(spent(0), ShardId(1), limit, 5_000), None);
    assert_eq!(
        ledger.spent(spent(10), ShardId(0), limit, 5_000),
        None,
        "a burst, and a portion for each shard"
    );
    let empty = ledger.spent(spent(1), ShardId(0), limit, 5_000).unwrap();
    assert_eq!(empty, Empty { until_ms: 5_200, shards: vec![ShardId(0)] });
    let heard = ledger.spent(spent(0), ShardId(1), limit, 5_100).unwrap();
    assert_eq!(heard, Empty { until_ms: 5_200, shards: vec![ShardId(1)] });
    assert_eq!(ledger.spent(spent(0), ShardId(1), limit, 5_200), None);
    assert_eq!(ledger.spent(spent(100), ShardId(1), PayerLimit::default(), 5_200), None, "no limit any more");
}

/// Greedy senders on all shards: how many messages pass in `ms`.
fn greedy(node: &mut Node, prng: &mut Prng, ms: u64) -> u64 {
    let mut passed = 0;
    for _ in 0..ms {
        for _ in 0..4 {
            let shard = prng.below(node.shards.len() as u64) as usize;
            passed += u64::from(node.send(shard).is_ok());
        }
        node.pass(1);
    }
    passed
}

proptest! {
    /// However the messages are spread, no more than half a burst over the limit passes in any time, and whoever always
    /// wants more gets all of the limit.
    #[test]
    fn greed_gets_the_limit(seed: u64, shards in 1..9_u16, per_s in 1..500_u32, burst in 1..300_u32) {
        let mut prng = Prng::new(seed);
        let mut node = Node::new(PayerLimit::new(per_s, burst, shards), shards, 0, prng.below(1 << 33));
        let start_ms = node.now_ms;
        let mut passed = 0;
        for _ in 0..20 {
            passed += greedy(&mut node, &mut prng, 100);
            let drained = node.limit.rate.drained(start_ms, node.now_ms);
            let slack = u64::from(burst / 2).max(2 * u64::from(shards)) + u64::from(shards);
            prop_assert!(passed <= u64::from(burst) + slack + drained, "{} of {}", passed, drained);
        }
        prop_assert!(passed >= node.limit.rate.drained(start_ms, node.now_ms), "{}", passed);
    }

    /// What the limit allows passes on whichever shards, at once and always.
    #[test]
    fn who_keeps_to_the_limit_is_never_refused(seed: u64, shards in 1..9_u16, per_s in 1..500_u32, burst in 1..300_u32) {
        let mut prng = Prng::new(seed);
        let mut node = Node::new(PayerLimit::new(per_s, burst, shards), shards, prng.below(3) * 50, prng.below(1 << 33));
        let (mut level, mut at_ms) = (0_u64, node.now_ms);
        for _ in 0..3_000 {
            node.pass(prng.below(2_000 / u64::from(per_s) + 2));
            level = level.saturating_sub(node.limit.rate.drained(at_ms, node.now_ms));
            at_ms = node.now_ms;
            if level < u64::from(burst) {
                level += 1;
                let shard = prng.below(u64::from(shards)) as usize;
                prop_assert_eq!(node.send(shard), Ok(()));
            }
        }
    }

    /// Late reports let more pass at once; it drains before any more passes. Nothing is lost, unless a bucket is so small that
    /// it drains while they are on their way.
    #[test]
    fn what_was_too_much_is_paid_for(seed: u64, shards in 2..9_u16, per_s in 20..500_u32, burst in 8..300_u32, delay_ms in 1..300_u64) {
        let mut prng = Prng::new(seed);
        let burst = burst + (2 * delay_ms * u64::from(per_s)).div_ceil(1_000) as u32;
        let mut node = Node::new(PayerLimit::new(per_s, burst, shards), shards, delay_ms, prng.below(1 << 33));
        let start_ms = node.now_ms;
        let passed = greedy(&mut node, &mut prng, 5_000);
        let drained = node.limit.rate.drained(start_ms, node.now_ms);
        let late = node.limit.rate.drained(0, 2 * delay_ms) + 1;
        let most = u64::from(shards) * (u64::from(burst) + late) + u64::from(burst) * 2;
        prop_assert!((drained.saturating_sub(late)..=drained + most).contains(&passed), "{} of {}", passed, drained);
    }
}
