//! One job in the ledger.

use super::books::{Areas, Holds, Run, Spent, milli};
use super::window::{Closed, Open, Rate, Setback};
use crate::allocation::Allocation;
use crate::elastic::FULL_SPEED;
use crate::event::Reason;
use crate::job::JobSpec;
use crate::time::{Span, Time};
use serde::{Deserialize, Serialize};

/// Where a job is, as far as the ledger was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Holds nothing, because of this.
    Waits(Setback),
    /// Holds its accelerators and does not run.
    Starts,
    Runs,
    Done,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub submit: Time,
    pub tier: u8,
    pub phase: Phase,
    /// Why it will wait when it is stopped.
    pub leaving: Setback,
    pub attempt: u32,
    failures: u16,
    failures_max: u16,
    /// What it holds.
    pub place: Allocation,
    pub held: u64,
    /// Thousandths of each accelerator, and at full size in all.
    pub share: u16,
    full: u64,
    /// What counts it among those who wait.
    pub mask: u32,
    pub least: u64,
    /// Since when the attempt runs, and how fast.
    since: Time,
    speed: u32,
    spec: JobSpec,
    /// As last reported.
    progress: Span,
    /// Work that a failure took from what had been credited; it is not credited again when it is done again. In ten-thousandths
    /// of a microsecond, like all work here.
    debt: u128,
    debt_of: Setback,
    /// Work in all windows.
    pub credited: u128,
    /// When it last made progress that was kept.
    pub moved: Time,
    pub window: Open,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    /// With its job.
    Finished,
    /// With its job, whose owner has no use for it any more.
    Withdrawn,
    /// On order, with this much progress in all.
    Stopped(Span),
    /// By a failure, of its own or not, with this much progress in all.
    Failed(Span, bool),
}

/// What came of an attempt.
pub(super) struct Left {
    pub parts: Areas,
    /// The longest time without progress that ended in it.
    pub starved: Span,
}

const UNIT: u128 = FULL_SPEED as u128;

impl Entry {
    pub fn new(now: Time, spec: &JobSpec, tier: u8, mask: u32) -> Entry {
        let smallest = spec.sizes().last().unwrap_or(spec.demand.accelerators);
        Entry {
            submit: now,
            tier,
            phase: Phase::Waits(Setback::Behind),
            leaving: Setback::Preempted,
            attempt: 0,
            failures: 0,
            failures_max: spec.attempts_max,
            place: Allocation::new(),
            held: 0,
            share: spec.demand.milli,
            full: spec.demand.milli_total(),
            mask,
            least: milli(smallest, spec.demand.milli),
            since: Time::MAX,
            speed: FULL_SPEED,
            spec: *spec,
            progress: Span::ZERO,
            debt: 0,
            debt_of: Setback::OwnFailure,
            credited: 0,
            moved: now,
            window: Open::new(now),
        }
    }

    /// How it holds its accelerators, if it does.
    pub fn holds(&self) -> Option<Holds> {
        match self.phase {
            Phase::Starts if self.attempt == 1 => Some(Holds::FirstStart),
            Phase::Starts => Some(Holds::LaterStart),
            Phase::Runs => Some(Holds::Run),
            Phase::Waits(_) | Phase::Done => None,
        }
    }

    /// Accelerator-time of the present run until `now`.
    pub fn open_area(&self, now: Time) -> u128 {
        if self.phase == Phase::Runs { u128::from(self.held) * u128::from(now.since(self.since).0) } else { 0 }
    }

    /// Charges the time in which it did not run.
    pub fn pass(&mut self, now: Time, window: Span, close: &mut impl FnMut(Closed)) {
        let why = match self.phase {
            Phase::Waits(why) => why,
            Phase::Starts => Setback::Moving,
            Phase::Runs | Phase::Done => return,
        };
        self.window.advance(now, Rate::none(why), self.submit, window, close);
    }

    pub fn start(&mut self, attempt: u32, place: &Allocation) {
        let size = place.iter().map(|grant| grant.count).sum();
        self.place = place.clone();
        self.held = milli(size, self.share);
        self.speed = self.spec.speed_on(size);
        self.attempt = attempt;
        self.leaving = Setback::Preempted;
        self.phase = Phase::Starts;
    }

    pub fn run(&mut self, now: Time) {
        self.since = now;
        self.phase = Phase::Runs;
    }

    /// The attempt is over: its windows are charged, as if nobody had known before what would be kept of it.
    ///
    /// A run first does again what failures took from earlier attempts, then what is kept of its own, then what is lost.
    pub fn leave(&mut self, now: Time, ending: Ending, window: Span, close: &mut impl FnMut(Closed)) -> Left {
        self.pass(now, window, close);
        let ran = if self.phase == Phase::Runs { now.since(self.since) } else { Span::ZERO };
        let done = u128::from(ran.0) * u128::from(self.speed);
        let (gained, why, rest) = self.report(done, ending);
        let redone = gained.min(self.debt);
        let credited = gained - redone;
        let (from, to) = (redone.min(done), gained.min(done));
        // Reports may cross on their way, so that a run seems shorter than it was: what does not fit in is credited first.
        self.window.ideal += credited - (to - from);
        let times = self.charge_run(ran, from, to, why, window, close);
        self.debt -= redone;
        self.credited += credited;
        let starved = self.progressed(now, credited, to > from, times);
        self.conclude(ending);
        let run = Run { held: self.held, full: self.full, ran, done, redone: from, kept: to - from, rest };
        Left { parts: run.divide(), starved }
    }

    /// Takes in how far the job is, and says what the attempt gained, and whose fault the rest is.
    fn report(&mut self, done: u128, ending: Ending) -> (u128, Setback, Spent) {
        let (progress, why, rest) = match ending {
            Ending::Finished | Ending::Withdrawn => return (done, Setback::Moving, Spent::Checkpoint),
            Ending::Stopped(progress) => (progress, Setback::Moving, Spent::Checkpoint),
            Ending::Failed(progress, true) => (progress, Setback::NodeLost, Spent::Redo),
            Ending::Failed(progress, false) => (progress, Setback::OwnFailure, Spent::Redo),
        };
        let before = std::mem::replace(&mut self.progress, progress);
        if progress < before {
            self.debt += u128::from((before - progress).0) * UNIT;
            self.debt_of = why;
        }
        (u128::from(progress.saturating_sub(before).0) * UNIT, why, rest)
    }

    /// Charges a run of which the work from `from` to `to` counts. Returns when that began and ended, after the run did.
    fn charge_run(
        &mut self,
        ran: Span,
        from: u128,
        to: u128,
        why: Setback,
        window: Span,
        close: &mut impl FnMut(Closed),
    ) -> (Span, Span) {
        let speed = u128::from(self.speed);
        let counted = |at: u64| (u128::from(at) * speed).clamp(from, to) - from;
        let (first, last) = ((from / speed) as u64, (to / speed) as u64);
        let mut at = 0;
        // Work begins and ceases to count within a microsecond, which then counts in part.
        for next in [first, first + 1, last, last + 1, ran.0].map(|next| next.min(ran.0)) {
            if next > at {
                let useful = ((counted(next) - counted(at)) / u128::from(next - at)) as u32;
                let blame = if at < first { self.debt_of } else { why };
                let rate = Rate::run(self.speed, useful, blame);
                self.window.advance(self.since + Span(next), rate, self.submit, window, close);
                at = next;
            }
        }
        (Span(first), Span(last.min(ran.0)))
    }

    /// How long it had made no progress, if it did now.
    fn progressed(&mut self, now: Time, credited: u128, in_run: bool, (first, last): (Span, Span)) -> Span {
        if credited == 0 {
            return Span::ZERO;
        }
        let (began, ended) = if in_run { (self.since + first, self.since + last) } else { (now, now) };
        let starved = began.since(self.moved);
        self.moved = ended;
        starved
    }

    fn conclude(&mut self, ending: Ending) {
        let own = matches!(ending, Ending::Failed(_, false));
        self.failures += u16::from(own);
        self.phase = match ending {
            Ending::Finished | Ending::Withdrawn => Phase::Done,
            Ending::Failed(..) if own && self.failures >= self.failures_max => Phase::Done,
            Ending::Failed(_, true) => Phase::Waits(Setback::NodeLost),
            Ending::Failed(_, false) => Phase::Waits(Setback::OwnFailure),
            Ending::Stopped(_) => Phase::Waits(self.leaving),
        };
        self.since = Time::MAX;
    }

    /// Work that counts, in ten-thousandths of a microsecond.
    pub fn worth(&self) -> u128 {
        self.credited.saturating_sub(self.debt)
    }

    /// What a noted reason makes of a wait. A job that was preempted is preempted until it starts again; otherwise the latest
    /// reason counts.
    pub fn noted(&self, reason: &Reason) -> Setback {
        match reason {
            Reason::Preempted { .. } => Setback::Preempted,
            Reason::Moving { .. } | Reason::Vacating => Setback::Moving,
            _ if self.phase == Phase::Waits(Setback::Preempted) => Setback::Preempted,
            Reason::NoCapacity { .. } => Setback::TooFew,
            Reason::Fragmented { .. } => Setback::Scattered,
            Reason::BehindHead { .. }
            | Reason::WouldDelay { .. }
            | Reason::OverQuota { .. }
            | Reason::Outranked { .. }
            | Reason::NextRound => Setback::Behind,
        }
    }
}
