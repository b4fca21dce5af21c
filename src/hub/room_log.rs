//! One room's log: its last persistent messages, and which messages it has seen lately.
//!
//! Owns order and age within the room; how much all rooms together may keep, is `history.rs`'s.
//! Invariant: the messages are those of the last offsets of the room, without a hole. So the room's last offset says
//! where they begin, and what is missing is missing at the front.

use std::{collections::VecDeque, sync::Arc};

use super::{repeats::Repeats, stakes::StakeId};
use crate::{
    base::RoomKey,
    model::{Message, MessageName},
};

/// Places of a queue or table that may stay empty whatever it holds.
pub(super) const SPARE_MAX: usize = 16;

/// How much a room remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    /// How many at most; 0 is none.
    pub messages: u32,
    /// For how long, in seconds; up to one longer.
    pub seconds: u32,
}

/// One room's log.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) key: RoomKey,
    messages: VecDeque<Stored>,
    /// Only for rooms whose senders name their messages.
    repeats: Option<Box<Repeats>>,
    keep: Keep,
    /// Its tenant's.
    pub(super) stake: StakeId,
    /// Whether no shard has members of the room.
    pub(super) is_idle: bool,
    /// The logs of the tenant, and of the same kind, that were used just before and just after this one.
    pub(super) older: Option<LogId>,
    pub(super) newer: Option<LogId>,
}

/// A log's place in the table of its home; given out again once the log is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LogId(pub(super) u32);

#[derive(Debug)]
struct Stored {
    message: Arc<Message>,
    /// Monotonic seconds.
    at_s: u32,
}

const _: () = assert!(size_of::<Stored>() == 16, "there is one for each message kept");

/// What was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Freed {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Freed {
    fn message(&mut self, message: &Message) {
        self.messages += 1;
        self.bytes += message_bytes(message);
    }

    #[cfg(test)]
    pub(super) fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

/// What a stored message takes: itself, its names, its payload, and its place in a queue that may be half empty. The
/// names may be shared with others; that is not looked at.
pub(super) fn message_bytes(message: &Message) -> u64 {
    const AROUND: usize = size_of::<Message>() + 2 * size_of::<usize>() + 2 * size_of::<Stored>();
    let id = match &message.id {
        MessageName::Given(id) => id.as_str().len(),
        MessageName::Numbered { .. } => 0,
    };
    let names = id + message.key.room.as_str().len() + message.from.as_str().len();
    (AROUND + names + message.payload.len()) as u64
}

impl Log {
    pub(super) fn new(key: RoomKey, stake: StakeId, keep: Keep, is_idle: bool) -> Self {
        let messages = VecDeque::new();
        Self { key, messages, repeats: None, keep, stake, is_idle, older: None, newer: None }
    }

    /// What the log itself takes with nothing in it, and the room that is kept for it.
    pub(super) fn own_bytes(&self) -> u64 {
        const ROOM: usize = 128;
        const AROUND: usize = size_of::<Option<Log>>() + size_of::<Repeats>() + ROOM;
        (AROUND + self.key.room.as_str().len()) as u64
    }

    pub(super) fn keep(&self) -> Keep {
        self.keep
    }

    /// The room's next message.
    pub(super) fn push(&mut self, message: Arc<Message>, now_s: u32) -> Freed {
        self.messages.push_back(Stored { message, at_s: now_s });
        let mut freed = self.expire(now_s);
        while self.messages.len() > self.keep.messages as usize {
            self.pop(&mut freed);
        }
        freed
    }

    /// Gives up what is too old.
    pub(super) fn expire(&mut self, now_s: u32) -> Freed {
        let mut freed = Freed::default();
        let seconds_max = self.keep.seconds;
        let is_old = |stored: &Stored| now_s.saturating_sub(stored.at_s) > seconds_max;
        while self.messages.front().is_some_and(is_old) {
            self.pop(&mut freed);
        }
        if let Some(repeats) = &mut self.repeats {
            freed.bytes += repeats.expire(now_s);
        }
        self.drop_empty_repeats();
        // What was given up is to be free: not kept as room for more of it.
        let (len, capacity) = (self.messages.len(), self.messages.capacity());
        if capacity > SPARE_MAX && capacity > 4 * len {
            self.messages.shrink_to(2 * len);
        }
        freed
    }

    /// Gives up what is oldest; nothing when nothing is there.
    pub(super) fn shed(&mut self) -> Freed {
        let mut freed = Freed::default();
        let message_s = self.messages.front().map(|stored| stored.at_s);
        let repeat_s = self.repeats.as_ref().and_then(|repeats| repeats.oldest_s());
        match (message_s, repeat_s, &mut self.repeats) {
            (None, Some(_), Some(repeats)) => freed.bytes += repeats.shed(),
            (Some(message_s), Some(repeat_s), Some(repeats)) if repeat_s <= message_s => {
                freed.bytes += repeats.shed();
            }
            _ => self.pop(&mut freed),
        }
        self.drop_empty_repeats();
        freed
    }

    fn drop_empty_repeats(&mut self) {
        if self.repeats.as_ref().is_some_and(|repeats| repeats.is_empty()) {
            self.repeats = None;
        }
    }

    fn pop(&mut self, freed: &mut Freed) {
        if let Some(stored) = self.messages.pop_front() {
            freed.message(&stored.message);
        }
    }

    pub(super) fn repeats_mut(&mut self) -> &mut Option<Box<Repeats>> {
        &mut self.repeats
    }

    /// The last `count` messages, in their order; `None` when so many are not there.
    pub(super) fn last(&self, count: u64) -> Option<impl Iterator<Item = &Arc<Message>>> {
        let skip = (self.messages.len() as u64).checked_sub(count)?;
        Some(self.messages.iter().skip(skip as usize).map(|stored| &stored.message))
    }

    /// How many messages there are.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is no more than one message, and what is known of it.
    pub(super) fn is_last(&self) -> bool {
        self.messages.len() <= 1 && self.repeats.as_ref().is_none_or(|repeats| repeats.len() <= 1)
    }

    /// Whether nothing is left to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.repeats.is_none()
    }

    #[cfg(test)]
    pub(super) fn capacities(&self) -> (usize, usize, usize) {
        let (seen, order) = self.repeats.as_ref().map_or((0, 0), |repeats| repeats.capacities());
        (self.messages.capacity(), seen, order)
    }

    /// All that is in it, counted anew.
    pub(super) fn total(&self) -> Freed {
        let mut total = Freed { messages: 0, bytes: self.own_bytes() };
        self.messages.iter().for_each(|stored| total.message(&stored.message));
        total.bytes += self.repeats.as_ref().map_or(0, |repeats| repeats.bytes());
        total
    }
}
