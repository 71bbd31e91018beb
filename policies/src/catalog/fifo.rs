//! First in, first out.

use super::{Entry, Parameter, Policy, Spec, SpecError};
use crate::event::{Event, Reason};
use crate::ids::JobId;
use crate::plan::Plan;
use crate::queue::ClassQueue;
use crate::view::View;
use serde::{Deserialize, Serialize};

pub(super) const ENTRY: Entry = Entry {
    name: "fifo",
    about: "first in, first out: nobody overtakes the head of the queue; skip=true is fit-first",
    parameters: &[Parameter { key: "skip", default: "false", about: "start later jobs that fit when earlier ones do not" }],
};

pub(super) fn make(spec: &Spec) -> Result<Box<dyn Policy>, SpecError> {
    Ok(if spec.get("skip", "true or false")? { Box::new(FifoSkip::default()) } else { Box::new(FifoStrict::default()) })
}

/// First come, first served; nobody overtakes the head of the queue.
#[derive(Default, Serialize, Deserialize)]
pub struct FifoStrict {
    blocked: Option<Blocked>,
}

/// A head of the queue that did not fit.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Blocked {
    head: JobId,
    /// Nothing was freed since.
    generation: u64,
}

impl Policy for FifoStrict {
    crate::saved_by_serde!();

    fn decide(&mut self, plan: &mut Plan<'_>) {
        while let Some(head) = plan.first_pending() {
            let blocked = Some(Blocked { head, generation: plan.capacity().generation() });
            if self.blocked == blocked {
                break;
            }
            if !plan.launch(head) {
                // Who waits behind the second waits behind the first: one note tells the story.
                if let Some(next) = plan.pending_after(head) {
                    plan.hold(next, Reason::BehindHead { head });
                    self.blocked = blocked;
                }
                break;
            }
        }
    }
}

/// In order of arrival, whatever fits.
#[derive(Default, Serialize, Deserialize)]
pub struct FifoSkip {
    queue: ClassQueue<()>,
}

impl Policy for FifoSkip {
    crate::saved_by_serde!();

    fn observe(&mut self, view: &View, event: &Event) {
        self.queue.observe(view, event, |_| ());
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        self.queue.launch_fitting(plan);
    }
}
