//! Jobs that do not end well, through nobody's fault but their own or their owner's.

use super::World;
use policies::{Event, JobId, Span};
use std::collections::BTreeMap;

/// How a job ends when it has run for as long as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadEnd {
    /// It fails. Its work counts as done: whether it was any good is its owner's business.
    Fails,
    /// Its owner cancels it.
    Cancelled,
}

/// How jobs end that do not end well, and how much work they have done by then.
pub(super) type Ends = BTreeMap<JobId, (BadEnd, Span)>;

impl World {
    /// The same world, in which these jobs end like this when they have done that much work, which is all they have. A job that fails
    /// should have one attempt: its next one would be over at once.
    pub fn with_ends(self, ends: impl IntoIterator<Item = (JobId, BadEnd, Span)>) -> World {
        World { ends: ends.into_iter().map(|(job, end, work)| (job, (end, work))).collect(), ..self }
    }

    #[cold]
    pub(super) fn end_badly(&self, events: &mut [Event]) {
        for event in events {
            if let Event::Finished { job, attempt } = *event
                && let Some(&(end, progress)) = self.ends.get(&job)
            {
                *event = match end {
                    BadEnd::Fails => Event::Failed { job, attempt, progress, lost: false },
                    BadEnd::Cancelled => Event::Withdrawn { job },
                };
            }
        }
    }
}
