//! The figures of a run that people cite, with everything that makes them citable.

use crate::inference::InferenceSummary;
use crate::service::{Bound, Service};
use crate::stats::{Samples, jain, ratio};
use policies::Span;
use policies::ledger::Account;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use traces::runlog::{Header, JobRecord, Tracker, World};

/// Jobs shorter than this count as this long in the bounded slowdown, so that it is not ruled by jobs of a second (Feitelson et
/// al., "Theory and Practice in Parallel Job Scheduling", JSSPP 1997, section 3.1).
pub const SLOWDOWN_TAU: Span = Span::from_secs(10);

/// What came of a run.
///
/// Means are exact sums divided once; quantiles are nearest-rank (always a sample, never interpolated). Both are over jobs that
/// are done, failed ones included, and `None` (JSON `null`) if none is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Policy with all its parameters.
    pub policy: String,
    /// Placement with all its parameters.
    pub placement: String,
    /// What policies knew of durations.
    pub estimates: String,
    /// Cost preset.
    pub costs: String,
    /// Seed of every random stream.
    pub seed: u64,
    /// Scenario name, or the command that stood for one.
    pub scenario: String,
    /// Simulated or real.
    pub world: World,
    /// Version of Orrery.
    pub version: String,
    /// Digest of the trace that was read, or of the workload model that was drawn from.
    pub trace_digest: String,
    /// Digest of all events and orders.
    pub log_digest: String,
    /// Accelerators in the fleet.
    pub accelerators: u64,
    /// Nodes in the fleet.
    pub nodes: u64,
    /// Tenants that submitted anything.
    pub tenants: u64,
    /// Jobs that were submitted.
    pub jobs: u64,
    /// Of these, jobs that are done, well or badly.
    pub done: u64,
    /// Of these, jobs that used up their attempts.
    pub failed: u64,
    /// Jobs that their owners withdrew before they were done: replicas that were not needed any more, and what users cancelled. They
    /// have no completion time.
    pub withdrawn: u64,
    /// Jobs that were submitted and neither done nor withdrawn when the run ended.
    pub unfinished: u64,
    /// Mean time from submission to the end, seconds.
    pub mean_jct_s: Option<f64>,
    /// Median of it.
    pub p50_jct_s: Option<f64>,
    /// 90th percentile of it.
    pub p90_jct_s: Option<f64>,
    /// 99th percentile of it.
    pub p99_jct_s: Option<f64>,
    /// Mean time from submission to the end in which the job did not run (queueing, start-up, after preemptions), seconds.
    pub mean_wait_s: Option<f64>,
    /// Median of it.
    pub p50_wait_s: Option<f64>,
    /// 90th percentile of it.
    pub p90_wait_s: Option<f64>,
    /// 99th percentile of it.
    pub p99_wait_s: Option<f64>,
    /// Mean of max(1, JCT / max(time run, [`SLOWDOWN_TAU`])).
    pub mean_bounded_slowdown: Option<f64>,
    /// From the first submission to the last end, seconds.
    pub makespan_s: f64,
    /// Attempts that were stopped on order.
    pub preemptions: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Accelerator-time held by jobs over accelerator-time there was, from the first submission to the last end, 0 to 1.
    pub allocation: f64,
    /// Accelerators times hours in which attempts that are over ran on them.
    pub accelerator_hours: f64,
    /// Jain's index over tenants of (accelerator-time that their done jobs ran) / (accelerators times JCT of these jobs): 1 if all
    /// tenants were slowed down alike.
    pub fairness_jain: Option<f64>,
    /// Jobs that had a deadline; absent where none had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadlines: Option<u64>,
    /// Of these, jobs that were done in time and did not fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadlines_met: Option<u64>,
    /// Events that went into the scheduler.
    pub events: u64,
    /// Steps: times the scheduler was asked to decide.
    pub decisions: u64,
    /// Orders that came out of it.
    pub orders: u64,
    /// Wall time of the run, seconds.
    pub wall_s: f64,
    /// Which of the scenario's variants it was, where it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The field that was swept over values, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swept: Option<String>,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swept_value: Option<String>,
    /// What became of accelerators and guarantees; absent where nobody kept books.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// How well inference services were served; empty where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inference: Vec<InferenceSummary>,
    /// What no policy can beat, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

impl Summary {
    /// The summary of a run that `tracker` followed and whose books come to `account`. `log_digest` is what the recorder returned or the log says, `wall_s` how long
    /// the run took by the clock on the wall (0 where nobody measured).
    pub fn of(header: &Header, tracker: &Tracker, account: Option<&Account>, log_digest: &str, wall_s: f64) -> Summary {
        let done = || tracker.jobs().iter().filter(|row| row.is_done());
        let jct = Samples::new(done().map(|row| row.jct().0).collect());
        let wait = Samples::new(done().map(|row| row.wait().0).collect());
        let service: u128 = tracker.jobs().iter().map(|row| row.service()).sum();
        let (tenants, fairness_jain) = fairness(tracker.jobs());
        Summary {
            policy: header.policy.clone(),
            placement: header.placement.clone(),
            estimates: header.estimates.clone(),
            costs: header.costs.clone(),
            seed: header.seed,
            scenario: header.scenario.clone(),
            world: header.world,
            version: header.version.clone(),
            trace_digest: header.trace_digest.clone(),
            log_digest: log_digest.into(),
            accelerators: header.fleet.accelerators(),
            nodes: header.fleet.nodes.len() as u64,
            tenants,
            jobs: tracker.jobs().len() as u64,
            done: tracker.done,
            failed: done().filter(|row| row.is_failed()).count() as u64,
            withdrawn: tracker.withdrawn,
            unfinished: tracker.jobs().len() as u64 - tracker.done - tracker.withdrawn,
            mean_jct_s: jct.mean_s(),
            p50_jct_s: jct.quantile_s(500),
            p90_jct_s: jct.quantile_s(900),
            p99_jct_s: jct.quantile_s(990),
            mean_wait_s: wait.mean_s(),
            p50_wait_s: wait.quantile_s(500),
            p90_wait_s: wait.quantile_s(900),
            p99_wait_s: wait.quantile_s(990),
            mean_bounded_slowdown: (tracker.done > 0).then(|| done().map(bounded_slowdown).sum::<f64>() / tracker.done as f64),
            makespan_s: tracker.makespan().as_secs_f64(),
            preemptions: tracker.preemptions,
            failures: tracker.jobs().iter().map(|row| u64::from(row.failures)).sum(),
            allocation: tracker.allocation(),
            accelerator_hours: ratio(service, 1000 * 3_600_000_000),
            fairness_jain,
            deadlines: (tracker.deadlines > 0).then_some(tracker.deadlines),
            deadlines_met: (tracker.deadlines > 0).then_some(tracker.deadlines_met),
            events: tracker.events,
            decisions: tracker.steps,
            orders: tracker.orders,
            wall_s,
            variant: None,
            swept: None,
            swept_value: None,
            service: account.map(Service::of),
            inference: InferenceSummary::of(tracker),
            bound: None,
        }
    }
}

/// How many times longer a done job took than it ran; see [`SLOWDOWN_TAU`].
pub(crate) fn bounded_slowdown(row: &JobRecord) -> f64 {
    (row.jct().0 as f64 / row.executed.max(SLOWDOWN_TAU).0 as f64).max(1.0)
}

/// Tenants with jobs, and Jain's index of how fast their done jobs went.
fn fairness(jobs: &[JobRecord]) -> (u64, Option<f64>) {
    let mut by_tenant: BTreeMap<u32, (u128, u128)> = BTreeMap::new();
    for row in jobs {
        let (ran, stayed) = by_tenant.entry(row.tenant).or_default();
        if row.is_done() {
            *ran += row.service();
            *stayed += u128::from(row.milli) * u128::from(row.jct().0);
        }
    }
    let speed = |&(ran, stayed): &(u128, u128)| (stayed > 0).then(|| ran as f64 / stayed as f64);
    let speeds: Vec<f64> = by_tenant.values().filter_map(speed).collect();
    (by_tenant.len() as u64, jain(&speeds))
}

/// A short name for each of several runs: the policy, with the parameters that are not at their defaults, and whatever else it takes to tell them apart.
pub fn labels(runs: &[&Summary]) -> Vec<String> {
    let parts: [fn(&Summary) -> String; 8] = [
        |s| s.variant.clone().unwrap_or_default(),
        |s| format!("{} {}", s.swept.as_deref().unwrap_or_default(), s.swept_value.as_deref().unwrap_or_default()),
        |s| s.placement.clone(),
        |s| s.estimates.clone(),
        |s| format!("costs {}", s.costs),
        |s| s.scenario.clone(),
        |s| format!("{} accelerators", s.accelerators),
        |s| format!("seed {}", s.seed),
    ];
    let mut labels: Vec<String> = runs.iter().map(|s| policies::catalog::short_name(&s.policy)).collect();
    for part in parts {
        let ambiguous =
            |i: usize| labels.iter().enumerate().any(|(j, l)| j != i && *l == labels[i] && part(runs[i]) != part(runs[j]));
        let longer: Vec<String> = (0..runs.len())
            .map(|i| if ambiguous(i) { format!("{}, {}", labels[i], part(runs[i])) } else { labels[i].clone() })
            .collect();
        labels = longer;
    }
    labels
}
