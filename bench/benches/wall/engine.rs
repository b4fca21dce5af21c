//! See `bench::engine`. The throughput is in deliveries.

use bench::engine;
use divan::{Bencher, counter::ItemsCount};

use super::{measure, measure_each, measure_throughput};

#[divan::bench(args = [10, 200, 1_000])]
fn publish(bencher: Bencher<'_, '_>, members: usize) {
    measure_throughput(bencher, ItemsCount::new(members), engine::publish(members));
}

#[divan::bench(args = [10, 200, 1_000])]
fn publish_limited(bencher: Bencher<'_, '_>, members: usize) {
    measure_throughput(bencher, ItemsCount::new(members), engine::publish_limited(members));
}

#[divan::bench(args = [10, 200, 1_000])]
fn relay(bencher: Bencher<'_, '_>, members: usize) {
    measure_throughput(bencher, ItemsCount::new(members), engine::relay(members));
}

#[divan::bench(args = [200, 1_000])]
fn publish_16(bencher: Bencher<'_, '_>, members: usize) {
    measure_throughput(bencher, ItemsCount::new(16 * members), engine::publish_16(members));
}

#[divan::bench(args = [1_000], sample_size = 1, sample_count = 1_000)]
fn fan_out(bencher: Bencher<'_, '_>, members: usize) {
    measure_each(bencher, ItemsCount::new(members), engine::fan_out(members));
}

#[divan::bench(args = [128, 1 << 13])]
fn echo(bencher: Bencher<'_, '_>, length: usize) {
    measure(bencher, engine::echo(length));
}

#[divan::bench]
fn reconnect(bencher: Bencher<'_, '_>) {
    measure(bencher, engine::reconnect());
}

#[divan::bench(args = [100])]
fn recover(bencher: Bencher<'_, '_>, count: usize) {
    measure_throughput(bencher, ItemsCount::new(count), engine::recover(count));
}

#[divan::bench(args = [1_000, 50_000])]
fn survey(bencher: Bencher<'_, '_>, clients: usize) {
    measure(bencher, engine::survey(clients));
}
