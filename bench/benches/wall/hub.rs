//! See `bench::hub`.

use bench::hub;
use divan::{Bencher, counter::ItemsCount};

use super::{measure, measure_throughput};

#[divan::bench]
fn publish_in_500_rooms(bencher: Bencher<'_, '_>) {
    measure_throughput(bencher, ItemsCount::new(500_usize), hub::publish_in_500_rooms());
}

#[divan::bench]
fn join_and_vacate(bencher: Bencher<'_, '_>) {
    measure(bencher, hub::join_and_vacate());
}

#[divan::bench]
fn come_back_among_10k(bencher: Bencher<'_, '_>) {
    measure(bencher, hub::come_back_among_10k());
}
