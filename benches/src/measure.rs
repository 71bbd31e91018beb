//! One run of the simulation proper, with the observers that the product has, and its clocks.

use policies::spec::SpecError;
use policies::{Event, Fleet, Order, Scheduler, WHOLE_MILLI, catalog, placement};
use rustix::time::{ClockId, clock_gettime};
use sim::{Arrival, Costs, Limits, World};
use std::time::Instant;
use traces::runlog::{Observer, Recorder, StepView, Tracker};

/// What is run; the jobs are given apart.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What jobs run on.
    pub fleet: Fleet,
    /// As on the command line, e.g. `fifo(skip=true)`.
    pub policy: String,
    /// As on the command line, e.g. `best-fit`.
    pub placement: String,
}

/// What a run took, and what came of it.
pub struct Measured {
    /// Wall time of the loop, seconds.
    pub wall_s: f64,
    /// Processor time of the thread in the loop, seconds: what a loaded machine disturbs least.
    pub cpu_s: f64,
    /// The results.
    pub tracker: Tracker,
    /// Digest of all events and orders.
    pub log_digest: String,
}

impl Measured {
    /// Mean job completion time in seconds.
    pub fn mean_jct_s(&self) -> f64 {
        let sum: u128 = self.tracker.jobs().iter().map(|job| u128::from(job.jct().0)).sum();
        sum as f64 / 1e6 / self.tracker.jobs().len().max(1) as f64
    }
}

/// Processor time of this thread so far, seconds.
pub fn cpu_now_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Counts the jobs that wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct MostWaiting {
    waiting: u64,
    /// The most there ever were, after a decision.
    pub most: u64,
}

impl Observer for MostWaiting {
    fn step(&mut self, step: StepView<'_>) {
        let joins = |e: &&Event| matches!(e, Event::Submit { .. } | Event::Stopped { .. });
        let joined = step.events.iter().filter(joins).count() as u64;
        let started = step.orders.iter().filter(|o| matches!(o, Order::Start { .. })).count() as u64;
        self.waiting = self.waiting + joined - started;
        self.most = self.most.max(self.waiting);
    }
}

/// A function of its own, so that profilers can be told to look at nothing else.
#[inline(never)]
fn simulate(
    scheduler: &mut Scheduler,
    world: &mut World,
    arrivals: impl Iterator<Item = Arrival>,
    recorder: &mut Recorder<'_>,
) {
    sim::run(scheduler, world, arrivals, Limits::default(), recorder);
}

impl Setup {
    fn scheduler(&self) -> Result<Scheduler, SpecError> {
        let (policy, _) = catalog::by_name(&self.policy, 0)?;
        Ok(Scheduler::new(self.fleet.clone(), policy, placement::by_name(&self.placement, 0)?))
    }

    /// Runs all `arrivals` without start-up costs and takes the time of the loop alone.
    ///
    /// # Errors
    /// An unknown policy or placement.
    pub fn run(&self, arrivals: impl Iterator<Item = Arrival>) -> Result<Measured, SpecError> {
        let mut scheduler = self.scheduler()?;
        let mut world = World::new(Costs::default(), None);
        let capacity_milli = self.fleet.accelerators() * u64::from(WHOLE_MILLI);
        let nameless = |_| unreachable!("no log is written");
        let mut recorder = Recorder::new(capacity_milli, None, &nameless);
        let (began, cpu) = (Instant::now(), cpu_now_s());
        recorder.tracker.expect_jobs(arrivals.size_hint().0);
        simulate(&mut scheduler, &mut world, arrivals, &mut recorder);
        let (cpu_s, wall_s) = (cpu_now_s() - cpu, began.elapsed().as_secs_f64());
        Ok(Measured { wall_s, cpu_s, log_digest: recorder.digest(), tracker: recorder.tracker })
    }

    /// The most jobs that ever wait.
    ///
    /// # Errors
    /// An unknown policy or placement.
    pub fn most_waiting(&self, arrivals: impl Iterator<Item = Arrival>) -> Result<u64, SpecError> {
        let mut queue = MostWaiting::default();
        sim::run(&mut self.scheduler()?, &mut World::new(Costs::default(), None), arrivals, Limits::default(), &mut queue);
        Ok(queue.most)
    }
}
