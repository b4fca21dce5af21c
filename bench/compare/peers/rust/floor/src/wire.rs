//! RFC 6455 frames, as far as the floor needs them: whole messages in, unfragmented text out.

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// Opcodes of section 5.2 that the floor acts on.
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// A masked frame at the start of some bytes.
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    mask: [u8; 4],
    masked: &'a [u8],
    /// Bytes of header and payload together.
    pub(crate) len: usize,
}

impl<'a> Frame<'a> {
    /// `None` while the frame is not all there.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let [first, second, rest @ ..] = bytes else { return None };
        let (payload_len, rest) = match second & !MASKED {
            126 => rest.split_first_chunk().map(|(len, rest)| (u16::from_be_bytes(*len).into(), rest))?,
            127 => rest.split_first_chunk().map(|(len, rest)| (u64::from_be_bytes(*len), rest))?,
            len => (len.into(), rest),
        };
        let (mask, rest) = rest.split_first_chunk()?;
        let masked = rest.get(..usize::try_from(payload_len).ok()?)?;
        let len = bytes.len() - rest.len() + masked.len();
        Some(Self { opcode: first & 0x0F, mask: *mask, masked, len })
    }

    /// The payload, unmasked into `buffer`.
    pub(crate) fn unmask<'b>(&self, buffer: &'b mut Vec<u8>) -> &'b [u8] {
        buffer.clear();
        buffer.extend_from_slice(self.masked);
        for chunk in buffer.chunks_mut(4) {
            chunk.iter_mut().zip(self.mask).for_each(|(byte, mask)| *byte ^= mask);
        }
        buffer
    }
}

/// One frame from the server, into `buffer`.
pub(crate) fn encode<'b>(opcode: u8, payload: &[u8], buffer: &'b mut Vec<u8>) -> &'b [u8] {
    buffer.clear();
    buffer.push(FIN | opcode);
    match payload.len() {
        len @ 0..126 => buffer.push(len as u8),
        len @ 126..=0xFFFF => {
            buffer.push(126);
            buffer.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            buffer.push(127);
            buffer.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    buffer.extend_from_slice(payload);
    buffer
}
