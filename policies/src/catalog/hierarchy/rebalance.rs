//! Jobs that would do better in another part.

use super::knowledge::{Fit, Limits, Seat};
use super::part::Member;
use super::{Hierarchy, Letter, Place};
use crate::ids::{ClassId, JobId};
use crate::job::Phase;
use crate::plan::Plan;
use crate::time::Span;
use std::collections::BTreeSet;

/// Jobs of a part that wait, and that are small, of which so many are looked at each time.
const LOOK: usize = 256;
/// Running jobs that are moved each time: their moves cost something.
const MOVES: usize = 16;
/// How long a job has run before it is moved.
const QUIET: Span = Span::from_secs(600);

/// Tiers and classes of which a job would not do better elsewhere: neither would the next of its kind.
type Hopeless = BTreeSet<(u8, ClassId)>;

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
        let limits = self.knowledge.limits();
        let mut moves = MOVES;
        for part in 0..self.parts.len() {
            let mut hopeless = Hopeless::new();
            self.send_for_waiting(plan, part, &limits, &mut hopeless);
            self.send_for_small(plan, part, &limits, &mut hopeless, &mut moves);
        }
        true
    }

    /// Jobs that wait in a part: those that have been there for a while, the best tier first, then by arrival.
    fn send_for_waiting(&mut self, plan: &Plan<'_>, part: usize, limits: &[Limits], hopeless: &mut Hopeless) {
        let entry = &self.parts[part];
        // Long enough for reports to show it.
        let settled = self.style.every.max(self.style.delay + self.style.delay);
        let pending = entry.scheduler.view().pending().iter().take(LOOK).map(|number| entry.member(JobId(number)));
        let waiting = pending.filter(|member| plan.now().since(member.since) >= settled);
        let mut waiting: Vec<(u8, JobId, ClassId)> = waiting.map(|m| (m.tier, m.job, m.class)).collect();
        waiting.sort_unstable();
        for (tier, job, class) in waiting {
            if !hopeless.contains(&(tier, class)) && !self.send_for(plan, job, limits, true) {
                hopeless.insert((tier, class));
            }
        }
    }

    /// Jobs that have run on fewer accelerators than they asked for for a while.
    fn send_for_small(&mut self, plan: &Plan<'_>, part: usize, limits: &[Limits], hopeless: &mut Hopeless, moves: &mut usize) {
        let entry = &self.parts[part];
        let view = entry.scheduler.view();
        let may_move = |number: &&JobId| {
            let job = view.job(**number);
            job.phase == Phase::Running
                && plan.now().since(job.running_since) >= QUIET
                && job.remaining_at(plan.now()).is_none_or(|left| left >= QUIET)
        };
        let small = entry.small.iter().take(LOOK).filter(may_move);
        let small: Vec<Member> = small.map(|&number| *entry.member(number)).collect();
        for Member { job, class, tier, .. } in small {
            if *moves == 0 {
                return;
            }
            if hopeless.contains(&(tier, class)) || plan.job(job).phase != Phase::Running {
                continue;
            }
            if self.send_for(plan, job, limits, false) {
                *moves -= 1;
            } else {
                hopeless.insert((tier, class));
            }
        }
    }

    /// Sends for a job if it would do better elsewhere: if it fits there now; or, if it may claim room, where there is some for its
    /// tier and here is none. Returns whether it does.
    fn send_for(&mut self, plan: &Plan<'_>, job: JobId, limits: &[Limits], may_claim: bool) -> bool {
        let Place::In(seat, _) = self.place(job) else { return false };
        let entry = plan.job(job);
        if !Limits::may_fit(limits, entry, may_claim) {
            return false;
        }
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
