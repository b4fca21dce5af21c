//! The 128 bytes that are published: a marker, who published, which message, and a filler that shows damage.
//!
//! Printable ASCII without quotes or backslashes, so that JSON protocols carry it as it is. Numbers are written as
//! letters, one for each half byte, so that reading one is a mask and three shifts. A protocol puts the payload at
//! nearly always the same place of its frames: the reader looks there first.

use memchr::memmem;

pub(crate) const PAYLOAD_BYTES: usize = 128;

/// Begins every payload, and stands nowhere else in one.
const MARKER: &[u8; 4] = b"~rw=";
const STAMP_BYTES: usize = 16;
/// Half bytes are letters from here on: `@`, `A` … `O`.
const ZERO: u8 = 0x40;
const FILLER: [u8; PAYLOAD_BYTES - STAMP_BYTES] = filler();

/// Which message of which publisher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    /// Numbered through all rooms.
    pub(crate) publisher: u16,
    /// From 0, one by one.
    pub(crate) sequence: u32,
}

/// What stands in a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    Ours(Stamp),
    /// It bears the marker, and is not what was sent.
    Damaged,
    /// Not a payload: something else that the server says.
    Nothing,
}

/// A payload, ready to be stamped.
#[derive(Clone, Debug)]
pub(crate) struct Payload([u8; PAYLOAD_BYTES]);

impl Payload {
    pub(crate) fn new() -> Self {
        let mut bytes = [0; PAYLOAD_BYTES];
        bytes[..MARKER.len()].copy_from_slice(MARKER);
        bytes[STAMP_BYTES..].copy_from_slice(&FILLER);
        Self(bytes)
    }

    /// The payload of this message.
    pub(crate) fn stamped(&mut self, stamp: Stamp) -> &[u8; PAYLOAD_BYTES] {
        for (half, at) in (MARKER.len()..8).enumerate() {
            self.0[at] = ZERO | (stamp.publisher >> (12 - 4 * half)) as u8 & 0xf;
        }
        for (half, at) in (8..STAMP_BYTES).enumerate() {
            self.0[at] = ZERO | (stamp.sequence >> (28 - 4 * half)) as u8 & 0xf;
        }
        &self.0
    }
}

/// Finds payloads in messages.
#[derive(Debug)]
pub(crate) struct Finder {
    /// Where the last one stood.
    likely_at: usize,
    marker: memmem::Finder<'static>,
}

impl Finder {
    pub(crate) fn new() -> Self {
        Self { likely_at: 0, marker: memmem::Finder::new(MARKER) }
    }

    #[inline]
    pub(crate) fn find(&mut self, message: &[u8]) -> Found {
        if !message.get(self.likely_at..).is_some_and(|it| it.starts_with(MARKER)) {
            match self.marker.find(message) {
                Some(at) => self.likely_at = at,
                None => return Found::Nothing,
            }
        }
        match message[self.likely_at..].first_chunk::<PAYLOAD_BYTES>() {
            Some(payload) => read(payload),
            None => Found::Damaged,
        }
    }
}

#[inline]
fn read(payload: &[u8; PAYLOAD_BYTES]) -> Found {
    let &[_, _, _, _, p0, p1, p2, p3, s0, s1, s2, s3, s4, s5, s6, s7, ref filler @ ..] = payload;
    let sequence = u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
    let publisher = u32::from_be_bytes([p0, p1, p2, p3]);
    let are_letters =
        sequence & 0xf0f0_f0f0_f0f0_f0f0 == 0x4040_4040_4040_4040 && publisher & 0xf0f0_f0f0 == 0x4040_4040;
    if !are_letters || *filler != FILLER {
        return Found::Damaged;
    }
    Found::Ours(Stamp {
        publisher: pack(u64::from(publisher) & 0x0f0f_0f0f) as u16,
        sequence: pack(sequence & 0x0f0f_0f0f_0f0f_0f0f) as u32,
    })
}

/// Eight bytes of four bits each into 32 bits.
#[inline]
fn pack(halves: u64) -> u64 {
    let bytes = (halves | halves >> 4) & 0x00ff_00ff_00ff_00ff;
    let words = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    (words | words >> 16) & 0xffff_ffff
}

/// Letters in an order in which no shift of the text is the text.
const fn filler() -> [u8; PAYLOAD_BYTES - STAMP_BYTES] {
    let mut bytes = [0; PAYLOAD_BYTES - STAMP_BYTES];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = b'a' + (at * at % 23) as u8;
        at += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMPS: [Stamp; 4] = [
        Stamp { publisher: 0, sequence: 0 },
        Stamp { publisher: 1, sequence: 0x0123_4567 },
        Stamp { publisher: 0xfedc, sequence: 0x89ab_cdef },
        Stamp { publisher: u16::MAX, sequence: u32::MAX },
    ];

    #[test]
    fn a_stamp_is_read_as_it_was_written_wherever_it_stands() {
        let mut finder = Finder::new();
        for stamp in STAMPS {
            for (prefix, suffix) in [("", ""), ("42[\"message\",\"", "\"]"), ("~rw ~r{\"payload\":\"", "\"}")]
            {
                let payload = Payload::new().stamped(stamp).to_vec();
                let message = [prefix.as_bytes(), &payload, suffix.as_bytes()].concat();
                assert_eq!(finder.find(&message), Found::Ours(stamp), "{prefix}");
            }
        }
    }

    #[test]
    fn it_is_what_json_carries_unescaped() {
        let payload = Payload::new().stamped(STAMPS[2]).to_vec();
        assert!(payload.iter().all(|it| it.is_ascii_graphic() && !b"\"'\\`<>&".contains(it)));
        assert_eq!(&payload[..24], b"~rw=ONMLHIJKLMNOabejqcnd");
    }

    #[test]
    fn damage_is_found_at_every_byte() {
        let good = Payload::new().stamped(STAMPS[1]).to_vec();
        let mut finder = Finder::new();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            let expected = if at < MARKER.len() { Found::Nothing } else { Found::Damaged };
            assert_eq!(finder.find(&bad), expected, "byte {at}");
            let expected = if at < MARKER.len() { Found::Nothing } else { Found::Damaged };
            assert_eq!(finder.find(&good[..at]), expected, "cut at {at}");
        }
        assert_eq!(finder.find(b"{\"type\":\"room:joined\"}"), Found::Nothing);
    }
}
