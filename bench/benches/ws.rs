//! Frames as a server reads and writes them: unmasking, UTF-8, headers.

use divan::{Bencher, black_box, counter::BytesCount};
use ringway::ws::{Decoder, Input, Item, Limits, Opcode, Role, deflate::Inflater, encode};

fn main() {
    divan::main();
}

/// Payload lengths in bytes.
const LENGTHS: [usize; 4] = [128, 1 << 10, 1 << 13, 1 << 16];
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const LIMITS: Limits = Limits { message_bytes_max: 1 << 20, fragments_max: 16, inflate_ratio_max: 100 };

/// One client's frames on the wire.
fn wire(opcode: Opcode, payload: &[u8], frames: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..frames {
        encode::frame(&mut wire, opcode, payload, false, Some(MASK));
    }
    wire
}

/// Decodes everything that one read brought; decoding unmasks in place, so that it starts from a fresh copy each time.
/// The copy is part of the figure, as the kernel's copy is part of a read.
fn decode(bencher: Bencher<'_, '_>, wire: &[u8]) {
    let mut decoder = Decoder::new(Role::Server, None);
    let mut inflater = Inflater::new();
    let mut read = wire.to_vec();
    bencher.counter(BytesCount::of_slice(wire)).bench_local(|| {
        read.copy_from_slice(black_box(wire));
        let mut input = Input::new(&mut read);
        let mut items = 0;
        while let Ok(Some(item)) = decoder.next(&mut input, &mut inflater, &LIMITS) {
            items += usize::from(matches!(black_box(item), Item::Text(_) | Item::Binary(_)));
        }
        items
    });
}

#[divan::bench(args = LENGTHS)]
fn decode_binary(bencher: Bencher<'_, '_>, length: usize) {
    decode(bencher, &wire(Opcode::Binary, &vec![0x5a; length], 1));
}

#[divan::bench(args = LENGTHS)]
fn decode_text(bencher: Bencher<'_, '_>, length: usize) {
    decode(bencher, &wire(Opcode::Text, "ünlike ".repeat(length / 8).as_bytes(), 1));
}

/// Thirty-two small frames in one read.
#[divan::bench]
fn decode_burst(bencher: Bencher<'_, '_>) {
    decode(bencher, &wire(Opcode::Text, &[b'a'; 128], 32));
}

/// The yardstick of the decoding figures: their copy with nothing done to it.
#[divan::bench(args = LENGTHS)]
fn copy(bencher: Bencher<'_, '_>, length: usize) {
    let wire = vec![0x5a_u8; length];
    let mut read = wire.clone();
    bencher.counter(BytesCount::of_slice(&wire)).bench_local(|| {
        read.copy_from_slice(black_box(&wire));
        black_box(&read);
    });
}

#[divan::bench(args = LENGTHS)]
fn encode_text(bencher: Bencher<'_, '_>, length: usize) {
    let payload = vec![b'a'; length];
    let mut out = Vec::new();
    bencher.counter(BytesCount::of_slice(&payload)).bench_local(|| {
        out.clear();
        encode::frame(&mut out, Opcode::Text, black_box(&payload), false, None);
        black_box(&out);
    });
}
