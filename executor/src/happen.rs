//! What happens to processes, as the scheduler is told of it.

use crate::agents::Agents;
use crate::process::{Ending, Fact};
use crate::report::Outcome;
use crate::saving::Saving;
use crate::slot::State;
use policies::{Event, JobId, Span, Time};

impl Agents {
    /// The job's process is gone and its command has ended: both are needed to know what became of it.
    fn settle(&mut self, job: JobId) -> Option<Event> {
        let slot = &mut self.slots[job.index()];
        let (since, success, ending) = slot.saving.as_mut().and_then(Saving::outcome)?;
        slot.saving = None;
        if !success {
            return Some(self.end(job, ending));
        }
        (slot.state, slot.saved) = (State::Waiting, true);
        slot.worked += since.since(slot.running_since);
        slot.running_since = Time::MAX;
        slot.report.stops += 1;
        self.busy -= 1;
        Some(Event::Stopped { job, attempt: slot.attempt, progress: slot.worked })
    }

    /// What the scheduler is told of a fact; nothing if it changes nothing for it.
    pub(crate) fn happen(&mut self, now: Time, job: JobId, fact: Fact) -> Option<Event> {
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
                slot.process = Some(process);
                slot.running_since = now;
                slot.report.resumes += u32::from(slot.saved);
                if slot.state == State::Stopping {
                    self.stop(job);
                }
                Some(Event::Started { job, attempt })
            }
            // Its process, if it is still there, has no business any more on a place that others were promised.
            (Fact::Saved(success), State::Stopping) => {
                if !success && let Some(process) = &slot.process {
                    let _ = process.kill();
                }
                slot.saving.as_mut()?.success = Some(success);
                self.settle(job)
            }
            (Fact::Saved(_), _) => None,
            (Fact::Resumed, State::Running | State::Stopping) => {
                slot.report.resumes += 1;
                slot.running_since = now;
                Some(Event::Started { job, attempt })
            }
            (Fact::Stopped, State::Stopping) if slot.saving.is_none() => {
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
            (Fact::Continued, State::Stopping) if slot.saving.is_none() => {
                slot.process.as_ref().inspect(|process| process.stop());
                None
            }
            (Fact::Continued, _) => None,
            (Fact::Exited, state) => {
                let ending = slot.process.take()?.bury(&self.guard);
                self.processes -= 1;
                if let Some(saving) = &mut slot.saving {
                    saving.exited(ending);
                    return self.settle(job);
                }
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
        (slot.state, slot.saving) = (State::Withdrawn, None);
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
        (slot.worked, slot.running_since, slot.saved) = (Span::ZERO, Time::MAX, false);
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
}
