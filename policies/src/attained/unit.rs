//! What counts as attained service.

use crate::ids::JobId;
use crate::job::WHOLE_MILLI;
use crate::ranked;
use crate::spec::{Parameter, Spec, SpecError};
use crate::time::Span;
use crate::view::View;
use serde::{Deserialize, Serialize};

/// What is counted as service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unit {
    /// Time spent running, in microseconds.
    Seconds,
    /// Time spent running x accelerators held, in accelerator-microseconds.
    AcceleratorSeconds,
}

impl Unit {
    pub const PARAMETER: Parameter = Parameter {
        key: "service",
        default: "gpu-seconds",
        about: "what counts as attained service: gpu-seconds (time x accelerators) or seconds",
    };

    pub fn of(spec: &Spec) -> Result<Unit, SpecError> {
        let known = |text: &String| text == "gpu-seconds" || text == "seconds";
        let text = spec.get_where("service", "gpu-seconds or seconds", known)?;
        Ok(if text == "seconds" { Unit::Seconds } else { Unit::AcceleratorSeconds })
    }

    /// What the job has attained.
    pub fn attained(self, view: &View, job: JobId) -> u64 {
        let entry = view.job(job);
        match self {
            Unit::Seconds => entry.executed_at(view.now()).0,
            Unit::AcceleratorSeconds => entry.service_at(view.now()),
        }
    }

    /// What a job of `milli` thousandths attains in `span`.
    pub fn in_span(self, span: Span, milli: u64) -> u64 {
        match self {
            Unit::Seconds => span.0,
            Unit::AcceleratorSeconds => ranked::service(span.0, milli),
        }
    }

    /// How long a job of `milli` thousandths takes to attain `service`, rounded up; `None` if it never does.
    pub fn time_to(self, service: u64, milli: u64) -> Option<Span> {
        let whole = u64::from(WHOLE_MILLI);
        match self {
            Unit::Seconds => Some(Span(service)),
            Unit::AcceleratorSeconds if milli == 0 => None,
            Unit::AcceleratorSeconds if milli.is_multiple_of(whole) => Some(Span(service.div_ceil(milli / whole))),
            Unit::AcceleratorSeconds => {
                let span = (u128::from(service) * u128::from(whole)).div_ceil(u128::from(milli));
                u64::try_from(span).ok().map(Span)
            }
        }
    }
}
