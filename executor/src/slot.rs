//! A job, as this machine has it.

use crate::process::{Ending, Process};
use crate::report::{JobReport, Outcome};
use crate::saving::Saving;
use crate::task::Task;
use policies::{Attempt, Span, Time};
use std::io;

/// Where a job really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
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

pub(crate) struct Slot {
    pub(crate) task: Task,
    pub(crate) state: State,
    pub(crate) attempt: Attempt,
    pub(crate) process: Option<Process>,
    /// A command wrote it to files, so that another can make it go on.
    pub(crate) saved: bool,
    /// It is being written to files.
    pub(crate) saving: Option<Saving>,
    /// How a process ended while it was suspended; nobody was told yet.
    pub(crate) ended: Option<Ending>,
    /// Time that the present process ran, up to the last stop.
    pub(crate) worked: Span,
    pub(crate) running_since: Time,
    pub(crate) failures: u16,
    pub(crate) report: JobReport,
}

impl Slot {
    /// A job that has just come.
    pub(crate) fn new(task: Task) -> Slot {
        let report = JobReport {
            name: task.name.clone(),
            outcome: Outcome::Unfinished,
            starts: 0,
            stops: 0,
            resumes: 0,
            endings: Vec::new(),
        };
        Slot {
            task,
            state: State::Waiting,
            attempt: Attempt(0),
            process: None,
            saved: false,
            saving: None,
            ended: None,
            worked: Span::ZERO,
            running_since: Time::MAX,
            failures: 0,
            report,
        }
    }

    /// Whether it is to stop. A process that is being started is stopped as soon as it runs.
    pub(crate) fn must_stop(&mut self, attempt: Attempt) -> bool {
        let must = self.state == State::Running && self.attempt == attempt;
        if must {
            self.state = State::Stopping;
        }
        must && self.process.is_some()
    }

    /// Sets out to suspend its process.
    pub(crate) fn suspend(&self) {
        if let Some(process) = &self.process {
            // One that somebody else suspended would not be reported to stop; and a child that was suspended between `vfork` and
            // its program would keep the leader from stopping.
            process.go_on();
            process.stop();
        }
    }

    /// Kills its process, if it has one. One that changed its user cannot be killed and is given up.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        let killed = self.process.as_ref().map_or(Ok(()), |process| process.kill());
        if killed.is_err() {
            self.process = None;
        }
        killed
    }
}
