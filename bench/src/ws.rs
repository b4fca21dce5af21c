//! Frames as a server reads and writes them: masks, UTF-8, headers.

use std::hint::black_box;

use ringway::ws::{Decoder, Input, Item, Limits, Opcode, Role, deflate::Inflater, encode, mask, utf8};

use crate::{Work, ready};

/// What a client masks with in all benchmarks.
pub const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const LIMITS: Limits = Limits { message_bytes_max: 1 << 20, fragments_max: 16, inflate_ratio_max: 100 };

/// A client's frame on the wire.
pub fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    encode::frame(&mut wire, opcode, payload, false, Some(MASK));
    wire
}

/// The mask alone, over `length` bytes.
pub fn unmask(length: usize) -> Work {
    let mut bytes = vec![0x5a_u8; length];
    ready(move || mask::apply(black_box(&mut bytes), black_box(MASK)))
}

/// The check alone, over about `length` bytes in which every seventh is not ASCII.
pub fn validate_utf8(length: usize) -> Work {
    let text = text(length);
    ready(move || {
        assert!(utf8::checked(black_box(text.as_bytes())).is_ok());
    })
}

/// One frame with bytes: its header and the mask.
pub fn decode_binary(length: usize) -> Work {
    decode(masked(Opcode::Binary, &vec![0x5a; length]), 1)
}

/// One frame with text: UTF-8 beside.
pub fn decode_text(length: usize) -> Work {
    decode(masked(Opcode::Text, text(length).as_bytes()), 1)
}

/// A text in eight frames, cut inside of characters.
pub fn decode_fragments(length: usize) -> Work {
    let text = text(length);
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(text.len() / 8 + 1).collect();
    assert_eq!(pieces.len(), 8);
    let wire = pieces.iter().zip(0_u8..).map(|(piece, index)| {
        let mut wire = masked(if index == 0 { Opcode::Text } else { Opcode::Continuation }, piece);
        // FIN, which only the last of them has.
        wire[0] &= if index < 7 { 0x7f } else { 0xff };
        wire
    });
    decode(wire.flatten().collect(), 1)
}

/// Thirty-two small frames in one read.
pub fn decode_burst() -> Work {
    decode(masked(Opcode::Text, &[b'a'; 128]).repeat(32), 32)
}

/// One frame to a client.
pub fn encode_text(length: usize) -> Work {
    let payload = text(length);
    let mut out = Vec::new();
    ready(move || {
        out.clear();
        encode::frame(&mut out, Opcode::Text, black_box(payload.as_bytes()), false, None);
        black_box(&out);
    })
}

/// The yardstick of the decoding figures: their copy with nothing done to it.
pub fn copy(length: usize) -> Work {
    let wire = vec![0x5a_u8; length];
    let mut read = wire.clone();
    ready(move || {
        read.copy_from_slice(black_box(&wire));
        black_box(&read);
    })
}

fn text(length: usize) -> String {
    "ünlike".repeat(length / "ünlike".len())
}

/// Decodes everything that one read brought; decoding unmasks in place, so that it starts from a fresh copy each time.
/// The copy is part of the figure, as the kernel's copy is part of a read.
fn decode(wire: Vec<u8>, messages: usize) -> Work {
    let mut decoder = Decoder::new(Role::Server, None);
    let mut inflater = Inflater::new();
    let mut read = wire.clone();
    ready(move || {
        read.copy_from_slice(black_box(&wire));
        let mut input = Input::new(&mut read);
        let mut found = 0;
        while let Ok(Some(item)) = decoder.next(&mut input, &mut inflater, &LIMITS) {
            found += usize::from(matches!(black_box(item), Item::Text(_) | Item::Binary(_)));
        }
        assert_eq!(found, messages);
    })
}
