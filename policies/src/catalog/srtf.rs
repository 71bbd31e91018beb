//! Shortest remaining time, or service, first.

use super::{Entry, Policy, Spec, SpecError};
use crate::event::Event;
use crate::ids::JobId;
use crate::plan::Plan;
use crate::ranked::{Change, Equals, Places, Ranked, service, tie_at, waiting_since};
use crate::view::View;
use serde::{Deserialize, Serialize};

pub(super) const SRTF: Entry = Entry {
    name: "srtf",
    about: "shortest remaining time first, preemptive (Schrage, Oper. Res. '68; `shortest` in Tiresias, NSDI '19)",
    parameters: &[],
};

pub(super) const SRSF: Entry = Entry {
    name: "srsf",
    about: "shortest remaining service (time x accelerators) first, preemptive (Tiresias, NSDI '19, section 3.1)",
    parameters: &[],
};

pub(super) fn make(spec: &Spec) -> Result<Box<dyn Policy>, SpecError> {
    Ok(Box::new(ShortestRemaining::new(spec.name() == SRSF.name)))
}

/// At every event, in order of remaining time (or remaining time x accelerators): what fits beside those ahead of it runs, the
/// rest waits, and is preempted if it ran.
///
/// What remains is the estimate less the work done. A job without an estimate ranks last; such jobs run in order of arrival.
///
/// Jobs of equal rank keep the order in which they stood before: one that waited is ahead of one that caught up with it by
/// running, and new jobs come last. That is what sorting one list of jobs stably at every event does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShortestRemaining {
    by_service: bool,
    ranked: Ranked,
    /// Jobs that began to wait since the last decision.
    fresh: Vec<JobId>,
    /// Jobs that found no room in it.
    refused: Vec<JobId>,
    sequence: u64,
}

impl ShortestRemaining {
    /// By remaining time, or by remaining service.
    pub fn new(by_service: bool) -> ShortestRemaining {
        ShortestRemaining {
            by_service,
            ranked: Ranked::new(Equals::AsBefore),
            fresh: Vec::new(),
            refused: Vec::new(),
            sequence: 0,
        }
    }

    fn wait(&mut self, view: &View, job: JobId, again: bool) {
        let entry = view.job(job);
        let milli = entry.spec.demand.milli_total();
        let weight = self.weight(milli);
        let primary = entry.remaining_at(view.now()).map_or(u64::MAX, |left| service(left.0, weight));
        let tie = waiting_since(view.now(), !again, self.next());
        self.ranked.wait(job, entry.class, milli, primary, tie);
        self.fresh.push(job);
    }

    /// Thousandths by which the remaining time counts.
    fn weight(&self, milli: u64) -> u64 {
        if self.by_service { milli } else { 1000 }
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

/// When the job would end if it ran from `now` on.
fn end(view: &View, job: JobId) -> u64 {
    view.job(job).remaining_at(view.now()).map_or(u64::MAX, |left| (view.now() + left).0)
}

impl Policy for ShortestRemaining {
    crate::saved_by_serde!();

    fn observe(&mut self, view: &View, event: &Event) {
        let Some(job) = event.job() else {
            self.ranked.follow(view, event);
            return;
        };
        match self.ranked.follow(view, event) {
            Change::Waits { again } => self.wait(view, job, again),
            Change::Runs => self.ranked.move_to(job, end(view, job), None),
            Change::Done | Change::Withdrawn | Change::Nothing => {}
        }
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        if self.ranked.is_settled(plan) {
            return;
        }
        // Who is displaced before it was started waits again at once, and may fit elsewhere; each time these rank lower.
        while self.walk(plan) {}
        let fresh = std::mem::take(&mut self.fresh);
        self.ranked.explain(plan, fresh.iter().copied().chain(std::mem::take(&mut self.refused)));
        self.fresh = fresh;
        self.fresh.clear();
        self.ranked.settle(plan);
    }
}

impl ShortestRemaining {
    /// One walk. Returns whether jobs wait that did not before it.
    fn walk(&mut self, plan: &mut Plan<'_>) -> bool {
        let now = plan.now();
        let mut places = Places::new(plan);
        let out = self.ranked.walk(now, &mut places);
        let waits_again = places.apply(&out);
        for chosen in &out.chosen {
            let end = end(plan, chosen.job);
            let new = chosen.rank.is_new(now) || end == u64::MAX;
            let tie = tie_at(now, new, self.next());
            let weight = self.weight(chosen.milli);
            self.ranked.select(chosen.job, chosen.milli, weight, end, tie);
        }
        self.refused.extend(out.refused);
        for &job in &waits_again {
            self.wait(plan, job, true);
        }
        !waits_again.is_empty()
    }
}
