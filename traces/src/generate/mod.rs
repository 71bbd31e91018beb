//! Workloads out of statistics: what to schedule when no trace is at hand, or when a trace is too small.
//!
//! Arrivals are an inhomogeneous Poisson process of *batches* (one tenant submits several jobs of one size) with a daily
//! and weekly rhythm. Each job has a size class and a rank among the durations of its class; the rank gives its duration
//! and, with it, how it is likely to end. Presets with their sources are in [`Preset`].
//!
//! Generation passes twice over the same random streams: once to add up what is asked for, so that the load asked for is
//! the load obtained, then to stream the jobs in submit order. Memory does not grow with the number of jobs. Exponential
//! durations without batches need no first pass: there the load is the expected one.

mod cycle;
mod draw;
pub(crate) mod law;
mod model;
mod plan;
mod presets;
mod stream;

pub use model::{Batches, Durations, OutcomeBand, PriorityShare, SizeClass, Tenants, TypeShare, UserEstimates, WorkloadModel};
pub use plan::ModelError;
pub use presets::{PRESETS, Preset};
pub use stream::{Keyed, Stream, stream};

pub(crate) use law::normal_quantile;

use crate::model::{Trace, TraceJob};
use draw::{Draws, Entry};
use plan::Plan;
use policies::{Demand, Level, Span, Time, WHOLE_MILLI};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// 2024-01-01T00:00:00Z, a Monday: generated traces begin there.
const EPOCH_UNIX_S: i64 = 1_704_067_200;

/// Draws a whole trace.
pub fn generate(model: &WorkloadModel, seed: u64) -> Result<Trace, ModelError> {
    let generator = Generator::new(model, seed)?;
    let mut trace = generator.header();
    trace.jobs = generator.collect();
    Ok(trace)
}

/// What a generator is going to make, known before the first job; with preset `uniform` demand and load are expectations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Totals {
    /// Jobs.
    pub jobs: u64,
    /// Arrivals spread over this many seconds.
    pub horizon_s: f64,
    /// Accelerator-seconds asked for.
    pub demand_s: f64,
    /// Offered load against the model's accelerators.
    pub load: f64,
}

/// Streams jobs in submit order; ids are decimal positions. Same model and seed, same jobs.
#[derive(Debug)]
pub struct Generator {
    plan: Plan,
    model: WorkloadModel,
    totals: Totals,
    draws: Draws,
    /// Arrival mass for one unit of the Poisson process' own clock.
    scale: f64,
    clock: f64,
    begun: u64,
    emitted: u64,
    next_batch: Option<(f64, draw::Batch)>,
    waiting: BinaryHeap<Reverse<Entry>>,
}

impl Generator {
    /// Checks the model and fixes how many jobs arrive over which time.
    pub fn new(model: &WorkloadModel, seed: u64) -> Result<Generator, ModelError> {
        let plan = Plan::new(model)?;
        let goal = Goal::new(model, plan.capacity)?;
        let survey = survey(&plan, seed, &goal)?;
        let horizon_s = goal.horizon_s(plan.capacity, survey.demand_s);
        let load = survey.demand_s / (plan.capacity as f64 * horizon_s);
        let totals = Totals { jobs: survey.jobs, horizon_s, demand_s: survey.demand_s, load };
        let scale = plan.cycle.mass(horizon_s) / survey.clock;
        let mut generator = Generator {
            draws: Draws::new(seed),
            model: model.clone(),
            plan,
            totals,
            scale,
            clock: 0.0,
            begun: 0,
            emitted: 0,
            next_batch: None,
            waiting: BinaryHeap::new(),
        };
        generator.next_batch = generator.draw_batch();
        Ok(generator)
    }

    /// What it is going to make.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The names that the jobs index, and a trace without jobs to hold them.
    pub fn header(&self) -> Trace {
        let count = self.plan.tenant_count();
        let width = count.to_string().len();
        let tenant = |k: usize| if k == 0 { String::new() } else { format!("tenant-{k:0width$}") };
        Trace {
            tenants: (0..=count).map(tenant).collect(),
            types: self.model.types.iter().flatten().map(|t| t.name.clone()).collect(),
            labels: vec![String::new()],
            epoch_unix_s: Some(EPOCH_UNIX_S),
            format: format!("generated {}", self.model.preset),
            ..Trace::default()
        }
    }

    /// The next batch and when it begins, in seconds.
    fn draw_batch(&mut self) -> Option<(f64, draw::Batch)> {
        if self.begun >= self.totals.jobs {
            return None;
        }
        self.clock += self.draws.interval();
        let batch = self.draws.batch(&self.plan, self.totals.jobs - self.begun);
        self.begun += u64::from(batch.jobs);
        Some((self.plan.cycle.instant(self.clock * self.scale), batch))
    }

    /// The next job in submit order: batches that begin no later than the first waiting job join the queue first.
    fn next_entry(&mut self) -> Option<Entry> {
        while let Some((start_s, batch)) = self.next_batch {
            let start = at_resolution(start_s, self.plan.resolution);
            let first = self.waiting.peek().map(|Reverse(first)| first.submit);
            if first.is_some_and(|first| first < start) {
                break;
            }
            self.next_batch = self.draw_batch();
            if batch.jobs == 1 && first.is_none() {
                return Some(self.draws.job(&self.plan, &batch, 0, start));
            }
            self.begin_batch(start_s, &batch);
        }
        self.waiting.pop().map(|Reverse(entry)| entry)
    }

    fn begin_batch(&mut self, start_s: f64, batch: &draw::Batch) {
        let mut submit_s = start_s;
        for position in 0..batch.jobs {
            if position > 0 {
                submit_s += self.draws.gap(self.plan.gap_mean_s);
            }
            let submit = at_resolution(submit_s, self.plan.resolution);
            let entry = self.draws.job(&self.plan, batch, position, submit);
            self.waiting.push(Reverse(entry));
        }
    }

    fn finish(&self, entry: &Entry) -> TraceJob {
        let accelerators = self.plan.classes[entry.class as usize].accelerators;
        let one_node = self.model.one_node_max.is_some_and(|max| accelerators <= max);
        TraceJob {
            id: itoa::Buffer::new().format(self.emitted).into(),
            submit: entry.submit,
            duration: entry.duration,
            demand: Demand {
                accelerators,
                milli: WHOLE_MILLI,
                within: if one_node { Level::Node } else { Level::Cluster },
                types: self.plan.kinds[entry.kind as usize],
                cpu_milli: accelerators.saturating_mul(self.model.cpu_milli_per_accelerator),
                memory_mib: accelerators.saturating_mul(self.model.memory_mib_per_accelerator),
            },
            tenant: entry.tenant,
            priority: self.plan.priorities[entry.priority as usize],
            tier: entry.tier,
            estimate: entry.estimate,
            outcome: entry.outcome,
            recorded_start: None,
            label: 0,
        }
    }
}

impl Iterator for Generator {
    type Item = TraceJob;

    fn next(&mut self) -> Option<TraceJob> {
        let entry = self.next_entry()?;
        let job = self.finish(&entry);
        self.emitted += 1;
        Some(job)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.totals.jobs - self.emitted) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Generator {}

/// When to stop, from two of jobs, days and load.
enum Goal {
    JobsAtLoad(u64, f64),
    JobsInTime(u64, f64),
    DemandInTime(f64, f64),
}

impl Goal {
    fn new(model: &WorkloadModel, capacity: u64) -> Result<Goal, ModelError> {
        let within = |value: f64, most: f64, field: &str, expected: &str| {
            let error = || ModelError::Invalid { field: field.into(), value: value.to_string(), expected: expected.into() };
            if value > 0.0 && value <= most { Ok(value) } else { Err(error()) }
        };
        let days = model.days.map(|d| within(d, 36_525.0, "days", "more than 0, at most a century")).transpose()?;
        let load = model.load.map(|l| within(l, 1e6, "load", "more than 0, where 1 asks for all capacity")).transpose()?;
        if let Some(jobs) = model.jobs.filter(|jobs| !(1..=u64::from(u32::MAX)).contains(jobs)) {
            let expected = format!("1 to {}", u32::MAX);
            return Err(ModelError::Invalid { field: "jobs".into(), value: jobs.to_string(), expected });
        }
        let load_or_default = load.unwrap_or(0.9);
        match (model.jobs, days) {
            (Some(_), Some(_)) if load.is_some() => Err(ModelError::Overdetermined),
            (Some(jobs), Some(days)) => Ok(Goal::JobsInTime(jobs, days * 86_400.0)),
            (None, Some(days)) => {
                let horizon_s = days * 86_400.0;
                Ok(Goal::DemandInTime(load_or_default * capacity as f64 * horizon_s, horizon_s))
            }
            (jobs, None) => Ok(Goal::JobsAtLoad(jobs.unwrap_or(10_000), load_or_default)),
        }
    }

    fn is_met(&self, jobs: u64, demand_s: f64) -> bool {
        match *self {
            Goal::JobsAtLoad(goal, _) | Goal::JobsInTime(goal, _) => jobs >= goal,
            Goal::DemandInTime(goal_s, _) => demand_s >= goal_s,
        }
    }

    /// How many jobs of `work_s` accelerator-seconds each meet it.
    fn jobs_of(&self, work_s: f64) -> f64 {
        match *self {
            Goal::JobsAtLoad(goal, _) | Goal::JobsInTime(goal, _) => goal as f64,
            Goal::DemandInTime(goal_s, _) => (goal_s / work_s).round().max(1.0),
        }
    }

    /// How many jobs a batch may have at most when `jobs` are there already.
    fn room(&self, jobs: u64) -> u64 {
        match *self {
            Goal::JobsAtLoad(goal, _) | Goal::JobsInTime(goal, _) => goal - jobs,
            Goal::DemandInTime(..) => u64::MAX,
        }
    }

    fn horizon_s(&self, capacity: u64, demand_s: f64) -> f64 {
        match *self {
            Goal::JobsAtLoad(_, load) => demand_s / (load * capacity as f64),
            Goal::JobsInTime(_, horizon_s) | Goal::DemandInTime(_, horizon_s) => horizon_s,
        }
    }
}

struct Survey {
    jobs: u64,
    demand_s: f64,
    /// The Poisson process' own clock one interval after the last batch.
    clock: f64,
}

/// The first pass: adds up the very draws that the second pass will make. Where expectations do as well, there is none.
fn survey(plan: &Plan, seed: u64, goal: &Goal) -> Result<Survey, ModelError> {
    if let Some(work_s) = plan.expected_work_s() {
        let jobs = goal.jobs_of(work_s);
        let survey = Survey { jobs: jobs as u64, demand_s: jobs * work_s, clock: jobs + 1.0 };
        return if jobs <= f64::from(u32::MAX) { Ok(survey) } else { Err(ModelError::TooManyJobs) };
    }
    let mut draws = Draws::new(seed);
    let mut sum = Survey { jobs: 0, demand_s: 0.0, clock: draws.interval() };
    while !goal.is_met(sum.jobs, sum.demand_s) {
        let batch = draws.batch(plan, goal.room(sum.jobs));
        sum.clock += draws.interval();
        for position in 0..batch.jobs {
            let rank = draws.rank(plan, &batch, position);
            let seconds = plan.duration(batch.class as usize, rank).as_secs_f64();
            sum.demand_s += seconds * f64::from(plan.classes[batch.class as usize].accelerators);
            sum.jobs += 1;
            if goal.is_met(sum.jobs, sum.demand_s) {
                break;
            }
        }
        if sum.jobs > u64::from(u32::MAX) {
            return Err(ModelError::TooManyJobs);
        }
    }
    Ok(sum)
}

fn at_resolution(seconds: f64, resolution: Span) -> Time {
    let micros = (seconds * 1e6) as u64;
    if resolution == Span(1) { Time(micros) } else { Time(micros / resolution.0 * resolution.0) }
}

/// Whether the model could be used, without drawing anything.
pub fn check(model: &WorkloadModel) -> Result<(), ModelError> {
    let plan = Plan::new(model)?;
    Goal::new(model, plan.capacity).map(drop)
}
