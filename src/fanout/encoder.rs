//! Events to WebSocket frames, each encoding made at most once for all its recipients.

use std::{borrow::Borrow, ops::Range};

use crate::{
    base::WireBytes,
    conn::Encoding,
    dialect::{native, relay},
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
    /// JSON of the events of one [`Frames`], and where each ends; empty until somebody is to get it.
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
    pub fn event(&mut self, event: &Event, encoding: Encoding) -> WireBytes {
        self.frames([event]).for_encoding(encoding).bytes.clone()
    }

    /// Events for many, in a row: each encoding is made as the first recipient asks for it.
    pub fn frames<E: IntoIterator<IntoIter: Events>>(&mut self, events: E) -> Frames<'_, E::IntoIter> {
        self.text.clear();
        self.text_ends.clear();
        let events = events.into_iter();
        Frames { encoder: self, events, plain: None, deflated: [const { None }; WINDOWS], relay: None }
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

    /// Writes the JSON of the current [`Frames`], unless that has been done.
    fn write_text(&mut self, events: impl Events) {
        if !self.text_ends.is_empty() {
            return;
        }
        for event in events {
            native::encode(event.borrow(), &mut self.text);
            self.text_ends.push(self.text.len());
        }
    }

    /// The events of the current [`Frames`], each as a text frame.
    fn text_run(&mut self, deflate: Option<Agreed>) -> Run {
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

    /// The same as relay v1 has them.
    fn relay_run(&mut self, events: impl Events) -> Run {
        self.frame.clear();
        let mut ends = Vec::with_capacity(events.len().saturating_sub(1));
        for event in events {
            if !self.frame.is_empty() {
                ends.push(self.frame.len() as u32);
            }
            if let Event::Message(message) = event.borrow() {
                let length = relay::encoded_len(message);
                encode::header(&mut self.frame, Opcode::Binary, length, false, None);
                relay::encode(message, &mut self.frame);
            } else {
                let text = &mut self.deflated;
                text.clear();
                native::encode(event.borrow(), text);
                encode::frame(&mut self.frame, Opcode::Text, text, false, None);
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

/// Events to encode, in their order, one at least: gone through once for each dialect among the recipients.
pub trait Events: ExactSizeIterator<Item: Borrow<Event>> + Clone {}

impl<E: ExactSizeIterator<Item: Borrow<Event>> + Clone> Events for E {}

/// The encodings of some events, made on demand.
pub struct Frames<'e, E> {
    encoder: &'e mut Encoder,
    events: E,
    plain: Option<Run>,
    deflated: [Option<Run>; WINDOWS],
    relay: Option<Run>,
}

/// The frames of some events in one encoding: what a member gets who gets them all.
#[derive(Debug)]
pub struct Run {
    pub bytes: WireBytes,
    /// Where each frame but the last ends.
    ends: Vec<u32>,
}

impl<E: Events> Frames<'_, E> {
    /// The frames for a connection that gets its messages like this.
    pub fn for_encoding(&mut self, encoding: Encoding) -> &Run {
        match encoding {
            Encoding::Plain => self.plain(),
            Encoding::Deflate(agreed) => self.deflated(agreed),
            Encoding::Relay => {
                let Self { encoder, events, relay, .. } = self;
                relay.get_or_insert_with(|| encoder.relay_run(events.clone()))
            }
        }
    }

    /// How many events there are.
    pub fn count(&self) -> usize {
        self.events.len()
    }

    fn plain(&mut self) -> &Run {
        let Self { encoder, events, plain, .. } = self;
        plain.get_or_insert_with(|| {
            encoder.write_text(events.clone());
            encoder.text_run(None)
        })
    }

    fn deflated(&mut self, agreed: Agreed) -> &Run {
        self.encoder.write_text(self.events.clone());
        // Events that are all too short to compress are the same for everybody.
        if !self.encoder.is_worth_compressing() {
            return self.plain();
        }
        let slot = &mut self.deflated[usize::from(agreed.server_window_bits - WINDOW_BITS_MIN)];
        slot.get_or_insert_with(|| self.encoder.text_run(Some(agreed)))
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
