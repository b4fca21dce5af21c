//! Histograms of nanoseconds, and their encodings: HDR V2 in memory and between threads, HDR V2 deflated in base64 in JSON, as
//! HdrHistogram's tools take it.
//!
//! Invariant: every one reaches from 1 ns to [`NS_MAX`], so that any two can be added; what is longer counts as [`NS_MAX`].

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer as _, V2DeflateSerializer, V2Serializer},
};
use serde::{Deserialize, Deserializer as Source, Serialize, Serializer as Sink, de::Error as _};

/// Longer durations count as this long.
pub(crate) const NS_MAX: u64 = 60_000_000_000;
/// Off by 0.1 % at most.
const DIGITS_FINE: u8 = 3;
/// Off by 1 % at most, at an eighth of the memory.
const DIGITS_COARSE: u8 = 2;

/// A histogram of nanoseconds. It takes no memory before the first sample.
#[derive(Clone)]
pub(crate) struct Hdr {
    digits: u8,
    counts: Option<Histogram<u64>>,
}

/// The bytes are no histogram of this range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an HDR histogram of 1 ns to 60 s")]
pub(crate) struct Malformed;

impl Hdr {
    /// An empty one to three digits: of a phase or a whole run.
    pub(crate) fn fine() -> Self {
        Self { digits: DIGITS_FINE, counts: None }
    }

    /// An empty one to two digits: of a second.
    pub(crate) fn coarse() -> Self {
        Self { digits: DIGITS_COARSE, counts: None }
    }

    /// From what [`Hdr::encode`] wrote, or its like deflated. No bytes are an empty one.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.is_empty() {
            return Ok(Self::fine());
        }
        let mut unread = bytes;
        let counts: Histogram<u64> = Deserializer::new().deserialize(&mut unread).map_err(|_| Malformed)?;
        let digits = counts.sigfig();
        let fits = unread.is_empty()
            && counts.low() == 1
            && counts.high() == NS_MAX
            && (DIGITS_COARSE..=DIGITS_FINE).contains(&digits);
        if fits { Ok(Self { digits, counts: Some(counts) }) } else { Err(Malformed) }
    }

    pub(crate) fn record(&mut self, ns: u64) {
        self.record_n(ns, 1);
    }

    pub(crate) fn record_n(&mut self, ns: u64, count: u64) {
        self.begin().saturating_record_n(ns.min(NS_MAX), count);
    }

    /// Adds all samples of the other one.
    pub(crate) fn merge(&mut self, other: &Self) {
        if let Some(more) = other.filled() {
            self.begin().add(more).expect("every one has the same range");
        }
    }

    /// Forgets all samples.
    pub(crate) fn reset(&mut self) {
        if let Some(counts) = &mut self.counts {
            counts.reset();
        }
    }

    fn begin(&mut self) -> &mut Histogram<u64> {
        self.counts.get_or_insert_with(|| {
            Histogram::new_with_bounds(1, NS_MAX, self.digits).expect("the bounds are constant and valid")
        })
    }

    /// An empty histogram of this precision that is there, for those who need one.
    pub(crate) fn begun(mut self) -> Histogram<u64> {
        self.begin();
        self.counts.expect("it has begun")
    }

    /// All of it, for curves and files; `None` without samples, as are the figures below.
    pub(crate) fn filled(&self) -> Option<&Histogram<u64>> {
        self.counts.as_ref().filter(|counts| !counts.is_empty())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled().is_none()
    }

    pub(crate) fn samples(&self) -> u64 {
        self.counts.as_ref().map_or(0, Histogram::len)
    }

    /// Nanoseconds that this share of the samples (0 to 1) did not exceed.
    pub(crate) fn at(&self, quantile: f64) -> Option<u64> {
        self.filled().map(|counts| counts.value_at_quantile(quantile))
    }

    /// In nanoseconds.
    pub(crate) fn max(&self) -> Option<u64> {
        self.filled().map(Histogram::max)
    }

    /// In nanoseconds.
    pub(crate) fn mean(&self) -> Option<f64> {
        self.filled().map(Histogram::mean)
    }

    /// HDR V2; no bytes for an empty one.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(counts) = self.filled() {
            // Writing to a Vec cannot fail, and no count comes near 2^63.
            V2Serializer::new().serialize(counts, &mut bytes).expect("it is written to memory");
        }
        bytes
    }

    /// HDR V2, deflated, in base64; empty for an empty one.
    pub(crate) fn to_base64(&self) -> String {
        let mut bytes = Vec::new();
        if let Some(counts) = self.filled() {
            V2DeflateSerializer::new().serialize(counts, &mut bytes).expect("it is written to memory");
        }
        BASE64.encode(bytes)
    }

    /// From what [`Hdr::to_base64`] wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn from_base64(text: &str) -> Result<Self, Malformed> {
        Self::decode(&BASE64.decode(text).map_err(|_| Malformed)?)
    }
}

impl PartialEq for Hdr {
    fn eq(&self, other: &Self) -> bool {
        self.filled() == other.filled()
    }
}

impl fmt::Debug for Hdr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hdr({} samples, p50 {:?}, max {:?})", self.samples(), self.at(0.5), self.max())
    }
}

impl Serialize for Hdr {
    fn serialize<S: Sink>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.serialize_str(&self.to_base64())
    }
}

impl<'de> Deserialize<'de> for Hdr {
    fn deserialize<D: Source<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        Self::from_base64(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(mut hdr: Hdr) -> Hdr {
        (1..=1_000).for_each(|n| hdr.record(n * n * 977));
        hdr
    }

    #[test]
    fn both_encodings_come_back_as_they_were() {
        for hdr in [some(Hdr::fine()), some(Hdr::coarse())] {
            assert_eq!(Hdr::decode(&hdr.encode()), Ok(hdr.clone()));
            let text = hdr.to_base64();
            assert!(text.starts_with("HISTFAAAA"), "{text}");
            assert_eq!(Hdr::from_base64(&text), Ok(hdr));
        }
        for hdr in [Hdr::fine(), Hdr::coarse()] {
            assert_eq!((hdr.encode().len(), hdr.to_base64().len()), (0, 0));
            assert_eq!(Hdr::from_base64("").map(|it| it.samples()), Ok(0));
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        let bytes = some(Hdr::fine()).encode();
        for end in 1..bytes.len() {
            assert!(Hdr::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(Hdr::decode(&longer), Err(Malformed));
        let mut other = Vec::new();
        let mut wide: Histogram<u64> = Histogram::new_with_bounds(1, NS_MAX * 60, 3).unwrap();
        wide.saturating_record(u64::MAX);
        V2Serializer::new().serialize(&wide, &mut other).unwrap();
        assert_eq!(Hdr::decode(&other), Err(Malformed), "another range");
        assert_eq!(Hdr::from_base64("HIST"), Err(Malformed));
        assert_eq!(Hdr::from_base64("no base64"), Err(Malformed));
    }

    #[test]
    fn sums_have_all_samples_also_of_different_precision() {
        let mut sum = some(Hdr::fine());
        sum.merge(&some(Hdr::coarse()));
        sum.record(u64::MAX);
        assert_eq!(sum.samples(), 2_001);
        assert!(sum.max() >= Some(NS_MAX) && sum.max() < Some(NS_MAX / 999 * 1_000));
        assert_eq!(Hdr::fine().at(0.5), None);
        sum.reset();
        assert!(sum.is_empty());
    }
}
