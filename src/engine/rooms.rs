//! Rooms: what is asked of a home shard, and what it tells.

use std::sync::Arc;

use super::{Ask, Caller, Engine, Output, Parcel, Publish, Tell, history::not_kept_fault, parcel::home_of};
use crate::{
    base::{ConnId, Now, RoomKey, ShardId},
    fanout::Publication,
    hub::{Draft, Gone, Joining, Published},
    model::{Event, Fault, Joined, MessageName, Reply},
};

impl Engine {
    /// Hands a parcel to a shard; one to this shard is handled before the turn goes on.
    pub(super) fn send(&mut self, to: ShardId, parcel: Parcel) {
        if to == self.shard {
            self.own_parcels.push_back(parcel);
        } else {
            self.outputs.push_back(Output::Parcel { to, parcel });
        }
    }

    /// Asks the home shard of a room.
    pub(super) fn ask_home(&mut self, key: &RoomKey, ask: Ask) {
        self.send(home_of(key, self.config.shards), Parcel::Ask(ask));
    }

    pub(super) fn parcel(&mut self, from: ShardId, parcel: Parcel, now: Now) {
        match parcel {
            Parcel::Ask(ask) => self.asked(from, ask, now),
            Parcel::Tell(tell) => self.told(tell, now),
        }
    }

    /// As a home shard.
    fn asked(&mut self, from: ShardId, ask: Ask, now: Now) {
        match ask {
            Ask::Join { key, joiner, call, since } => {
                let (conn, peer, metadata) = (joiner.conn, joiner.peer, joiner.metadata.clone());
                let (tell, announcement) = match self.home.join(&key, *joiner, now) {
                    Ok((Joining { position }, announcement)) => {
                        let (key, recovery) = (key.clone(), self.recovery(&key, since, now));
                        (Tell::Joined { key, conn, call, metadata, position, recovery }, announcement)
                    }
                    Err(too_many) => {
                        let (key, fault) = (key.clone(), self.too_many(peer, too_many));
                        (Tell::Refused { key, conn, call, fault }, None)
                    }
                };
                self.send(from, Parcel::Tell(tell));
                self.announce(key, announcement);
            }
            Ask::Leave { key, conn, user, call } => {
                let announcement = self.home.leave(&key, conn, &user, now);
                self.send(from, Parcel::Tell(Tell::Left { key: key.clone(), conn, call }));
                self.announce(key, announcement);
            }
            Ask::Gone { key, conn, user } => {
                let announcement = self.home.leave(&key, conn, &user, now);
                self.announce(key, announcement);
            }
            Ask::Show { key, conn, user, showing } => {
                let announcement = self.home.show(&key, conn, &user, showing, now);
                self.announce(key, announcement);
            }
            Ask::Presence { key, caller, after, limit } => {
                let page = self.home.presence(&key, after.as_ref(), limit);
                self.send_answer(caller, Ok(Reply::Presence(Box::new(page))));
            }
            Ask::Publish(publish) => self.publish(*publish, now),
            Ask::Errand { ticket, errand } => self.do_errand(ticket, &errand, now),
            Ask::Signature { ticket, mark, until_s } => self.asked_for_signature(ticket, mark, until_s, now),
            Ask::History { key, caller, since, limit } => self.history(&key, caller, since, limit, now),
            Ask::Locate { request, sought } => self.locate(request, sought),
            Ask::Located { request, found } => self.located(request, found, now),
            Ask::Request { request, to, letter } => self.requested(request, to, *letter, now),
            Ask::Respond { request, from, answer, caller } => {
                self.responded(request, from, answer, caller, now);
            }
            Ask::Withdraw { request, conn } => self.withdrawn(request, conn),
            Ask::Spent(spent) => self.spent(from, spent, now),
            Ask::Enter { peer, conn } => self.asked_to_enter(from, peer, conn, now),
            Ask::Exit { peer } => self.exited(peer),
            Ask::Survey { survey, want } => {
                let report = Box::new(self.report(&want, now));
                self.send(from, Parcel::Tell(Tell::Report { survey, report }));
            }
        }
    }

    /// Asks a room's home for a publication: at once where that is this shard and nothing waits before it.
    pub(super) fn ask_publish(&mut self, publish: Publish, now: Now) {
        let home = home_of(&publish.key, self.config.shards);
        if home == self.shard && self.own_parcels.is_empty() {
            self.publish(publish, now);
        } else {
            self.send(home, Parcel::Ask(Ask::Publish(Box::new(publish))));
        }
    }

    /// Gives a publication its place in the room's order and sends it to every shard with members.
    fn publish(&mut self, publish: Publish, now: Now) {
        let Publish { key, caller, from, payload, message_id, persistent, echo, received_us } = publish;
        let sender = caller.sender(self.config.node);
        let draft = Draft { key, from, sender, payload, message_id, persistent };
        let (message, interests) = match self.home.publish(draft, now) {
            Ok(Published::Accepted { message, interests }) => (message, interests),
            Ok(Published::Repeat { id, offset }) => {
                let message_id = MessageName::Given(id);
                self.send_answer(caller, Ok(Reply::Sent { message_id, offset }));
                return;
            }
            Err(not_kept) => {
                self.send_answer(caller, Err(not_kept_fault(not_kept)));
                return;
            }
        };
        let except = (!echo).then_some(caller.conn());
        // Behind the publication, in the same lane.
        let acked = caller.wants_success().then(|| (message.id.clone(), message.offset));
        for interest in interests {
            if interest.shard != self.shard {
                let tell = Tell::Published { message: Arc::clone(&message), except, received_us };
                self.outputs.push_back(Output::Parcel { to: interest.shard, parcel: Parcel::Tell(tell) });
            }
        }
        if interests.iter().any(|interest| interest.shard == self.shard) {
            self.tell_own(Tell::Published { message, except, received_us }, now);
        }
        if let Some((message_id, offset)) = acked {
            self.send_answer(caller, Ok(Reply::Sent { message_id, offset }));
        }
    }

    /// Takes a tell of this very shard: at once when nothing waits before it.
    fn tell_own(&mut self, tell: Tell, now: Now) {
        if self.own_parcels.is_empty() {
            self.told(tell, now);
        } else {
            self.own_parcels.push_back(Parcel::Tell(tell));
        }
    }

    /// Sends an answer to the shard of who asked, where it is to be given.
    pub(super) fn send_answer(&mut self, caller: Caller, result: Result<Reply, Fault>) {
        if result.is_err() || caller.wants_success() {
            self.send(caller.conn().shard, Parcel::Tell(Tell::Answer { caller, result }));
        }
    }

    /// Gives an answer to who asked.
    pub(super) fn answer(&mut self, caller: Caller, result: Result<Reply, Fault>, now: Now) {
        match caller {
            Caller::Client { conn, call } => match (call, result) {
                (Some(id), Ok(reply)) => self.tell(conn, &Event::Ack { id, result: Ok(reply) }, now),
                (None, Ok(_)) => {}
                (call, Err(fault)) => self.refuse(conn, call, fault, now),
            },
            Caller::Api { ticket, item } => self.exchange_answered(ticket, item, result, now),
        }
    }

    /// As a shard with members.
    fn told(&mut self, tell: Tell, now: Now) {
        match tell {
            Tell::Joined { key, conn, call, metadata, position, recovery } => {
                // Who ended left all rooms then, and the home heard of it behind the join.
                if !self.is_open(conn) {
                    return;
                }
                // What was ordered before the join is for those who were members then.
                if let Some(room) = self.roster.local(&key) {
                    self.release_room(room, now);
                }
                self.roster.joined(conn, &key);
                let missed = self.recovered(conn, recovery);
                let room = key.room.clone();
                if let Some(id) = call {
                    let room_id = key.id();
                    let joined =
                        Joined { room: room.clone(), room_id, position, recovered: missed.is_some() };
                    let reply = Reply::Joined(Box::new(joined));
                    self.tell(conn, &Event::Ack { id, result: Ok(reply) }, now);
                }
                self.tell(conn, &Event::RoomJoined { room, metadata }, now);
                self.replay(conn, &missed.unwrap_or_default(), now);
            }
            Tell::Refused { key, conn, call, fault } => {
                // Who ended left all rooms then, those that it was joining among them.
                if !self.is_open(conn) {
                    return;
                }
                if let Some(emptied) = self.roster.refused(conn, &key) {
                    self.held.drop_room(emptied);
                }
                self.refuse(conn, call, fault, now);
            }
            Tell::Left { key, conn, call } => {
                // Another may have the slot by now.
                if !self.is_open(conn) {
                    return;
                }
                // What was ordered before the leave is for the one who leaves, too.
                if let Some(room) = self.roster.local(&key) {
                    self.release_room(room, now);
                }
                if let Some(emptied) = self.roster.left(conn, &key) {
                    self.held.drop_room(emptied);
                }
                if let Some(id) = call {
                    self.tell(conn, &Event::Ack { id, result: Ok(Reply::Left) }, now);
                }
                self.tell(conn, &Event::RoomLeft { room: key.room }, now);
            }
            Tell::Ended { key } => self.room_ended(key, now),
            Tell::Published { message, except, received_us } => {
                if let Some(room) = self.roster.local(&message.key) {
                    self.held.add(room, Publication { message, except, received_us }, now.mono_us);
                }
            }
            Tell::Presence { key, change, except } => self.presence_changed(key, change, except, now),
            Tell::Answer { caller, result } => {
                let result = self.within_outbox(&caller, result);
                self.answer(caller, result, now);
            }
            Tell::Shut { payer, until_ms } => self.shut(&payer, until_ms),
            Tell::Entered { conn, peer, result } => self.entered(conn, peer, result, now),
            Tell::ErrandDone { ticket, found } => self.errand_done(ticket, *found, now),
            Tell::Signature { ticket, seen } => self.signature_judged(ticket, seen, now),
            Tell::Report { survey, report } => self.reported(survey, *report, now),
        }
    }

    /// Leaves every room, without a word to the client.
    pub(super) fn leave_all(&mut self, conn: ConnId) {
        // Only an open socket with an identity is in rooms.
        let Ok(session) = self.session(conn) else { return };
        let user = session.user.clone();
        while let Some(Gone { key, emptied }) = self.roster.gone(conn) {
            if let Some(room) = emptied {
                self.held.drop_room(room);
            }
            let user = user.clone();
            self.ask_home(&key.clone(), Ask::Gone { key, conn, user });
        }
    }
}
