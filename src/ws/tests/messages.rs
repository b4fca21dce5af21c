//! Messages over several frames and reads: order, limits, and what a decoder holds meanwhile.
//! Rules for single frames are in `frames`.

use super::*;

fn client() -> Reader {
    Reader::new(Role::Client, None, LIMITS)
}

#[test]
fn sequences() {
    let ping = |payload: &[u8]| Said::Ping(payload.to_vec());
    let rows: [(&str, &str, Vec<Said>); 10] = [
        ("empty text", "81 00", vec![text("")]),
        ("empty fragments", "01 00 00 00 80 00", vec![text("")]),
        ("two messages", "81 01 61 81 01 62", vec![text("a"), text("b")]),
        ("ping between fragments", "01 01 61 89 01 70 80 01 62", vec![ping(b"p"), text("ab")]),
        ("ping before the payload is whole", "01 01 61 89 00 00 01 62 8a 00 80 01 63", {
            vec![ping(b""), Said::Pong(vec![]), text("abc")]
        }),
        ("a character over two fragments", "01 02 61 ce 80 01 ba", vec![text("aκ")]),
        ("a character over four", "01 01 f0 00 01 9d 00 01 84 80 01 9e", vec![text("𝄞")]),
        ("binary need not be UTF-8", "02 01 ff 80 01 fe", vec![Said::Binary(vec![0xff, 0xfe])]),
        ("close without a code", "88 00", vec![Said::Close(None)]),
        ("close between fragments", "01 01 61 88 05 03 e9 62 79 65", {
            vec![Said::Close(Some((1001, "bye".to_owned())))]
        }),
    ];
    for (name, wire, expected) in rows {
        assert_read(name, client, &hex(wire), &(expected, None));
    }
}

#[test]
fn a_half_character_ends_no_message() {
    let rows = [
        ("whole frame", "81 02 61 ce"),
        ("last fragment", "01 01 61 80 01 ce"),
        ("empty last", "01 01 ce 80 00"),
    ];
    for (name, wire) in rows {
        assert_read(name, client, &hex(wire), &(vec![], Some(DecodeError::InvalidUtf8)));
    }
}

#[test]
fn as_many_fragments_as_may_be() {
    let limits = Limits { fragments_max: 3, ..LIMITS };
    let reader = || Reader::new(Role::Client, None, limits);
    let refused = Some(DecodeError::TooManyFragments { fragments_max: 3 });
    assert_read("three and the last", reader, &hex("01 00 00 00 00 00 80 01 61"), &(vec![text("a")], None));
    assert_read("four", reader, &hex("01 00 00 00 00 00 00 00"), &(vec![], refused));
    let pings = hex("01 00 89 00 89 00 89 00 89 00 80 00");
    let (said, error) = read_in_pieces(reader(), [pings.as_slice()]);
    assert_eq!((said.len(), error), (5, None), "control frames are no fragments");
}

#[test]
fn partial_until_the_end() {
    let rows = [
        ("81", true),
        ("81 02", true),
        ("81 02 61", true),
        ("81 02 61 62", false),
        ("01 01 61", true),
        ("01 01 61 89 00", true),
        ("01 01 61 89 01", true),
        ("01 01 61 80 00", false),
        ("89", true),
        ("89 01 61", false),
        ("81 02 61 62 81", true),
    ];
    for (wire, expected) in rows {
        let wire = hex(wire);
        for pieces in [wire.chunks(wire.len()), wire.chunks(1)] {
            let mut reader = client();
            pieces.for_each(|piece| reader.feed(piece).unwrap());
            assert_eq!(reader.decoder.is_partial(), expected, "{wire:02x?}");
            assert_eq!(reader.decoder.held_bytes() > 0, expected, "{wire:02x?}");
        }
    }
}

/// The item is out, though its buffer is given up only by the next call.
#[test]
fn not_partial_once_delivered() {
    let mut decoder = Decoder::new(Role::Client, None);
    let mut inflater = Inflater::new();
    for (i, wire) in ["81 02 61", "62", "89 02 61", "62"].into_iter().enumerate() {
        let mut wire = hex(wire);
        let said = decoder.next(&mut Input::new(&mut wire), &mut inflater, &LIMITS).unwrap().is_some();
        assert_eq!((said, decoder.is_partial()), (i % 2 == 1, i % 2 == 0), "read {i}");
    }
}

#[test]
fn as_long_as_may_be() {
    let limits = Limits { message_bytes_max: 200, ..LIMITS };
    let reader = || Reader::new(Role::Client, Some(deflate_agreed()), limits);
    let x = |count: usize| vec![b'x'; count];
    // Compressed, a message of 200 bytes may take an eighth and 64 bytes more (289), but not any number.
    let rows: [(&str, Vec<u8>, bool); 6] = [
        ("200", [hex("81 7e 00 c8"), x(200)].concat(), true),
        ("201", [hex("81 7e 00 c9"), x(201)].concat(), false),
        ("100 and 100", [hex("01 64"), x(100), hex("80 64"), x(100)].concat(), true),
        ("100 and 101", [hex("01 64"), x(100), hex("80 65"), x(101)].concat(), false),
        ("200 stored in 206", [hex("c1 7e 00 ce  00 c8 00 37 ff"), x(200), hex("00")].concat(), true),
        ("290 compressed", [hex("c1 7e 01 22"), vec![0; 290]].concat(), false),
    ];
    for (name, wire, allowed) in rows {
        let refused = DecodeError::MessageTooBig { bytes_max: 200 };
        let outcome = if allowed { (vec![text(&"x".repeat(200))], None) } else { (vec![], Some(refused)) };
        assert_read(name, reader, &wire, &outcome);
    }
}

/// One growth per doubling, or 65,536 fragments would copy gigabytes.
#[test]
fn many_fragments_cost_linear_time() {
    let mut reader = Reader::new(Role::Client, None, Limits { fragments_max: 5000, ..LIMITS });
    reader.feed(&hex("02 01 78")).unwrap();
    let mut growths = 0;
    for _ in 0..4000 {
        let before = reader.decoder.held_bytes();
        reader.feed(&hex("00 01 78")).unwrap();
        growths += u32::from(reader.decoder.held_bytes() > before);
    }
    assert!(growths <= 12, "{growths} growths for 4001 bytes");
}

/// Announced bytes cost nothing; those that came cost at most the doubling of a buffer.
#[test]
fn memory_follows_what_has_arrived() {
    let overhead = {
        let mut reader = client();
        reader.feed(&hex("81")).unwrap();
        reader.decoder.held_bytes()
    };
    let heads = [("text", "81 7f 00 00 00 00 00 10 00 00"), ("binary", "82 7f 00 00 00 00 00 10 00 00")];
    for (name, head) in heads {
        let mut reader = client();
        reader.feed(&hex(head)).unwrap();
        assert_eq!(reader.decoder.held_bytes(), overhead, "{name}");
        let mut arrived = 0;
        while arrived < 1 << 20 {
            let piece = vec![b'x'; 1021.min((1 << 20) - arrived)];
            reader.feed(&piece).unwrap();
            arrived += piece.len();
            assert!(
                reader.decoder.held_bytes() <= overhead + (2 * arrived).min(1 << 20),
                "{name}: {arrived}"
            );
        }
        assert_eq!(reader.decoder.held_bytes(), 0, "{name}");
        assert_eq!(reader.said.len(), 1);
    }
}
