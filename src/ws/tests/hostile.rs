//! The seam to the network: bytes from seeds, half noise and half almost frames. Nothing may panic, nothing
//! may hold more than what came, and cutting the input elsewhere must not change the outcome.

use super::*;

const LIMITS: Limits = Limits { message_bytes_max: 4096, fragments_max: 8, inflate_ratio_max: 20 };
const SEEDS: std::ops::Range<u64> = 0..3000;

/// SplitMix64: the same bytes for the same seed on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> usize {
        (self.next() % bound) as usize
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A few frames that are mostly right, with now and then a bit or a length that is not.
fn almost_frames(chance: &mut Chance, masked: bool) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..=chance.below(8) {
        let opcode = match chance.below(6) {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 | 3 => Opcode::Binary,
            4 => Opcode::Ping,
            _ => Opcode::Close,
        };
        let control = opcode.is_control();
        let payload_bytes = chance.below(if control { 126 } else { 300 });
        let payload: Vec<u8> = match chance.below(3) {
            0 => (0..payload_bytes).map(|_| chance.next() as u8).collect(),
            1 => "aκ€𝄞".bytes().cycle().take(payload_bytes).collect(),
            _ => {
                let mut out = Vec::new();
                deflate::Deflater::new().compress(15, &vec![b'x'; payload_bytes * 40], &mut out);
                out.truncate(125);
                out
            }
        };
        let start = wire.len();
        let mask = masked.then(|| (chance.next() as u32).to_le_bytes());
        encode::frame(&mut wire, opcode, &payload, !control && chance.one_in(2), mask);
        if !control && chance.one_in(3) {
            wire[start] &= 0x7f;
        }
        if chance.one_in(4) {
            let at = start + chance.below((wire.len() - start) as u64);
            wire[at] ^= 1 << chance.below(8);
        }
        if chance.one_in(8) {
            wire.truncate(start + chance.below((wire.len() - start) as u64));
        }
    }
    wire
}

#[test]
fn seeds_do_no_harm() {
    println!("seeds {SEEDS:?}");
    let mut refused = 0;
    for seed in SEEDS {
        let chance = &mut Chance(seed);
        let role = if chance.one_in(2) { Role::Server } else { Role::Client };
        let deflate = chance.one_in(2).then(deflate_agreed);
        let wire: Vec<u8> = if chance.one_in(2) {
            almost_frames(chance, role == Role::Server)
        } else {
            (0..chance.below(200)).map(|_| chance.next() as u8).collect()
        };
        let whole = read_in_pieces(Reader::new(role, deflate, LIMITS), [wire.as_slice()]);
        let mut reader = Reader::new(role, deflate, LIMITS);
        let mut arrived = 0;
        let mut error = None;
        let mut rest = wire.as_slice();
        while !rest.is_empty() && error.is_none() {
            let (piece, after) = rest.split_at((1 + chance.below(40)).min(rest.len()));
            rest = after;
            arrived += piece.len();
            error = reader.feed(piece).err();
            let held = reader.decoder.held_bytes();
            assert!(held <= 512 + 2 * arrived.min(4096 + 576), "seed {seed}: {held} bytes for {arrived}");
        }
        assert_eq!((std::mem::take(&mut reader.said), error), whole, "seed {seed}");
        // What comes after an error means nothing, but must do no harm either.
        let _ = reader.feed(rest);
        refused += u64::from(error.is_some());
    }
    let count = SEEDS.end - SEEDS.start;
    assert!(
        (count / 4..count).contains(&refused),
        "the seeds reach both outcomes: {refused} of {count} refused"
    );
}
