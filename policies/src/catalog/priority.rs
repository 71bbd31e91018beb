//! Strict priority.

use super::room::{Holders, make_room};
use super::{Entry, Parameter, Policy, Spec, SpecError};
use crate::event::{Event, Reason};
use crate::ids::JobId;
use crate::job::{Job, Phase};
use crate::plan::Plan;
use crate::queue::ClassQueue;
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

pub(super) const ENTRY: Entry = Entry {
    name: "priority",
    about: "most important first, then arrival; may preempt less important jobs (as in Kubernetes and Slurm)",
    parameters: &[
        Parameter { key: "preempt", default: "true", about: "stop the least important, latest started jobs to make room" },
        Parameter { key: "skip", default: "true", about: "start less important jobs that fit when more important ones do not" },
    ],
};

pub(super) fn make(spec: &Spec) -> Result<Box<dyn Policy>, SpecError> {
    let expected = "true or false";
    Ok(Box::new(Priority::new(spec.get("preempt", expected)?, spec.get("skip", expected)?)))
}

/// Larger priorities go first, equal ones by arrival.
///
/// With preemption, a job that finds no room takes it from jobs of strictly lower priority: the least important first, among
/// equals the one that was launched last, and only as many as are needed; nobody is stopped if that would not make room. A
/// stopped job waits again where it was.
#[derive(Serialize, Deserialize)]
pub struct Priority {
    importance: Importance,
    preempt: bool,
    skip: bool,
    queue: ClassQueue<Reverse<i64>>,
    holders: Holders<i64>,
}

/// What makes a job important; it does not change while the job lives.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Importance {
    /// Its priority.
    Priority,
    /// An early deadline. Jobs without one come last.
    Deadline,
}

impl Importance {
    /// More is more important.
    fn of(self, job: &Job) -> i64 {
        match self {
            Importance::Priority => job.spec.priority.into(),
            Importance::Deadline => {
                job.deadline().and_then(|deadline| i64::try_from(deadline.0).ok()).map_or(i64::MIN, |micros| -micros)
            }
        }
    }
}

impl Priority {
    /// With or without preemption; `skip`: a job that does not fit does not keep the next one waiting.
    pub fn new(preempt: bool, skip: bool) -> Priority {
        Priority::by(Importance::Priority, preempt, skip)
    }

    /// The same for another importance.
    pub(super) fn by(importance: Importance, preempt: bool, skip: bool) -> Priority {
        Priority { importance, preempt, skip, queue: ClassQueue::default(), holders: Holders::new() }
    }
}

/// Launches `job`, by preemption if need be. Jobs that had a place but had not started wait again at once: `again`.
fn launch(
    plan: &mut Plan<'_>,
    (job, importance): (JobId, i64),
    holders: &mut Holders<i64>,
    preempt: bool,
    again: &mut Vec<JobId>,
) -> bool {
    if !plan.launch(job) {
        let victims = if preempt { make_room(plan, job, holders.below(importance)) } else { None };
        let Some(victims) = victims else { return false };
        for victim in victims {
            holders.remove(victim);
            if plan.job(victim).phase == Phase::Pending {
                again.push(victim);
            }
        }
    }
    holders.insert(importance, job);
    true
}

impl Policy for Priority {
    crate::saved_by_serde!();

    fn observe(&mut self, view: &View, event: &Event) {
        let Some(job) = event.job() else { return };
        if !matches!(event, Event::Started { .. }) {
            self.holders.remove(job);
        }
        self.queue.observe(view, event, |job| Reverse(self.importance.of(job)));
        // A more important one may take what others like it may not.
        if let Event::Submit { .. } = event
            && self.preempt
        {
            self.queue.retry(view.job(job).class, job);
        }
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        let Priority { importance, preempt, skip, queue, holders } = self;
        let mut again = Vec::new();
        loop {
            let generation = plan.capacity().generation();
            let mut try_launch = |plan: &mut Plan<'_>, job| {
                let importance = importance.of(plan.job(job));
                launch(plan, (job, importance), holders, *preempt, &mut again)
            };
            if *skip {
                queue.launch_where(plan, &mut try_launch);
            } else {
                launch_from_the_head(queue, plan, try_launch);
            }
            // Victims may have left room for more than the job that they made way for.
            if generation == plan.capacity().generation() {
                break;
            }
            for job in again.drain(..) {
                queue.push(plan.job(job).class, Reverse(importance.of(plan.job(job))), job);
            }
        }
    }
}

/// Launches in order until one does not fit.
fn launch_from_the_head(
    queue: &mut ClassQueue<Reverse<i64>>,
    plan: &mut Plan<'_>,
    mut launch: impl FnMut(&mut Plan<'_>, JobId) -> bool,
) {
    while let Some((key, head)) = queue.first() {
        let class = plan.job(head).class;
        if !launch(plan, head) {
            let next = queue.in_class(class).nth(1);
            if let Some((_, next)) = next {
                plan.hold(next, Reason::BehindHead { head });
            }
            break;
        }
        queue.remove(class, key, head);
    }
}
