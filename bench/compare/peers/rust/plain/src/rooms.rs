//! Rooms of one thread: who is in which, and how a publication reaches the outboxes of the others.
//! An outbox is tokio's unbounded channel, which the connection's task empties in batches: what is published while it waits
//! for its turn leaves in one write.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use slab::Slab;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a connection has still to send.
pub type Outbox<T> = UnboundedReceiver<T>;

type RoomName = Box<[u8]>;

type Members<T> = Rc<RefCell<Slab<UnboundedSender<T>>>>;

/// All rooms that have members.
pub struct Rooms<T>(Rc<RefCell<HashMap<RoomName, Members<T>>>>);

impl<T> Default for Rooms<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<T> Clone for Rooms<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T: Clone> Rooms<T> {
    /// A connection that is in no room yet, and its outbox.
    pub fn member(&self) -> (Member<T>, Outbox<T>) {
        let (sender, outbox) = unbounded_channel();
        (Member { rooms: self.clone(), sender, place: None }, outbox)
    }
}

/// One connection's side of the rooms. It leaves its room when dropped, which also ends its outbox.
pub struct Member<T> {
    rooms: Rooms<T>,
    sender: UnboundedSender<T>,
    place: Option<Place<T>>,
}

struct Place<T> {
    room: RoomName,
    members: Members<T>,
    key: usize,
}

impl<T: Clone> Member<T> {
    /// Joins `room`, leaving the one before.
    pub fn join(&mut self, room: &[u8]) {
        self.leave();
        let members = Rc::clone(self.rooms.0.borrow_mut().entry(room.into()).or_default());
        let key = members.borrow_mut().insert(self.sender.clone());
        self.place = Some(Place { room: room.into(), members, key });
    }

    /// Puts `item` into the outbox of every other member of the room.
    pub fn publish(&self, item: &T) {
        let Some(place) = &self.place else { return };
        for (key, sender) in place.members.borrow().iter() {
            if key != place.key {
                // It fails only when the member's task is ending, and then nobody waits for the item.
                let _ = sender.send(item.clone());
            }
        }
    }

    /// Puts `item` into this connection's own outbox.
    pub fn reply(&self, item: T) {
        let _ = self.sender.send(item);
    }
}

impl<T> Member<T> {
    fn leave(&mut self) {
        let Some(place) = self.place.take() else { return };
        let mut members = place.members.borrow_mut();
        members.remove(place.key);
        if members.is_empty() {
            self.rooms.0.borrow_mut().remove(&place.room);
        }
    }
}

impl<T> Drop for Member<T> {
    fn drop(&mut self) {
        self.leave();
    }
}
