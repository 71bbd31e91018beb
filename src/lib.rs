//! Orrery: a scheduling policy is written once, against one trait, and runs in a trace-driven simulator or on real processes.
//!
//! - [`policies`]: the core. [`policies::Policy`] is the trait, [`policies::Scheduler`] the state machine that both worlds drive.
//! - [`traces`]: traces, scenarios and run logs.
//! - [`sim`]: the simulated world. [`executor`]: the real one.
//! - [`reports`]: figures, tables, explanations, timelines, all from run logs.
//! - [`experiment`]: a scenario made ready to run under any policy, listed or your own.

pub use {executor, policies, reports, sim, traces};

mod bound;
pub mod experiment;
