//! Events to WebSocket frames, each encoding made at most once for all its recipients.

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
    text: Vec<u8>,
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
            deflated: Vec::new(),
            frame: Vec::new(),
            deflater: Deflater::new(),
            deflate_bytes_min,
        }
    }

    /// An event for one connection.
    pub fn event(&mut self, event: &Event, deflate: Option<Agreed>) -> WireBytes {
        self.frames(event).for_deflate(deflate)
    }

    /// An event for many: frames are made as the first recipient of each encoding asks for it.
    pub fn frames(&mut self, event: &Event) -> Frames<'_> {
        self.text.clear();
        native::encode(event, &mut self.text);
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

/// The encodings of one event, made on demand.
pub struct Frames<'e> {
    encoder: &'e mut Encoder,
    plain: Option<WireBytes>,
    deflated: [Option<WireBytes>; WINDOWS],
}

impl Frames<'_> {
    /// The frame for a connection that negotiated `deflate`.
    pub fn for_deflate(&mut self, deflate: Option<Agreed>) -> WireBytes {
        let text = std::mem::take(&mut self.encoder.text);
        let frame = match deflate {
            Some(agreed) if text.len() >= self.encoder.deflate_bytes_min => {
                let bits = agreed.server_window_bits;
                let slot = &mut self.deflated[usize::from(bits - WINDOW_BITS_MIN)];
                slot.get_or_insert_with(|| self.encoder.compressed(Opcode::Text, &text, bits)).clone()
            }
            _ => self.plain.get_or_insert_with(|| self.encoder.plain(Opcode::Text, &text)).clone(),
        };
        self.encoder.text = text;
        frame
    }
}
