//! Jobs of one tier that take turns.
//!
//! A promise of less than everything leaves slack in each window. When those who were promised something ask together for more
//! than there is, and nobody of worse tiers is left to make way, a job that must start now to get what its window promises takes
//! the place of one that asks for the same and can still wait: it has had its share of the window, or has not yet missed what it
//! may miss. This is least laxity first (Mok, 1983), among jobs of a tier and a class.

use super::Singularity;
use crate::ids::{ClassId, JobId};
use crate::job::Phase;
use crate::plan::Plan;
use crate::time::{Span, Time};
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Swaps of one decision at most.
const SWAPS: usize = 64;
/// Jobs that are looked at for each.
const LOOK: usize = 64;

/// Who waits for its turn, and who could give way.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Turns {
    /// Jobs that wait, by the last instant at which they can start to get what their window promises.
    due: BTreeSet<(Time, JobId)>,
    /// Jobs that sit, by tier, class, and since when they have not waited.
    seats: BTreeSet<(u8, ClassId, Time, JobId)>,
    /// When to go on, after a decision that left some out.
    resume: Time,
}

/// What a job has had of its window.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Share {
    /// The window, and the work of attempts in it that are over.
    window: Time,
    work: Span,
    /// When the present attempt began, and what had been executed then.
    began: Time,
    executed: Span,
    /// When its turn is due, if it waits for one.
    due: Option<Time>,
    /// When it sat down, if it could give way.
    seated: Option<Time>,
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
            work += now.since(share.began.max(start)).min(entry.executed_at(now).saturating_sub(share.executed));
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
    pub(super) fn forget_turn(&mut self, job: JobId) {
        if let Some(due) = self.row_mut(job).share.due.take() {
            self.turns.due.remove(&(due, job));
        }
    }

    /// The job has a place that it could give to its like.
    pub(super) fn take_seat(&mut self, view: &View, job: JobId) {
        self.forget_turn(job);
        if self.promise(view, job).is_none() || self.row(job).share.seated.is_some() {
            return;
        }
        let now = view.now();
        self.row_mut(job).share.seated = Some(now);
        let entry = view.job(job);
        self.turns.seats.insert((entry.spec.tier, entry.class, now, job));
    }

    /// It has none any more.
    pub(super) fn leave_seat(&mut self, view: &View, job: JobId) {
        if let Some(since) = self.row_mut(job).share.seated.take() {
            let entry = view.job(job);
            self.turns.seats.remove(&(entry.spec.tier, entry.class, since, job));
        }
    }

    /// An attempt began.
    pub(super) fn begin_share(&mut self, view: &View, job: JobId) {
        let (began, executed) = (view.now(), view.job(job).executed_at(view.now()));
        let share = &mut self.row_mut(job).share;
        (share.began, share.executed) = (began, executed);
    }

    /// An attempt is over, and what it did in its last window counts.
    pub(super) fn end_share(&mut self, view: &View, job: JobId) {
        let Some((_, window)) = self.promise(view, job) else { return };
        let now = view.now();
        let executed = view.job(job).executed_at(now);
        let start = Time(now.0 / window.0 * window.0);
        let share = &mut self.row_mut(job).share;
        let did = now.since(share.began.max(start)).min(executed.saturating_sub(share.executed));
        share.work = if share.window == start { share.work + did } else { did };
        (share.window, share.executed) = (start, executed);
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
            let key = (plan.job(job).spec.tier, plan.job(job).class);
            if !hopeless.contains(&key) && self.swap(plan, job) {
                swaps += 1;
                continue;
            }
            hopeless.insert(key);
            let promise = self.promise(plan, job).expect("it takes turns");
            let (end, _) = self.missing(plan, job, promise);
            self.expect_turn(job, end + self.slack(promise));
        }
        swaps > 0
    }

    /// Starts a job in the place of one of its like that can wait.
    fn swap(&mut self, plan: &mut Plan<'_>, job: JobId) -> bool {
        let (class, submit) = (plan.job(job).class, plan.job(job).submit);
        let (rank, tier) = (self.row(job).tier, plan.job(job).spec.tier);
        let alike = (tier, class, Time::ZERO, JobId(0))..=(tier, class, Time::MAX, JobId(u32::MAX));
        let mut seats = self.turns.seats.range(alike).take(LOOK).map(|&(_, _, _, other)| other);
        let Some(other) = seats.find(|&other| self.can_wait(plan, other)) else { return false };
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
            && entry.size() == entry.spec.demand.accelerators
            && plan.now().since(entry.running_since) >= self.style.quiet
            && entry.remaining_at(plan.now()).is_none_or(|left| left >= self.style.quiet)
            && !entry.allocation.iter().any(|grant| self.draining.contains(&grant.node));
        let Some(promise) = self.promise(plan, job).filter(|_| settled) else { return false };
        let (end, missing) = self.missing(plan, job, promise);
        missing == Span::ZERO || end.since(plan.now()) >= missing + Span(3 * self.style.turns.0)
    }
}
