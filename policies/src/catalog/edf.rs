//! Earliest deadline first.

use super::priority::{Importance, Priority};
use super::{Entry, Parameter, Policy, Spec, SpecError};

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
    Ok(Box::new(Priority::by(Importance::Deadline, spec.get("preempt", expected)?, spec.get("skip", expected)?)))
}
