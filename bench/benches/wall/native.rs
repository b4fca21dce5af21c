//! See `bench::native`.

use bench::native;
use divan::{Bencher, counter::BytesCount};

use super::{LENGTHS, measure, measure_throughput};

#[divan::bench(args = LENGTHS)]
fn decode_send(bencher: Bencher<'_, '_>, length: usize) {
    measure_throughput(bencher, BytesCount::new(length), native::decode_send(length));
}

#[divan::bench(args = LENGTHS)]
fn decode_send_dense(bencher: Bencher<'_, '_>, length: usize) {
    measure_throughput(bencher, BytesCount::new(length), native::decode_send_dense(length));
}

#[divan::bench]
fn decode_send_with_id_and_escapes(bencher: Bencher<'_, '_>) {
    measure(bencher, native::decode_send_with_id_and_escapes());
}

#[divan::bench]
fn decode_ping(bencher: Bencher<'_, '_>) {
    measure(bencher, native::decode_ping());
}

#[divan::bench]
fn decode_unknown_fields(bencher: Bencher<'_, '_>) {
    measure(bencher, native::decode_unknown_fields());
}

#[divan::bench(args = LENGTHS)]
fn encode_message(bencher: Bencher<'_, '_>, length: usize) {
    measure_throughput(bencher, BytesCount::new(length), native::encode_message(length));
}

#[divan::bench]
fn encode_ack(bencher: Bencher<'_, '_>) {
    measure(bencher, native::encode_ack());
}
