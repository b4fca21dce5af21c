//! One event becomes one frame per encoding, and that frame goes to many outboxes.
//! Decides nothing: who the members are and what a full outbox means are the engine's.

mod encoder;
#[cfg(test)]
mod tests;

pub use encoder::{Encoder, Frames};

use crate::{
    base::{ConnId, WireBytes, slab::Slab},
    conn::{Conn, FrameStore, SocketKind, Stage},
};

/// What a fan-out writes to: the connections of a shard, their frames, and the list to flush.
pub struct Recipients<'a> {
    pub conns: &'a mut Slab<Conn>,
    pub store: &'a mut FrameStore,
    pub dirty: &'a mut Vec<ConnId>,
    /// The most bytes that one outbox may hold.
    pub outbox_bytes_max: u32,
}

/// What became of one frame at one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queued {
    Yes,
    /// The connection is closing or gone.
    Gone,
    /// Its outbox is full.
    Full,
}

impl Recipients<'_> {
    /// Queues a frame for one connection and notes it for the flush.
    pub fn queue(&mut self, id: ConnId, frame: WireBytes) -> Queued {
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return Queued::Gone };
        if matches!(conn.stage, Stage::Closing { .. }) {
            return Queued::Gone;
        }
        if !conn.outbox.has_room(frame.len(), self.outbox_bytes_max) {
            return Queued::Full;
        }
        conn.outbox.push(self.store, frame);
        conn.mark_dirty(id, self.dirty);
        Queued::Yes
    }

    /// Queues one event for many members, each in the encoding that it negotiated. Answers how many got it;
    /// `full` collects those whose outbox was full.
    pub fn deliver(
        &mut self,
        members: impl Iterator<Item = ConnId>,
        frames: &mut Frames<'_>,
        full: &mut Vec<ConnId>,
    ) -> u64 {
        let mut delivered = 0;
        for id in members {
            let Some(conn) = self.conns.get(id.slot, id.generation) else { continue };
            let Stage::Socket(socket) = &conn.stage else { continue };
            if !matches!(socket.kind, SocketKind::Json(_)) {
                continue;
            }
            let frame = frames.for_deflate(socket.deflate);
            match self.queue(id, frame) {
                Queued::Yes => delivered += 1,
                Queued::Gone => {}
                Queued::Full => full.push(id),
            }
        }
        delivered
    }
}
