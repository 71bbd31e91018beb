//! What the tests share: traces, runs, results.
#![allow(dead_code)] // Each test binary uses a part of it.

use policies::{Fleet, JobSpec, Scheduler, Span, Time, catalog, placement};
use sim::{Arrival, Costs, End, Limits, World, run};
use std::path::PathBuf;
use traces::runlog::{JobRecord, Tracker};

/// A slice of the Philly trace with true durations as estimates; `None`, said aloud, where the traces are not.
pub fn philly(slice: u32) -> Option<Vec<Arrival>> {
    let root = std::env::var_os("ORRERY_TRACES").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/traces")));
    let path = root.join(format!("philly/philly_oct_{slice}.csv"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIPPED: {} not found", path.display());
        return None;
    };
    let row = |line: &str| {
        let field: Vec<u64> = line.split(',').take(4).map(|f| f.parse().expect("whole numbers")).collect();
        arrival(field[1], field[2], field[3] as u32)
    };
    Some(text.lines().skip(1).map(row).collect())
}

/// A job whose estimate is the truth. Seconds.
pub fn arrival(submit_s: u64, duration_s: u64, accelerators: u32) -> Arrival {
    let duration = Span::from_secs(duration_s);
    let spec = JobSpec { estimate: Some(duration), ..JobSpec::whole(accelerators) };
    Arrival { submit: Time::from_secs(submit_s), spec, duration }
}

/// What came of a run.
pub struct Run {
    pub tracker: Tracker,
    pub preemptions: u64,
}

impl Run {
    pub fn mean_jct_s(&self) -> f64 {
        let jobs = self.tracker.jobs();
        jobs.iter().map(|j| j.jct().0).sum::<u64>() as f64 / 1e6 / jobs.len() as f64
    }

    pub fn makespan(&self) -> Span {
        self.tracker.makespan()
    }

    pub fn jobs(&self) -> &[JobRecord] {
        self.tracker.jobs()
    }
}

/// Runs all of `arrivals`; all must finish. `check` recomputes every index after every step.
pub fn simulate(fleet: Fleet, policy: &str, placed: &str, costs: &str, arrivals: &[Arrival], check: bool) -> Run {
    let capacity = fleet.accelerators() * 1000;
    let policy = catalog::by_name(policy, 0).expect("a policy").0;
    let mut scheduler = Scheduler::new(fleet, policy, placement::by_name(placed, 0).expect("a placement"));
    let mut world = World::new(Costs::by_name(costs).expect("costs"), None);
    let mut tracker = Tracker::new(capacity);
    let limits = Limits { until: None, check };
    let end = run(&mut scheduler, &mut world, arrivals.iter().copied(), limits, &mut tracker);
    assert_eq!(end, End::Quiet);
    assert_eq!(tracker.done, arrivals.len() as u64, "all jobs finish");
    Run { preemptions: tracker.preemptions, tracker }
}
