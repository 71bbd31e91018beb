//! Traces, scenarios and run logs: what goes into a run and what comes out of it.
pub mod import;
pub mod model;
pub mod runlog;
pub mod tune;
pub use import::{ImportError, ImportOptions, Imported, OnBadRow, import};
pub use model::{Outcome, Trace, TraceJob};
