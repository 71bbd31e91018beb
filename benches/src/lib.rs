//! Measurements: criterion benches in `benches/`, whole-command programs in `src/bin/`. Nothing here asserts a time.

pub mod cases;
pub mod measure;

pub use cases::{arrivals, import_or_generate};
pub use measure::{Measured, MostWaiting, Setup, cpu_now_s};
