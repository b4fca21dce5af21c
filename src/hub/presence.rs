//! Who is in one room, and what its members are told of that.
//!
//! A change is told at once as long as the room has told little lately. Beyond that changes are gathered, and told
//! together at a pace at which the room's listeners get [`FRAMES_PER_SECOND`] frames a second: so in a room of ten
//! everything is told as it happens, and one of ten thousand hears of all that has happened once a second. What has
//! gathered is by user: who left and came back in between, seen by nobody, is not mentioned and has never been away.
//!
//! Invariants: nothing is gathered while nobody listens; at most one change is gathered for a user.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Bound,
};

use super::{interests::Interests, members::Member, present::Present};
use crate::{
    base::{ConnId, Now, PeerBlock, ShardId, Sorted, UserName, sorted::Place},
    model::{Availability, Json, PresenceChange, PresenceInfo, PresencePage},
};

/// Presence frames that the members of one room get in a second, all of them together.
const FRAMES_PER_SECOND: u64 = 10_000;
const FRAME_US: u64 = 1_000_000 / FRAMES_PER_SECOND;

/// How much of its pace a quiet room has saved up.
const BURST_US: u64 = 100_000;

/// The most users, and about the most bytes, in one frame; a page has the same bytes.
const INFOS_MAX: usize = 128;
const BYTES_MAX: usize = 64 * 1024;
/// Of a user beside his name and metadata.
const INFO_BYTES: usize = 112;

/// Who comes, and how.
#[derive(Clone, Debug)]
pub struct Joiner {
    pub conn: ConnId,
    pub user: UserName,
    pub status: Availability,
    /// In place of what the user's other connections have said.
    pub metadata: Option<Json>,
    /// Whether this connection gets presence events.
    pub listens: bool,
    /// To whom a room is counted that this creates.
    pub peer: PeerBlock,
    /// Over relay: a room that only such have joined is ephemeral.
    pub is_relay: bool,
}

/// How a member shows himself from now on; what is left out stays as it is.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Showing {
    pub status: Option<Availability>,
    pub metadata: Option<Json>,
}

/// What a room's members are to be told.
#[derive(PartialEq, Debug)]
pub struct Announcement {
    pub change: PresenceChange,
    /// The connection that has made the change.
    pub except: Option<ConnId>,
    /// The shards that have members who listen.
    pub shards: Vec<ShardId>,
}

/// The users of one room.
#[derive(Debug, Default)]
pub(super) struct Presence {
    users: Sorted<Present>,
    gathered: Option<Box<Gathered>>,
    /// The time that has been used up by what was told, in monotonic microseconds: ahead of the clock for a while.
    told_until_us: u64,
}

/// Changes that wait.
#[derive(Debug, Default)]
struct Gathered {
    changes: BTreeMap<UserName, Waiting>,
    /// The last who was mentioned: the next are those behind.
    last: Option<UserName>,
    /// How often somebody has looked at the users meanwhile.
    looks: u32,
}

/// How a user was when his members last heard of him.
#[derive(Debug)]
struct Waiting {
    told: Option<Told>,
    /// When he left last, in Unix milliseconds.
    left_ms: u64,
    /// The looks before this: who has looked since may have seen what members never heard of.
    looks: u32,
    /// He was on a page that somebody got meanwhile.
    was_shown: bool,
}

#[derive(Debug)]
struct Told {
    since_ms: u64,
    status: Availability,
    metadata: Option<Box<Json>>,
}

/// What has happened to a user.
enum Shift {
    Came,
    Left(Told),
    /// He is there, and was so before.
    Was(Told),
    /// Nothing that others see.
    None,
}

impl Presence {
    /// A connection comes, or has come before and says anew how.
    pub(super) fn join(
        &mut self,
        joiner: Joiner,
        interests: &mut Interests,
        now: Now,
    ) -> Option<Announcement> {
        let Joiner { conn, user, status, metadata, listens, .. } = joiner;
        let member = Member::new(conn, status, listens);
        let shift = match self.find(&user) {
            Ok(place) => {
                let present = self.users.at_mut(place);
                let before = present.status();
                let old = present.members.put(member);
                if let Some(old) = old {
                    interests.remove(conn.shard, old.listens);
                }
                present.shift(before, metadata, now)
            }
            Err(place) => {
                let mut present = Present::new(user.clone(), member, metadata, now.unix_ms);
                // Nobody has heard that he was away.
                if let Some(since_ms) = self.told(&user).map(|told| told.since_ms) {
                    present.since_ms = since_ms;
                }
                self.users.insert(place, present);
                Shift::Came
            }
        };
        interests.add(conn.shard, listens);
        self.shifted(user, shift, listens.then_some(conn), interests, now)
    }

    /// A connection goes, if it is here.
    pub(super) fn leave(
        &mut self,
        conn: ConnId,
        user: &UserName,
        interests: &mut Interests,
        now: Now,
    ) -> Option<Announcement> {
        let place = self.find(user).ok()?;
        let present = self.users.at_mut(place);
        let before = present.status();
        let listened = present.members.get(conn)?.listens;
        interests.remove(conn.shard, listened);
        let shift = if present.members.len() > 1 {
            present.members.take_out(conn);
            if present.status() == before { Shift::None } else { Shift::Was(present.told(before)) }
        } else {
            let Present { since_ms, metadata, .. } = self.users.remove(place);
            Shift::Left(Told { since_ms, status: before, metadata })
        };
        self.shifted(user.clone(), shift, None, interests, now)
    }

    /// A member says how he is, or gives a sign of life.
    pub(super) fn show(
        &mut self,
        conn: ConnId,
        user: &UserName,
        showing: Showing,
        interests: &Interests,
        now: Now,
    ) -> Option<Announcement> {
        let place = self.find(user).ok()?;
        let present = self.users.at_mut(place);
        let before = present.status();
        let mut member = present.members.get(conn)?;
        member.status = showing.status.unwrap_or(member.status);
        present.members.put(member);
        let cause = member.listens.then_some(conn);
        let shift = present.shift(before, showing.metadata, now);
        self.shifted(user.clone(), shift, cause, interests, now)
    }

    /// When [`Presence::tell_gathered`] has something to tell, in monotonic milliseconds.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.gathered.is_some().then(|| self.opens_us().div_ceil(1_000))
    }

    /// What has gathered, or a part of it.
    pub(super) fn tell_gathered(&mut self, interests: &Interests, now: Now) -> Option<Announcement> {
        let mut gathered = self.gathered.take()?;
        let listeners = interests.listeners();
        if listeners == 0 {
            return None;
        }
        let (mut changes, mut bytes) = (Vec::new(), 0);
        while changes.len() < INFOS_MAX
            && bytes < BYTES_MAX
            && let Some((user, waiting)) = gathered.next()
        {
            if let Some(change) = self.change(user, &waiting, waiting.was_seen(gathered.looks)) {
                bytes += change.bytes();
                changes.push(change);
            }
        }
        if !gathered.changes.is_empty() {
            self.gathered = Some(gathered);
        }
        let change = together(changes)?;
        self.pay(listeners, now);
        Some(Announcement { change, except: None, shards: interests.listening() })
    }

    /// The users behind `after`, in the order of their names: `limit` of them at most, and not many more bytes than
    /// a frame of events has.
    pub(super) fn page(&mut self, after: Option<&UserName>, limit: usize) -> PresencePage {
        if let Some(gathered) = &mut self.gathered {
            gathered.looks += 1;
        }
        let place = match after.map(|after| self.find(after)) {
            Some(Ok(place)) => Some((place, 1)),
            Some(Err(place)) => Some((place, 0)),
            None => None,
        };
        let (mut presence, mut bytes) = (Vec::new(), 0);
        let (from, skip) = place.unwrap_or((Place::FIRST, 0));
        let mut users = self.users.from(from).skip(skip).peekable();
        while presence.len() < limit
            && bytes < BYTES_MAX
            && let Some(present) = users.next()
        {
            let info = present.info();
            bytes += info_bytes(&info);
            if let Some(gathered) = &mut self.gathered
                && let Some(waiting) = gathered.changes.get_mut(&info.user)
            {
                waiting.was_shown = true;
            }
            presence.push(info);
        }
        let has_more = users.peek().is_some();
        let next = presence.last().filter(|_| has_more).map(|last| last.user.clone());
        PresencePage { presence, next }
    }

    /// Tells what has happened to a user, unless it has to wait. `cause` is the connection that has made it happen, if
    /// it listens.
    fn shifted(
        &mut self,
        user: UserName,
        shift: Shift,
        cause: Option<ConnId>,
        interests: &Interests,
        now: Now,
    ) -> Option<Announcement> {
        let waiting = match shift {
            Shift::Came => Waiting { told: None, left_ms: 0, looks: 0, was_shown: false },
            Shift::Left(told) => {
                Waiting { told: Some(told), left_ms: now.unix_ms, looks: 0, was_shown: false }
            }
            Shift::Was(told) => Waiting { told: Some(told), left_ms: 0, looks: 0, was_shown: false },
            Shift::None => return None,
        };
        let listeners = interests.listeners();
        if listeners == 0 {
            self.gathered = None;
            return None;
        }
        if self.gathered.is_some() || self.opens_us() > now.mono_us {
            self.gather(user, waiting);
            return None;
        }
        if listeners == u64::from(cause.is_some()) {
            return None;
        }
        let change = together(vec![self.change(user, &waiting, false)?])?;
        self.pay(listeners, now);
        Some(Announcement { change, except: cause, shards: interests.listening() })
    }

    fn gather(&mut self, user: UserName, waiting: Waiting) {
        let Gathered { changes, looks, .. } = &mut **self.gathered.get_or_insert_default();
        match changes.entry(user) {
            Entry::Vacant(entry) => {
                entry.insert(Waiting { looks: *looks, ..waiting });
            }
            Entry::Occupied(mut entry) => entry.get_mut().left_ms = waiting.left_ms,
        }
    }

    /// What is to be told of a user; `None` when he is as members last heard, and nobody has seen him otherwise.
    fn change(&self, user: UserName, waiting: &Waiting, was_seen: bool) -> Option<Change> {
        match (&waiting.told, self.find(&user)) {
            (None, Err(_)) if !was_seen => None,
            (told, Err(_)) => Some(Change::Left(PresenceInfo {
                user,
                connections: 0,
                status: Availability::Offline,
                metadata: None,
                since_ms: told.as_ref().map_or(waiting.left_ms, |told| told.since_ms),
                last_seen_ms: waiting.left_ms,
            })),
            (None, Ok(place)) => Some(Change::Joined(self.users.at(place).info())),
            (Some(told), Ok(place)) => {
                let present = self.users.at(place);
                let is_same = told.status == present.status() && told.metadata == present.metadata;
                (!is_same || was_seen).then(|| Change::Updated(present.info()))
            }
        }
    }

    /// What members last heard of a user of whom something waits.
    fn told(&self, user: &UserName) -> Option<&Told> {
        self.gathered.as_ref()?.changes.get(user)?.told.as_ref()
    }

    fn pay(&mut self, listeners: u64, now: Now) {
        self.told_until_us = self.told_until_us.max(now.mono_us) + listeners * FRAME_US;
    }

    fn opens_us(&self) -> u64 {
        self.told_until_us.saturating_sub(BURST_US)
    }

    fn find(&self, user: &UserName) -> Result<Place, Place> {
        self.users.find(|present| present.user.cmp(user))
    }
}

impl Present {
    /// He has given a sign of life, and perhaps new metadata; his status was `before`.
    fn shift(&mut self, before: Availability, metadata: Option<Json>, now: Now) -> Shift {
        self.last_seen_ms = now.unix_ms;
        let is_new = metadata.is_some() && metadata.as_ref() != self.metadata.as_deref();
        if !is_new {
            return if self.status() == before { Shift::None } else { Shift::Was(self.told(before)) };
        }
        let old = std::mem::replace(&mut self.metadata, metadata.map(Box::new));
        Shift::Was(Told { since_ms: self.since_ms, status: before, metadata: old })
    }

    /// As he was with another status.
    fn told(&self, status: Availability) -> Told {
        Told { since_ms: self.since_ms, status, metadata: self.metadata.clone() }
    }
}

impl Waiting {
    /// Whether somebody may have seen him otherwise than members last heard. Whom they never heard of can only have been
    /// seen on a page; otherwise those who come and go unseen would have to be told one by one.
    fn was_seen(&self, looks: u32) -> bool {
        if self.told.is_some() { self.looks < looks } else { self.was_shown }
    }
}

impl Gathered {
    /// The change of the next user behind the last, round and round, so that everyone's turn comes.
    fn next(&mut self) -> Option<(UserName, Waiting)> {
        let behind = self.last.take().and_then(|last| {
            let (user, _) = self.changes.range((Bound::Excluded(last), Bound::Unbounded)).next()?;
            Some(user.clone())
        });
        let next = match behind {
            Some(user) => self.changes.remove_entry(&user),
            None => self.changes.pop_first(),
        };
        self.last = next.as_ref().map(|(user, _)| user.clone());
        next
    }
}

/// One user's change, to be told alone or with others.
enum Change {
    Joined(PresenceInfo),
    Left(PresenceInfo),
    Updated(PresenceInfo),
}

impl Change {
    fn info(&self) -> &PresenceInfo {
        match self {
            Self::Joined(info) | Self::Left(info) | Self::Updated(info) => info,
        }
    }

    fn into_info(self) -> PresenceInfo {
        match self {
            Self::Joined(info) | Self::Left(info) | Self::Updated(info) => info,
        }
    }

    fn bytes(&self) -> usize {
        info_bytes(self.info())
    }
}

/// One change by its own name, several as an update.
fn together(mut changes: Vec<Change>) -> Option<PresenceChange> {
    if changes.len() > 1 {
        return Some(PresenceChange::Updated(changes.into_iter().map(Change::into_info).collect()));
    }
    Some(match changes.pop()? {
        Change::Joined(info) => PresenceChange::Joined(info),
        Change::Left(info) => PresenceChange::Left(info.user),
        Change::Updated(info) => PresenceChange::Updated(vec![info]),
    })
}

/// About as much as a client gets.
fn info_bytes(info: &PresenceInfo) -> usize {
    INFO_BYTES
        + info.user.as_str().len()
        + info.metadata.as_ref().map_or(0, |metadata| metadata.as_bytes().len())
}

#[cfg(test)]
impl Presence {
    pub(super) fn backlog(&self) -> usize {
        self.gathered.as_ref().map_or(0, |gathered| gathered.changes.len())
    }

    /// What the table of users has taken from the heap, without their metadata.
    pub(super) fn heap_bytes(&self) -> usize {
        self.users.heap_bytes()
    }
}
