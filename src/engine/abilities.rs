//! What clients may do: judged by their rights and the rules when they join, noted with the membership, and judged anew
//! when either has changed. A message of a member costs a look at one byte. What a server of the operator's decides in a room
//! (`resources`), nothing here does.
//!
//! The backend's own calls are not judged here. Invariant: what a stale standing says counts for nothing.

use super::{Engine, resources::Stop};
use crate::{
    auth::abilities::Who,
    base::{ConnId, Now, RoomId, RoomKey, RoomRef},
    conn::Conn,
    hub::Standing,
    model::{Action, Actions, Fault, FaultCode, Join, Target},
};

/// Memberships and connections that are judged anew in one go; the rest has to wait for the next millisecond.
const JUDGED_PER_STEP: usize = 1024;

/// The rules have changed: a hand that goes over all connections of the shard and judges their memberships.
#[derive(Clone, Copy, Debug)]
pub(super) struct Review {
    slot: u32,
    next_ms: u64,
}

impl Engine {
    /// What the client may do in a room of this name.
    pub(super) fn actions_in(&mut self, id: ConnId, room: &str) -> Actions {
        let session = self.conns.get(id.slot, id.generation).and_then(Conn::session);
        let abilities = &self.config.policy.abilities;
        let granted = session.and_then(|session| {
            let who = Who { user: session.user.as_str(), tenant: session.tenant.as_str() };
            let grants = self.holders.grants(id.slot, abilities)?;
            Some(abilities.actions_in(grants, room, who))
        });
        granted.unwrap_or(Actions::NONE)
    }

    /// The same, without what is for a server to decide.
    pub(super) fn granted_in(&mut self, id: ConnId, room: &str) -> Actions {
        let actions = self.actions_in(id, room);
        actions.without(self.mapped_in(id, room))
    }

    /// How a client that wants to join stands in the room.
    ///
    /// # Errors
    /// When it may not, or a server is to be asked; but who is in it by the backend's will may.
    pub(super) fn may_join(&mut self, id: ConnId, join: &Join<'_>, now: Now) -> Result<Standing, Stop> {
        let room = join.room.as_str();
        let before = self.roster.find(id, room).map(|(_, standing)| standing);
        let standing = before.unwrap_or(Standing::of(Actions::NONE)).judged(self.actions_in(id, room));
        let mapped = self.mapped_in(id, room);
        let standing =
            if mapped.is_empty() { standing } else { self.admitted_to(id, join, standing, mapped, now)? };
        if standing.may_stay() { Ok(standing) } else { Err(forbidden(Action::Join).into()) }
    }

    /// The room of this name that the client is in, if it may do this there; `outside` is what it is told that is in none.
    pub(super) fn may(
        &mut self,
        id: ConnId,
        action: Action,
        room: &RoomRef<'_>,
        outside: &'static str,
        now: Now,
    ) -> Result<RoomKey, Stop> {
        let (key, standing) =
            self.roster.find(id, room.as_str()).ok_or_else(|| Fault::new(FaultCode::Forbidden, outside))?;
        let key = key.clone();
        self.check_standing(id, &key, standing, action, now).map(|()| key)
    }

    /// The same, by the room's id, for what relays send.
    pub(super) fn may_relay(
        &mut self,
        id: ConnId,
        room: RoomId,
        outside: &'static str,
        now: Now,
    ) -> Result<RoomKey, Stop> {
        let (key, standing) =
            self.roster.find_id(id, room).ok_or_else(|| Fault::new(FaultCode::Forbidden, outside))?;
        let key = key.clone();
        self.check_standing(id, &key, standing, Action::Send, now).map(|()| key)
    }

    fn check_standing(
        &mut self,
        id: ConnId,
        key: &RoomKey,
        standing: Standing,
        action: Action,
        now: Now,
    ) -> Result<(), Stop> {
        let standing = if standing.is_stale() { self.judge(id, key, standing, now) } else { standing };
        if standing.may(action) { Ok(()) } else { self.may_by_word(id, key, standing, action, now) }
    }

    /// Whether a client may put a request to this target. In place of a room's name stands `user:ID` or `connection:ID`.
    pub(super) fn may_request(&mut self, id: ConnId, to: &Target) -> Result<(), Fault> {
        let asked = match to {
            Target::User(user) => format!("user:{user}"),
            Target::Connection { node, conn } => format!("connection:{}", conn.public(*node)),
            Target::Member(room) => room.to_string(),
        };
        let may = self.actions_in(id, &asked).includes(Action::Request);
        if may { Ok(()) } else { Err(forbidden(Action::Request)) }
    }

    /// Judges a membership, and notes how it stands.
    fn judge(&mut self, id: ConnId, key: &RoomKey, before: Standing, now: Now) -> Standing {
        let standing = self.judged_now(id, key, before, now);
        if standing.is_doubted() {
            self.look_after(id, now.mono_ms());
        }
        standing
    }

    /// The same; where a server is to be asked, the caller sees to that.
    pub(super) fn judged_now(&mut self, id: ConnId, key: &RoomKey, before: Standing, now: Now) -> Standing {
        let room = key.room.as_str();
        let standing = before.judged(self.actions_in(id, room));
        let mapped = self.mapped_in(id, room);
        let standing = if mapped.is_empty() {
            standing
        } else {
            self.judged_by_word(id, room, (before, standing), mapped, now)
        };
        self.roster.judge(id, room, standing);
        standing
    }

    /// Judges all memberships of a client, and has it leave the rooms that it may no longer be in. How many there were.
    pub(super) fn review(&mut self, id: ConnId, now: Now) -> usize {
        let rooms: Vec<_> =
            self.roster.standings(id).map(|(key, standing)| (key.clone(), standing)).collect();
        for (key, before) in &rooms {
            if !self.judge(id, key, *before, now).may_stay() {
                // It is in the room, so that there is nothing to refuse.
                let _ = self.leave(id, None, &RoomRef::of(&key.room));
            }
        }
        rooms.len()
    }

    /// The rules have changed. From now on everything is judged by the new ones; who only listens is seen to in steps.
    pub(super) fn rules_changed(&mut self, now: Now) {
        self.holders.renew();
        self.roster.doubt();
        self.reviewing = Some(Review { slot: 0, next_ms: now.mono_ms() });
    }

    pub(super) fn review_due_ms(&self) -> Option<u64> {
        self.reviewing.map(|review| review.next_ms)
    }

    pub(super) fn review_step(&mut self, now: Now) {
        let Some(Review { mut slot, next_ms }) = self.reviewing else { return };
        if now.mono_ms() < next_ms {
            return;
        }
        let (mut judged, slots) = (0, self.holders.slots());
        while judged < JUDGED_PER_STEP && slot < slots {
            if let Some((generation, _)) = self.conns.get_by_slot(slot) {
                judged += self.review(ConnId { shard: self.shard, slot, generation }, now);
            }
            (judged, slot) = (judged + 1, slot + 1);
        }
        self.reviewing = (slot < slots).then_some(Review { slot, next_ms: now.mono_ms() + 1 });
    }
}

/// What a client is told that nothing allows to do this. Says nothing of the room, which may not even exist.
pub(super) fn forbidden(action: Action) -> Fault {
    let text = match action {
        Action::Join => "none of your abilities lets you join this room",
        Action::Send => "none of your abilities lets you send to this room",
        Action::Presence => "none of your abilities lets you see who is in this room",
        Action::History => "none of your abilities lets you read the history of this room",
        Action::Request => "none of your abilities lets you send requests there",
    };
    Fault::new(FaultCode::Forbidden, text)
}
