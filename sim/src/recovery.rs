//! What a job keeps when its node breaks.

use policies::Span;
use policies::elastic::work_in;

/// What of an attempt's work survives the loss of its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recovery {
    /// What was saved at its last stop.
    #[default]
    LastStop,
    /// What it had done by the last multiple of this since it began to run.
    Periodic(Span),
    /// All but so much: state is saved after the failure from replicas that live (just-in-time checkpointing, Gupta et al.,
    /// EuroSys '24, section 3), so at most one mini-batch is lost.
    JustInTime(Span),
}

impl Recovery {
    /// How much of a run of `ran` is kept.
    pub fn kept(&self, ran: Span) -> Span {
        match *self {
            Recovery::LastStop => Span::ZERO,
            Recovery::Periodic(every) => Span(ran.0 - ran.0 % every.0.max(1)),
            Recovery::JustInTime(lost) => ran.saturating_sub(lost),
        }
    }

    /// How much is kept of work that was done at this speed, in ten-thousandths, since the last stop.
    pub(crate) fn kept_work(&self, work: Span, speed: u32) -> Span {
        match *self {
            Recovery::LastStop => Span::ZERO,
            Recovery::Periodic(every) => Span(work.0 - work.0 % work_in(every, speed).0.max(1)),
            Recovery::JustInTime(lost) => work.saturating_sub(work_in(lost, speed)),
        }
    }
}
