//! One encoded frame, shared by every outbox that it waits in.

use std::{ops::Deref, rc::Rc};

/// Bytes as they go to a socket. Cloning costs a counter; never leaves its shard (it is not `Send`).
#[derive(Clone, Debug)]
pub struct WireBytes(Rc<[u8]>);

impl WireBytes {
    /// Copies `bytes` into one shared allocation.
    pub fn copy_from(bytes: &[u8]) -> Self {
        Self(Rc::from(bytes))
    }
}

impl Deref for WireBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
