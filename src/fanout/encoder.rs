//! Events to WebSocket frames, each encoding made at most once for all its recipients.

use std::{borrow::Borrow, ops::Range};

use crate::{
    base::WireBytes,
    dialect::native,
    model::Event,
    ws::{
        Opcode,
        deflate::{Agreed, Deflater, WINDOW_BITS_MAX, WINDOW_BITS_MIN},
        encode,
    },
};

const WINDOWS: usize = (WINDOW_BITS_MAX - WINDOW_BITS_MIN) as usize + 1;

/// The buffers and the compressor of one shard.
pub struct Encoder {
    /// JSON of the events of one [`Frames`], and where each ends.
    text: Vec<u8>,
    text_ends: Vec<usize>,
    deflated: Vec<u8>,
    frame: Vec<u8>,
    deflater: Deflater,
    /// Messages under this many bytes are not worth compressing.
    deflate_bytes_min: usize,
}

impl Encoder {
    /// `deflate_bytes_min`: see the configuration's `ws.deflate_min_bytes`.
    pub fn new(deflate_bytes_min: usize) -> Self {
        Self {
            text: Vec::new(),
            text_ends: Vec::new(),
            deflated: Vec::new(),
            frame: Vec::new(),
            deflater: Deflater::new(),
            deflate_bytes_min,
        }
    }

    /// An event for one connection.
    pub fn event(&mut self, event: &Event, deflate: Option<Agreed>) -> WireBytes {
        self.frames([event]).for_deflate(deflate).bytes.clone()
    }

    /// Events for many, in a row: each encoding is made as the first recipient asks for it.
    pub fn frames(&mut self, events: impl IntoIterator<Item = impl Borrow<Event>>) -> Frames<'_> {
        self.text.clear();
        self.text_ends.clear();
        for event in events {
            native::encode(event.borrow(), &mut self.text);
            self.text_ends.push(self.text.len());
        }
        Frames { encoder: self, plain: None, deflated: [const { None }; WINDOWS] }
    }

    /// A message as it is, for the echo endpoint.
    pub fn message(&mut self, opcode: Opcode, payload: &[u8], deflate: Option<Agreed>) -> WireBytes {
        match deflate {
            Some(agreed) => self.compressed(opcode, payload, agreed.server_window_bits),
            None => self.plain(opcode, payload),
        }
    }

    /// A control frame.
    pub fn control(&mut self, opcode: Opcode, payload: &[u8]) -> WireBytes {
        self.plain(opcode, payload)
    }

    /// A close frame.
    pub fn close(&mut self, code: u16, text: &str) -> WireBytes {
        self.frame.clear();
        encode::close(&mut self.frame, code, text, None);
        WireBytes::copy_from(&self.frame)
    }

    /// The events of the current [`Frames`], each as a text frame.
    fn run(&mut self, deflate: Option<Agreed>) -> Run {
        self.frame.clear();
        // One frame needs no list.
        let mut ends = Vec::with_capacity(self.text_ends.len().saturating_sub(1));
        let mut start = 0;
        for &end in &self.text_ends {
            if start > 0 {
                ends.push(self.frame.len() as u32);
            }
            let text = &self.text[start..end];
            start = end;
            match deflate {
                Some(agreed) if text.len() >= self.deflate_bytes_min => {
                    self.deflated.clear();
                    self.deflater.compress(agreed.server_window_bits, text, &mut self.deflated);
                    encode::frame(&mut self.frame, Opcode::Text, &self.deflated, true, None);
                }
                Some(_) | None => encode::frame(&mut self.frame, Opcode::Text, text, false, None),
            }
        }
        Run { bytes: WireBytes::copy_from(&self.frame), ends }
    }

    fn is_worth_compressing(&self) -> bool {
        let starts = std::iter::once(&0).chain(&self.text_ends);
        self.text_ends.iter().zip(starts).any(|(end, start)| end - start >= self.deflate_bytes_min)
    }

    fn plain(&mut self, opcode: Opcode, payload: &[u8]) -> WireBytes {
        self.frame.clear();
        encode::frame(&mut self.frame, opcode, payload, false, None);
        WireBytes::copy_from(&self.frame)
    }

    fn compressed(&mut self, opcode: Opcode, payload: &[u8], window_bits: u8) -> WireBytes {
        self.deflated.clear();
        self.deflater.compress(window_bits, payload, &mut self.deflated);
        self.frame.clear();
        encode::frame(&mut self.frame, opcode, &self.deflated, true, None);
        WireBytes::copy_from(&self.frame)
    }
}

/// The encodings of some events, made on demand.
pub struct Frames<'e> {
    encoder: &'e mut Encoder,
    plain: Option<Run>,
    deflated: [Option<Run>; WINDOWS],
}

/// The frames of some events in one encoding: what a member gets who gets them all.
#[derive(Debug)]
pub struct Run {
    pub bytes: WireBytes,
    /// Where each frame but the last ends.
    ends: Vec<u32>,
}

impl Frames<'_> {
    /// The frames for a connection that negotiated `deflate`.
    pub fn for_deflate(&mut self, deflate: Option<Agreed>) -> &Run {
        let Self { encoder, plain, deflated } = self;
        // Events that are all too short to compress are the same for everybody.
        let deflate = deflate.filter(|_| encoder.is_worth_compressing());
        match deflate {
            Some(agreed) => {
                let slot = &mut deflated[usize::from(agreed.server_window_bits - WINDOW_BITS_MIN)];
                slot.get_or_insert_with(|| encoder.run(deflate))
            }
            None => plain.get_or_insert_with(|| encoder.run(None)),
        }
    }

    /// How many events there are.
    pub fn count(&self) -> usize {
        self.encoder.text_ends.len()
    }
}

impl Run {
    /// How many frames it is.
    pub fn count(&self) -> usize {
        self.ends.len() + 1
    }

    /// Frames `range`, as one piece.
    pub fn part(&self, range: Range<usize>) -> WireBytes {
        self.bytes.part(self.end(range.start)..self.end(range.end))
    }

    /// Where the first `count` frames end.
    fn end(&self, count: usize) -> u32 {
        match count.checked_sub(1) {
            None => 0,
            Some(last) => self.ends.get(last).copied().unwrap_or(self.bytes.len() as u32),
        }
    }
}
