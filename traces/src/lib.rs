//! Traces, scenarios and run logs: what goes into a run and what comes out of it.

pub mod duration;
pub mod export;
pub mod faults;
pub mod frames;
pub mod generate;
pub mod import;
pub mod model;
pub mod runlog;
pub mod scenario;
pub mod service;
pub mod snapshot;
pub mod stat;
mod text;
pub mod tune;
pub mod validate;

pub use import::{ImportError, ImportOptions, Imported, OnBadRow, import};
pub use model::{Outcome, Trace, TraceJob};
