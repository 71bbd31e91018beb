//! Shortest job first.

use super::{Entry, Parameter, Policy, Spec, SpecError};
use crate::event::{Event, Reason};
use crate::ids::JobId;
use crate::job::Job;
use crate::plan::Plan;
use crate::queue::{ClassQueue, made_pending};
use crate::time::Span;
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

pub(super) const ENTRY: Entry = Entry {
    name: "sjf",
    about: "shortest estimate first, without preemption (Weng et al., NSDI '22, section 6.1; Hu et al., ASPLOS '23)",
    parameters: &[Parameter { key: "skip", default: "true", about: "start longer jobs that fit when shorter ones do not" }],
};

pub(super) fn make(spec: &Spec) -> Result<Box<dyn Policy>, SpecError> {
    Ok(if spec.get("skip", "true or false")? { Box::new(SjfSkip::default()) } else { Box::new(SjfStrict::default()) })
}

/// The estimate of the whole job; jobs that nobody can estimate come last. Work already done does not count: that is SRTF.
fn length(job: &Job) -> Span {
    job.spec.estimate.unwrap_or(Span::MAX)
}

/// By estimate, whatever fits: the SJF of the PAI simulator.
#[derive(Default, Serialize, Deserialize)]
pub struct SjfSkip {
    queue: ClassQueue<Span>,
}

impl Policy for SjfSkip {
    crate::saved_by_serde!();

    fn observe(&mut self, view: &View, event: &Event) {
        self.queue.observe(view, event, length);
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        self.queue.launch_fitting(plan);
    }
}

/// By estimate, and nobody overtakes the shortest: the SJF of Lucid.
#[derive(Default, Serialize, Deserialize)]
pub struct SjfStrict {
    queue: BTreeSet<(Span, JobId)>,
}

impl Policy for SjfStrict {
    crate::saved_by_serde!();

    fn observe(&mut self, view: &View, event: &Event) {
        if let Some(job) = made_pending(view, event) {
            self.queue.insert((length(view.job(job)), job));
        } else if let Event::Withdrawn { job } = *event {
            self.queue.remove(&(length(view.job(job)), job));
        }
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        while let Some(&(_, head)) = self.queue.first() {
            if !plan.launch(head) {
                // Who waits behind the second waits behind the first: one note tells the story.
                if let Some(&(_, next)) = self.queue.iter().nth(1) {
                    plan.hold(next, Reason::BehindHead { head });
                }
                break;
            }
            self.queue.pop_first();
        }
    }
}
