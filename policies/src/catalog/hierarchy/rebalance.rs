//! Jobs that would do better in another part.

use super::knowledge::{Fit, Seat};
use super::{Hierarchy, Letter, Place};
use crate::ids::{ClassId, JobId};
use crate::job::Phase;
use crate::plan::Plan;
use crate::time::Span;
use std::collections::BTreeSet;

/// Waiting jobs of a part that are looked at each time.
const LOOK: usize = 256;
/// Running jobs that are moved each time: their moves cost something.
const MOVES: usize = 16;
/// How long a job has run before it is moved.
const QUIET: Span = Span::from_secs(600);

impl Hierarchy {
    /// Whether anybody could be better off elsewhere.
    pub(super) fn wants_to_look(&self) -> bool {
        // A part to which something happened since it decided is asked; what the others said then stands.
        let still = || self.restless.iter().any(|part| !self.touched.contains(part));
        let now = || self.touched.iter().any(|&part| self.parts[part].is_restless());
        self.style.every > Span::ZERO && self.parts.len() > 1 && (still() || now())
    }

    /// Sends for jobs that wait, or run on too little, and would fit elsewhere, if it is time. Returns whether it was.
    pub(super) fn look_around(&mut self, plan: &mut Plan<'_>) -> bool {
        if plan.now() < self.next_look || !self.wants_to_look() {
            return false;
        }
        self.next_look = plan.now() + self.style.every;
        let mut moves = MOVES;
        for part in 0..self.parts.len() {
            self.send_for_waiting(plan, part);
            self.send_for_small(plan, part, &mut moves);
        }
        true
    }

    /// Jobs that wait in a part: those that have been there for a while, the best tier first, then by arrival.
    fn send_for_waiting(&mut self, plan: &Plan<'_>, part: usize) {
        let entry = &self.parts[part];
        let pending = entry.scheduler.view().pending();
        let mut waiting: Vec<(u8, JobId)> = pending
            .iter()
            .take(LOOK)
            .map(|number| *entry.jobs.get(JobId(number)).expect("it is live"))
            .map(|job| (plan.job(job).spec.tier, job))
            .collect();
        waiting.sort_unstable();
        // What did not fit anywhere for one does not fit for the next of its kind.
        let mut hopeless: BTreeSet<(u8, ClassId)> = BTreeSet::new();
        for (tier, job) in waiting {
            let class = plan.job(job).class;
            if hopeless.contains(&(tier, class)) || !self.is_settled(plan, job) {
                continue;
            }
            if !self.send_for(plan, job, true) {
                hopeless.insert((tier, class));
            }
        }
    }

    /// Jobs that have run on fewer accelerators than they asked for for a while.
    fn send_for_small(&mut self, plan: &Plan<'_>, part: usize, moves: &mut usize) {
        let entry = &self.parts[part];
        let view = entry.scheduler.view();
        let may_move = |number: &JobId| {
            let job = view.job(*number);
            job.phase == Phase::Running
                && plan.now().since(job.running_since) >= QUIET
                && job.remaining_at(plan.now()).is_none_or(|left| left >= QUIET)
        };
        let small = entry.small.iter().copied().filter(may_move);
        let small: Vec<JobId> = small.take(*moves).map(|number| *entry.jobs.get(number).expect("it is live")).collect();
        for job in small {
            if plan.job(job).phase == Phase::Running && self.send_for(plan, job, false) {
                *moves -= 1;
            }
        }
    }

    /// Whether it has been in its part for long enough that reports show it.
    fn is_settled(&self, plan: &Plan<'_>, job: JobId) -> bool {
        let row = self.rows.get(job).expect("live jobs have rows");
        plan.now().since(row.since) >= self.style.every.max(self.style.delay + self.style.delay)
    }

    /// Sends for a job if it would do better elsewhere: if it fits there now; or, if it may claim room, where there is some for its
    /// tier and here is none. Returns whether it does.
    fn send_for(&mut self, plan: &Plan<'_>, job: JobId, may_claim: bool) -> bool {
        let Place::In(seat, _) = self.place(job) else { return false };
        let entry = plan.job(job);
        let Some((to, fit)) = self.knowledge.choose(&mut self.parts, entry, Some(seat.part)) else { return false };
        let worth = match fit {
            Fit::Now => true,
            Fit::ByRight => may_claim && self.is_crowded(plan, seat, job),
            Fit::Later => false,
        };
        if worth {
            let now = plan.now();
            let delay = self.style.delay;
            self.knowledge.book(entry, to, now + delay + delay + delay);
            self.send(now, Letter::Recall(job, seat, to));
        }
        worth
    }

    /// Whether a job's tier and better ones ask for more than its part has; the job itself is among them.
    fn is_crowded(&self, plan: &Plan<'_>, seat: Seat, job: JobId) -> bool {
        let (_, load) = self.knowledge.rank(seat, plan.job(job));
        let own = plan.job(job).spec.demand.milli_total() * 1000 / self.knowledge.open(seat).max(1);
        load.saturating_sub(own) > 1000
    }
}
