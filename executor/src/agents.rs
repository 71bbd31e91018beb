//! The processes of this machine: they carry out the scheduler's orders, and what happens to them is reported.

use crate::guard::Guard;
use crate::process::{Ending, Fact, Process, spawn};
use crate::report::{JobReport, Outcome};
use crate::task::{Output, Place, Task, first_devices};
use policies::{Allocation, Attempt, Event, Fleet, JobId, Order, Span, Time};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Why no process can be run.
#[derive(Debug, Error)]
pub enum ExecError {
    /// The guard cannot be started.
    #[error("/bin/sh: cannot start the process that cleans up after a crash: {0}")]
    Guard(io::Error),
    /// The folder for output cannot be made.
    #[error("{path}: cannot make the folder for the output of jobs: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Jobs are told which accelerators they got, so these must be named.
    #[error(
        "node {node} has {accelerators} accelerators; a node that runs real jobs has at most {max}: use several nodes",
        max = policies::fleet::NAMED_ACCELERATORS_MAX
    )]
    Unnamed {
        /// The node.
        node: u32,
        /// How many it has.
        accelerators: u32,
    },
}

/// How processes are run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where their output goes.
    pub output: Output,
}

/// Where a job really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No attempt is under way; a suspended process may lie there.
    Waiting,
    /// Told to start; runs as soon as its process does.
    Running,
    /// Told to stop; works on until it is stopped.
    Stopping,
    /// Its owner withdrew it; its process is being killed.
    Leaving,
    Finished,
    Failed,
    Withdrawn,
}

struct Slot {
    task: Task,
    state: State,
    attempt: Attempt,
    process: Option<Process>,
    /// How a process ended while it was suspended; nobody was told yet.
    ended: Option<Ending>,
    /// Time that the present process ran, up to the last stop.
    worked: Span,
    running_since: Time,
    failures: u16,
    report: JobReport,
}

/// The jobs of a run and their processes. When it is dropped, none of them is left.
///
/// Facts are taken from a channel by [`wait`](Agents::wait) and turned into events by [`advance`](Agents::advance), so every
/// event of one step bears one time: that of the clock when the step began, microseconds since the agents were made.
pub struct Agents {
    slots: Vec<Slot>,
    inbox: Receiver<(JobId, Fact)>,
    facts: Sender<(JobId, Fact)>,
    /// Taken out of the inbox while waiting.
    first: Option<(JobId, Fact)>,
    guard: Arc<Guard>,
    output: Output,
    first_device: Vec<u32>,
    start: Instant,
    /// Jobs with an attempt under way.
    busy: usize,
    /// Processes that are being started or were not waited for.
    processes: usize,
    cancelled: bool,
}

/// Withdraws jobs, or stops a run, from any thread.
#[derive(Clone, Debug)]
pub struct Canceller(Sender<(JobId, Fact)>);

impl Canceller {
    /// Withdraws a job, as its owner may at any time: if it has a process, that is killed, and the job is done without having
    /// failed. Does nothing if it is done already, or was never submitted.
    pub fn withdraw(&self, job: JobId) {
        let _ = self.0.send((job, Fact::Withdrawn));
    }

    /// Ends the run at its next step; its processes are killed. Does nothing if the run is over.
    pub fn cancel(&self) {
        let _ = self.0.send((JobId(u32::MAX), Fact::Cancelled));
    }
}

impl Agents {
    /// Agents that stand for all nodes of `fleet` on this machine. Time begins now.
    ///
    /// # Errors
    /// See [`ExecError`].
    pub fn new(fleet: &Fleet, options: Options) -> Result<Agents, ExecError> {
        if let Some((node, spec)) = fleet.nodes.iter().enumerate().find(|(_, node)| node.is_fungible()) {
            return Err(ExecError::Unnamed { node: node as u32, accelerators: spec.accelerators });
        }
        if let Output::Folder(path) = &options.output {
            std::fs::create_dir_all(path).map_err(|source| ExecError::Folder { path: path.clone(), source })?;
        }
        let (facts, inbox) = channel();
        Ok(Agents {
            slots: Vec::new(),
            inbox,
            facts,
            first: None,
            guard: Arc::new(Guard::start().map_err(ExecError::Guard)?),
            output: options.output,
            first_device: first_devices(fleet),
            start: Instant::now(),
            busy: 0,
            processes: 0,
            cancelled: false,
        })
    }

    /// A handle that withdraws jobs and stops the run.
    pub fn canceller(&self) -> Canceller {
        Canceller(self.facts.clone())
    }

    /// Whether somebody used it.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Whether an attempt is under way, so that facts will come by themselves.
    pub fn is_busy(&self) -> bool {
        self.busy > 0
    }

    /// What became of each job, by id.
    pub fn report(&self) -> impl Iterator<Item = &JobReport> {
        self.slots.iter().map(|slot| &slot.report)
    }

    /// The time.
    fn now(&self) -> Time {
        Time(self.start.elapsed().as_micros() as u64)
    }

    /// Waits for a fact, but not beyond `until`. Returns the time, which is that of the step to come.
    pub fn wait(&mut self, until: Time) -> Time {
        debug_assert!(self.first.is_none(), "advance was not called");
        self.first = match until {
            Time::MAX => self.inbox.recv().ok(),
            _ => self.inbox.recv_timeout(Duration::from_micros(until.since(self.now()).0)).ok(),
        };
        self.now()
    }

    /// Everything that happened, in order, into `events`.
    pub fn advance(&mut self, now: Time, events: &mut Vec<Event>) {
        let mut next = self.first.take().or_else(|| self.inbox.try_recv().ok());
        while let Some((job, fact)) = next {
            events.extend(self.happen(now, job, fact));
            next = self.inbox.try_recv().ok();
        }
    }

    /// Lets a job in, and returns the event that tells the scheduler.
    pub fn submit(&mut self, task: Task) -> Event {
        let (job, spec) = (JobId(self.slots.len() as u32), task.spec);
        let report = JobReport {
            name: task.name.clone(),
            outcome: Outcome::Unfinished,
            starts: 0,
            stops: 0,
            resumes: 0,
            endings: Vec::new(),
        };
        self.slots.push(Slot {
            task,
            state: State::Waiting,
            attempt: Attempt(0),
            process: None,
            ended: None,
            worked: Span::ZERO,
            running_since: Time::MAX,
            failures: 0,
            report,
        });
        Event::Submit { job, spec }
    }

    /// Sets out to carry out the orders of one step.
    pub fn apply(&mut self, orders: &[Order]) {
        for order in orders {
            match *order {
                Order::Start { job, attempt, ref allocation } => self.begin(job, attempt, allocation),
                Order::Preempt { job, attempt } => self.slots[job.index()].preempt(attempt),
            }
        }
    }

    fn begin(&mut self, job: JobId, attempt: Attempt, allocation: &Allocation) {
        let slot = &mut self.slots[job.index()];
        if matches!(slot.state, State::Leaving | State::Withdrawn) {
            return; // The order crossed with its owner's word.
        }
        debug_assert_eq!(slot.state, State::Waiting);
        (slot.state, slot.attempt) = (State::Running, attempt);
        self.busy += 1;
        let tell = |fact| self.facts.send((job, fact)).expect("the inbox is ours");
        if let Some(ending) = slot.ended.take() {
            return tell(Fact::Ended(ending));
        }
        if let Some(process) = &slot.process {
            // Told first, so that nothing that the process does can be told before. When the call returns it is suspended no
            // more: nothing is left to wait for.
            tell(Fact::Resumed);
            process.go_on();
            return;
        }
        slot.report.starts += 1;
        self.processes += 1;
        let place = Place { job, attempt, allocation, first_device: &self.first_device };
        match slot.task.command(&place, &self.output) {
            Ok(command) => spawn(job, command, self.guard.clone(), self.facts.clone()),
            Err(error) => tell(Fact::Ended(Ending::CannotStart(error.to_string()))),
        }
    }

    /// What the scheduler is told of a fact; nothing if it changes nothing for it.
    fn happen(&mut self, now: Time, job: JobId, fact: Fact) -> Option<Event> {
        if matches!(fact, Fact::Cancelled) {
            self.cancelled = true;
            return None;
        }
        if matches!(fact, Fact::Withdrawn) {
            return self.withdraw(job);
        }
        let slot = &mut self.slots[job.index()];
        let attempt = slot.attempt;
        match (fact, slot.state) {
            (Fact::Spawned(process), State::Leaving) => {
                let _ = process.kill();
                slot.process = Some(process);
                None
            }
            (Fact::Exited, State::Leaving) => {
                let ending = slot.process.take()?.bury(&self.guard);
                self.processes -= 1;
                Some(self.gone(job, ending))
            }
            (Fact::Ended(ending), State::Leaving) => {
                self.processes -= usize::from(matches!(ending, Ending::CannotStart(_)));
                Some(self.gone(job, ending))
            }
            (Fact::Stopped | Fact::Continued | Fact::Resumed, State::Leaving) => None,
            (Fact::Spawned(process), _) => {
                if slot.state == State::Stopping {
                    process.stop();
                }
                slot.process = Some(process);
                slot.running_since = now;
                Some(Event::Started { job, attempt })
            }
            (Fact::Resumed, State::Running | State::Stopping) => {
                slot.report.resumes += 1;
                slot.running_since = now;
                Some(Event::Started { job, attempt })
            }
            (Fact::Stopped, State::Stopping) => {
                slot.process.as_ref().inspect(|process| process.hold());
                slot.state = State::Waiting;
                slot.worked += now.since(slot.running_since);
                slot.running_since = Time::MAX;
                slot.report.stops += 1;
                self.busy -= 1;
                Some(Event::Stopped { job, attempt, progress: slot.worked })
            }
            // Nobody ordered it. It stays as it is, and holds its accelerators, until somebody lets it go on.
            (Fact::Stopped, _) => None,
            // Its accelerators are others' now, or soon will be.
            (Fact::Continued, State::Waiting) => {
                slot.process.as_ref().inspect(|process| process.hold());
                None
            }
            (Fact::Continued, State::Stopping) => {
                slot.process.as_ref().inspect(|process| process.stop());
                None
            }
            (Fact::Continued, _) => None,
            (Fact::Exited, state) => {
                let ending = slot.process.take()?.bury(&self.guard);
                self.processes -= 1;
                if state == State::Waiting {
                    slot.ended = Some(ending);
                    return None;
                }
                Some(self.end(job, ending))
            }
            (Fact::Ended(ending), _) => Some(self.end(job, ending)),
            // It had died in its sleep, and that was told first.
            (Fact::Resumed, _) | (Fact::Cancelled | Fact::Withdrawn, _) => None,
        }
    }

    /// The owner withdraws the job. It is gone when its process is; one that changed its user cannot be killed, and is waited for.
    fn withdraw(&mut self, job: JobId) -> Option<Event> {
        let slot = self.slots.get_mut(job.index())?;
        let under_way = match slot.state {
            State::Running | State::Stopping => true,
            State::Waiting => false,
            State::Leaving | State::Finished | State::Failed | State::Withdrawn => return None,
        };
        slot.report.outcome = Outcome::Withdrawn;
        if !under_way && slot.process.is_none() {
            slot.report.endings.extend(slot.ended.take());
            slot.state = State::Withdrawn;
            return Some(Event::Withdrawn { job });
        }
        if let Some(process) = &slot.process {
            let _ = process.kill();
        }
        slot.state = State::Leaving;
        self.busy += usize::from(!under_way);
        None
    }

    /// A job that was withdrawn has no process any more.
    fn gone(&mut self, job: JobId, ending: Ending) -> Event {
        self.busy -= 1;
        let slot = &mut self.slots[job.index()];
        slot.report.endings.push(ending);
        slot.state = State::Withdrawn;
        Event::Withdrawn { job }
    }

    /// The attempt is over, and so is its process.
    fn end(&mut self, job: JobId, ending: Ending) -> Event {
        self.busy -= 1;
        let slot = &mut self.slots[job.index()];
        let (attempt, success) = (slot.attempt, ending.is_success());
        if let Ending::CannotStart(_) = ending {
            self.processes -= 1;
        }
        slot.report.endings.push(ending);
        (slot.worked, slot.running_since) = (Span::ZERO, Time::MAX);
        if success {
            (slot.state, slot.report.outcome) = (State::Finished, Outcome::Finished);
            return Event::Finished { job, attempt };
        }
        slot.failures += 1;
        slot.state = State::Waiting;
        if slot.failures >= slot.task.spec.attempts_max {
            (slot.state, slot.report.outcome) = (State::Failed, Outcome::Failed);
        }
        Event::Failed { job, attempt, progress: Span::ZERO, lost: false }
    }

    /// Kills every process and waits until none is left.
    pub fn shut_down(&mut self) {
        for slot in &mut self.slots {
            self.processes -= usize::from(slot.kill().is_err());
        }
        while self.processes > 0 {
            let next = self.first.take().map_or_else(|| self.inbox.recv(), Ok);
            let Ok((job, fact)) = next else { return };
            match fact {
                Fact::Spawned(process) => {
                    let slot = &mut self.slots[job.index()];
                    slot.process = Some(process);
                    self.processes -= usize::from(slot.kill().is_err());
                }
                Fact::Exited => {
                    let process = self.slots[job.index()].process.take();
                    self.processes -= usize::from(process.map(|process| process.bury(&self.guard)).is_some());
                }
                Fact::Ended(Ending::CannotStart(_)) => self.processes -= 1,
                _ => {}
            }
        }
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl Slot {
    fn preempt(&mut self, attempt: Attempt) {
        if self.state != State::Running || self.attempt != attempt {
            return;
        }
        self.state = State::Stopping;
        // A process that is being started is stopped as soon as it runs.
        if let Some(process) = &self.process {
            // One that somebody else suspended would not be reported to stop; and a child that was suspended between `vfork` and
            // its program would keep the leader from stopping.
            process.go_on();
            process.stop();
        }
    }

    /// Kills its process, if it has one. One that changed its user cannot be killed and is given up.
    fn kill(&mut self) -> io::Result<()> {
        let killed = self.process.as_ref().map_or(Ok(()), |process| process.kill());
        if killed.is_err() {
            self.process = None;
        }
        killed
    }
}
