//! Publications in a room's order: which are repeats, which are kept, and what of those a member has missed.
//!
//! A room without members takes publications, too: they reach nobody, and the persistent ones are there for whoever comes.
//! Invariant: a persistent publication is kept before anybody hears of it.

use std::{num::NonZeroU64, sync::Arc};

use super::{
    history::{HistoryCounts, NotKept},
    home::{Home, Room},
    interests::Interest,
    repeats::Named,
};
use crate::{
    base::{Map, Now, RoomKey, SenderId, UserName},
    model::{HistoryPage, Message, MessageId, MessageName, Payload, Position},
};

/// A publication before it has its place.
#[derive(Debug)]
pub struct Draft {
    pub key: RoomKey,
    pub from: UserName,
    pub sender: SenderId,
    pub payload: Payload,
    pub message_id: Option<MessageId>,
    /// To be kept.
    pub persistent: bool,
}

/// What became of a draft.
#[derive(Debug)]
pub enum Published<'a> {
    /// It has its place, and these shards get it.
    Accepted { message: Arc<Message>, interests: &'a [Interest] },
    /// It was accepted before, with this offset, and is not delivered again.
    Repeat { id: MessageId, offset: Option<NonZeroU64> },
}

impl Home {
    /// Gives a publication its place.
    ///
    /// # Errors
    /// When it is to be kept and cannot be.
    pub fn publish(&mut self, draft: Draft, now: Now) -> Result<Published<'_>, NotKept> {
        if (draft.persistent || draft.message_id.is_some()) && !self.is_ephemeral(&draft.key) {
            return self.publish_noted(draft, now);
        }
        if draft.persistent {
            return Err(NotKept::NoHistory);
        }
        Ok(match self.rooms.get_mut(&draft.key) {
            Some(room) => {
                room.touch(&mut self.ephemeral, now);
                let message = Arc::new(room.next(draft, None, now));
                Published::Accepted { message, interests: room.interests.as_slice() }
            }
            None => to_nobody(self.prng.next_u64(), draft, now),
        })
    }

    /// The messages that a member has missed since `since`: all of them, or `None` when that cannot be shown.
    pub fn missed(&mut self, key: &RoomKey, since: Position, now: Now) -> Option<Vec<Arc<Message>>> {
        let room = self.rooms.get(key).filter(|room| room.epoch == since.epoch)?;
        self.history.since(room.history, since.offset, now)
    }

    /// Messages of a room's history: the first behind `since`, or without it the last; as many as are asked for and fit
    /// on a page. A `since` of another epoch means nothing any more, and stands for the beginning. `None` when there is no
    /// such room.
    pub fn page(
        &mut self,
        key: &RoomKey,
        since: Option<Position>,
        limit: Option<u32>,
        now: Now,
    ) -> Option<HistoryPage> {
        let room = self.rooms.get(key)?;
        let position = room.position();
        let offset = since.map(|since| if since.epoch == position.epoch { since.offset } else { 0 });
        Some(HistoryPage { messages: self.history.page(room.history, offset, limit, now), position })
    }

    /// When [`Home::sweep`] is next of use, in monotonic milliseconds.
    pub fn sweep_due_ms(&self) -> Option<u64> {
        self.history.sweep_due_ms()
    }

    /// Gives up some of the history that is too old, when it is time for that.
    pub fn sweep(&mut self, now: Now) {
        if self.sweep_due_ms().is_some_and(|due_ms| due_ms <= now.mono_ms()) {
            let rooms = &mut self.rooms;
            self.history.sweep(now, |key| forget_log(rooms, key));
        }
    }

    /// What the rooms keep, and what became of the rest.
    pub fn history_counts(&self) -> HistoryCounts {
        self.history.counts()
    }

    /// Checks what spans the rooms and their logs.
    #[cfg(test)]
    pub(crate) fn audit(&self) {
        self.history.audit();
        let has_log = |room: &&Room| room.history.log.is_some();
        assert_eq!(self.rooms.values().filter(has_log).count(), self.history.logs());
        assert!(self.rooms.values().all(|room| !room.interests.is_empty() || room.history.log.is_some()));
        assert!(self.rooms.values().all(|room| room.ephemeral.is_none() || room.history.log.is_none()));
    }

    /// Nothing is kept of an ephemeral room, and nothing of it is known again.
    fn is_ephemeral(&self, key: &RoomKey) -> bool {
        self.rooms.get(key).is_some_and(|room| room.ephemeral.is_some())
    }

    /// A publication that is kept, or that its sender has named.
    fn publish_noted(&mut self, draft: Draft, now: Now) -> Result<Published<'_>, NotKept> {
        let history = self.rooms.get(&draft.key).map(|room| room.history);
        if draft.persistent {
            self.history.takes(&draft.key, history.unwrap_or_default(), draft.payload.len())?;
        }
        if history.is_none() {
            if !draft.persistent {
                return Ok(to_nobody(self.prng.next_u64(), draft, now));
            }
            self.rooms.insert(draft.key.clone(), Room::new(self.prng.next_u64()));
        }
        let room = self.rooms.get_mut(&draft.key).expect("inserted above when absent");
        let named = draft.message_id.clone().map(|id| Named { from: draft.from.clone(), id });
        if let Some(named) = &named
            && let Some(offset) = self.history.find(room.history, named, now)
        {
            return Ok(Published::Repeat { id: named.id.clone(), offset });
        }
        let is_idle = room.interests.is_empty();
        let offset = draft.persistent.then(|| room.next_offset());
        let message = Arc::new(room.next(draft, offset, now));
        if offset.is_some() {
            self.history.store(&mut room.history, is_idle, Arc::clone(&message), now);
        }
        if let Some(named) = named {
            self.history.note(&message.key, &mut room.history, is_idle, named, offset, now);
        }
        let (grown, rooms) = (room.history.log, &mut self.rooms);
        self.history.shrink(grown, |key| forget_log(rooms, key));
        let interests = self.rooms.get(&message.key).map_or(&[][..], |room| room.interests.as_slice());
        Ok(Published::Accepted { message, interests })
    }
}

impl Room {
    fn next_offset(&mut self) -> NonZeroU64 {
        self.history.last += 1;
        NonZeroU64::new(self.history.last).expect("more than what it was")
    }

    /// A draft with its place in the order.
    fn next(&mut self, draft: Draft, offset: Option<NonZeroU64>, now: Now) -> Message {
        let Draft { key, from, sender, payload, message_id, persistent: _ } = draft;
        self.accepted += 1;
        let id = match message_id {
            Some(id) => MessageName::Given(id),
            None => MessageName::Numbered { epoch: self.epoch, number: self.accepted },
        };
        Message { id, key, from, sender, payload, timestamp: now.unix_ms, offset }
    }
}

/// There is no such room, so that nobody hears of the message: its name is all that there is of it.
fn to_nobody(epoch: u64, draft: Draft, now: Now) -> Published<'static> {
    let message = Arc::new(Room::new(epoch).next(draft, None, now));
    Published::Accepted { message, interests: &[] }
}

/// A log is no more; without members, nor is its room.
fn forget_log(rooms: &mut Map<RoomKey, Room>, key: &RoomKey) {
    let Some(room) = rooms.get_mut(key) else { return };
    room.history.log = None;
    if room.interests.is_empty() {
        rooms.remove(key);
    }
}
