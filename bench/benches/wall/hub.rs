//! See `bench::hub`.

use bench::hub;
use divan::{Bencher, counter::ItemsCount};

use super::{measure, measure_throughput};

#[divan::bench]
fn publish_in_500_rooms(bencher: Bencher<'_, '_>) {
    measure_throughput(bencher, ItemsCount::new(500_usize), hub::publish_in_500_rooms());
}

#[divan::bench]
fn publish_persistent_in_500_rooms(bencher: Bencher<'_, '_>) {
    measure_throughput(bencher, ItemsCount::new(500_usize), hub::publish_persistent_in_500_rooms());
}

#[divan::bench]
fn publish_named_in_500_rooms(bencher: Bencher<'_, '_>) {
    measure_throughput(bencher, ItemsCount::new(500_usize), hub::publish_named_in_500_rooms());
}

#[divan::bench(args = [100])]
fn missed(bencher: Bencher<'_, '_>, count: u32) {
    measure_throughput(bencher, ItemsCount::new(count), hub::missed(count));
}

#[divan::bench]
fn join_and_vacate(bencher: Bencher<'_, '_>) {
    measure(bencher, hub::join_and_vacate());
}

#[divan::bench]
fn come_back_among_10k(bencher: Bencher<'_, '_>) {
    measure(bencher, hub::come_back_among_10k());
}

#[divan::bench]
fn show_among_40k(bencher: Bencher<'_, '_>) {
    measure(bencher, hub::show_among_40k());
}

#[divan::bench(args = [1, 10, 100, 1_000])]
fn find_room(bencher: Bencher<'_, '_>, rooms: usize) {
    measure(bencher, hub::find_room(rooms));
}

#[divan::bench(args = [1, 10, 100, 1_000])]
fn find_room_by_id(bencher: Bencher<'_, '_>, rooms: usize) {
    measure(bencher, hub::find_room_by_id(rooms));
}
