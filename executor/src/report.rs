//! What became of the processes.

use crate::process::Ending;
use serde::Serialize;

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It exited with code 0.
    Finished,
    /// It used up its attempts.
    Failed,
    /// Its owner withdrew it; if it had a process, that was killed.
    Withdrawn,
    /// The run ended first; if it had a process, that was killed.
    Unfinished,
}

/// What became of a job, and what its processes went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobReport {
    /// The task's name.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Times its program was started from nothing, or was to be.
    pub starts: u32,
    /// Times it was suspended.
    pub stops: u32,
    /// Times it went on after a suspension.
    pub resumes: u32,
    /// How each start ended, in order, but for one that the end of the run cut short.
    pub endings: Vec<Ending>,
}
