//! A message that could not be delivered straight from the input: cut into fragments, or by the end of a
//! read.
//!
//! Invariants: memory follows the bytes that have arrived, never a length that was only announced; text is
//! UTF-8 so far; compressed bytes are kept as they came and inflated when the last one is there.

use std::fmt;

use super::{DecodeError, Item, Limits, header::Header, utf8::TextBuf};

/// The two kinds of message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    Binary,
}

/// A message so far.
pub(super) struct Message {
    body: Body,
    /// Frames so far that were not the last.
    fragments: u32,
}

enum Body {
    Text(TextBuf),
    Binary(Vec<u8>),
    Compressed(Kind, Vec<u8>),
}

/// Its length: what it says is nobody's business.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} bytes)", self.len())
    }
}

/// What a message is when its last frame has ended.
pub(super) enum Finished {
    /// [`Message::item`] is it.
    Plain,
    /// Still to be inflated.
    Compressed(Kind, Vec<u8>),
}

impl Message {
    /// A message whose first frame is to be [`admitted`](Self::admit).
    pub(super) fn new(kind: Kind, compressed: bool) -> Self {
        let body = match (kind, compressed) {
            (kind, true) => Body::Compressed(kind, Vec::new()),
            (Kind::Text, false) => Body::Text(TextBuf::default()),
            (Kind::Binary, false) => Body::Binary(Vec::new()),
        };
        Self { body, fragments: 0 }
    }

    /// Counts one more frame against the limits, by its header alone.
    pub(super) fn admit(&mut self, header: &Header, limits: &Limits) -> Result<(), DecodeError> {
        self.fragments = self.fragments.saturating_add(u32::from(!header.fin));
        if self.fragments > limits.fragments_max {
            return Err(DecodeError::TooManyFragments { fragments_max: limits.fragments_max });
        }
        check_size(self.len(), header.payload_bytes, self.is_compressed(), limits)
    }

    /// Appends unmasked bytes; `expected_bytes` is how long the whole message will be as far as is known.
    pub(super) fn push(&mut self, piece: &[u8], expected_bytes: usize) -> Result<(), DecodeError> {
        match &mut self.body {
            Body::Text(text) => text.push(piece, expected_bytes)?,
            Body::Binary(bytes) | Body::Compressed(_, bytes) => {
                let target = grown_capacity(bytes.capacity(), bytes.len() + piece.len(), expected_bytes);
                bytes.reserve_exact(target - bytes.len());
                bytes.extend_from_slice(piece);
            }
        }
        Ok(())
    }

    /// Ends the message: a text must not stop within a character, compressed bytes are handed over.
    pub(super) fn finish(&mut self) -> Result<Finished, DecodeError> {
        match &mut self.body {
            Body::Text(text) => text.finish().map(|()| Finished::Plain),
            Body::Binary(_) => Ok(Finished::Plain),
            Body::Compressed(kind, bytes) => Ok(Finished::Compressed(*kind, std::mem::take(bytes))),
        }
    }

    /// The finished message; a compressed one has been handed over and is not here.
    pub(super) fn item(&self) -> Item<'_> {
        match &self.body {
            Body::Text(text) => Item::Text(text.as_str()),
            Body::Binary(bytes) | Body::Compressed(_, bytes) => Item::Binary(bytes),
        }
    }

    /// Bytes so far, as they came.
    pub(super) fn len(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.len(),
            Body::Binary(bytes) | Body::Compressed(_, bytes) => bytes.len(),
        }
    }

    fn is_compressed(&self) -> bool {
        matches!(self.body, Body::Compressed(..))
    }
}

/// Whether a message of `have` bytes may grow by a frame of `announced`. Compressed bytes may pass the limit
/// by what DEFLATE can cost at worst (nine bits a byte); the inflated size is checked where it becomes known.
#[inline]
pub(super) fn check_size(
    have: usize,
    announced: u64,
    compressed: bool,
    limits: &Limits,
) -> Result<(), DecodeError> {
    let bytes_max = limits.message_bytes_max;
    let allowed = if compressed { bytes_max.saturating_add(bytes_max / 8 + 64) } else { bytes_max };
    if announced > allowed.saturating_sub(have) as u64 {
        return Err(DecodeError::MessageTooBig { bytes_max });
    }
    Ok(())
}

/// The capacity for `needed` bytes of which `expected` will come: doubled, so that many small pieces cost
/// linear time, but not beyond what is expected.
pub(super) fn grown_capacity(capacity: usize, needed: usize, expected: usize) -> usize {
    if needed <= capacity { capacity } else { capacity.saturating_mul(2).min(expected).max(needed) }
}

#[cfg(test)]
impl Message {
    /// What this message owns on the heap.
    pub(super) fn capacity(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.capacity(),
            Body::Binary(bytes) | Body::Compressed(_, bytes) => bytes.capacity(),
        }
    }
}
