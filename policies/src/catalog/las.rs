//! Least attained service first.

use super::tiresias::seconds;
use super::{Entry, Parameter, Policy, Spec, SpecError};
use crate::attained::{Attained, Index, Stand, Style, Unit};
use crate::time::Span;
use serde::{Deserialize, Serialize};

pub(super) const ENTRY: Entry = Entry {
    name: "las",
    about: "least attained service first, preemptive (Nuyens and Wierman, Perform. Eval. '08; Tiresias, NSDI '19, section 3.1)",
    parameters: &[
        Parameter {
            key: "quantum",
            default: "600",
            about: "seconds that a job runs before what it attained counts; until then nobody who attained as much stops it",
        },
        Unit::PARAMETER,
        Parameter { key: "every", default: "0", about: "decide at multiples of so many seconds only; 0: at every event" },
    ],
};

pub(super) fn make(spec: &Spec) -> Result<Box<dyn Policy>, SpecError> {
    let unit = Unit::of(spec)?;
    let quantum: f64 = spec.get_where("quantum", "a number of seconds, at least 0.001", |s: &f64| *s >= 0.001)?;
    let quantum = Span::from_secs_f64(quantum).unwrap_or(Span::MAX);
    let style = Style {
        unit,
        by_submission: false,
        eager: false,
        every: seconds(spec, "every")?,
        by_count: false,
        upstream_jumps: false,
    };
    Ok(Box::new(Attained::new(Continuous { unit, quantum }, style)))
}

/// The rank of a job is what it has attained, brought up to date whenever it has run for a quantum since.
///
/// At every event, in order of rank: what fits beside those ahead of it runs, the rest waits, and is preempted if it ran. Of
/// jobs of equal rank those that run are ahead. Jobs that compete thus take turns, a quantum or more each: at most one
/// preemption per quantum and running job, beside those that new jobs cause.
#[derive(Serialize, Deserialize)]
struct Continuous {
    unit: Unit,
    quantum: Span,
}

impl Index for Continuous {
    fn stand(&self, level: u32, service: u64, milli: u64) -> Stand {
        let until = service.saturating_add(self.unit.in_span(self.quantum, milli).max(1));
        Stand { rank: service.min(u64::MAX >> 2), level: level.wrapping_add(1), until }
    }
}
