//! One event becomes one frame per encoding, and that frame goes to many outboxes; events that come together go as
//! one run of frames, so that a member costs the same for many as for one.
//! Decides nothing: who the members are and what a full outbox means are the engine's.

mod encoder;
mod held;
#[cfg(test)]
mod tests;

pub use encoder::{Encoder, Events, Frames, Run};
pub use held::{Held, Publication, Release};

use crate::{
    base::{ConnId, WireBytes, slab::Slab},
    conn::{Conn, Encoding, FrameStore, SocketKind, Stage},
};

/// What a fan-out writes to: the connections of a shard, their frames, and the list to flush.
pub struct Recipients<'a> {
    pub conns: &'a mut Slab<Conn>,
    pub store: &'a mut FrameStore,
    pub dirty: &'a mut Vec<ConnId>,
    /// The most bytes that may wait for a client that does not keep up.
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

/// How many frames were queued in a fan-out, by what their recipients speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Delivered {
    pub json: u64,
    pub relay: u64,
}

impl Recipients<'_> {
    /// Queues a frame for one connection and notes it for the flush.
    pub fn queue(&mut self, id: ConnId, frame: WireBytes) -> Queued {
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return Queued::Gone };
        if matches!(conn.stage, Stage::Closing { .. }) {
            return Queued::Gone;
        }
        if !conn.takes(frame.len(), self.outbox_bytes_max) {
            return Queued::Full;
        }
        conn.outbox.push(self.store, frame, 1);
        conn.mark_dirty(id, self.dirty);
        Queued::Yes
    }

    /// Queues events for many members, each in the encoding that it negotiated. `except` names for each event the
    /// connection that does not get it. Answers how many frames were queued; `full` collects the members that had no
    /// room for all that was theirs.
    pub fn deliver(
        &mut self,
        members: impl Iterator<Item = ConnId>,
        frames: &mut Frames<'_, impl Events>,
        except: &[Option<ConnId>],
        full: &mut Vec<ConnId>,
    ) -> Delivered {
        debug_assert_eq!(frames.count(), except.len());
        self.mark_excepted(except, true);
        let mut delivered = Delivered::default();
        for id in members {
            let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { continue };
            let Stage::Socket(socket) = &conn.stage else { continue };
            if !matches!(socket.kind, SocketKind::Json(_)) {
                continue;
            }
            let queued = match socket.encoding {
                Encoding::Plain | Encoding::Deflate(_) => &mut delivered.json,
                Encoding::Relay => &mut delivered.relay,
            };
            let run = frames.for_encoding(socket.encoding);
            if conn.is_excepted {
                *queued += self.deliver_parts(id, run, except, full);
            } else if conn.takes(run.bytes.len(), self.outbox_bytes_max) {
                conn.outbox.push(self.store, run.bytes.clone(), run.count() as u32);
                conn.mark_dirty(id, self.dirty);
                *queued += run.count() as u64;
            } else {
                full.push(id);
            }
        }
        self.mark_excepted(except, false);
        delivered
    }

    /// Queues the frames of `run` that are not excepted for `id`.
    fn deliver_parts(
        &mut self,
        id: ConnId,
        run: &Run,
        except: &[Option<ConnId>],
        full: &mut Vec<ConnId>,
    ) -> u64 {
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return 0 };
        let (mut delivered, mut next) = (0, 0);
        while next < except.len() {
            let others = except[next..].iter().take_while(|except| **except != Some(id)).count();
            if others > 0 {
                let part = run.part(next..next + others);
                if !conn.takes(part.len(), self.outbox_bytes_max) {
                    full.push(id);
                    break;
                }
                conn.outbox.push(self.store, part, others as u32);
                conn.mark_dirty(id, self.dirty);
                delivered += others as u64;
            }
            next += others + 1;
        }
        delivered
    }

    /// Sets or clears the mark of the connections that are in `except`, so that a member costs no search there.
    fn mark_excepted(&mut self, except: &[Option<ConnId>], is_excepted: bool) {
        for id in except.iter().flatten() {
            if let Some(conn) = self.conns.get_mut(id.slot, id.generation) {
                conn.is_excepted = is_excepted;
            }
        }
    }
}
