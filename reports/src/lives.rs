//! Follows every job through a run: one state machine for everything here that reads steps.

use crate::reasons::Waiting;
use policies::{Allocation, Attempt, Demand, Event, JobId, Note, Order, Reason, Time};
use std::collections::BTreeMap;
use traces::runlog::StepView;
use traces::runlog::held_milli;

/// Where a job is, as far as the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Holds nothing.
    Waiting,
    /// Holds its accelerators and does not run yet.
    Starting,
    /// Runs, be it that it was told to stop.
    Running,
    /// Is done.
    Done,
}

/// What moved a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Submitted,
    /// A reason was noted; the phase stays.
    Noted,
    Ordered,
    Started,
    Stopped,
    Finished,
    Failed,
    /// It broke with its node.
    Lost,
    /// Its owner does not want it any more.
    Withdrawn,
}

/// One job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    /// In this phase, and while waiting for this reason, since then.
    pub since: Time,
    /// Accelerator-thousandths that it asked for.
    pub milli: u64,
    /// Accelerator-thousandths that it holds, while it starts or runs.
    pub held_milli: u64,
    pub tenant: u32,
    /// Jobs with equal demands have equal classes: what does not fit for one fits for none.
    pub class: u32,
    pub attempt: u32,
    failures: u16,
    failures_max: u16,
    pub phase: Phase,
    /// Why it waits, or why it will when it is stopped.
    pub waiting: Waiting,
}

/// A job went from one phase, or reason to wait, to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move<'a> {
    pub now: Time,
    pub job: JobId,
    /// As it was before.
    pub was: Life,
    pub to: Phase,
    pub cause: Cause,
    /// Why it waits from now on, if it does.
    pub waiting: Waiting,
    /// What it was ordered to start on, if it was.
    pub allocation: Option<&'a Allocation>,
}

/// All jobs so far, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lives {
    rows: Vec<Life>,
    classes: BTreeMap<Demand, u32>,
}

impl Lives {
    pub fn rows(&self) -> &[Life] {
        &self.rows
    }

    /// Takes one step and shows each move, in order. Stale events move nothing.
    pub fn step<'a>(&mut self, step: StepView<'a>, mut on: impl FnMut(Move<'a>)) {
        for event in step.events {
            self.event(step.now, event, &mut on);
        }
        for note in step.notes {
            self.note(step.now, note, &mut on);
        }
        for order in step.orders {
            match order {
                Order::Start { job, attempt, allocation } => self.start(step.now, *job, *attempt, allocation, &mut on),
                // Its note may have come before the order that started it, which cleared it.
                Order::Preempt { job, .. } => {
                    let waiting = &mut self.rows[job.index()].waiting;
                    *waiting = if *waiting == Waiting::Moving { Waiting::Moving } else { Waiting::Preempted };
                }
            }
        }
    }

    fn event<'a>(&mut self, now: Time, event: &Event, on: &mut impl FnMut(Move<'a>)) {
        let (job, attempt, cause) = match *event {
            Event::Submit { job, ref spec } => {
                let next = self.classes.len() as u32;
                let row = Life {
                    since: now,
                    class: *self.classes.entry(spec.demand).or_insert(next),
                    milli: spec.demand.milli_total(),
                    held_milli: 0,
                    tenant: spec.tenant.0,
                    attempt: 0,
                    failures: 0,
                    failures_max: spec.attempts_max,
                    phase: Phase::Waiting,
                    waiting: Waiting::InLine,
                };
                self.rows.push(row);
                on(Move {
                    now,
                    job,
                    was: row,
                    to: Phase::Waiting,
                    cause: Cause::Submitted,
                    waiting: row.waiting,
                    allocation: None,
                });
                return;
            }
            Event::Started { job, attempt } => (job, attempt, Cause::Started),
            Event::Stopped { job, attempt, .. } => (job, attempt, Cause::Stopped),
            Event::Finished { job, attempt } => (job, attempt, Cause::Finished),
            Event::Failed { job, attempt, lost, .. } => (job, attempt, if lost { Cause::Lost } else { Cause::Failed }),
            Event::Withdrawn { job } => return self.withdrawn(now, job, on),
            Event::Node { .. } => return,
        };
        let row = &mut self.rows[job.index()];
        let stale = row.attempt != attempt.0 || !matches!(row.phase, Phase::Starting | Phase::Running);
        if stale {
            return;
        }
        let was = *row;
        row.failures += u16::from(cause == Cause::Failed);
        row.phase = match cause {
            Cause::Started => Phase::Running,
            Cause::Finished => Phase::Done,
            Cause::Failed if row.failures >= row.failures_max => Phase::Done,
            _ => Phase::Waiting,
        };
        row.since = now;
        on(Move { now, job, was, to: row.phase, cause, waiting: row.waiting, allocation: None });
    }

    fn withdrawn<'a>(&mut self, now: Time, job: JobId, on: &mut impl FnMut(Move<'a>)) {
        let row = &mut self.rows[job.index()];
        if row.phase == Phase::Done {
            return;
        }
        let was = *row;
        (row.phase, row.since) = (Phase::Done, now);
        on(Move { now, job, was, to: Phase::Done, cause: Cause::Withdrawn, waiting: row.waiting, allocation: None });
    }

    fn note<'a>(&mut self, now: Time, note: &Note, on: &mut impl FnMut(Move<'a>)) {
        let row = &mut self.rows[note.job.index()];
        let was = *row;
        row.waiting = Waiting::of(&note.reason);
        if row.phase == Phase::Waiting {
            row.since = now;
        }
        let (job, to, waiting) = (note.job, row.phase, row.waiting);
        on(Move { now, job, was, to, cause: Cause::Noted, waiting, allocation: None });
    }

    fn start<'a>(&mut self, now: Time, job: JobId, attempt: Attempt, on: &'a Allocation, show: &mut impl FnMut(Move<'a>)) {
        let row = &mut self.rows[job.index()];
        let was = *row;
        let held_milli = held_milli(row.milli, on);
        *row = Life { since: now, held_milli, attempt: attempt.0, phase: Phase::Starting, waiting: Waiting::InLine, ..was };
        let cause = Cause::Ordered;
        show(Move { now, job, was, to: Phase::Starting, cause, waiting: Waiting::InLine, allocation: Some(on) });
    }
}

/// The job that a reason names, if it names one.
pub(crate) fn named(reason: &Reason) -> Option<JobId> {
    match *reason {
        Reason::BehindHead { head } => Some(head),
        Reason::WouldDelay { reserved } => Some(reserved),
        Reason::Outranked { by } | Reason::Preempted { by } => by,
        _ => None,
    }
}
