//! Members of rooms about which servers decide: what they were given lasts as long as the word that gave it, and when their token
//! or the rules change, they are judged anew without being put out meanwhile.
//!
//! To be in a room is given once, with the join: it is asked for anew only when something has changed. To send, to see who is there
//! and to read history is given until the word is over, and asked for anew when it is next wanted. Invariants: what a word gave is
//! taken when it is over, however many questions are open; a membership that is in doubt has a question under way or stands in
//! `doubts`, or its connection is looked after in time, or has no token to ask with.

use super::{Refusal, Word};
use crate::{
    base::{ConnId, Now, RoomName, RoomRef},
    engine::Engine,
    hub::Standing,
    model::{Action, Actions},
};

/// When to ask again about a member where nobody could be asked, unless breakers are open for longer.
const RETRY_MS: u64 = 1_000;

/// Memberships that are looked at in one go, of however many connections; the rest has to wait for the next millisecond.
const MEMBERSHIPS_PER_STEP: usize = 1024;

/// What is given with the join, and stays while it is asked for anew.
const STAYS: [Action; 2] = [Action::Join, Action::Presence];

/// A connection whose memberships are being looked at.
#[derive(Debug)]
pub(super) struct Look {
    conn: ConnId,
    /// Those that are left.
    rooms: Vec<RoomName>,
    /// Those that were found in doubt.
    doubted: Vec<RoomName>,
}

impl Look {
    pub(super) fn is_of(&self, conn: ConnId) -> bool {
        self.conn == conn
    }
}

impl Engine {
    /// Looks at the memberships of a connection at that time, at the latest.
    pub(in crate::engine) fn look_after(&mut self, id: ConnId, at_ms: u64) {
        let own = &mut self.words;
        let bearer = own.bearers.get_mut(&id.slot).filter(|bearer| bearer.conn == id);
        let Some(bearer) = bearer.filter(|bearer| bearer.due_ms.is_none_or(|due_ms| due_ms > at_ms)) else {
            return;
        };
        if let Some(due_ms) = bearer.due_ms.replace(at_ms) {
            own.due.remove(&(due_ms, id));
        }
        own.due.insert((at_ms, id));
    }

    /// An action was given until then.
    pub(super) fn look_after_action(&mut self, id: ConnId, action: Action, until_ms: u64) {
        match action {
            Action::Join | Action::Request => {}
            Action::Send | Action::Presence | Action::History => self.look_after(id, until_ms),
        }
    }

    /// A membership, judged anew in a room in which servers decide about `mapped`. It was `before`, and without them it is as
    /// `standing` says. Where nothing is known, it may stay, and has to ask for everything else.
    pub(in crate::engine) fn judged_by_word(
        &mut self,
        id: ConnId,
        room: &str,
        (before, standing): (Standing, Standing),
        mapped: Actions,
        now: Now,
    ) -> Standing {
        let mut standing = standing.without(mapped);
        let mut is_over = false;
        for action in mapped.iter() {
            match self.word(id, room, action, now) {
                Some(Word::Yes { until_ms }) if until_ms > now.mono_ms() => {
                    standing = standing.with(action);
                    self.look_after_action(id, action, until_ms);
                }
                // Good for this once.
                Some(Word::Yes { .. }) if STAYS.contains(&action) => {
                    standing = standing.with(action);
                    is_over |= action == Action::Presence;
                }
                Some(Word::Yes { .. }) => {}
                Some(Word::No(Refusal::Denied(_))) | None => {}
                Some(Word::No(Refusal::Unclear | Refusal::Unasked(_)) | Word::Unknown(_)) => {
                    // Who listens has it, also when the word that gave it is over.
                    let listens = action == Action::Presence && self.roster.listens(id, room);
                    if STAYS.contains(&action) && (before.may(action) || listens) {
                        standing = standing.with(action).doubted();
                    }
                }
            }
        }
        // Whoever is in doubt is judged once more in any case.
        if is_over && !standing.is_doubted() {
            self.look_after(id, now.mono_ms());
        }
        standing
    }

    /// Does what is due.
    pub(in crate::engine) fn expire_words(&mut self, now: Now) {
        self.expire_questions(now);
        self.look_after_members(now);
    }

    /// Looks at memberships whose time has come, then asks about those in doubt, as long as there is room for such questions.
    pub(super) fn look_after_members(&mut self, now: Now) {
        if now.mono_ms() < self.words.next_step_ms {
            return;
        }
        for _ in 0..MEMBERSHIPS_PER_STEP {
            if !self.look_at_next(now) && !self.ask_about_next(now) {
                return;
            }
        }
        self.words.next_step_ms = now.mono_ms() + 1;
    }

    /// Takes what was given for a time from the next membership, if it is some connection's time. Whether it is.
    fn look_at_next(&mut self, now: Now) -> bool {
        let own = &mut self.words;
        let Some(look) = &mut own.look else { return self.begin_look(now) };
        let id = look.conn;
        let Some(room) = look.rooms.pop() else {
            if let Some(Look { doubted, .. }) = own.look.take() {
                own.doubts.put(id, doubted);
            }
            return true;
        };
        let Some((_, standing)) = self.roster.find(id, room.as_str()) else { return true };
        // One that is stale will be judged in any case; who was given presence before the doubt has it until the answer.
        let mut stays = Action::Join.into();
        if standing.is_doubted() {
            look.doubted.push(room.clone());
            stays = Actions::from(Action::Join).and(Action::Presence.into());
        }
        let given = self.mapped_in(id, room.as_str()).without(stays);
        if !given.is_empty() {
            self.roster.note(id, room.as_str(), standing.without(given));
        }
        true
    }

    /// The next connection whose time has come, if there is one.
    fn begin_look(&mut self, now: Now) -> bool {
        let own = &mut self.words;
        let Some(&(due_ms, id)) = own.due.first().filter(|(due_ms, _)| *due_ms <= now.mono_ms()) else {
            return false;
        };
        own.due.remove(&(due_ms, id));
        if let Some(bearer) = own.bearers.get_mut(&id.slot) {
            bearer.due_ms = None;
        }
        let rooms = self.roster.standings(id).map(|(key, _)| key.room.clone()).collect();
        self.words.look = Some(Look { conn: id, rooms, doubted: Vec::new() });
        true
    }

    /// Asks about the next membership in doubt, if there is one and room for it.
    fn ask_about_next(&mut self, now: Now) -> bool {
        if !self.words.questions.is_quiet() {
            return false;
        }
        let Some((id, room)) = self.words.doubts.next() else { return false };
        self.settle(id, &room, now);
        true
    }

    /// Decides about a member of whom that was not known, or asks. Whether a question about it is under way.
    pub(super) fn settle(&mut self, id: ConnId, room: &RoomName, now: Now) -> bool {
        let found = self.roster.find(id, room.as_str()).map(|(key, standing)| (key.clone(), standing));
        let Some((key, before)) = found.filter(|(_, standing)| standing.is_doubted()) else { return false };
        let standing = self.judged_now(id, &key, before, now);
        if !standing.may_stay() {
            // It is in the room, so that there is nothing to refuse.
            let _ = self.leave(id, None, &RoomRef::of(room));
            return false;
        }
        if !standing.is_doubted() {
            return false;
        }
        let mut asks = false;
        for action in STAYS.into_iter().filter(|action| standing.may(*action)) {
            let refusal = match self.word(id, room.as_str(), action, now) {
                Some(Word::Unknown(question)) => {
                    let refused = self.ask_server(id, *question, now).err();
                    asks |= refused.is_none();
                    refused
                }
                Some(Word::No(refusal)) => Some(refusal),
                Some(Word::Yes { .. }) | None => None,
            };
            if refusal.is_some_and(Refusal::passes) {
                let resources = self.config.policy.resources.as_ref();
                let open_ms = resources.map_or(0, |resources| resources.limits.breaker.open_ms);
                self.look_after(id, now.mono_ms() + open_ms.max(RETRY_MS));
            }
        }
        asks
    }

    /// When one of the above is of use.
    pub(in crate::engine) fn words_due_ms(&self) -> Option<u64> {
        let own = &self.words;
        let asks = !own.doubts.is_empty() && own.questions.is_quiet();
        let step_ms = (own.look.is_some() || asks).then_some(own.next_step_ms);
        let look_ms = own.due.first().map(|(due_ms, _)| (*due_ms).max(own.next_step_ms));
        [own.questions.due_ms(), step_ms, look_ms].into_iter().flatten().min()
    }
}
