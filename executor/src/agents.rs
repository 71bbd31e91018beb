//! The processes of this machine: they carry out the scheduler's orders, and what happens to them is reported.

use crate::guard::Guard;
use crate::process::{Ending, Fact, spawn};
use crate::report::JobReport;
use crate::saving::Saving;
use crate::slot::{Slot, State};
use crate::task::{Output, Place, Task, first_devices};
use policies::{Allocation, Attempt, Event, Fleet, JobId, Order, Time};
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

/// The jobs of a run and their processes. When it is dropped, none of them is left.
///
/// Facts are taken from a channel by [`wait`](Agents::wait) and turned into events by [`advance`](Agents::advance), so every
/// event of one step bears one time: that of the clock when the step began, microseconds since the agents were made.
pub struct Agents {
    pub(crate) slots: Vec<Slot>,
    pub(crate) inbox: Receiver<(JobId, Fact)>,
    pub(crate) facts: Sender<(JobId, Fact)>,
    /// Taken out of the inbox while waiting.
    pub(crate) first: Option<(JobId, Fact)>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) output: Output,
    pub(crate) first_device: Vec<u32>,
    pub(crate) start: Instant,
    /// Jobs with an attempt under way.
    pub(crate) busy: usize,
    /// Processes that are being started or were not waited for.
    pub(crate) processes: usize,
    pub(crate) cancelled: bool,
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
        self.slots.push(Slot::new(task));
        Event::Submit { job, spec }
    }

    /// Sets out to carry out the orders of one step.
    pub fn apply(&mut self, orders: &[Order]) {
        for order in orders {
            match *order {
                Order::Start { job, attempt, ref allocation } => self.begin(job, attempt, allocation),
                Order::Preempt { job, attempt } => {
                    if self.slots[job.index()].must_stop(attempt) {
                        self.stop(job);
                    }
                }
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
        slot.report.starts += u32::from(!slot.saved);
        self.processes += 1;
        let place = Place { job, attempt, allocation, first_device: &self.first_device };
        match slot.task.command(&place, &self.output, slot.saved) {
            Ok(command) => spawn(job, command, self.guard.clone(), self.facts.clone()),
            Err(error) => tell(Fact::Ended(Ending::CannotStart(error.to_string()))),
        }
    }

    /// Sets out to take a running job off its place: by a signal, or by a command that writes it to files.
    pub(crate) fn stop(&mut self, job: JobId) {
        let now = self.now();
        let slot = &mut self.slots[job.index()];
        match slot.task.save_command(job) {
            None => slot.suspend(),
            Some(command) => slot.saving = Some(Saving::start(job, command, now, self.facts.clone())),
        }
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
