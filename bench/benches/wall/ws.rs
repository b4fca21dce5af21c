//! See `bench::ws`.

use bench::{Work, ws};
use divan::{Bencher, counter::BytesCount};

use super::{LENGTHS, measure_throughput};

fn measure(bencher: Bencher<'_, '_>, length: usize, workload: fn(usize) -> Work) {
    measure_throughput(bencher, BytesCount::new(length), workload(length));
}

#[divan::bench(args = LENGTHS)]
fn unmask(bencher: Bencher<'_, '_>, length: usize) {
    measure(bencher, length, ws::unmask);
}

#[divan::bench(args = LENGTHS)]
fn validate_utf8(bencher: Bencher<'_, '_>, length: usize) {
    measure(bencher, length, ws::validate_utf8);
}

#[divan::bench(args = LENGTHS)]
fn decode_binary(bencher: Bencher<'_, '_>, length: usize) {
    measure(bencher, length, ws::decode_binary);
}

#[divan::bench(args = LENGTHS)]
fn decode_text(bencher: Bencher<'_, '_>, length: usize) {
    measure(bencher, length, ws::decode_text);
}

#[divan::bench(args = LENGTHS)]
fn decode_fragments(bencher: Bencher<'_, '_>, length: usize) {
    measure(bencher, length, ws::decode_fragments);
}

#[divan::bench]
fn decode_burst(bencher: Bencher<'_, '_>) {
    measure_throughput(bencher, BytesCount::new(32 * 128_usize), ws::decode_burst());
}

#[divan::bench(args = LENGTHS)]
fn encode_text(bencher: Bencher<'_, '_>, length: usize) {
    measure(bencher, length, ws::encode_text);
}

#[divan::bench(args = LENGTHS)]
fn copy(bencher: Bencher<'_, '_>, length: usize) {
    measure(bencher, length, ws::copy);
}
