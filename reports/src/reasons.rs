//! Names for reasons.

use policies::Reason;

/// Kinds of reasons, with [`Waiting::InLine`] for jobs about which nothing of their own was noted: policies note a reason for the
/// job that they looked at, not for everybody behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waiting {
    /// Behind others: nothing was noted for the job itself.
    #[default]
    InLine,
    /// Fewer accelerators free than it needs.
    NoCapacity,
    /// Enough free, but not in one place.
    Fragmented,
    /// Behind the head of a strict queue.
    BehindHead,
    /// Would delay a reservation.
    WouldDelay,
    /// Its tenant is at its quota.
    OverQuota,
    /// Higher ranked jobs take everything.
    Outranked,
    /// Waits for its accelerators to be vacated.
    Vacating,
    /// Waits for the policy's next round.
    NextRound,
    /// Stopped for another job.
    Preempted,
    /// Stopped to go on elsewhere, or on more or fewer accelerators.
    Moving,
}

impl Waiting {
    /// All kinds, in order.
    pub const ALL: [Waiting; 11] = [
        Waiting::InLine,
        Waiting::NoCapacity,
        Waiting::Fragmented,
        Waiting::BehindHead,
        Waiting::WouldDelay,
        Waiting::OverQuota,
        Waiting::Outranked,
        Waiting::Vacating,
        Waiting::NextRound,
        Waiting::Preempted,
        Waiting::Moving,
    ];

    /// The kind of a reason.
    pub const fn of(reason: &Reason) -> Waiting {
        match reason {
            Reason::NoCapacity { .. } => Waiting::NoCapacity,
            Reason::Fragmented { .. } => Waiting::Fragmented,
            Reason::BehindHead { .. } => Waiting::BehindHead,
            Reason::WouldDelay { .. } => Waiting::WouldDelay,
            Reason::OverQuota { .. } => Waiting::OverQuota,
            Reason::Outranked { .. } => Waiting::Outranked,
            Reason::Vacating => Waiting::Vacating,
            Reason::NextRound => Waiting::NextRound,
            Reason::Preempted { .. } => Waiting::Preempted,
            Reason::Moving { .. } => Waiting::Moving,
        }
    }

    /// A few words for people.
    pub const fn words(self) -> &'static str {
        match self {
            Waiting::InLine => "in line behind others",
            Waiting::NoCapacity => "too few accelerators free",
            Waiting::Fragmented => "free accelerators scattered",
            Waiting::BehindHead => "behind the head of the queue",
            Waiting::WouldDelay => "would delay a reservation",
            Waiting::OverQuota => "tenant over its quota",
            Waiting::Outranked => "outranked by other jobs",
            Waiting::Vacating => "its place is being vacated",
            Waiting::NextRound => "for the next round",
            Waiting::Preempted => "stopped for another job",
            Waiting::Moving => "on its way to another place or size",
        }
    }

    /// Position in [`ALL`](Waiting::ALL).
    pub const fn index(self) -> usize {
        self as usize
    }
}
