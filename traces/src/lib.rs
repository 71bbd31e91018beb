//! Traces, scenarios and run logs: what goes into a run and what comes out of it.
pub mod duration;
pub mod generate;
pub mod model;
pub mod scenario;
pub mod validate;
pub use model::{Outcome, Trace, TraceJob};
