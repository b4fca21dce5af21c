//! The payload of a publication: which stream it is of, which one it is there and when it was due, in a JSON object that must
//! arrive byte for byte.
//!
//! `{"lg": "RRRRRR-NNNNNNNN-SSSSSSSS-TTTTTTTTTTTTT-CCCCCCCC…"}`: run, stream, sequence and due time in hexadecimal, a checksum
//! over them and the length, then filler. In the verbatim style the space, the escapes and the non-ASCII letters are there on
//! purpose: a server that re-serialises payloads changes them and is found out. The plain style has none of them, for targets
//! whose protocol lets them write the JSON anew.

/// Digits of a run; what follows them has one length in all payloads.
const RUN_DIGITS: usize = 6;
/// Stream, sequence, due time and checksum, with the dashes between them.
const FIELDS_BYTES: usize = 8 + 1 + 8 + 1 + 13 + 1 + 8;
const CLOSE: &[u8] = br#""}"#;
const OPEN: &[u8] = br#"{"lg": ""#;
const OPEN_PLAIN: &[u8] = br#"{"lg":""#;
/// One unit of filler: what a JSON string may hold and a careless server may touch.
const FILLER: &[u8] = r#" \/\u00e9\"é{}[]:,\\"#.as_bytes();
const FILLER_PLAIN: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
/// What is left over when the filler's units do not fill a payload.
const PADDING: &[u8] = b"..............................";

/// The shortest payload: everything but filler.
pub(crate) const BYTES_MIN: usize = OPEN.len() + RUN_DIGITS + 1 + FIELDS_BYTES + CLOSE.len();
/// The longest payload.
pub(crate) const BYTES_MAX: usize = 16 << 20;
/// Runs are told apart by numbers below this.
pub(crate) const RUNS: u32 = 1 << (4 * RUN_DIGITS);

const _: () = assert!(BYTES_MIN <= 64, "64-byte payloads are the customary small ones");
const _: () = assert!(FILLER.len() <= PADDING.len() && FILLER_PLAIN.len() <= PADDING.len());

/// What a payload says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    /// By its number in the plan.
    pub(crate) stream: u32,
    pub(crate) seq: u32,
    /// When it was due, in ns of the run's clock.
    pub(crate) at_ns: u64,
}

/// What arrived in a payload's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arrived {
    /// What this run sent, unharmed.
    Ours(Stamp),
    /// A whole payload of another run of this program.
    Foreign,
    /// Anything else.
    Corrupt,
}

/// What a payload is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// Full of what may not be changed, and could be.
    Verbatim,
    /// As every JSON writer would write it.
    Plain,
}

/// Writes and checks the payloads of one run.
#[derive(Clone, Debug)]
pub(crate) struct Codec {
    run: u32,
    /// Everything up to the fields.
    prefix: Vec<u8>,
    open: &'static [u8],
    /// Whole units of filler, enough for the longest payload.
    filler: Vec<u8>,
    unit_bytes: usize,
}

impl Codec {
    /// Payloads of up to `bytes_max` (at most [`BYTES_MAX`]) for the run called `run` (below [`RUNS`]).
    pub(crate) fn new(run: u32, style: Style, bytes_max: usize) -> Self {
        debug_assert!(run < RUNS && bytes_max <= BYTES_MAX);
        let (open, unit) = match style {
            Style::Verbatim => (OPEN, FILLER),
            Style::Plain => (OPEN_PLAIN, FILLER_PLAIN),
        };
        let mut prefix = open.to_vec();
        prefix.extend_from_slice(&[b'-'; RUN_DIGITS + 1]);
        write_hex(&mut prefix[open.len()..][..RUN_DIGITS], u64::from(run));
        Self { run, prefix, open, filler: unit.repeat(bytes_max / unit.len() + 1), unit_bytes: unit.len() }
    }

    /// Appends the payload of `bytes` that says `stamp`; it becomes [`BYTES_MIN`] long where less is asked for.
    pub(crate) fn write(&self, out: &mut Vec<u8>, stamp: Stamp, bytes: usize) {
        let bytes = bytes.clamp(BYTES_MIN, BYTES_MAX);
        out.extend_from_slice(&self.prefix);
        let mut fields = [b'-'; FIELDS_BYTES];
        write_hex(&mut fields[..8], u64::from(stamp.stream));
        write_hex(&mut fields[9..17], u64::from(stamp.seq));
        write_hex(&mut fields[18..31], stamp.at_ns);
        write_hex(&mut fields[32..], u64::from(checksum(self.run, stamp, bytes)));
        out.extend_from_slice(&fields);
        let filler_bytes = bytes - self.prefix.len() - FIELDS_BYTES - CLOSE.len();
        let (whole, padding) = self.split_filler(filler_bytes);
        out.extend_from_slice(&self.filler[..whole]);
        out.extend_from_slice(&PADDING[..padding]);
        out.extend_from_slice(CLOSE);
    }

    /// Tells what `payload` is, byte for byte.
    pub(crate) fn read(&self, payload: &[u8]) -> Arrived {
        let Some((fields, filler)) = payload
            .strip_prefix(self.prefix.as_slice())
            .and_then(|rest| rest.split_first_chunk::<FIELDS_BYTES>())
        else {
            return self.read_foreign(payload);
        };
        let Some(stamp) = read_fields(fields, self.run, payload.len()) else { return Arrived::Corrupt };
        let Some(filler) = filler.strip_suffix(CLOSE) else { return Arrived::Corrupt };
        let (whole, padding) = self.split_filler(filler.len());
        let expected = self.filler.get(..whole);
        if expected == Some(&filler[..whole]) && filler[whole..] == PADDING[..padding] {
            Arrived::Ours(stamp)
        } else {
            Arrived::Corrupt
        }
    }

    /// What does not begin as ours do.
    #[cold]
    fn read_foreign(&self, payload: &[u8]) -> Arrived {
        let read = || {
            let (digits, rest) = payload.strip_prefix(self.open)?.split_first_chunk::<RUN_DIGITS>()?;
            let mut wide = [b'0'; 8];
            wide[8 - RUN_DIGITS..].copy_from_slice(digits);
            let (fields, _) = rest.strip_prefix(b"-")?.split_first_chunk::<FIELDS_BYTES>()?;
            read_fields(fields, read_hex(wide)?, payload.len())
        };
        if read().is_some() { Arrived::Foreign } else { Arrived::Corrupt }
    }

    /// Bytes of whole units and of padding in so much filler.
    fn split_filler(&self, bytes: usize) -> (usize, usize) {
        let padding = bytes % self.unit_bytes;
        (bytes - padding, padding)
    }
}

/// The stamp, when layout and checksum hold.
fn read_fields(fields: &[u8; FIELDS_BYTES], run: u32, bytes: usize) -> Option<Stamp> {
    let digits = |at: usize| -> Option<u32> { read_hex(*fields[at..].first_chunk()?) };
    if fields[8] != b'-' || fields[17] != b'-' || fields[31] != b'-' {
        return None;
    }
    // Thirteen digits are read as the first eight and the last eight, of which three are the same.
    let (high, low) = (u64::from(digits(18)?), u64::from(digits(23)?));
    let stamp = Stamp { stream: digits(0)?, seq: digits(9)?, at_ns: high << 20 | low & 0xf_ffff };
    (digits(32)? == checksum(run, stamp, bytes)).then_some(stamp)
}

/// Any change of a field changes it but for one in 2^32 (the finisher of SplitMix64).
fn checksum(run: u32, stamp: Stamp, bytes: usize) -> u32 {
    let ids = u64::from(run) << 32 | u64::from(stamp.stream);
    let mix = |value: u64| {
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    let place = (bytes as u64) << 32 | u64::from(stamp.seq);
    mix(mix(mix(ids).wrapping_add(place)).wrapping_add(stamp.at_ns)) as u32
}

/// Fills `out` with the low digits of `value`, lower case.
fn write_hex(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

/// Eight digits at once. Lower case only: another case would be another payload.
fn read_hex(digits: [u8; 8]) -> Option<u32> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let text = u64::from_be_bytes(digits);
    let nibbles = (text & (0x0f * ONES)) + 9 * ((text >> 6) & ONES);
    let is_letter = ((nibbles + 6 * ONES) >> 4) & ONES;
    let written = nibbles + 0x30 * ONES + 0x27 * is_letter;
    if nibbles & (0xf0 * ONES) != 0 || written != text {
        return None;
    }
    let bytes = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let halves = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    Some((halves | halves >> 16) as u32)
}

#[cfg(test)]
mod tests {
    use sonic_rs::JsonValueTrait;

    use super::*;

    const STAMP: Stamp = Stamp { stream: 0xabc, seq: 7, at_ns: 1_500_000_000 };

    fn written(run: u32, style: Style, bytes: usize, stamp: Stamp) -> Vec<u8> {
        let mut out = Vec::new();
        Codec::new(run, style, bytes).write(&mut out, stamp, bytes);
        out
    }

    #[test]
    fn the_layout_is_golden() {
        let rows = [
            (Style::Verbatim, 57, r#"{"lg": "c0ffee-00000abc-00000007-0000059682f00-SUM"}"#),
            (Style::Verbatim, 60, r#"{"lg": "c0ffee-00000abc-00000007-0000059682f00-SUM..."}"#),
            (
                Style::Verbatim,
                80,
                r#"{"lg": "c0ffee-00000abc-00000007-0000059682f00-SUM \/\u00e9\"é{}[]:,\\.."}"#,
            ),
            (Style::Plain, 57, r#"{"lg":"c0ffee-00000abc-00000007-0000059682f00-SUM."}"#),
            (
                Style::Plain,
                84,
                r#"{"lg":"c0ffee-00000abc-00000007-0000059682f00-SUMabcdefghijklmnopqrstuvwxyz.."}"#,
            ),
        ];
        for (style, bytes, expected) in rows {
            let payload = written(0xc0ffee, style, bytes, STAMP);
            let sum = format!("{:08x}", checksum(0xc0ffee, STAMP, bytes));
            assert_eq!(payload.len(), bytes);
            assert_eq!(std::str::from_utf8(&payload).unwrap(), expected.replace("SUM", &sum));
        }
        assert_eq!(checksum(0xc0ffee, STAMP, 57), 0x045a_961a);
    }

    #[test]
    fn every_length_is_valid_json_and_reads_back_with_one_codec() {
        for style in [Style::Verbatim, Style::Plain] {
            let codec = Codec::new(1, style, 65_536);
            for bytes in (BYTES_MIN..200).chain([4_096, 65_536]) {
                let mut payload = Vec::new();
                codec.write(&mut payload, STAMP, bytes);
                assert_eq!(payload.len(), bytes);
                assert_eq!(codec.read(&payload), Arrived::Ours(STAMP));
                let json: sonic_rs::Value = sonic_rs::from_slice(&payload).unwrap();
                assert!(json["lg"].is_str(), "{bytes}");
            }
        }
    }

    #[test]
    fn the_widest_values_fit() {
        let widest = Stamp { stream: u32::MAX, seq: u32::MAX, at_ns: (1 << 52) - 1 };
        for style in [Style::Verbatim, Style::Plain] {
            let payload = written(RUNS - 1, style, 64, widest);
            assert_eq!(Codec::new(RUNS - 1, style, 64).read(&payload), Arrived::Ours(widest));
        }
    }

    #[test]
    fn a_change_of_any_byte_is_found() {
        for style in [Style::Verbatim, Style::Plain] {
            let payload = written(1, style, 128, STAMP);
            let codec = Codec::new(1, style, 200);
            for at in 0..payload.len() {
                for change in [1, 0x20, 0x80] {
                    let mut bad = payload.clone();
                    bad[at] ^= change;
                    assert_eq!(codec.read(&bad), Arrived::Corrupt, "byte {at}");
                }
                assert_eq!(codec.read(&payload[..at]), Arrived::Corrupt, "cut at {at}");
            }
            let longer = [&payload[..], b" "].concat();
            assert_eq!(codec.read(&longer), Arrived::Corrupt);
            let shorter = [&payload[..100], CLOSE].concat();
            assert_eq!(codec.read(&shorter), Arrived::Corrupt, "a shorter filler is another payload");
        }
    }

    #[test]
    fn another_run_is_foreign_whatever_its_length() {
        for bytes in [57, 128, 300] {
            let stranger = written(2, Style::Verbatim, bytes, STAMP);
            assert_eq!(Codec::new(1, Style::Verbatim, 128).read(&stranger), Arrived::Foreign);
        }
        assert_eq!(Codec::new(1, Style::Verbatim, 128).read(br#"{"lg": "x"}"#), Arrived::Corrupt);
    }

    #[test]
    fn digits_are_those_of_one_case() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut digits = *b"0123abcf";
                digits[at] = byte;
                let text = std::str::from_utf8(&digits).ok();
                let naive = text
                    .filter(|text| text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f')))
                    .and_then(|text| u32::from_str_radix(text, 16).ok());
                assert_eq!(read_hex(digits), naive, "{digits:?}");
            }
        }
    }
}
