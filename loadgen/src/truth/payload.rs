//! The payload of a publication: who sent it, which one it is and when it was due, in a JSON object
//! of fixed layout and length that must arrive byte for byte.
//!
//! `{"lg": "RRRRRRRR-PPPPPP-SSSSSSSS-TTTTTTTTTTTTT-CCCCCCCC…"}`: run, publisher, sequence and due
//! time in hexadecimal, a checksum over them, then filler. The space, the escapes and the non-ASCII
//! letters are there on purpose: a server that re-serialises payloads changes them and is found out.

use std::ops::Range;

const OPEN: &[u8] = br#"{"lg": ""#;
const CLOSE: &[u8] = br#""}"#;
const RUN: Range<usize> = 8..16;
const PUBLISHER: Range<usize> = 17..23;
const SEQ: Range<usize> = 24..32;
const AT: Range<usize> = 33..46;
const SUM: Range<usize> = 47..55;
const DASHES: [usize; 4] = [16, 23, 32, 46];
/// One unit of filler: what a JSON string may hold and a careless server may touch.
const FILLER: &[u8] = r#" \/\u00e9\"é{}[]:,\\"#.as_bytes();

/// The shortest payload: everything but filler.
pub(crate) const BYTES_MIN: usize = SUM.end + CLOSE.len();
/// The longest payload.
pub(crate) const BYTES_MAX: usize = 16 << 20;
/// Publishers are told apart by six hexadecimal digits.
pub(crate) const PUBLISHERS_MAX: u32 = 1 << 24;

const _: () = assert!(BYTES_MIN <= 64, "64-byte payloads are the customary small ones");

/// What a payload says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    pub(crate) publisher: u32,
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

/// Writes and checks the payloads of one run.
#[derive(Clone, Debug)]
pub(crate) struct Codec {
    run: u32,
    template: Vec<u8>,
}

impl Codec {
    /// Payloads of `bytes` ([`BYTES_MIN`] to [`BYTES_MAX`]) for the run called `run`.
    pub(crate) fn new(run: u32, bytes: usize) -> Self {
        debug_assert!((BYTES_MIN..=BYTES_MAX).contains(&bytes));
        let mut template = OPEN.to_vec();
        template.resize(SUM.end, b'-');
        write_hex(&mut template[RUN], u64::from(run));
        let filler_bytes = bytes - BYTES_MIN;
        for _ in 0..filler_bytes / FILLER.len() {
            template.extend_from_slice(FILLER);
        }
        template.resize(SUM.end + filler_bytes, b'.');
        template.extend_from_slice(CLOSE);
        Self { run, template }
    }

    /// The length of every payload.
    pub(crate) fn bytes(&self) -> usize {
        self.template.len()
    }

    /// Appends the payload that says `stamp`.
    pub(crate) fn write(&self, out: &mut Vec<u8>, stamp: Stamp) {
        let start = out.len();
        out.extend_from_slice(&self.template);
        let payload = &mut out[start..];
        write_hex(&mut payload[PUBLISHER], u64::from(stamp.publisher));
        write_hex(&mut payload[SEQ], u64::from(stamp.seq));
        write_hex(&mut payload[AT], stamp.at_ns);
        write_hex(&mut payload[SUM], u64::from(checksum(self.run, stamp)));
    }

    /// Tells what `payload` is, byte for byte.
    pub(crate) fn read(&self, payload: &[u8]) -> Arrived {
        let Some((run, stamp)) = read_head(payload) else { return Arrived::Corrupt };
        if run != self.run {
            return Arrived::Foreign;
        }
        if payload.len() == self.template.len() && payload[SUM.end..] == self.template[SUM.end..] {
            Arrived::Ours(stamp)
        } else {
            Arrived::Corrupt
        }
    }
}

/// The fixed part: run and stamp, when layout and checksum hold.
fn read_head(payload: &[u8]) -> Option<(u32, Stamp)> {
    let head = payload.get(..SUM.end)?;
    if !head.starts_with(OPEN) || DASHES.iter().any(|at| head[*at] != b'-') {
        return None;
    }
    let run = read_hex(&head[RUN])? as u32;
    let stamp = Stamp {
        publisher: read_hex(&head[PUBLISHER])? as u32,
        seq: read_hex(&head[SEQ])? as u32,
        at_ns: read_hex(&head[AT])?,
    };
    (read_hex(&head[SUM])? as u32 == checksum(run, stamp)).then_some((run, stamp))
}

/// Any change of a field changes it but for one in 2^32 (the finisher of SplitMix64).
fn checksum(run: u32, stamp: Stamp) -> u32 {
    let ids = u64::from(run) << 32 | u64::from(stamp.publisher);
    let mix = |value: u64| {
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    mix(mix(mix(ids).wrapping_add(u64::from(stamp.seq))).wrapping_add(stamp.at_ns)) as u32
}

/// Fills `out` with the low digits of `value`, lower case.
fn write_hex(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

/// Lower case only: another case would be another payload.
fn read_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    use sonic_rs::JsonValueTrait;

    use super::*;

    const STAMP: Stamp = Stamp { publisher: 0xabc, seq: 7, at_ns: 1_500_000_000 };

    fn written(run: u32, bytes: usize, stamp: Stamp) -> Vec<u8> {
        let mut out = Vec::new();
        Codec::new(run, bytes).write(&mut out, stamp);
        out
    }

    #[test]
    fn the_layout_is_golden() {
        let rows = [
            (57, r#"{"lg": "00c0ffee-000abc-00000007-0000059682f00-1cc214a8"}"#),
            (60, r#"{"lg": "00c0ffee-000abc-00000007-0000059682f00-1cc214a8..."}"#),
            (80, r#"{"lg": "00c0ffee-000abc-00000007-0000059682f00-1cc214a8 \/\u00e9\"é{}[]:,\\.."}"#),
        ];
        for (bytes, expected) in rows {
            let payload = written(0xc0ffee, bytes, STAMP);
            assert_eq!(payload.len(), bytes);
            assert_eq!(std::str::from_utf8(&payload).unwrap(), expected);
        }
    }

    #[test]
    fn every_length_is_valid_json_and_reads_back() {
        for bytes in (BYTES_MIN..200).chain([4_096, 65_536]) {
            let codec = Codec::new(1, bytes);
            let mut payload = Vec::new();
            codec.write(&mut payload, STAMP);
            assert_eq!((payload.len(), codec.bytes()), (bytes, bytes));
            assert_eq!(codec.read(&payload), Arrived::Ours(STAMP));
            let json: sonic_rs::Value = sonic_rs::from_slice(&payload).unwrap();
            assert!(json["lg"].is_str(), "{bytes}");
        }
    }

    #[test]
    fn the_widest_values_fit() {
        let widest = Stamp { publisher: PUBLISHERS_MAX - 1, seq: u32::MAX, at_ns: (1 << 52) - 1 };
        assert_eq!(Codec::new(u32::MAX, 64).read(&written(u32::MAX, 64, widest)), Arrived::Ours(widest));
    }

    #[test]
    fn a_change_of_any_byte_is_found() {
        let payload = written(1, 128, STAMP);
        let codec = Codec::new(1, 128);
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
    }

    #[test]
    fn another_run_is_foreign_whatever_its_length() {
        for bytes in [57, 128, 300] {
            assert_eq!(Codec::new(1, 128).read(&written(2, bytes, STAMP)), Arrived::Foreign);
        }
    }
}
