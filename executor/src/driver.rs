//! The loop of the real world.

use crate::agents::Agents;
use crate::task::Task;
use policies::{Scheduler, Span, Time};
use traces::runlog::{Observer, StepView};

/// Wake-ups in a row at which nothing happened, with nothing running and nothing to come, before a policy is believed to have
/// nothing left to do.
const IDLE_WAKEUPS_MAX: u32 = 100;

/// When a run stops early, and how closely it is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Stop after this instant.
    pub until: Option<Time>,
    /// Recompute every index after every step.
    pub check: bool,
}

/// How a run ended. In every case its processes are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing was left to happen. Jobs that are not done by then can never start.
    Quiet,
    /// The time limit came first.
    TimeLimit,
    /// Somebody stopped it.
    Cancelled,
    /// An invariant of the scheduler broke: a bug.
    Broken {
        /// Counts from 0.
        step: u64,
        /// When.
        now: Time,
        /// What.
        what: String,
    },
}

/// Runs `tasks` (sorted by submit time) on `agents` as `scheduler` orders, until nothing is left to happen.
///
/// In one step what happened to processes comes first, then arrivals, then one decision.
pub fn run(
    scheduler: &mut Scheduler,
    agents: &mut Agents,
    tasks: impl IntoIterator<Item = Task>,
    limits: Limits,
    observer: &mut impl Observer,
) -> End {
    let end = drive(scheduler, agents, tasks.into_iter(), limits, observer);
    agents.shut_down();
    end
}

fn drive(
    scheduler: &mut Scheduler,
    agents: &mut Agents,
    tasks: impl Iterator<Item = Task>,
    limits: Limits,
    observer: &mut impl Observer,
) -> End {
    let mut tasks = tasks.peekable();
    let mut events = Vec::new();
    let (mut step, mut idle) = (0, 0);
    while let Some(until) = next_instant(scheduler, agents, tasks.peek()) {
        let now = agents.wait(limits.until.map_or(until, |limit| until.min(limit + Span(1))));
        if limits.until.is_some_and(|limit| now > limit) {
            return End::TimeLimit;
        }
        events.clear();
        agents.advance(now, &mut events);
        while let Some(task) = tasks.next_if(|t| t.submit <= now) {
            events.push(agents.submit(task));
        }
        if events.is_empty() && now < until && !agents.is_cancelled() {
            continue; // What happened is of no concern to the scheduler.
        }
        for event in &events {
            scheduler.handle(now, event);
        }
        let decision = scheduler.decide(now);
        agents.apply(decision.orders);
        observer.step(StepView { now, events: &events, orders: decision.orders, notes: decision.notes });
        if agents.is_cancelled() {
            return End::Cancelled;
        }
        let nothing = events.is_empty() && decision.orders.is_empty() && !agents.is_busy() && tasks.peek().is_none();
        idle = if nothing { idle + 1 } else { 0 };
        if idle > IDLE_WAKEUPS_MAX {
            return End::Quiet;
        }
        if limits.check
            && let Err(what) = scheduler.check()
        {
            return End::Broken { step, now, what };
        }
        step += 1;
    }
    End::Quiet
}

/// How long to wait if no process reports anything: until the next arrival or the policy's own wake-up, [`Time::MAX`] if there
/// is neither. `None` if nothing will ever happen again.
fn next_instant(scheduler: &Scheduler, agents: &Agents, task: Option<&Task>) -> Option<Time> {
    let wakeup = scheduler.next_wakeup().map(|at| at.max(scheduler.view().now() + Span(1)));
    let known = match (wakeup, task.map(|t| t.submit)) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    known.or(agents.is_busy().then_some(Time::MAX))
}
