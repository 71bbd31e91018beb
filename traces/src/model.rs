//! The canonical trace: what every importer makes and every driver reads.

use policies::{Demand, Fleet, Span, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a job ended where it was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It ended by itself, well.
    #[default]
    Completed,
    /// It ended by itself, badly.
    Failed,
    /// Somebody ended it.
    Cancelled,
    /// The source does not say.
    Unknown,
}

/// One job of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceJob {
    /// The source's own name for it; unique in the trace.
    pub id: Box<str>,
    /// When it was submitted, from the trace's beginning.
    pub submit: Time,
    /// How long it runs when it holds all it asks for. The truth: policies see it only through estimates.
    pub duration: Span,
    /// What it holds while it runs. Its `types` index [`Trace::types`].
    pub demand: Demand,
    /// Index into [`Trace::tenants`].
    pub tenant: u32,
    /// Larger is more important; 0 where the source has none.
    pub priority: i32,
    /// Service tier, 0 the best; 0 where the source has none.
    pub tier: u8,
    /// What the user said it would take (a requested wall time), where the source has it.
    pub estimate: Option<Span>,
    /// How it ended.
    pub outcome: Outcome,
    /// When it started where it was recorded, from the trace's beginning, where known.
    pub recorded_start: Option<Time>,
    /// Model, application, quality-of-service label: index into [`Trace::labels`].
    pub label: u32,
}

/// Jobs in submit order (ties in input row order), and the names that they index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Sorted by submit time, stably.
    pub jobs: Vec<TraceJob>,
    /// Tenant names (user or virtual cluster); index 0 is `""`, nobody in particular.
    pub tenants: Vec<String>,
    /// Accelerator type names, at most 64. Empty where the source has one kind.
    pub types: Vec<String>,
    /// Label names; index 0 is `""`.
    pub labels: Vec<String>,
    /// The calendar time of [`Time::ZERO`], in seconds since 1970-01-01T00:00:00Z, where known.
    pub epoch_unix_s: Option<i64>,
    /// The machines it was recorded on, where the source lists them.
    pub fleet: Option<Fleet>,
    /// Format name, e.g. `philly-csv`.
    pub format: String,
}

impl Trace {
    /// BLAKE3 (hex) of everything in it: for traces that were drawn, not read.
    pub fn digest(&self) -> String {
        let bytes = postcard::to_stdvec(self).expect("a trace is plain data");
        blake3::hash(&bytes).to_hex().to_string()
    }
}

impl Trace {
    /// What jobs ask for and how many ask for the same, in order of demand: what [`Placement::expect`] is told.
    ///
    /// [`Placement::expect`]: policies::Placement::expect
    pub fn demands(&self) -> Vec<(Demand, u32)> {
        let mut counts = BTreeMap::new();
        self.jobs.iter().for_each(|job| *counts.entry(job.demand).or_default() += 1);
        counts.into_iter().collect()
    }
}
