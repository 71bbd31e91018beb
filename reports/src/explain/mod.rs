//! Why a job waited, and what it waited behind.
//!
//! Everything here comes from the log's own events, orders and notes, in at most two passes; no policy is run again, so logs
//! of policies that this version does not have are explained too.

mod find;
mod floor;
mod follow;
mod text;

use policies::Time;
use serde::Serialize;
use std::path::Path;
use thiserror::Error;
use traces::runlog::{LogError, LogReader};

use crate::reasons::Waiting;

/// Entries of each list of jobs or tenants; counts and sums are always of all.
pub(crate) const LISTED: usize = 5;
/// The floor is described at each of the first so many moments, and after that at the 8th, 16th, 32nd, ...: a policy may change
/// its reason thousands of times.
pub(crate) const MOMENTS_FIRST: u64 = 6;

/// Why a job cannot be explained.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log knows no such job.
    #[error("no job `{wanted}` among the {jobs} jobs of the log{}", suggestion(near, *jobs))]
    NoSuchJob {
        /// As typed.
        wanted: String,
        /// Names most like it, the nearest first.
        near: Vec<String>,
        /// Jobs in the log.
        jobs: u64,
    },
}

fn suggestion(near: &[String], jobs: u64) -> String {
    let by_number = match jobs {
        0 => String::new(),
        _ => format!("; a job's number in submit order is written #0 to #{}", jobs - 1),
    };
    match near {
        [] => by_number,
        near => format!("; did you mean {}?{by_number}", near.join(", ")),
    }
}

/// A job, as another job's story mentions it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobRef {
    /// Number in submit order.
    pub id: u32,
    /// The trace's name for it.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// What it asks for, fractions included.
    pub accelerators: f64,
    /// When what is told of it happened, seconds from the run's beginning.
    pub at_s: f64,
}

/// What a job did for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doing {
    /// Held nothing.
    Waiting,
    /// Held its accelerators, did not run yet.
    Starting,
    /// Ran.
    Running,
}

/// How a period ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It was ordered to start.
    Ordered,
    /// It began to run.
    Started,
    /// It was stopped to make room.
    Preempted,
    /// The attempt failed.
    Failed,
    /// It broke with its node.
    Lost,
    /// Its owner withdrew the job.
    Withdrawn,
    /// The job was done.
    Finished,
    /// The log ends.
    LogEnds,
}

/// One stretch of a job's life.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Period {
    /// What it did.
    pub doing: Doing,
    /// From when, seconds from the run's beginning.
    pub from_s: f64,
    /// Until when.
    pub to_s: f64,
    /// How it ended.
    pub ending: Ending,
    /// Which attempt; of a wait, the one that it waited for.
    pub attempt: u32,
    /// Later arrivals that were ordered to start while it waited.
    pub overtaken: Overtaken,
    /// Reasons that were noted in this time, in order: why it waits, or why it is stopped.
    pub reasons: Vec<Noted>,
    /// Where it was started, and who had been there before. Empty unless it ends with an order to start.
    pub place: Vec<Spot>,
}

/// Jobs that arrived later and were started earlier.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Overtaken {
    /// How many times a later job was started.
    pub starts: u64,
    /// Sum of the accelerators that these starts took.
    pub accelerators: f64,
    /// The first of them, and when each was started.
    pub first: Vec<JobRef>,
}

/// A reason that the policy recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Noted {
    /// When, seconds from the run's beginning.
    pub at_s: f64,
    /// What kind.
    pub kind: Waiting,
    /// With the numbers that it came with.
    pub text: String,
    /// The job that it names, if it names one, and when that one was submitted.
    pub behind: Option<JobRef>,
}

/// Accelerators of one node that a job was started on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spot {
    /// Number of the node.
    pub node: u32,
    /// Its cluster's name.
    pub cluster: String,
    /// Type of its accelerators.
    pub kind: String,
    /// How many of them.
    pub accelerators: u32,
    /// Who left these accelerators last, and when. Where accelerators are only counted: who left the node last, as many as
    /// cover what was taken.
    pub freed_by: Vec<Freed>,
}

/// A job that left room for another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Freed {
    /// Who, and when it left.
    pub job: JobRef,
    /// How it left.
    pub ending: Ending,
}

/// The whole floor at one moment of a wait.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// When, seconds from the run's beginning.
    pub at_s: f64,
    /// What happened to the job then.
    pub what: &'static str,
    /// Accelerators of a type that the job accepts.
    pub acceptable: f64,
    /// Of these, free ones.
    pub free: f64,
    /// Nodes with any of these free.
    pub free_nodes: u64,
    /// Most free on one node.
    pub free_on_one_node: f64,
    /// Whether all the accelerators that it asks for were free on one node: then it waited for its turn, or for processors or
    /// memory, but not for accelerators. Never claimed while any accelerator is shared.
    pub room: bool,
    /// Jobs that held accelerators.
    pub holders: u64,
    /// The largest of them, and since when they held.
    pub largest_holders: Vec<JobRef>,
    /// Tenants that held most, with accelerators.
    pub largest_tenants: Vec<(String, f64)>,
    /// Jobs that waited and had arrived earlier.
    pub ahead: u64,
    /// What these asked for.
    pub ahead_accelerators: f64,
    /// The first of them by arrival, when they were submitted, and what they waited for.
    pub first_ahead: Vec<(JobRef, Waiting)>,
    /// Jobs that waited in all, without this one.
    pub pending: u64,
    /// A waiting job that asks for exactly the same and was found not to fit, and when that was noted: then this one did not
    /// fit either, even if no reason of its own was recorded.
    pub same_demand: Option<(JobRef, Waiting)>,
}

/// The story of one job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Policy of the run, with its parameters.
    pub policy: String,
    /// Calendar time of second 0, where known: seconds since 1970.
    pub epoch_unix_s: Option<i64>,
    /// Number, name, tenant, accelerators and submission.
    pub job: JobRef,
    /// How many accelerators in the gang.
    pub gang: u32,
    /// Share of each in thousandths.
    pub milli: u16,
    /// The smallest part of the fleet that must hold it all.
    pub within: String,
    /// Names of acceptable types; empty if any will do.
    pub types: Vec<String>,
    /// Larger is more important.
    pub priority: i32,
    /// Service tier, 0 the best.
    pub tier: u8,
    /// What the policy was told of its run time, seconds.
    pub estimate_s: Option<f64>,
    /// Whether it was done when the log ended.
    pub done: bool,
    /// Whether it used up its attempts.
    pub failed: bool,
    /// Whether its owner withdrew it.
    pub withdrawn: bool,
    /// Time waited or starting, in all, seconds.
    pub waited_s: f64,
    /// Time run, in all, seconds.
    pub ran_s: f64,
    /// What it did, in order.
    pub periods: Vec<Period>,
    /// The floor when it was submitted and when its reason to wait changed: the first such moments, then fewer and fewer.
    pub moments: Vec<Moment>,
    /// Moments that were left out.
    pub moments_left_out: u64,
}

impl Explanation {
    /// Indented JSON with a final newline.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("an explanation has string keys and finite numbers") + "\n"
    }
}

/// Explains one job of the log at `path` (or `run.log` in it, if it is a folder). `job` is the trace's name for it, or `#` and
/// its number in submit order.
///
/// # Errors
/// If the log cannot be read or has no such job; the error then names similar ones.
pub fn explain(path: &Path, job: &str) -> Result<Explanation, ExplainError> {
    let (id, demand) = find::find(LogReader::open(path)?, job)?;
    follow::follow(LogReader::open(path)?, id, demand)
}

pub(crate) fn seconds(time: Time) -> f64 {
    time.as_secs_f64()
}
