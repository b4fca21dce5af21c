//! What one end encodes, the other decodes: any messages, fragments, reads, for both roles, compressed or
//! not. Afterwards the decoder owns nothing.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::ws::deflate::Deflater;

/// One message to send: what, how it is cut into frames, and whether a ping goes in between.
#[derive(Clone, Debug)]
struct Sent {
    message: Said,
    compress: bool,
    cuts: Vec<Index>,
    ping: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let long = || vec(any::<u8>(), 0..40).prop_flat_map(|seed| (Just(seed), 0usize..40));
    let message = prop_oneof![
        any::<String>().prop_map(Said::Text),
        long().prop_map(|(seed, times)| Said::Binary(seed.repeat(times))),
        (any::<String>(), 0usize..40).prop_map(|(seed, times)| Said::Text(seed.repeat(times))),
        vec(any::<u8>(), 0..=125).prop_map(Said::Ping),
        vec(any::<u8>(), 0..=125).prop_map(Said::Pong),
    ];
    (message, any::<bool>(), vec(any::<Index>(), 0..4), any::<bool>())
        .prop_map(|(message, compress, cuts, ping)| Sent { message, compress, cuts, ping })
}

/// Appends the frames of one message, and to `expected` what must come out.
fn send(
    out: &mut Vec<u8>,
    expected: &mut Vec<Said>,
    sent: &Sent,
    mask: Option<[u8; 4]>,
    window_bits: Option<u8>,
) {
    let (opcode, payload) = match &sent.message {
        Said::Text(text) => (Opcode::Text, text.as_bytes()),
        Said::Binary(bytes) => (Opcode::Binary, bytes.as_slice()),
        Said::Ping(bytes) => (Opcode::Ping, bytes.as_slice()),
        Said::Pong(bytes) => (Opcode::Pong, bytes.as_slice()),
        Said::Close(_) => unreachable!("not generated"),
    };
    if matches!(opcode, Opcode::Ping | Opcode::Pong) {
        encode::frame(out, opcode, payload, false, mask);
        expected.push(sent.message.clone());
        return;
    }
    let mut compressed = Vec::new();
    let window_bits = window_bits.filter(|_| sent.compress);
    let payload = match window_bits {
        Some(bits) => {
            Deflater::new().compress(bits, payload, &mut compressed);
            &compressed
        }
        None => payload,
    };
    let mut cuts: Vec<usize> = sent.cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
    cuts.extend([0, payload.len()]);
    cuts.sort_unstable();
    let last = cuts.len() - 2;
    for (i, piece) in cuts.windows(2).enumerate() {
        let opcode = if i == 0 { opcode } else { Opcode::Continuation };
        let start = out.len();
        encode::frame(out, opcode, &payload[piece[0]..piece[1]], i == 0 && window_bits.is_some(), mask);
        if i < last {
            out[start] &= 0x7f;
        }
        if i < last && sent.ping {
            encode::frame(out, Opcode::Ping, b"between", false, mask);
            expected.push(Said::Ping(b"between".to_vec()));
        }
    }
    expected.push(sent.message.clone());
}

proptest! {
    #[test]
    fn any_messages_in_any_pieces(
        messages in vec(sent(), 1..6),
        role in prop_oneof![Just(Role::Server), Just(Role::Client)],
        key: [u8; 4],
        window_bits in proptest::option::of(9u8..=15),
        piece_bytes in prop_oneof![1usize..40, 1usize..5000],
    ) {
        let mask = (role == Role::Server).then_some(key);
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        messages.iter().for_each(|sent| send(&mut wire, &mut expected, sent, mask, window_bits));
        let mut reader = Reader::new(role, window_bits.map(|_| deflate_agreed()), LIMITS);
        for piece in wire.chunks(piece_bytes) {
            prop_assert_eq!(reader.feed(piece), Ok(()));
        }
        prop_assert_eq!(reader.said, expected);
        prop_assert!(!reader.decoder.is_partial());
        prop_assert_eq!(reader.decoder.held_bytes(), 0);
    }
}
