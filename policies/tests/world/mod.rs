//! A small world for tests: it carries out orders, late if told so, and keeps its own books of who occupies what.

pub mod scenario;
pub mod timeline;

use policies::elastic::{time_for, work_in};
use policies::{Allocation, Attempt, Event, Fleet, JobId, JobSpec, NodeId, NodeState, Note, Order, Scheduler, Span, Time};
use std::collections::{BTreeMap, BTreeSet};

/// What can take time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// From the order to the start.
    Start,
    /// From the order to the stop.
    Stop,
    /// From the fact to the scheduler's hearing of it.
    Report,
}

/// How the world behaves; draws are the caller's business.
pub trait Nature {
    /// How long that takes this time.
    fn delay(&mut self, what: Delay) -> Span;
    /// After how long the attempt crashes, if before `left`.
    fn crash(&mut self, left: Span) -> Option<Span>;
}

/// Nothing takes time and nothing crashes.
pub struct Ideal;

impl Nature for Ideal {
    fn delay(&mut self, _: Delay) -> Span {
        Span::ZERO
    }
    fn crash(&mut self, _: Span) -> Option<Span> {
        None
    }
}

/// A job that will be submitted.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub submit: Time,
    pub spec: JobSpec,
    pub work: Span,
    /// After how long its owner gives up on it, if it is not done by then.
    pub patience: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Physics {
    Begin,
    End,
    Crash,
    Stop,
}

#[derive(Clone, Debug)]
enum Message {
    Happens(JobId, Attempt, Physics),
    Report(Event),
    Submit(JobId),
    Withdraw(JobId),
    Node(NodeId, NodeState),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Holds nothing; `Attempt` is the last one that did.
    Out,
    Starting(Attempt),
    Running(Attempt, Time),
    Done,
}

struct Truth {
    arrival: Arrival,
    state: State,
    done: Span,
    failures: u16,
    allocation: Allocation,
}

impl Truth {
    fn speed(&self) -> u32 {
        self.arrival.spec.speed_on(self.allocation.iter().map(|g| g.count).sum())
    }
}

/// One step: what happened and what was ordered.
pub struct Step {
    pub now: Time,
    pub events: Vec<Event>,
    pub orders: Vec<Order>,
    pub notes: Vec<Note>,
}

pub struct World<N> {
    pub scheduler: Scheduler,
    nature: N,
    fleet: Fleet,
    jobs: Vec<Truth>,
    messages: BTreeMap<(Time, u64), Message>,
    counter: u64,
    /// Thousandths occupied, by node, then by accelerator (one entry on fungible nodes).
    occupied: Vec<Vec<u64>>,
    /// Nodes on which nothing runs.
    down: BTreeSet<NodeId>,
}

impl<N: Nature> World<N> {
    /// A world in which `arrivals` (sorted by time) are going to happen.
    pub fn new(scheduler: Scheduler, arrivals: &[Arrival], nature: N) -> World<N> {
        let fleet = scheduler.view().fleet().clone();
        let devices = |node: &policies::Node| if node.is_fungible() { 1 } else { node.accelerators as usize };
        let occupied = fleet.nodes.iter().map(|node| vec![0; devices(node)]).collect();
        let truth = |a: &Arrival| Truth {
            arrival: *a,
            state: State::Out,
            done: Span::ZERO,
            failures: 0,
            allocation: Allocation::new(),
        };
        let jobs = arrivals.iter().map(truth).collect();
        let mut world = World {
            scheduler,
            nature,
            fleet,
            jobs,
            messages: BTreeMap::new(),
            counter: 1 << 32,
            occupied,
            down: BTreeSet::new(),
        };
        for (id, arrival) in arrivals.iter().enumerate() {
            // Arrivals come after everything else at their instant.
            world.messages.insert((arrival.submit, 1 << 48 | id as u64), Message::Submit(JobId(id as u32)));
            if let Some(patience) = arrival.patience {
                // No report is later than that of a start that was ordered before: it goes with the order's answer.
                world.messages.insert((arrival.submit + patience, 1 << 49 | id as u64), Message::Withdraw(JobId(id as u32)));
            }
        }
        world
    }

    /// The same world, in which nodes break, are to be emptied, and come back. At the end all are up.
    pub fn with_changes(mut self, changes: &[(Time, NodeId, NodeState)]) -> World<N> {
        for (number, &(at, node, state)) in changes.iter().enumerate() {
            self.messages.insert((at, 1 << 50 | number as u64), Message::Node(node, state));
        }
        self
    }

    /// Whether every job finished or failed for good.
    pub fn all_done(&self) -> bool {
        self.jobs.iter().all(|job| job.state == State::Done)
    }

    /// The jobs that are not done.
    pub fn left(&self) -> Vec<JobId> {
        (0..self.jobs.len() as u32).map(JobId).filter(|id| self.jobs[id.index()].state != State::Done).collect()
    }

    /// Goes to the next instant and does what there is to do; `None` if nothing will ever happen again.
    pub fn step(&mut self) -> Option<Step> {
        let message = self.messages.first_key_value().map(|(&(time, _), _)| time);
        let now = match (message, self.scheduler.next_wakeup()) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b)?,
        };
        let mut events = Vec::new();
        while let Some(entry) = self.messages.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Message::Happens(job, attempt, what) => self.happen(now, job, attempt, what),
                Message::Report(event) => events.push(event),
                Message::Withdraw(job) => events.extend(self.withdraw(job)),
                Message::Node(node, state) => {
                    events.push(Event::Node { node, state });
                    events.extend(self.change(node, state));
                }
                Message::Submit(job) => events.push(Event::Submit { job, spec: self.jobs[job.index()].arrival.spec }),
            }
        }
        for event in &events {
            self.scheduler.handle(now, event);
        }
        let decision = self.scheduler.decide(now);
        let (orders, notes) = (decision.orders.to_vec(), decision.notes.to_vec());
        for order in &orders {
            self.apply(now, order);
        }
        Some(Step { now, events, orders, notes })
    }

    /// The job is gone, and its owner says so at once; other reports on it may still be on their way.
    fn withdraw(&mut self, job: JobId) -> Option<Event> {
        let truth = &mut self.jobs[job.index()];
        let holds = match truth.state {
            State::Done => return None,
            State::Out => false,
            State::Starting(_) | State::Running(..) => true,
        };
        truth.state = State::Done;
        if holds {
            self.occupy(job, false);
        }
        Some(Event::Withdrawn { job })
    }

    /// A node breaks, or comes back. What was on it is lost, and everybody hears of it at once.
    fn change(&mut self, node: NodeId, state: NodeState) -> Vec<Event> {
        if state != NodeState::Down {
            self.down.remove(&node);
            return Vec::new();
        }
        self.down.insert(node);
        let hit = |job: &JobId| {
            let truth = &self.jobs[job.index()];
            let there = matches!(truth.state, State::Starting(_) | State::Running(..));
            there && truth.allocation.iter().any(|grant| grant.node == node)
        };
        let hit: Vec<JobId> = (0..self.jobs.len() as u32).map(JobId).filter(hit).collect();
        hit.into_iter().map(|job| self.lose(job)).collect()
    }

    /// The attempt is gone with its node.
    fn lose(&mut self, job: JobId) -> Event {
        let truth = &mut self.jobs[job.index()];
        let (State::Starting(attempt) | State::Running(attempt, _)) = truth.state else { unreachable!("it holds a node") };
        truth.state = State::Out;
        let progress = truth.done;
        self.occupy(job, false);
        Event::Failed { job, attempt, progress, lost: true }
    }

    fn send(&mut self, at: Time, message: Message) {
        self.messages.insert((at, self.counter), message);
        self.counter += 1;
    }

    fn report(&mut self, now: Time, event: Event) {
        let delay = self.nature.delay(Delay::Report);
        self.send(now + delay, Message::Report(event));
    }

    fn apply(&mut self, now: Time, order: &Order) {
        match order {
            Order::Start { job, attempt, allocation } => {
                let truth = &mut self.jobs[job.index()];
                assert_eq!(truth.state, State::Out, "job {} was started twice", job.0);
                truth.state = State::Starting(*attempt);
                truth.allocation = allocation.clone();
                let gone = allocation.iter().any(|grant| self.down.contains(&grant.node));
                self.occupy(*job, true);
                if gone {
                    // It was promised a place that broke before others had left it.
                    let event = self.lose(*job);
                    return self.report(now, event);
                }
                let delay = self.nature.delay(Delay::Start);
                self.send(now + delay, Message::Happens(*job, *attempt, Physics::Begin));
            }
            Order::Preempt { job, attempt } => {
                let delay = self.nature.delay(Delay::Stop);
                self.send(now + delay, Message::Happens(*job, *attempt, Physics::Stop));
            }
        }
    }

    fn happen(&mut self, now: Time, job: JobId, attempt: Attempt, what: Physics) {
        let truth = &mut self.jobs[job.index()];
        let current = match truth.state {
            State::Starting(a) => a == attempt,
            State::Running(a, _) => a == attempt,
            _ => false,
        };
        if !current {
            return; // it ended otherwise in the meantime
        }
        let ran = if let State::Running(_, since) = truth.state { now.since(since) } else { Span::ZERO };
        if what == Physics::Begin {
            let left = time_for(truth.arrival.work.saturating_sub(truth.done), truth.speed());
            truth.state = State::Running(attempt, now);
            let crash = self.nature.crash(left);
            let (after, end) = crash.map_or((left, Physics::End), |after| (after, Physics::Crash));
            self.send(now + after, Message::Happens(job, attempt, end));
            return self.report(now, Event::Started { job, attempt });
        }
        let event = match what {
            Physics::Begin => unreachable!("handled above"),
            Physics::End => {
                truth.state = State::Done;
                Event::Finished { job, attempt }
            }
            Physics::Stop => {
                truth.state = State::Out;
                truth.done += work_in(ran, truth.speed());
                Event::Stopped { job, attempt, progress: truth.done }
            }
            Physics::Crash => {
                truth.failures += 1;
                let out = truth.failures >= truth.arrival.spec.attempts_max;
                truth.state = if out { State::Done } else { State::Out };
                Event::Failed { job, attempt, progress: truth.done, lost: false }
            }
        };
        self.occupy(job, false);
        self.report(now, event);
    }

    /// The world's own books: what the scheduler's invariants are checked against.
    fn occupy(&mut self, job: JobId, enters: bool) {
        let truth = &self.jobs[job.index()];
        let demand = &truth.arrival.spec.demand;
        let gang: u32 = truth.allocation.iter().map(|g| g.count).sum();
        let legal = truth.arrival.spec.elastic.allows(demand.accelerators, gang);
        assert!(legal, "job {}: a partial gang was started: {gang} of {}", job.0, demand.accelerators);
        for grant in &truth.allocation {
            let node = &self.fleet.nodes[grant.node.index()];
            let devices = &mut self.occupied[grant.node.index()];
            let mut change = |device: usize, milli: u64, room: u64| {
                let now = if enters { devices[device] + milli } else { devices[device] - milli };
                assert!(now <= room, "job {}: node {} device {device} is oversubscribed", job.0, grant.node.0);
                devices[device] = now;
            };
            let milli = u64::from(demand.milli);
            if node.is_fungible() {
                change(0, u64::from(grant.count) * milli, u64::from(node.accelerators) * 1000);
            } else {
                (0..64).filter(|d| grant.devices >> d & 1 == 1).for_each(|d| change(d, milli, 1000));
            }
        }
    }
}
