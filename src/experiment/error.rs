//! What can be wrong with an experiment.

use policies::Time;
use policies::snapshot::{SchedulerStateError, StateError};
use policies::spec::SpecError;
use std::path::PathBuf;
use thiserror::Error;
use traces::runlog::LogError;
use traces::snapshot::SnapshotError;

/// Why an experiment cannot run.
#[derive(Debug, Error)]
pub enum ExperimentError {
    /// Policy or placement do not exist.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The log cannot be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Some jobs could never run.
    #[error("{count} of {jobs} jobs can never run on this fleet, e.g. job `{id}`, which needs {what}; {remedy}")]
    Misfits {
        /// How many.
        count: usize,
        /// Of how many.
        jobs: usize,
        /// The first of them.
        id: String,
        /// What that one asks for.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A snapshot cannot be written or read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Policy `policy` or placement `placement` cannot be saved or loaded.
    #[error("no snapshot of policy `{policy}` with placement `{placement}`: {source}")]
    State {
        /// Policy with parameters.
        policy: String,
        /// Placement with parameters.
        placement: String,
        /// Which, and why.
        source: SchedulerStateError,
    },
    /// The world cannot be saved or loaded.
    #[error("no snapshot of the world: {0}")]
    World(StateError),
    /// A snapshot and the log beside it do not belong together.
    #[error("{path}: not the log that the snapshot beside it was taken with: run it again from the beginning")]
    OtherLog {
        /// The log.
        path: PathBuf,
    },
    /// Accelerator-time does not add up.
    #[error("the books do not add up: {0}: this is a bug in Orrery")]
    Books(String),
    /// An invariant broke.
    #[error(
        "invariant broken: {what}\n  scenario {scenario}, policy {policy}, seed {seed}, step {step} at {now}: this is a bug in Orrery or in the policy"
    )]
    Broken {
        /// Scenario name.
        scenario: String,
        /// Policy with parameters.
        policy: String,
        /// Seed.
        seed: u64,
        /// Step.
        step: u64,
        /// When.
        now: Time,
        /// What.
        what: String,
    },
}
