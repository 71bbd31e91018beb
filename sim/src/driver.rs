//! The loop of the simulated world.

use crate::world::{Arrival, World};
use policies::{Event, Scheduler, Span, Time};
use serde::{Deserialize, Serialize};
use traces::runlog::{Observer, StepView};

/// Wake-ups in a row at which nothing happened before a policy is believed to have nothing left to do.
const IDLE_WAKEUPS_MAX: u32 = 10_000;

/// When a run stops early, and how closely it is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Stop at the first step after this instant.
    pub until: Option<Time>,
    /// Recompute every index after every step.
    pub check: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing was left to happen. Jobs that are not done by then can never start.
    Quiet,
    /// The time limit came first.
    TimeLimit,
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

/// Why a stretch of a run is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The run is.
    Over(End),
    /// It was to be no longer; the next step is at this instant.
    Before(Time),
}

/// The next few arrivals. An arrival is a large thing to move: from here it goes straight into its event.
struct Ahead<I> {
    arrivals: I,
    next: Vec<Arrival>,
    passed: usize,
    /// When the first is submitted; [`Time::MAX`] without any.
    due: Time,
}

impl<I: Iterator<Item = Arrival>> Ahead<I> {
    const MOST: usize = 32;

    fn new(arrivals: I) -> Ahead<I> {
        let mut ahead = Ahead { arrivals, next: Vec::with_capacity(Self::MOST), passed: 0, due: Time::MAX };
        ahead.look();
        ahead
    }

    /// Lets all that are due by `now` into `world`.
    #[inline]
    fn submit(&mut self, now: Time, world: &mut World, events: &mut Vec<Event>) {
        while self.due <= now
            && let Some(arrival) = self.next.get(self.passed)
        {
            world.submit(arrival, events);
            self.passed += 1;
            self.look();
        }
    }

    #[inline]
    fn look(&mut self) {
        if self.passed == self.next.len() {
            self.fill();
        }
        self.due = self.next.get(self.passed).map_or(Time::MAX, |arrival| arrival.submit);
    }

    #[inline(never)]
    fn fill(&mut self) {
        self.next.clear();
        self.next.extend(self.arrivals.by_ref().take(Self::MOST));
        self.passed = 0;
    }
}

/// Where a stretch of a run ends at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// After the last step at this instant or before.
    pub through: Time,
    /// After so many steps.
    pub steps: u64,
}

impl Stretch {
    /// The whole run.
    pub const WHOLE: Stretch = Stretch { through: Time::MAX, steps: u64::MAX };
}

/// The loop, between stretches of a run: what it remembers from one step to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    step: u64,
    /// Wake-ups in a row at which nothing happened.
    idle: u32,
}

impl Driver {
    /// Goes on with a run until it ends, or to the end of a stretch. `arrivals` begin with the first one that the
    /// world has not seen, sorted by submit time.
    ///
    /// At one instant completions come first, then arrivals, then one decision.
    pub fn run(
        &mut self,
        scheduler: &mut Scheduler,
        world: &mut World,
        arrivals: impl Iterator<Item = Arrival>,
        (limits, stretch): (Limits, Stretch),
        observer: &mut impl Observer,
    ) -> Stop {
        let mut arrivals = Ahead::new(arrivals);
        let mut events = Vec::new();
        let Driver { mut step, mut idle } = *self;
        let (stop, last) = (limits.until.unwrap_or(Time::MAX).min(stretch.through), step.saturating_add(stretch.steps));
        while let Some((now, wakeup)) = next_instant(scheduler, world, arrivals.due) {
            if now > stop || step == last {
                *self = Driver { step, idle };
                let over = limits.until.is_some_and(|until| now > until);
                return if over { Stop::Over(End::TimeLimit) } else { Stop::Before(now) };
            }
            events.clear();
            world.advance(now, &mut events);
            arrivals.submit(now, world, &mut events);
            for event in &events {
                scheduler.handle(now, event);
            }
            let decision = scheduler.decide(now);
            world.apply(now, decision.orders);
            observer.step(StepView { now, events: &events, orders: decision.orders, notes: decision.notes });
            idle = if wakeup && events.is_empty() && decision.orders.is_empty() { idle + 1 } else { 0 };
            if idle > IDLE_WAKEUPS_MAX {
                break;
            }
            if limits.check
                && let Err(what) = scheduler.check()
            {
                return Stop::Over(End::Broken { step, now, what });
            }
            step += 1;
        }
        Stop::Over(End::Quiet)
    }
}

/// Runs `scheduler` in `world` over `arrivals` (sorted by submit time) until nothing is left to happen.
pub fn run(
    scheduler: &mut Scheduler,
    world: &mut World,
    arrivals: impl Iterator<Item = Arrival>,
    limits: Limits,
    observer: &mut impl Observer,
) -> End {
    match Driver::default().run(scheduler, world, arrivals, (limits, Stretch::WHOLE), observer) {
        Stop::Over(end) => end,
        Stop::Before(_) => unreachable!("the whole run is never longer than it was to be"),
    }
}

/// The next instant at which something happens, and whether only the policy's own wake-up does.
#[inline]
fn next_instant(scheduler: &Scheduler, world: &World, arrival: Time) -> Option<(Time, bool)> {
    let happening = world.next_time().min(arrival);
    match scheduler.next_wakeup() {
        Some(wakeup) if wakeup < happening => {
            let now = scheduler.view().now();
            Some((wakeup.max(now + Span(1)), true))
        }
        _ => (happening < Time::MAX).then_some((happening, false)),
    }
}
