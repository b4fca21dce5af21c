//! The logs of all rooms of a home, within one bound in bytes.
//!
//! Over the bound the tenant gives something up that keeps most (`stakes.rs`): first the log, whole, of its room without
//! members that was used longest ago; when there is none, messages one by one from its room with members that was used
//! longest ago. Only the log that just grew is not emptied for itself. What is too old is not shown from then on, and given up
//! within about a minute by a hand that goes round the logs in small steps.
//!
//! Invariants: the counts are the sums over the logs (`audit`); a log stands in exactly one of its tenant's two orders of use,
//! by whether its room has members.

use std::{num::NonZeroU64, sync::Arc};

use super::{
    repeats::{Named, Repeats},
    room_log::{Freed, Keep, Log, LogId, message_bytes},
    stakes::{StakeId, Stakes, Usage},
};
use crate::{
    base::{HashSeed, Now, RoomKey, chunked::ChunkedVec, pattern::RoomPattern},
    model::Message,
};

/// How long the hand takes for a round, as long as its steps suffice.
const ROUND_MS: u64 = 60_000;
/// What one step looks at and gives up at most (and what one more log holds).
const STEP_LOGS: u64 = 512;
const STEP_MESSAGES: u64 = 4096;
const STEP_MS_MIN: u64 = 50;
const STEP_MS_MAX: u64 = 1_000;

/// How much a home keeps.
#[derive(Clone, Debug)]
pub struct HistoryConfig {
    /// Of a room that no pattern is for; no messages where there is no history.
    pub keep: Keep,
    /// By room; the first pattern that matches counts.
    pub rooms: Vec<(RoomPattern, Keep)>,
    /// How many messages a room knows again by their senders' ids.
    pub repeats: Keep,
    /// All that one home's rooms keep.
    pub bytes_max: u64,
    /// The most messages, and payload bytes if it is more than one, of a page.
    pub page_messages_max: u32,
    pub page_bytes_max: usize,
}

#[cfg(test)]
impl HistoryConfig {
    /// The configuration's defaults, on one shard.
    pub(crate) fn for_tests() -> Self {
        Self {
            keep: Keep { messages: 100, seconds: 3600 },
            rooms: Vec::new(),
            repeats: Keep { messages: 1000, seconds: 120 },
            bytes_max: 256 << 20,
            page_messages_max: 1000,
            page_bytes_max: 512 * 1024,
        }
    }
}

/// What one room knows of its history.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoomHistory {
    /// The offset of the last persistent message in the room's epoch.
    pub(super) last: u64,
    pub(super) log: Option<LogId>,
}

const _: () = assert!(size_of::<RoomHistory>() == 16, "every room has one");

/// What a home's logs hold and have gone through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HistoryCounts {
    /// Kept now.
    pub messages: u64,
    /// Kept now, the senders' ids of recent messages included.
    pub bytes: u64,
    /// Messages given up for others, before their time.
    pub evicted: u64,
    /// Sends that were acked as repeats.
    pub repeated: u64,
}

/// The logs of one home.
#[derive(Debug)]
pub(super) struct History {
    config: Arc<HistoryConfig>,
    hash: HashSeed,
    logs: ChunkedVec<Option<Log>>,
    free: Vec<LogId>,
    /// By tenant.
    stakes: Stakes,
    /// Logs of rooms without members.
    idle: usize,
    counts: HistoryCounts,
    /// The next log to look at for what is too old.
    hand: u32,
    swept_ms: u64,
}

/// Seconds for ages: nobody counts them beyond 136 years.
fn seconds(now: Now) -> u32 {
    (now.mono_us / 1_000_000) as u32
}

impl History {
    pub(super) fn new(config: Arc<HistoryConfig>, hash: HashSeed) -> Self {
        Self {
            config,
            hash,
            logs: ChunkedVec::new(),
            free: Vec::new(),
            stakes: Stakes::new(hash),
            idle: 0,
            counts: HistoryCounts::default(),
            hand: 0,
            swept_ms: 0,
        }
    }

    /// Whether a message of about this many payload bytes could be kept in the room, were there nothing else.
    pub(super) fn takes(
        &self,
        key: &RoomKey,
        history: RoomHistory,
        payload_bytes: usize,
    ) -> Result<(), NotKept> {
        // More than a message and a log can take beside the payload.
        const AROUND: u64 = 2048;
        let log = history.log.and_then(|id| self.logs[id.0 as usize].as_ref());
        if log.map_or_else(|| self.keep_of(key), Log::keep).messages == 0 {
            return Err(NotKept::NoHistory);
        }
        let fits = payload_bytes as u64 + AROUND <= self.config.bytes_max;
        if fits { Ok(()) } else { Err(NotKept::TooLarge) }
    }

    /// Keeps a room's next persistent message. What else has to go then is [`History::shrink`]'s.
    pub(super) fn store(
        &mut self,
        history: &mut RoomHistory,
        is_idle: bool,
        message: Arc<Message>,
        now: Now,
    ) {
        let id = self.log_for(&message.key, history, is_idle);
        self.touch(id);
        let taken = Freed { messages: 1, bytes: message_bytes(&message) };
        let log = self.log_mut(id);
        let (stake, freed) = (log.stake, log.push(message, seconds(now)));
        self.taken(stake, taken);
        self.freed(stake, freed);
    }

    /// Notes that a sender's message was accepted, and the offset that it got.
    pub(super) fn note(
        &mut self,
        key: &RoomKey,
        history: &mut RoomHistory,
        is_idle: bool,
        named: Named,
        offset: Option<NonZeroU64>,
        now: Now,
    ) {
        let keep = self.config.repeats;
        if keep.messages == 0 {
            return;
        }
        let (id, hash) = (self.log_for(key, history, is_idle), self.hash);
        self.touch(id);
        let log = self.log_mut(id);
        let stake = log.stake;
        let repeats = log.repeats_mut().get_or_insert_with(|| Box::new(Repeats::new(hash, keep)));
        let (taken, freed) = repeats.note(named, offset, seconds(now));
        self.taken(stake, Freed { messages: 0, bytes: taken });
        self.freed(stake, Freed { messages: 0, bytes: freed });
    }

    /// What an earlier message of this name got, if it was seen within the window; counts that it came again.
    pub(super) fn find(
        &mut self,
        history: RoomHistory,
        named: &Named,
        now: Now,
    ) -> Option<Option<NonZeroU64>> {
        let log = self.logs[history.log?.0 as usize].as_mut()?;
        let freed = log.expire(seconds(now));
        let found = log.repeats_mut().as_ref().and_then(|repeats| repeats.find(named));
        let stake = log.stake;
        self.freed(stake, freed);
        self.counts.repeated += u64::from(found.is_some());
        found
    }

    /// The messages behind an offset, all of them; `None` when some are not there any more, or never were, or when they
    /// would not fit on a page.
    pub(super) fn since(&mut self, history: RoomHistory, offset: u64, now: Now) -> Option<Vec<Arc<Message>>> {
        let missed = history.last.checked_sub(offset)?;
        let bytes_max = self.config.page_bytes_max;
        let Some(log) = self.expired(history, now) else { return (missed == 0).then(Vec::new) };
        let mut bytes = 0;
        let fits = |message: &Arc<Message>| {
            bytes += message.text_bytes();
            (bytes <= bytes_max || missed == 1).then(|| Arc::clone(message))
        };
        log.last(missed)?.map(fits).collect()
    }

    /// The first messages behind an offset, or without one the last of all; as many as are asked for and fit on a page.
    pub(super) fn page(
        &mut self,
        history: RoomHistory,
        offset: Option<u64>,
        limit: Option<u32>,
        now: Now,
    ) -> Vec<Arc<Message>> {
        let messages_max = self.config.page_messages_max;
        let limit = u64::from(limit.unwrap_or(messages_max).min(messages_max));
        let bytes_max = self.config.page_bytes_max;
        let Some(log) = self.expired(history, now) else { return Vec::new() };
        let kept = log.len() as u64;
        let behind = match offset {
            Some(offset) => history.last.saturating_sub(offset).min(kept),
            None => limit.min(kept),
        };
        let mut bytes = 0;
        let fits = |message: &&Arc<Message>| {
            let is_first = bytes == 0;
            bytes += message.text_bytes();
            is_first || bytes <= bytes_max
        };
        let messages = log.last(behind).into_iter().flatten();
        messages.take(limit as usize).take_while(fits).cloned().collect()
    }

    /// Gives up what is beyond the bound. `gone` is told the keys of the logs that are no more. The log that just grew is
    /// `grown`.
    pub(super) fn shrink(&mut self, grown: Option<LogId>, mut gone: impl FnMut(&RoomKey)) {
        while self.counts.bytes > self.config.bytes_max {
            let Some(stake) = self.who_gives_up(grown) else { return };
            let stake = self.stakes.get_mut(stake);
            match (stake.idle.oldest.filter(|id| Some(*id) != grown), stake.active.oldest, grown) {
                (Some(idle), ..) => {
                    self.counts.evicted += self.log_mut(idle).len() as u64;
                    self.drop_log(idle, &mut gone);
                }
                (None, Some(oldest), _) | (None, None, Some(oldest)) => {
                    let log = self.log_mut(oldest);
                    let (stake, freed) = (log.stake, log.shed());
                    self.counts.evicted += freed.messages;
                    self.freed(stake, freed);
                    if self.log_mut(oldest).is_empty() {
                        self.drop_log(oldest, &mut gone);
                        if Some(oldest) == grown {
                            return;
                        }
                    }
                }
                (None, None, None) => return,
            }
        }
    }

    /// The tenant that keeps most; where all that it has is what has just come, the one that keeps most beside it.
    fn who_gives_up(&mut self, grown: Option<LogId>) -> Option<StakeId> {
        let heaviest = self.stakes.heaviest(self.counts.bytes)?;
        let grown = grown.and_then(|id| self.logs[id.0 as usize].as_ref());
        let is_all = grown.is_some_and(|log| log.stake == heaviest && log.is_last())
            && self.stakes.get_mut(heaviest).logs() == 1;
        let others = if is_all { self.stakes.heaviest_but(Some(heaviest)) } else { None };
        Some(others.unwrap_or(heaviest))
    }

    /// The room has members now, or none any more.
    pub(super) fn set_idle(&mut self, id: LogId, is_idle: bool) {
        if self.log_mut(id).is_idle != is_idle {
            self.unlink(id);
            self.log_mut(id).is_idle = is_idle;
            self.link_newest(id);
        }
    }

    /// When [`History::sweep`] is next of use, in monotonic milliseconds.
    pub(super) fn sweep_due_ms(&self) -> Option<u64> {
        let live = self.logs.len() - self.free.len();
        let step_ms =
            (ROUND_MS * STEP_LOGS / (self.logs.len() as u64).max(1)).clamp(STEP_MS_MIN, STEP_MS_MAX);
        (live > 0).then(|| self.swept_ms + step_ms)
    }

    /// Gives up what is too old in the next few logs. `gone` is told the keys of the logs that are no more.
    pub(super) fn sweep(&mut self, now: Now, mut gone: impl FnMut(&RoomKey)) {
        self.swept_ms = now.mono_ms();
        let mut given_up = 0;
        for _ in 0..STEP_LOGS.min(self.logs.len() as u64) {
            let id = LogId(self.hand);
            self.hand = (self.hand + 1) % self.logs.len() as u32;
            let Some(log) = &mut self.logs[id.0 as usize] else { continue };
            let freed = log.expire(seconds(now));
            let (stake, is_empty) = (log.stake, log.is_empty());
            self.freed(stake, freed);
            if is_empty {
                self.drop_log(id, &mut gone);
            }
            given_up += freed.messages;
            if given_up >= STEP_MESSAGES {
                break;
            }
        }
    }

    /// Logs of rooms without members.
    pub(super) fn idle(&self) -> usize {
        self.idle
    }

    pub(super) fn counts(&self) -> HistoryCounts {
        self.counts
    }

    #[cfg(test)]
    pub(super) fn capacities(&self) -> Vec<(usize, usize, usize)> {
        self.logs.iter().flatten().map(|log| log.capacities()).collect()
    }

    #[cfg(test)]
    pub(super) fn logs(&self) -> usize {
        self.logs.len() - self.free.len()
    }

    /// Checks what spans the logs.
    #[cfg(test)]
    pub(super) fn audit(&self) {
        let mut total = Freed::default();
        let mut counts = [0; 2];
        for log in self.logs.iter().flatten() {
            total.add(log.total());
            counts[usize::from(log.is_idle)] += 1;
        }
        assert_eq!((total.messages, total.bytes), (self.counts.messages, self.counts.bytes));
        assert_eq!(counts, [self.logs() - self.idle, self.idle]);
        assert!(self.counts.bytes <= self.config.bytes_max);
        let mut listed_all = 0;
        for (id, stake) in self.stakes.iter() {
            let mut bytes = 0;
            for usage in [stake.idle, stake.active] {
                let log = |id: LogId| self.logs[id.0 as usize].as_ref().expect("listed logs are there");
                let listed = std::iter::successors(usage.oldest, |id| log(*id).newer);
                assert_eq!((listed.clone().count(), listed.clone().last()), (usage.count, usage.newest));
                assert!(listed.clone().all(|it| log(it).stake == id));
                bytes += listed.map(|id| log(id).total().bytes).sum::<u64>();
            }
            assert_eq!(bytes, stake.bytes());
            listed_all += stake.logs();
        }
        assert_eq!(listed_all, self.logs());
    }

    fn keep_of(&self, key: &RoomKey) -> Keep {
        let own = self.config.rooms.iter().find(|(pattern, _)| pattern.matches(key.room.as_str()));
        own.map_or(self.config.keep, |(_, keep)| *keep)
    }

    fn expired(&mut self, history: RoomHistory, now: Now) -> Option<&Log> {
        let id = history.log?;
        let log = self.log_mut(id);
        let (stake, freed) = (log.stake, log.expire(seconds(now)));
        self.freed(stake, freed);
        self.logs[id.0 as usize].as_ref()
    }

    fn log_for(&mut self, key: &RoomKey, history: &mut RoomHistory, is_idle: bool) -> LogId {
        if let Some(id) = history.log {
            return id;
        }
        let stake = self.stakes.open(&key.tenant);
        let log = Log::new(key.clone(), stake, self.keep_of(key), is_idle);
        self.taken(stake, Freed { messages: 0, bytes: log.own_bytes() });
        let id = match self.free.pop() {
            Some(id) => {
                self.logs[id.0 as usize] = Some(log);
                id
            }
            None => {
                let id =
                    u32::try_from(self.logs.len()).expect("the bound in bytes keeps logs far below 2^32");
                self.logs.push(Some(log));
                LogId(id)
            }
        };
        self.link_newest(id);
        history.log = Some(id);
        id
    }

    fn drop_log(&mut self, id: LogId, gone: &mut impl FnMut(&RoomKey)) {
        self.unlink(id);
        let Some(log) = self.logs[id.0 as usize].take() else { return };
        self.free.push(id);
        self.freed(log.stake, log.total());
        self.stakes.close(log.stake);
        gone(&log.key);
    }

    fn taken(&mut self, stake: StakeId, taken: Freed) {
        self.stakes.taken(stake, taken.bytes);
        self.counts.messages += taken.messages;
        self.counts.bytes += taken.bytes;
    }

    fn freed(&mut self, stake: StakeId, freed: Freed) {
        self.stakes.freed(stake, freed.bytes);
        self.counts.messages -= freed.messages;
        self.counts.bytes -= freed.bytes;
    }

    // ---- the two orders of use ----

    fn touch(&mut self, id: LogId) {
        self.unlink(id);
        self.link_newest(id);
    }

    fn unlink(&mut self, id: LogId) {
        let log = self.log_mut(id);
        let (older, newer) = (log.older.take(), log.newer.take());
        let (stake, is_idle) = (log.stake, log.is_idle);
        match older {
            Some(older) => self.log_mut(older).newer = newer,
            None => self.usage(stake, is_idle).oldest = newer,
        }
        match newer {
            Some(newer) => self.log_mut(newer).older = older,
            None => self.usage(stake, is_idle).newest = older,
        }
        self.usage(stake, is_idle).count -= 1;
        self.idle -= usize::from(is_idle);
    }

    fn link_newest(&mut self, id: LogId) {
        let log = self.log_mut(id);
        let (stake, is_idle) = (log.stake, log.is_idle);
        let usage = self.usage(stake, is_idle);
        usage.count += 1;
        let older = usage.newest.replace(id);
        match older {
            Some(older) => self.log_mut(older).newer = Some(id),
            None => self.usage(stake, is_idle).oldest = Some(id),
        }
        self.log_mut(id).older = older;
        self.idle += usize::from(is_idle);
    }

    fn usage(&mut self, stake: StakeId, is_idle: bool) -> &mut Usage {
        self.stakes.get_mut(stake).usage(is_idle)
    }

    fn log_mut(&mut self, id: LogId) -> &mut Log {
        self.logs[id.0 as usize].as_mut().expect("rooms and links name logs that are there")
    }
}

/// Why a message cannot be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotKept {
    /// The room has no history, by configuration.
    NoHistory,
    /// It alone would be too much for the memory that a home has.
    TooLarge,
}
