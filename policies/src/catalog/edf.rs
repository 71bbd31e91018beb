//! Earliest deadline first.

use super::{Entry, Parameter, Policy, Priority, Spec, SpecError};
use crate::job::Job;

pub(super) const ENTRY: Entry = Entry {
    name: "edf",
    about: "earliest deadline first, then arrival; may preempt jobs with later ones (Liu and Layland, J. ACM 1973, section 7)",
    parameters: &[
        Parameter { key: "preempt", default: "true", about: "stop the jobs with the latest deadlines to make room" },
        Parameter { key: "skip", default: "true", about: "start jobs with later deadlines that fit when earlier ones do not" },
    ],
};

pub(super) fn make(spec: &Spec) -> Result<Box<dyn Policy>, SpecError> {
    let expected = "true or false";
    Ok(Box::new(Priority::by(urgency, spec.get("preempt", expected)?, spec.get("skip", expected)?)))
}

/// Jobs without a deadline come last.
fn urgency(job: &Job) -> i64 {
    job.deadline().and_then(|deadline| i64::try_from(deadline.0).ok()).map_or(i64::MIN, |micros| -micros)
}
