//! See `bench::mailbox`.

use bench::mailbox;
use divan::{Bencher, counter::ItemsCount};

use super::measure_throughput;

#[divan::bench]
fn post_and_take_64(bencher: Bencher<'_, '_>) {
    measure_throughput(bencher, ItemsCount::new(64_usize), mailbox::post_and_take_64());
}
