//! The workloads in wall time: `cargo bench -p bench --bench wall`, or with a filter such as `-- native::decode`.

use std::cell::RefCell;

use bench::Work;
use divan::{Bencher, counter::IntoCounter};

mod auth;
mod engine;
mod hub;
mod mailbox;
mod native;
mod ws;

fn main() {
    divan::main();
}

/// Payload or message lengths, in bytes.
const LENGTHS: [usize; 4] = [128, 1 << 10, 1 << 13, 1 << 16];

fn measure(bencher: Bencher<'_, '_>, mut work: Work) {
    bencher.bench_local(|| work.run());
}

/// As [`measure`], with what a run counts as: bytes or items, by which the throughput is shown.
fn measure_throughput(bencher: Bencher<'_, '_>, counter: impl IntoCounter, mut work: Work) {
    bencher.counter(counter).bench_local(|| work.run());
}

/// For a workload that is to be reset after each run; wants `sample_size = 1`.
fn measure_each(bencher: Bencher<'_, '_>, counter: impl IntoCounter, work: Work) {
    let work = RefCell::new(work);
    let bencher = bencher.counter(counter).with_inputs(|| work.borrow_mut().reset());
    bencher.bench_local_values(|()| work.borrow_mut().run());
}
