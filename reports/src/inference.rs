//! How well inference services were served, as people cite it.

use crate::stats::{Samples, ratio};
use policies::Time;
use serde::{Deserialize, Serialize};
use traces::runlog::{ServingRecord, Tracker};

const MICROS_PER_HOUR: u128 = 3_600_000_000;

/// What came of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InferenceSummary {
    /// Its name.
    pub name: String,
    /// The latency objective, in words.
    pub objective: String,
    /// Accelerators of a replica.
    pub accelerators: u32,
    /// Replicas that were asked for, over time.
    pub replicas: u64,
    /// Most of them at once.
    pub replicas_max: u64,
    /// Of these, replicas that were not needed any more before they ran.
    pub never_ran: u64,
    /// Replicas times hours that were needed, by the load that was seen, headroom, and the delay in scaling down.
    pub needed_replica_hours: f64,
    /// The part of them in which as many replicas answered requests, 0 to 1. `None` if none was needed.
    pub provided: Option<f64>,
    /// The load, in replicas times hours.
    pub load_replica_hours: f64,
    /// The part of the load that the replicas which answered requests could serve within the objective, 0 to 1. Requests are not
    /// queued: what finds no replica counts as missed. `None` without load.
    pub within_objective: Option<f64>,
    /// Mean time from the need for a replica until it ran, seconds; of those that never did, until they were not needed any more.
    pub mean_capacity_s: Option<f64>,
    /// Median of it.
    pub p50_capacity_s: Option<f64>,
    /// 99th percentile of it.
    pub p99_capacity_s: Option<f64>,
    /// The longest.
    pub max_capacity_s: Option<f64>,
}

/// A stretch of time in which nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub from: Time,
    pub to: Time,
    /// Replicas that were needed.
    pub needed: u64,
    /// Replicas that answered requests.
    pub provided: u64,
    /// Load, in thousandths of a replica.
    pub load_milli: u64,
}

/// Shows a service's life, stretch by stretch, up to the last step of the run.
pub(crate) fn follow(record: &ServingRecord, tracker: &Tracker, mut each: impl FnMut(Stretch)) {
    let (info, end) = (&record.info, tracker.last());
    let own = tracker.jobs().iter().filter(|row| row.tenant == info.tenant);
    let open = own.filter_map(|row| info.served(row.running_since(), end));
    let mut changes: Vec<(Time, i64, i64)> = record.needed.iter().map(|&(at, by)| (at, i64::from(by), 0)).collect();
    changes.extend(record.provided.iter().copied().chain(open).flat_map(|(from, to)| [(from, 0, 1), (to, 0, -1)]));
    let bin = |i: usize| Time(info.from.0 + i as u64 * info.bin.0);
    changes.extend((0..=info.load_milli.len()).map(|i| (bin(i), 0, 0)));
    changes.push((end, 0, 0));
    changes.sort_unstable_by_key(|change| change.0);
    let (mut from, mut needed, mut provided) = (Time::ZERO, 0, 0);
    for (at, needs, provides) in changes {
        let to = at.min(end);
        if to > from {
            let bins = from.since(info.from).0 / info.bin.0;
            let load = info.load_milli.get(bins as usize).filter(|_| from >= info.from);
            let load_milli = load.copied().unwrap_or(0).into();
            each(Stretch { from, to, needed: needed as u64, provided: provided as u64, load_milli });
            from = to;
        }
        needed += needs;
        provided += provides;
    }
}

impl InferenceSummary {
    /// Of all services of a run.
    pub fn of(tracker: &Tracker) -> Vec<InferenceSummary> {
        tracker.serving().records().iter().map(|record| summarize(record, tracker)).collect()
    }

    /// The figures that vary, in one row: names and values.
    pub(crate) fn flat(&self) -> Vec<(String, String)> {
        let text = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        let cells = [
            ("replicas", self.replicas.to_string()),
            ("never_ran", self.never_ran.to_string()),
            ("needed_replica_hours", self.needed_replica_hours.to_string()),
            ("provided", text(self.provided)),
            ("within_objective", text(self.within_objective)),
            ("mean_capacity_s", text(self.mean_capacity_s)),
            ("p50_capacity_s", text(self.p50_capacity_s)),
            ("p99_capacity_s", text(self.p99_capacity_s)),
        ];
        let name = self.name.to_lowercase().replace(' ', "_");
        cells.map(|(figure, value)| (format!("{name}_{figure}"), value)).into()
    }
}

fn summarize(record: &ServingRecord, tracker: &Tracker) -> InferenceSummary {
    let (mut needed, mut provided, mut load, mut served, mut most) = (0, 0, 0, 0, 0);
    follow(record, tracker, |stretch| {
        let span = u128::from(stretch.to.since(stretch.from).0);
        needed += span * u128::from(stretch.needed);
        provided += span * u128::from(stretch.provided.min(stretch.needed));
        load += span * u128::from(stretch.load_milli);
        served += span * u128::from(stretch.load_milli.min(stretch.provided * 1000));
        most = most.max(stretch.needed);
    });
    let part = |part: u128, whole: u128| (whole > 0).then(|| ratio(part, whole));
    let waits = Samples::new(record.waits.iter().map(|wait| wait.0).collect());
    InferenceSummary {
        name: record.info.name.clone(),
        objective: record.info.objective.clone(),
        accelerators: record.info.accelerators,
        replicas: record.needed.iter().filter(|(_, by)| *by > 0).count() as u64,
        replicas_max: most,
        never_ran: record.never_ran,
        needed_replica_hours: ratio(needed, MICROS_PER_HOUR),
        provided: part(provided, needed),
        load_replica_hours: ratio(load, 1000 * MICROS_PER_HOUR),
        within_objective: part(served, load),
        mean_capacity_s: waits.mean_s(),
        p50_capacity_s: waits.quantile_s(500),
        p99_capacity_s: waits.quantile_s(990),
        max_capacity_s: waits.quantile_s(1000),
    }
}
