//! The workloads of the benchmarks, one module a layer: set up once here, measured twice, in wall time by `benches/wall`
//! and in instructions by `benches/counts.rs`.
//!
//! Invariant: a workload does the same whenever it is run. Seeds, keys and clocks are fixed; what the first run alone
//! has to do (buffers that grow, code that looks at the processor) is done by [`ready`].

pub mod auth;
pub mod engine;
pub mod hub;
pub mod mailbox;
pub mod native;
pub mod ws;

/// The gateway's own, so that what allocates costs here what it costs there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Something to measure.
pub trait Workload {
    /// What is measured.
    fn run(&mut self);

    /// Whether it does the same again without a reset.
    fn is_repeatable(&self) -> bool {
        true
    }

    /// Takes back what a run has left; not measured.
    fn reset(&mut self) {}
}

impl<F: FnMut()> Workload for F {
    fn run(&mut self) {
        self();
    }
}

/// A workload of any layer.
pub type Work = Box<dyn Workload>;

/// How often [`ready`] runs a workload: enough for every buffer and the allocator's lists.
const WARM_UP: usize = 8;

/// Warms a workload up.
fn ready(mut workload: impl Workload + 'static) -> Work {
    for _ in 0..WARM_UP {
        workload.run();
        workload.reset();
    }
    Box::new(workload)
}
