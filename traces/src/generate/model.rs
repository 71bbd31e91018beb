//! The workload model as people write it. Everything but the preset is optional and overrides the preset.

use super::presets::Preset;
use crate::duration::Length;
use serde::{Deserialize, Serialize};

/// A statistical description of what a fleet is asked to do; see [`generate`](super::generate()).
///
/// Of `jobs`, `days` and `load` give at most two; the third follows. With one or none the defaults are 0.9 for `load`
/// and 10,000 for `jobs`. The load is that of the jobs drawn, not an expectation: heavy tails converge too slowly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkloadModel {
    /// Where everything that is not given comes from.
    pub preset: Preset,
    /// How many jobs.
    pub jobs: Option<u64>,
    /// Over how many days they arrive.
    pub days: Option<f64>,
    /// Offered load: accelerator-time asked for, over accelerators times days.
    pub load: Option<f64>,
    /// The capacity that `load` refers to. In a scenario: the fleet's; else the preset's own fleet.
    pub accelerators: Option<u64>,
    /// Size classes larger than this are left out. In a scenario: the largest gang the fleet can hold; else `accelerators`.
    pub accelerators_max: Option<u32>,
    /// Jobs of at most this many accelerators must run on one node. Without it, a gang may span a cluster's nodes.
    pub one_node_max: Option<u32>,
    /// Shorter durations become this. Default: `"1s"`.
    pub duration_min: Option<Length>,
    /// Submissions and durations are multiples of this. Default: `"1s"` as in the sources; `"1us"` with preset `uniform`.
    pub resolution: Option<Length>,
    /// Longer durations become this. Default: the preset's laws end by themselves.
    pub duration_max: Option<Length>,
    /// Job sizes with their shares, durations and outcomes.
    pub sizes: Option<Vec<SizeClass>>,
    /// Durations of classes that give none themselves.
    pub durations: Option<Durations>,
    /// Outcomes of classes that give none themselves.
    pub outcomes: Option<Vec<OutcomeBand>>,
    /// 24 relative arrival rates, by hour of the day.
    pub hours: Option<Vec<f64>>,
    /// 7 relative arrival rates, Monday first; the trace begins on a Monday at 00:00.
    pub weekdays: Option<Vec<f64>>,
    /// Jobs that one user submits in one go.
    pub batches: Option<Batches>,
    /// Who submits.
    pub tenants: Option<Tenants>,
    /// Shares of the service tiers, best first. Default: all jobs in tier 0.
    pub tiers: Option<Vec<f64>>,
    /// Priorities and their shares. Default: all jobs at 0.
    pub priorities: Option<Vec<PriorityShare>>,
    /// Accelerator types and the share of jobs that insists on each; the rest takes any. Default: nobody insists.
    pub types: Option<Vec<TypeShare>>,
    /// Requested wall times.
    pub estimates: Option<UserEstimates>,
    /// Processors in thousandths asked for with each accelerator. Default: 0.
    pub cpu_milli_per_accelerator: u32,
    /// Host memory in MiB asked for with each accelerator. Default: 0.
    pub memory_mib_per_accelerator: u32,
}

/// Jobs of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeClass {
    /// Accelerators in the gang.
    pub accelerators: u32,
    /// Relative share of jobs.
    pub share: f64,
    /// How long they run. Default: [`WorkloadModel::durations`], else those of the preset's nearest smaller size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durations: Option<Durations>,
    /// How they end. Default: [`WorkloadModel::outcomes`], else those of the preset's nearest smaller size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Vec<OutcomeBand>>,
}

/// A law of durations: `quantiles`, or `median` with `sigma`, or `mean` alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Durations {
    /// (rank, duration) pairs from rank 0 to rank 1, both ascending; log-linear between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<Vec<(f64, Length)>>,
    /// Median of a log-normal law.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median: Option<Length>,
    /// Standard deviation of the natural logarithm, with `median`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma: Option<f64>,
    /// Mean of an exponential law.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<Length>,
}

/// How jobs end whose duration ranks between the previous band and `up_to` among jobs of their size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeBand {
    /// Upper end of the band, in (0, 1]; the last band ends at 1.
    pub up_to: f64,
    /// Relative share that completes.
    pub completed: f64,
    /// Relative share that fails.
    #[serde(default)]
    pub failed: f64,
    /// Relative share that is cancelled.
    #[serde(default)]
    pub cancelled: f64,
}

/// Batches: one tenant submits several jobs of one size in a row (a sweep, a set of evaluations, retries).
/// Batch sizes follow a power law: the chance of `n` jobs falls as `n` to the power of `-exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batches {
    /// Largest batch; 1 makes every job its own batch.
    pub jobs_max: u32,
    /// Most accelerators in a batch, all its jobs together: nobody submits a hundred of the largest jobs in a row.
    /// Shares of sizes remain shares of jobs.
    #[serde(default = "unlimited")]
    pub accelerators_max: u32,
    /// Exponent of the power law.
    pub exponent: f64,
    /// Mean gap between two jobs of a batch, exponential.
    pub gap: Length,
    /// Share of a batch's jobs whose duration is like the first one's; the others draw their own.
    pub alike: f64,
}

fn unlimited() -> u32 {
    u32::MAX
}

/// Tenants: the k-th submits a share of batches that falls as k to the power of `-exponent` (Zipf).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenants {
    /// How many.
    pub count: u32,
    /// 0: all alike; 1 and more: a few submit most.
    pub exponent: f64,
}

/// A priority and its share of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorityShare {
    /// Larger is more important.
    pub priority: i32,
    /// Relative share of jobs.
    pub share: f64,
}

/// An accelerator type and the share of jobs that accepts no other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeShare {
    /// As the fleet calls it.
    pub name: String,
    /// Share of all jobs, 0 to 1.
    pub share: f64,
}

/// Requested wall times, after Tsafrir, Etsion and Feitelson, "Modeling User Runtime Estimates" (JSSPP 2005), section 3:
/// users pick from a few round values, hardly ever too little, with true over requested time spread evenly between
/// hardly anything and all of it, and many just take the most that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserEstimates {
    /// Share of jobs that have an estimate.
    pub share: f64,
    /// Share of estimates that are just the largest allowed.
    pub largest: f64,
    /// The largest allowed; jobs that run longer have asked for a multiple of it.
    pub max: Length,
}

impl Default for UserEstimates {
    fn default() -> Self {
        UserEstimates { share: 1.0, largest: 0.15, max: Length(policies::Span::from_secs(7 * 86_400)) }
    }
}
