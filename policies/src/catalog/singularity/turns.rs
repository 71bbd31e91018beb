//! Jobs of one tier that take turns.
//!
//! A promise of less than everything leaves slack in each window. When those who were promised something ask together for more
//! than there is, and nobody of worse tiers is left to make way, a job that must start now to get what its window promises takes
//! the places of others that can still wait: who have had their share of the window, have not yet missed what they may miss, or
//! have missed too much already. It is the place of one that asks for the same, if there is one; else a part of a larger one's, or
//! several smaller ones'. So does a gang that runs too slowly, on fewer accelerators than it asked for, at the last instant at which
//! growing still helps. This is least laxity first (Mok, 1983), among jobs of a tier.

use super::Singularity;
use crate::elastic::{FULL_SPEED, work_in};
use crate::ids::JobId;
use crate::job::Phase;
use crate::plan::Plan;
use crate::time::{Span, Time};
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Swaps of one decision at most.
const SWAPS: usize = 64;
/// Jobs that are looked at for each.
const LOOK: usize = 256;

/// Who waits for its turn, and who could give way.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Turns {
    /// Jobs that wait or run too slowly, by the last instant at which they can start or grow to get what their window promises.
    due: BTreeSet<(Time, JobId)>,
    /// Jobs that sit, by tier and since when they have not waited.
    seats: BTreeSet<(u8, Time, JobId)>,
    /// When to go on, after a decision that left some out.
    resume: Time,
}

/// What a job has had of its window.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Share {
    /// The window, and the work of attempts in it that are over.
    window: Time,
    work: Span,
    /// When the present attempt began, what had been done then, and how fast it runs.
    began: Time,
    progress: Span,
    speed: u32,
    /// When its turn is due, if it waits or runs too slowly.
    due: Option<Time>,
    /// When it sat down, if it could give way.
    seated: Option<Time>,
}

impl Share {
    /// Work of the present attempt since a window's start, by how far the job is now.
    fn since(&self, start: Time, now: Time, progress: Span) -> Span {
        work_in(now.since(self.began.max(start)), self.speed).min(progress.saturating_sub(self.progress))
    }
}

impl Singularity {
    /// The guaranteed fraction, in ten-thousandths, and the window of a job that takes turns.
    fn promise(&self, view: &View, job: JobId) -> Option<(u64, Span)> {
        let tier = view.job(job).spec.tier;
        self.ranks.as_ref().and_then(|ranks| ranks.turns(tier, self.style.turns))
    }

    /// How long after a window's begin a job that has had nothing of it can still start.
    fn slack(&self, (guarantee, window): (u64, Span)) -> Span {
        Span(window.0 - window.0 / 10_000 * guarantee).saturating_sub(self.style.turns)
    }

    /// Where a job's present window ends, and the work that is missing in it to what was promised.
    fn missing(&self, view: &View, job: JobId, (guarantee, window): (u64, Span)) -> (Time, Span) {
        let now = view.now();
        let entry = view.job(job);
        let start = Time(now.0 / window.0 * window.0);
        let end = start + window;
        let share = &self.row(job).share;
        let mut work = if share.window == start { share.work } else { Span::ZERO };
        if entry.phase == Phase::Running {
            work += share.since(start, now, entry.progress_at(now));
        }
        let promised = Span((end.since(entry.submit.max(start)).0 / 10_000).saturating_mul(guarantee));
        (end, promised.saturating_sub(work))
    }

    /// A job that waits from now on is to have its turn before it is too late: in this window or, if this one's promise is kept
    /// or lost, in the next.
    pub(super) fn await_turn(&mut self, view: &View, job: JobId) {
        self.leave_seat(view, job);
        let Some(promise) = self.promise(view, job) else { return };
        let (end, missing) = self.missing(view, job, promise);
        let left = end.since(view.now());
        let slack = self.slack(promise);
        let due = match missing {
            Span::ZERO => end + slack,
            _ if left < missing => end + slack,
            _ => view.now() + left.saturating_sub(missing).saturating_sub(self.style.turns),
        };
        self.expect_turn(job, due);
    }

    fn expect_turn(&mut self, job: JobId, due: Time) {
        self.forget_turn(job);
        self.row_mut(job).share.due = Some(due);
        self.turns.due.insert((due, job));
    }

    /// The job does not wait any more.
    fn forget_turn(&mut self, job: JobId) {
        if let Some(due) = self.row_mut(job).share.due.take() {
            self.turns.due.remove(&(due, job));
        }
    }

    /// The job has a place that it could give to others. One that runs stays where it was, and its turn is due as before.
    pub(super) fn take_seat(&mut self, view: &View, job: JobId) {
        if view.job(job).phase == Phase::Running {
            return;
        }
        self.forget_turn(job);
        if self.promise(view, job).is_some() && self.row(job).share.seated.is_none() {
            let now = view.now();
            self.row_mut(job).share.seated = Some(now);
            self.turns.seats.insert((view.job(job).spec.tier, now, job));
        }
    }

    /// When a job that runs too slowly is to grow, in this window or, if this one's promise is kept or lost, in the next.
    fn expect_growth(&mut self, view: &View, job: JobId, promise: (u64, Span)) {
        let speed = u64::from(view.job(job).speed.min(FULL_SPEED));
        if speed >= promise.0 {
            return;
        }
        // Slack lasts longer while some work is done.
        let lasts = |slack: Span| Span(slack.0 / (u64::from(FULL_SPEED) - speed) * u64::from(FULL_SPEED));
        let (end, missing) = self.missing(view, job, promise);
        let left = end.since(view.now());
        let next = end + lasts(self.slack(promise));
        let this = view.now() + lasts(left.saturating_sub(missing).saturating_sub(self.style.turns));
        // What is due within a second was due: rounding must not make it due again and again.
        let too_late = missing == Span::ZERO || this <= view.now() + Span::from_secs(1) || this >= end;
        self.expect_turn(job, if too_late { next } else { this });
    }

    /// It has none any more, and waits for none.
    pub(super) fn leave_seat(&mut self, view: &View, job: JobId) {
        self.forget_turn(job);
        if let Some(since) = self.row_mut(job).share.seated.take() {
            self.turns.seats.remove(&(view.job(job).spec.tier, since, job));
        }
    }

    /// An attempt began.
    pub(super) fn begin_share(&mut self, view: &View, job: JobId) {
        let (entry, now) = (view.job(job), view.now());
        let share = &mut self.row_mut(job).share;
        (share.began, share.progress, share.speed) = (now, entry.progress_at(now), entry.speed);
        if let Some(promise) = self.promise(view, job).filter(|_| view.job(job).phase == Phase::Running) {
            self.expect_growth(view, job, promise);
            // Nothing may have to be decided before.
            if let Some(due) = self.row(job).share.due {
                self.wake_at(due);
            }
        }
    }

    /// An attempt is over, and what it did in its last window counts.
    pub(super) fn end_share(&mut self, view: &View, job: JobId) {
        let Some((_, window)) = self.promise(view, job) else { return };
        let now = view.now();
        let progress = view.job(job).progress_at(now);
        let start = Time(now.0 / window.0 * window.0);
        let share = &mut self.row_mut(job).share;
        let did = share.since(start, now, progress);
        share.work = if share.window == start { share.work + did } else { did };
        (share.window, share.progress) = (start, progress);
    }

    /// Gives those whose turn is due the places of others who can wait. Returns whether anybody got one.
    pub(super) fn take_turns(&mut self, plan: &mut Plan<'_>) -> bool {
        let mut swaps = 0;
        let mut hopeless = BTreeSet::new();
        while let Some(&(due, job)) = self.turns.due.first() {
            let due = due.max(self.turns.resume);
            if due > plan.now() {
                self.wake_at(due);
                break;
            }
            if swaps == SWAPS {
                self.turns.resume = plan.now() + Span::from_secs(1);
                continue;
            }
            let phase = plan.job(job).phase;
            if !matches!(phase, Phase::Pending | Phase::Running) {
                // It is on its way: when it runs or waits again, it is seen what is missing.
                self.forget_turn(job);
                continue;
            }
            let key = (plan.job(job).spec.tier, plan.job(job).class, phase == Phase::Running);
            if !hopeless.contains(&key) && self.swap(plan, job) {
                swaps += 1;
                continue;
            }
            hopeless.insert(key);
            let promise = self.promise(plan, job).expect("it takes turns");
            self.forget_turn(job);
            if phase == Phase::Running {
                self.expect_growth(plan, job, promise);
            } else {
                let (end, _) = self.missing(plan, job, promise);
                self.expect_turn(job, end + self.slack(promise));
            }
        }
        swaps > 0
    }

    /// Starts a job, or lets it grow, in the places of others of its tier that can wait.
    fn swap(&mut self, plan: &mut Plan<'_>, job: JobId) -> bool {
        let (class, submit) = (plan.job(job).class, plan.job(job).submit);
        let (rank, tier) = (self.row(job).tier, plan.job(job).spec.tier);
        let of_tier = (tier, Time::ZERO, JobId(0))..=(tier, Time::MAX, JobId(u32::MAX));
        let seats = self.turns.seats.range(of_tier).take(LOOK).map(|&(_, _, other)| other);
        let waiters: Vec<JobId> = seats.filter(|&other| other != job && self.can_wait(plan, other)).collect();
        let whole = |other: &JobId| {
            let entry = plan.job(*other);
            entry.class == class && entry.size() == entry.spec.demand.accelerators
        };
        let alike = waiters.iter().copied().find(whole).filter(|_| plan.job(job).phase == Phase::Pending);
        let Some(other) = alike else { return self.make_room(plan, job, &waiters) };
        let place = plan.job(other).allocation.clone();
        plan.preempt(other, Some(job));
        self.uproot(plan, other);
        plan.launch_at(job, place);
        self.waiting[usize::from(rank)].remove(class, submit, job);
        self.sit(plan, job);
        true
    }

    /// Whether a job that sits could be stopped now, start again later, and get what its window promises all the same.
    fn can_wait(&self, plan: &Plan<'_>, job: JobId) -> bool {
        let entry = plan.job(job);
        let settled = entry.phase == Phase::Running
            && plan.now().since(entry.running_since) >= self.style.quiet
            && entry.remaining_at(plan.now()).is_none_or(|left| left >= self.style.quiet)
            && !entry.allocation.iter().any(|grant| self.draining.contains(&grant.node));
        let Some(promise) = self.promise(plan, job).filter(|_| settled) else { return false };
        let (end, missing) = self.missing(plan, job, promise);
        let left = end.since(plan.now());
        missing == Span::ZERO || left < missing || left >= missing + Span(3 * self.style.turns.0)
    }
}
