//! The truth: how long jobs really run, and what orders really do.

mod breaks;
mod carried;
mod carrying;
mod ends;
mod snapshot;
mod switching;
mod troubles;

pub use ends::BadEnd;
pub use switching::Switched;

use crate::costs::Costs;
use crate::events::EventQueue;
use crate::mechanism::Mechanism;
use crate::recovery::Recovery;
use breaks::Breaks;
use policies::elastic::{time_for, work_in};
use policies::{Attempt, Elastic, Event, FULL_SPEED, Fleet, IdTable, JobId, JobSpec, Order, Span, Time};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use serde::{Deserialize, Serialize};
use switching::Switching;
use traces::faults::{Change, Disturbance};
use traces::scenario::NetworkSpec;

/// A job on its way into the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it is submitted.
    pub submit: Time,
    /// What the scheduler is told.
    pub spec: JobSpec,
    /// The truth: how long it runs when it holds all it asks for; [`ENDLESS`] for ever.
    pub duration: Span,
}

/// The [duration](Arrival::duration) of jobs that go on until they are withdrawn.
pub const ENDLESS: Span = Span::MAX;

/// Attempts that end badly, at a constant rate while they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crashes {
    /// Mean running time between crashes of one job.
    pub mean: Span,
    /// Seed of the stream `crashes`. The draw depends on job and attempt alone, so policies can be compared on equal luck.
    pub seed: u64,
}

impl Crashes {
    fn draw(&self, job: JobId, attempt: Attempt) -> Span {
        let stream = self.seed ^ u64::from(job.0) << 32 ^ u64::from(attempt.0) ^ 0x6372_6173_6865_7300;
        let uniform: f64 = Xoshiro256PlusPlus::seed_from_u64(stream).random();
        Span::from_secs_f64(-(1.0 - uniform).ln() * self.mean.as_secs_f64()).unwrap_or(Span::MAX)
    }
}

/// Where a job of the world really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Waiting,
    Starting,
    Running,
    /// Works on until it is stopped.
    Stopping,
    /// Stands still while it is saved.
    Saving,
    Done,
}

impl State {
    /// Whether an attempt has accelerators.
    fn holds(self) -> bool {
        matches!(self, State::Starting | State::Running | State::Stopping | State::Saving)
    }
}

// One cache line.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[repr(align(64))]
struct Truth {
    /// Work in all; grows when work has to be redone.
    work: Span,
    /// By how much it has grown.
    redo: Span,
    /// Work done and kept.
    done: Span,
    running_since: Time,
    attempt: Attempt,
    state: State,
    /// In ten-thousandths of full speed, on what the attempt holds.
    speed: u16,
    /// Of the whole gang.
    accelerators: u32,
    elastic: Elastic,
}

impl Truth {
    /// Work that the attempt has done by `now`.
    fn ran(&self, now: Time) -> Span {
        work_in(now.since(self.running_since), self.speed.into())
    }

    /// Work done that need not be done again.
    fn progress(&self) -> Span {
        self.done.saturating_sub(self.redo)
    }

    /// The attempt runs; how it will end by itself is scheduled.
    #[inline(always)]
    fn start(&mut self, now: Time, job: JobId, (queue, costs, crashes): (&mut Queue, &Costs, Option<Crashes>)) -> Event {
        let attempt = self.attempt;
        // One that is to be stopped runs until it is.
        if self.state == State::Starting {
            self.state = State::Running;
        }
        self.running_since = now;
        let left = time_for(self.work.saturating_sub(self.done), self.speed.into());
        if let Some(crash) = crashes.map(|c| c.draw(job, attempt)).filter(|&crash| crash < left) {
            queue.push(now + crash, (job, attempt, Happening::Crash));
        } else if left.0 <= ENDLESS.0 / 2 {
            // Endless work is endless still after any run.
            let end = now + left + costs.teardown;
            let seen = if costs.seen_late { end.next_multiple(Span::from_secs(1)) } else { end };
            queue.push(seen, (job, attempt, Happening::Finish));
        }
        Event::Started { job, attempt }
    }

    /// The attempt stops on order. Returns what is saved.
    fn stop(&mut self, now: Time, costs: &Costs) -> Span {
        let ran = self.ran(now);
        let redo = if ran > Span::ZERO { costs.redo_for(self.accelerators) } else { Span::ZERO };
        // Stopped while it was being torn down, it has run for longer than it had work.
        self.done = (self.done + ran).min(self.work);
        self.work += redo;
        self.redo += redo;
        self.state = State::Waiting;
        self.running_since = Time::MAX;
        self.progress()
    }

    /// The attempt ends without having been stopped.
    fn break_off(&mut self, now: Time, recovery: Recovery) {
        let kept = recovery.kept(now.since(self.running_since));
        self.done = (self.done + work_in(kept, self.speed.into())).min(self.work);
        self.state = State::Waiting;
        self.running_since = Time::MAX;
    }
}

/// After how long an attempt is given up whose node does not answer: a scheduler that has not heard that a node is down, and sends
/// somebody there again and again, must not do so without time passing.
const UNANSWERED: Span = Span::from_secs(1);

/// Something that will happen to an attempt unless something else comes first.
// A word: it is queued beside two more, and what has gaps is copied byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u32)]
enum Happening {
    Start,
    Finish,
    Crash,
    Stop,
    /// It was sent to a node that is down.
    Lose,
    // Only under a mechanism:
    /// All workers stand still, to be stopped.
    Barrier,
    /// It was read.
    Dumped,
    /// All workers stand still, for a periodic checkpoint.
    Checkpoint,
    /// It was read and goes on.
    Resume,
    /// The changes of an upload were found; the attempt is the upload's number.
    Scanned,
}

type Queue = EventQueue<(JobId, Attempt, Happening)>;

/// The simulated accelerators and the jobs on them.
pub struct World {
    jobs: IdTable<Truth>,
    queue: Queue,
    /// What came of the last orders without delay, in order, and when: told with the next step.
    at_once: Vec<Event>,
    at_once_at: Time,
    costs: Costs,
    crashes: Option<Crashes>,
    /// Jobs that were submitted and are not done.
    live: u32,
    recovery: Recovery,
    breaks: Option<Breaks>,
    switching: Option<Box<Switching>>,
    /// When jobs are withdrawn, the last first.
    withdrawals: Vec<(Time, JobId)>,
    /// Jobs that do not end well.
    ends: ends::Ends,
}

impl World {
    /// An empty world.
    pub fn new(costs: Costs, crashes: Option<Crashes>) -> World {
        World {
            jobs: IdTable::default(),
            queue: EventQueue::default(),
            at_once: Vec::new(),
            at_once_at: Time::ZERO,
            costs,
            crashes,
            live: 0,
            recovery: Recovery::LastStop,
            breaks: None,
            switching: None,
            withdrawals: Vec::new(),
            ends: ends::Ends::new(),
        }
    }

    /// The same world, in which starts, stops, moves and checkpoints take what `mechanism` says, over the links of `network`.
    /// `jobs`: name and accelerators of each job in order of submission; which state a job has to carry is drawn by its name
    /// ([`Mechanism::states`]). The costs that the world was made with should be none.
    pub fn with_mechanism<'a>(
        mut self,
        fleet: &Fleet,
        mechanism: &Mechanism,
        network: &NetworkSpec,
        jobs: impl Iterator<Item = (&'a str, u32)>,
    ) -> World {
        self.switching = Some(Box::new(Switching::new(fleet, Some(mechanism), network, jobs)));
        self
    }

    /// The same world, in which `disturbances` (sorted) are in the way of work: stores that are out, places that are cut off, slow
    /// nodes. Call it after [`World::with_mechanism`] and [`World::with_faults`], if these are called at all.
    pub fn with_disturbances(mut self, fleet: &Fleet, disturbances: Vec<Disturbance>) -> World {
        debug_assert!(disturbances.is_sorted());
        if self.breaks.is_none() {
            // It says which jobs are on a node.
            self = self.with_faults(fleet, Vec::new());
        }
        let network = NetworkSpec::default();
        let plain = || Box::new(Switching::new(fleet, None, &network, std::iter::empty()));
        self.switching.get_or_insert_with(plain).troubles.all = disturbances;
        self
    }

    /// What the mechanism did so far, where there is one.
    pub fn switched(&self) -> Option<Switched> {
        self.switching.as_ref().map(|switching| switching.switched)
    }

    /// The same world, in which nodes change as `changes` (sorted) say.
    pub fn with_faults(mut self, fleet: &Fleet, changes: Vec<Change>) -> World {
        debug_assert!(changes.is_sorted());
        let nodes = fleet.nodes.len();
        self.breaks = Some(Breaks { changes, next: 0, on: vec![Vec::new(); nodes], down: vec![false; nodes] });
        self
    }

    /// The same world, in which jobs are withdrawn at these times (sorted) if they are not done by then.
    pub fn with_withdrawals(self, mut withdrawals: Vec<(Time, JobId)>) -> World {
        debug_assert!(withdrawals.is_sorted());
        withdrawals.reverse();
        World { withdrawals, ..self }
    }

    /// The same world, in which so much of an attempt's work survives its end by a crash or with its node.
    pub fn with_recovery(self, recovery: Recovery) -> World {
        World { recovery, ..self }
    }

    /// When something happens next by itself, or happened and was not told yet; [`Time::MAX`] if nothing does.
    #[inline]
    pub fn next_time(&self) -> Time {
        // Without jobs all that is left are the ends of attempts that were stopped before.
        if self.live == 0 {
            return Time::MAX;
        }
        if !self.at_once.is_empty() {
            return self.at_once_at;
        }
        let mut next = self.queue.next_time();
        if let Some(transfer) = self.switching.as_ref().and_then(|switching| switching.next_time()) {
            next = next.min(transfer);
        }
        if let Some(&(withdrawal, _)) = self.withdrawals.last() {
            next = next.min(withdrawal);
        }
        // While there are no jobs nobody cares; the next arrival finds the nodes as they are then.
        if let Some(change) = self.breaks.as_ref().and_then(|breaks| breaks.changes.get(breaks.next)) {
            next = next.min(change.at);
        }
        next
    }

    /// Lets a job in, and adds the event that tells the scheduler to `events`.
    #[inline]
    pub fn submit(&mut self, arrival: &Arrival, events: &mut Vec<Event>) {
        let job = self.jobs.push(Truth {
            work: arrival.duration,
            redo: Span::ZERO,
            done: Span::ZERO,
            running_since: Time::MAX,
            attempt: Attempt(0),
            state: State::Waiting,
            speed: FULL_SPEED as u16,
            accelerators: arrival.spec.demand.accelerators,
            elastic: arrival.spec.elastic,
        });
        self.live += 1;
        if self.switching.is_some() {
            return events.push(self.submit_carried(job, arrival.spec));
        }
        // Made in its place: a large event that is handed over is written in parts and read as a whole, which costs a stall.
        events.push(Event::Submit { job, spec: arrival.spec });
    }

    /// Everything that happened by itself until `now` and was not told yet, in order, into `events`, which are empty.
    #[inline]
    pub fn advance(&mut self, now: Time, events: &mut Vec<Event>) {
        debug_assert!(events.is_empty());
        if !self.at_once.is_empty() {
            std::mem::swap(events, &mut self.at_once);
        }
        if self.queue.next_time() <= now {
            self.happenings(now, events);
        }
        if self.switching.is_some() {
            self.change_links(now, events);
        }
        if !self.withdrawals.is_empty() {
            self.withdraw(now, events);
        }
        if self.breaks.is_some() {
            self.change_nodes(now, events);
        }
        if !self.ends.is_empty() {
            self.end_badly(events);
        }
    }

    #[inline(never)]
    fn happenings(&mut self, now: Time, events: &mut Vec<Event>) {
        while let Some(happening) = self.queue.pop_until(now) {
            self.happen(now, happening, events);
        }
    }

    /// Jobs whose owners have no use for them any more are gone at once.
    #[cold]
    fn withdraw(&mut self, now: Time, events: &mut Vec<Event>) {
        while let Some((_, job)) = self.withdrawals.pop_if(|(at, _)| *at <= now) {
            let Some(truth) = self.jobs.get_mut(job).filter(|truth| truth.state != State::Done) else { continue };
            truth.state = State::Done;
            self.jobs.retire(job);
            self.live -= 1;
            if let Some(switching) = &mut self.switching {
                switching.finish(now, job);
            }
            events.push(Event::Withdrawn { job });
        }
    }

    /// Carries out the orders of one step.
    #[inline]
    pub fn apply(&mut self, now: Time, orders: &[Order]) {
        if !orders.is_empty() {
            self.carry_out(now, orders);
        }
    }

    #[inline(never)]
    fn carry_out(&mut self, now: Time, orders: &[Order]) {
        let start = |order: &&Order| matches!(order, Order::Start { .. });
        let starts = if orders.len() > 1 { orders.iter().filter(start).count() } else { orders.len() };
        let extra = if starts > 1 { self.costs.start_together } else { self.costs.start_alone };
        for order in orders {
            if self.switching.is_some() && self.hold_back(order) {
                continue;
            }
            match *order {
                Order::Start { job, attempt, ref allocation } => {
                    let settled = self.breaks.as_mut().is_none_or(|b| World::settle(b, &self.jobs, job, attempt, allocation));
                    let truth = self.jobs.get_mut(job).expect("ordered jobs were submitted");
                    debug_assert_eq!(truth.state, State::Waiting);
                    (truth.attempt, truth.state) = (attempt, State::Starting);
                    if !truth.elastic.is_rigid() {
                        let size = allocation.iter().map(|grant| grant.count).sum();
                        truth.speed = truth.elastic.speed_on(truth.accelerators, size) as u16;
                    }
                    let delay = self.costs.start + extra;
                    if !settled {
                        self.queue.push(now + UNANSWERED, (job, attempt, Happening::Lose));
                    } else if self.switching.is_some() {
                        self.start_carried(now, (job, attempt), allocation, delay);
                    } else if delay > Span::ZERO {
                        self.queue.push(now + delay, (job, attempt, Happening::Start));
                    } else {
                        let ends = (&mut self.queue, &self.costs, self.crashes);
                        self.at_once.push(truth.start(now, job, ends));
                        self.at_once_at = now;
                    }
                }
                Order::Preempt { job, attempt } => self.preempt(now, job, attempt),
            }
        }
    }

    fn preempt(&mut self, now: Time, job: JobId, attempt: Attempt) {
        let Some(truth) = self.jobs.get_mut(job) else { return };
        let running = matches!(truth.state, State::Starting | State::Running);
        if truth.attempt == attempt && running {
            if let Some(mut switching) = self.switching.take() {
                switching.stop(self, now, job, attempt);
                self.switching = Some(switching);
                return;
            }
            if self.costs.stop > Span::ZERO {
                truth.state = State::Stopping;
                self.queue.push(now + self.costs.stop, (job, attempt, Happening::Stop));
            } else {
                let progress = truth.stop(now, &self.costs);
                self.at_once.push(Event::Stopped { job, attempt, progress });
                self.at_once_at = now;
            }
        }
    }

    /// Adds what the scheduler is told of a happening to `events`: nothing if something else came first.
    #[inline(always)]
    fn happen(&mut self, now: Time, (job, attempt, what): (JobId, Attempt, Happening), events: &mut Vec<Event>) {
        if self.switching.is_some() {
            return self.happen_carried(now, (job, attempt, what), events);
        }
        let Some(truth) = self.jobs.get_mut(job).filter(|truth| truth.attempt == attempt) else { return };
        match (what, truth.state) {
            (Happening::Start, State::Starting | State::Stopping) => {
                events.push(truth.start(now, job, (&mut self.queue, &self.costs, self.crashes)));
            }
            (Happening::Finish, State::Running | State::Stopping) => {
                truth.state = State::Done;
                self.jobs.retire(job);
                self.live -= 1;
                events.push(Event::Finished { job, attempt });
            }
            (Happening::Crash, State::Running | State::Stopping) => {
                truth.break_off(now, self.recovery);
                events.push(Event::Failed { job, attempt, progress: truth.progress(), lost: false });
            }
            (Happening::Lose, State::Starting | State::Stopping) => {
                truth.state = State::Waiting;
                events.push(Event::Failed { job, attempt, progress: truth.progress(), lost: true });
            }
            (Happening::Stop, State::Stopping) => {
                let progress = truth.stop(now, &self.costs);
                events.push(Event::Stopped { job, attempt, progress });
            }
            _ => {}
        }
    }
}
