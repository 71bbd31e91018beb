//! Discretised two-dimensional least attained service.

use super::{Entry, Parameter, Policy, Spec, SpecError};
use crate::attained::{Attained, Index, Stand, Style, Unit};
use crate::time::Span;
use serde::{Deserialize, Serialize};

pub(super) const ENTRY: Entry = Entry {
    name: "tiresias",
    about: "discretised two-dimensional least attained service, preemptive (Tiresias, NSDI '19, sections 3.2 and 4.2)",
    parameters: &[
        Parameter {
            key: "limits",
            default: "3250:7200",
            about: "attained service at which a job moves one queue down, ascending and separated by colons, in units of `service`",
        },
        Unit::PARAMETER,
        Parameter { key: "every", default: "0", about: "decide at multiples of so many seconds only; 0: at every event" },
        Parameter {
            key: "upstream_jumps",
            default: "false",
            about: "find the time of the next move down as the simulator of Tiresias does, taking seconds for gpu-seconds",
        },
        Parameter {
            key: "lucid",
            default: "false",
            about: "as in the Lucid simulator: a job moves down only above its limit, queues are in order of submission whether \
                    jobs run or not, and jobs are displaced by counting accelerators even if the winner then finds no place",
        },
    ],
};

pub(super) fn make(spec: &Spec) -> Result<Box<dyn Policy>, SpecError> {
    let lucid: bool = spec.get("lucid", "true or false")?;
    let mut limits: Vec<u64> = spec.get_where("limits", LIMITS, |l: &Limits| l.is_valid()).map(|l| l.0)?;
    if lucid {
        limits.iter_mut().for_each(|limit| *limit += 1);
    }
    let style = Style {
        unit: Unit::of(spec)?,
        by_submission: lucid,
        eager: !lucid,
        every: seconds(spec, "every")?,
        by_count: lucid,
        upstream_jumps: spec.get("upstream_jumps", "true or false")?,
    };
    Ok(Box::new(Attained::new(Queues(limits), style)))
}

const LIMITS: &str = "ascending numbers of seconds above 0, separated by colons";

/// Limits in microseconds.
struct Limits(Vec<u64>);

impl Limits {
    fn is_valid(&self) -> bool {
        self.0.first().is_some_and(|&first| first > 0) && self.0.is_sorted_by(|a, b| a < b)
    }
}

impl std::str::FromStr for Limits {
    type Err = ();

    fn from_str(text: &str) -> Result<Limits, ()> {
        let micros = |s: &str| s.trim().parse().ok().and_then(Span::from_secs_f64).map(|span| span.0).ok_or(());
        text.split(':').map(micros).collect::<Result<_, _>>().map(Limits)
    }
}

/// A parameter that is a time in seconds.
pub(super) fn seconds(spec: &Spec, key: &'static str) -> Result<Span, SpecError> {
    let expected = "a number of seconds, 0 or more";
    let value: f64 = spec.get_where(key, expected, |s: &f64| Span::from_secs_f64(*s).is_some())?;
    Ok(Span::from_secs_f64(value).unwrap_or(Span::ZERO))
}

/// Queues by attained service: a job enters the first and moves one down whenever it reaches the limit of its queue.
///
/// At every event the queues are walked in order: what fits beside those ahead of it runs, the rest waits, and is preempted if
/// it ran. In a queue running jobs are ahead, in the order in which they came to run there; then those that wait: a preempted
/// one ahead of all that waited before, one that is new to the queue behind.
#[derive(Serialize, Deserialize)]
struct Queues(Vec<u64>);

impl Index for Queues {
    fn stand(&self, level: u32, service: u64, _: u64) -> Stand {
        let limit = |level: u32| self.0.get(level as usize).copied().unwrap_or(u64::MAX);
        let level = level + u32::from(service >= limit(level));
        Stand { rank: level.into(), level, until: limit(level) }
    }
}
