//! The DEFLATE codec of one shard: a message in, a message out, nothing remembered between two of them.
//!
//! Invariant: an [`Inflater`] never holds more than one inflated message, bounded before it starts by the
//! limits; what a big one needed is given back with the next.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{WINDOW_BITS_DEFAULT, WINDOW_BITS_MIN};
use crate::ws::{DecodeError, Limits};

/// The first inflated bytes of a message, to which the ratio does not apply: a short message may well consist
/// of one letter.
pub const INFLATE_RATIO_FREE_BYTES: usize = 64 * 1024;

/// What an [`Inflater`] keeps between messages.
const OUTPUT_BYTES_KEPT: usize = 256 * 1024;
const OUTPUT_BYTES_MIN: usize = 4 * 1024;

/// How many DEFLATE streams, each ended by BFINAL, one message may consist of. Compressors make one or two; a
/// stream can be two bytes, and each costs a reset.
const STREAMS_MAX: usize = 64;

/// zlib's fastest: 2 µs for 200 bytes of JSON where level 2 takes 5.5 µs to save another seventh.
const LEVEL: u32 = 1;

/// What a sync flush ends with and a message leaves out (RFC 7692 7.2.1).
const FLUSH_TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// The flush tail put back, and a final empty block: a message that ends within a block does not reach its
/// end.
const MESSAGE_TAIL: [u8; 6] = [0x00, 0x00, 0xff, 0xff, 0x03, 0x00];

/// Inflates messages. Costs nothing until the first one.
#[derive(Default, Debug)]
pub struct Inflater {
    state: Option<Decompress>,
    output: Vec<u8>,
}

impl Inflater {
    /// An inflater without state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Inflates a whole message into [`output`](Self::output), which must not pass the limits.
    pub(in crate::ws) fn inflate(&mut self, compressed: &[u8], limits: &Limits) -> Result<(), DecodeError> {
        self.output.clear();
        self.output.shrink_to(OUTPUT_BYTES_KEPT);
        // A compressor that had nothing new to flush leaves nothing at all.
        if compressed.is_empty() {
            return Ok(());
        }
        let state = self.state.get_or_insert_with(|| Decompress::new(false));
        state.reset(false);
        let mut run = Run { state, output: &mut self.output, bound: Bound::new(compressed.len(), limits) };
        let mut rest = compressed;
        for _ in 0..STREAMS_MAX {
            if run.feed(&mut rest)? != Status::StreamEnd {
                let mut tail = MESSAGE_TAIL.as_slice();
                let ended = run.feed(&mut tail)? == Status::StreamEnd && tail.is_empty();
                return if ended { Ok(()) } else { Err(DecodeError::InvalidDeflate) };
            }
            if rest.is_empty() {
                return Ok(());
            }
            // BFINAL ended a stream but not the message (RFC 7692 7.2.3.4): what follows is another.
            run.state.reset(false);
        }
        Err(DecodeError::InvalidDeflate)
    }

    /// The last inflated message.
    pub(in crate::ws) fn output(&self) -> &[u8] {
        &self.output
    }
}

/// How long a message may become, and why.
struct Bound {
    bytes_max: usize,
    error: DecodeError,
}

impl Bound {
    fn new(compressed_bytes: usize, limits: &Limits) -> Self {
        let by_ratio = compressed_bytes.saturating_mul(limits.inflate_ratio_max as usize);
        let by_ratio = by_ratio.max(INFLATE_RATIO_FREE_BYTES);
        let by_size = limits.message_bytes_max;
        if by_size <= by_ratio {
            Self { bytes_max: by_size, error: DecodeError::MessageTooBig { bytes_max: by_size } }
        } else {
            let error = DecodeError::InflateRatio { ratio_max: limits.inflate_ratio_max };
            Self { bytes_max: by_ratio, error }
        }
    }
}

struct Run<'a> {
    state: &'a mut Decompress,
    output: &'a mut Vec<u8>,
    bound: Bound,
}

impl Run<'_> {
    /// Inflates all of `input`, or up to the end of a stream within it.
    fn feed(&mut self, input: &mut &[u8]) -> Result<Status, DecodeError> {
        loop {
            if self.output.len() == self.output.capacity() {
                // One byte beyond the bound is enough to know that it is passed.
                let room = (self.bound.bytes_max - self.output.len()).saturating_add(1);
                self.output.reserve_exact(self.output.len().max(OUTPUT_BYTES_MIN).min(room));
            }
            let (before, written_before) = (self.state.total_in(), self.output.len());
            let status = self.state.decompress_vec(input, self.output, FlushDecompress::None);
            let status = status.map_err(|_| DecodeError::InvalidDeflate)?;
            let used = (self.state.total_in() - before) as usize;
            *input = &input[used..];
            if self.output.len() > self.bound.bytes_max {
                return Err(self.bound.error);
            }
            let has_room = self.output.len() < self.output.capacity();
            if status == Status::StreamEnd || (input.is_empty() && has_room) {
                return Ok(status);
            }
            if used == 0 && self.output.len() == written_before && has_room {
                return Err(DecodeError::InvalidDeflate);
            }
        }
    }
}

/// Compresses messages. Costs nothing until the first one; then one zlib state (at most some 300 KiB) per
/// window size in use.
#[derive(Default, Debug)]
pub struct Deflater {
    states: [Option<Compress>; (WINDOW_BITS_DEFAULT - WINDOW_BITS_MIN + 1) as usize],
}

impl Deflater {
    /// A deflater without state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the compressed form of a message, without the tail of its flush (RFC 7692 7.2.1).
    /// `window_bits` is 9–15, what was agreed for the own side.
    pub fn compress(&mut self, window_bits: u8, payload: &[u8], out: &mut Vec<u8>) {
        let window_bits = window_bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_DEFAULT);
        let state = &mut self.states[usize::from(window_bits - WINDOW_BITS_MIN)];
        let state = state.get_or_insert_with(|| {
            Compress::new_with_window_bits(Compression::new(LEVEL), false, window_bits)
        });
        state.reset();
        // Nine bits a byte and the flush: with this room one call is enough.
        out.reserve(payload.len() + payload.len() / 8 + 64);
        loop {
            let used = state.total_in() as usize;
            state
                .compress_vec(&payload[used..], out, FlushCompress::Sync)
                .expect("a compressor that was not finished takes any input");
            if state.total_in() as usize == payload.len() && out.len() < out.capacity() {
                break;
            }
            out.reserve(payload.len().max(64));
        }
        debug_assert!(out.ends_with(&FLUSH_TAIL));
        out.truncate(out.len() - FLUSH_TAIL.len());
    }
}
