//! Traces, scenarios and run logs: what goes into a run and what comes out of it.
pub mod model;
pub use model::{Outcome, Trace, TraceJob};
