//! Rooms: what is asked of a home shard, and what it tells.

use std::sync::Arc;

use super::{Ask, Engine, Output, Parcel, Publish, Tell, parcel::home_of};
use crate::{
    base::{ConnId, Now, RoomKey, ShardId},
    fanout::Publication,
    model::{CorrelationId, Event, Fault, FaultCode, Joined, Message, Reply},
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
            Ask::Join { key, conn, call, metadata } => {
                let place = self.home.join(&key, from);
                let (epoch, offset, joins) = (place.epoch, place.offset, place.joins);
                let tell = Tell::Joined { key, conn, call, metadata, epoch, offset, joins };
                self.send(from, Parcel::Tell(tell));
            }
            Ask::Leave { key, conn, call } => self.send(from, Parcel::Tell(Tell::Left { key, conn, call })),
            Ask::Vacate { key, joins } => self.home.vacate(&key, from, joins),
            Ask::Publish(publish) => self.publish(*publish, now),
            Ask::Survey { survey, want } => {
                let report = Box::new(self.report(&want, now));
                self.send(from, Parcel::Tell(Tell::Report { survey, report }));
            }
        }
    }

    /// Gives a publication its place in the room's order and sends it to every shard with members.
    fn publish(&mut self, publish: Publish, now: Now) {
        let Publish { key, conn, from, call, payload, message_id, echo, received_us } = publish;
        let Some(place) = self.home.publish(&key) else {
            // The sender was a member when it sent; the room has vanished with its last member since.
            if let Some(call) = call {
                let fault = Fault::new(FaultCode::NotFound, "the room has no members any more");
                self.sent(conn, call, Err(fault));
            }
            return;
        };
        let id: Box<str> = match message_id {
            Some(id) => id.into(),
            None => format!("{:08x}-{}", place.epoch >> 32, place.number).into(),
        };
        let message = Arc::new(Message { id, room: key.room.clone(), from, payload, timestamp: now.unix_ms });
        // Behind the publication, in the same lane.
        let acked = call.map(|call| (call, message.id.clone()));
        let except = (!echo).then_some(conn);
        for interest in place.interests {
            let (key, message) = (key.clone(), Arc::clone(&message));
            let tell = Parcel::Tell(Tell::Published { key, message, except, received_us });
            if interest.shard == self.shard {
                self.own_parcels.push_back(tell);
            } else {
                self.outputs.push_back(Output::Parcel { to: interest.shard, parcel: tell });
            }
        }
        if let Some((call, id)) = acked {
            self.sent(conn, call, Ok(id));
        }
    }

    fn sent(&mut self, conn: ConnId, call: CorrelationId, result: Result<Box<str>, Fault>) {
        self.send(conn.shard, Parcel::Tell(Tell::Sent { conn, call, result }));
    }

    /// As a shard with members.
    fn told(&mut self, tell: Tell, now: Now) {
        match tell {
            Tell::Joined { key, conn, call, metadata, epoch, offset, joins } => {
                if !self.is_open(conn) {
                    let vacated = self.roster.joined_nobody(&key, joins);
                    self.vacate(vacated);
                    return;
                }
                // What was ordered before the join is for those who were members then.
                self.release_room(&key, now);
                self.roster.joined(conn, &key, joins);
                let room = key.room.clone();
                if let Some(id) = call {
                    let room_id = key.id();
                    let joined = Joined { room: room.clone(), room_id, offset, epoch, recovered: false };
                    let reply = Reply::Joined(Box::new(joined));
                    self.tell(conn, &Event::Ack { id, result: Ok(reply) }, now);
                }
                self.tell(conn, &Event::RoomJoined { room, metadata }, now);
            }
            Tell::Left { key, conn, call } => {
                // Who ended left all rooms then, and another may have the slot by now.
                if !self.is_open(conn) {
                    return;
                }
                // What was ordered before the leave is for the one who leaves, too.
                self.release_room(&key, now);
                let vacated = self.roster.left(conn, &key);
                self.vacate(vacated);
                if let Some(id) = call {
                    self.tell(conn, &Event::Ack { id, result: Ok(Reply::Left) }, now);
                }
                self.tell(conn, &Event::RoomLeft { room: key.room }, now);
            }
            Tell::Published { key, message, except, received_us } => {
                self.held.add(key, Publication { message, except, received_us });
            }
            Tell::Sent { conn, call, result } => {
                let result = result.map(|message_id| Reply::Sent { message_id });
                self.tell(conn, &Event::Ack { id: call, result }, now);
            }
            Tell::Report { survey, report } => self.reported(survey, *report, now),
        }
    }

    /// Leaves every room, without a word to the client.
    pub(super) fn leave_all(&mut self, conn: ConnId) {
        let mut vacated = Vec::new();
        self.roster.gone(conn, |room| vacated.push(room));
        for room in vacated {
            self.vacate(Some(room));
        }
    }

    fn vacate(&mut self, vacated: Option<crate::hub::Vacated>) {
        if let Some(room) = vacated {
            let joins = room.joins;
            let key = room.key;
            self.ask_home(&key.clone(), Ask::Vacate { key, joins });
        }
    }
}
