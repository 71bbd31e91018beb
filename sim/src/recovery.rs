//! What a job keeps when its node breaks.

use policies::Span;

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
}
