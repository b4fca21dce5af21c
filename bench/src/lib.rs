//! Nothing: the benchmarks are in `benches/`, one file a layer. `cargo bench -p bench --bench native` runs one.
