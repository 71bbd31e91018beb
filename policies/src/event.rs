//! What goes into a scheduler and what comes out: two closed enums.

use crate::allocation::Allocation;
use crate::ids::{Attempt, JobId, NodeId};
use crate::job::JobSpec;
use crate::time::Span;
use serde::{Deserialize, Serialize};

/// A fact that a driver reports to the scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A job was submitted. Ids are given in submit order without gaps.
    Submit {
        /// The new job.
        job: JobId,
        /// What it asks for.
        spec: JobSpec,
    },
    /// An attempt runs.
    Started {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
    },
    /// An attempt was stopped as ordered, its work saved; its accelerators are free.
    Stopped {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
        /// Work that is saved, over all attempts, in time at full speed.
        progress: Span,
    },
    /// The job is done; its accelerators are free.
    Finished {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
    },
    /// An attempt ended badly; what it held is free, or gone with its node. The job waits again, or is done if it used up its
    /// attempts.
    Failed {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
        /// Work that survives, over all attempts, in time at full speed.
        progress: Span,
        /// Its node, or the way to it, broke: no fault of its own, and none of its attempts is used up.
        lost: bool,
    },
    /// Its owner does not want the job any more: a service needs one replica fewer, or a user cancelled it. Waiting or running, it
    /// holds nothing from here on and never will again; whatever was ordered for it is void.
    Withdrawn {
        /// The job.
        job: JobId,
    },
    /// A node is open for attempts, or not: it is down, or to be emptied. What is on it when it goes down is reported as
    /// [`Failed`](Event::Failed) beside this.
    Node {
        /// Which.
        node: NodeId,
        /// What it is from now on.
        state: NodeState,
    },
}

/// Whether a node takes attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It does.
    Up,
    /// What runs on it may go on; nothing new starts.
    Draining,
    /// Nothing runs on it.
    Down,
}

impl Event {
    /// The job that it is about, if it is about one.
    #[inline]
    pub fn job(&self) -> Option<JobId> {
        match *self {
            Event::Submit { job, .. }
            | Event::Started { job, .. }
            | Event::Stopped { job, .. }
            | Event::Finished { job, .. }
            | Event::Failed { job, .. }
            | Event::Withdrawn { job } => Some(job),
            Event::Node { .. } => None,
        }
    }
}

/// What the scheduler wants done. A driver may carry it out late, or find that it no longer applies; it reports what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Start the job on these accelerators, which are free.
    Start {
        /// The job.
        job: JobId,
        /// The new attempt's number.
        attempt: Attempt,
        /// Where.
        allocation: Allocation,
    },
    /// Save the attempt's work, stop it, and report [`Event::Stopped`].
    Preempt {
        /// The job.
        job: JobId,
        /// The attempt to stop.
        attempt: Attempt,
    },
}

/// Why a job is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Fewer accelerators of an acceptable type are free than it needs.
    NoCapacity {
        /// Thousandths needed.
        needed_milli: u64,
        /// Thousandths free.
        free_milli: u64,
    },
    /// Enough is free, but not in a shape that holds the gang.
    Fragmented {
        /// Thousandths needed.
        needed_milli: u64,
        /// Thousandths free.
        free_milli: u64,
    },
    /// The order of the queue is strict and this job, ahead of it, does not fit.
    BehindHead {
        /// The job at the head.
        head: JobId,
    },
    /// Starting it now would delay this job, which has a reservation.
    WouldDelay {
        /// The job with the reservation.
        reserved: JobId,
    },
    /// Its tenant has used up its quota.
    OverQuota {
        /// Thousandths that the tenant may hold.
        quota_milli: u64,
        /// Thousandths that the tenant holds.
        used_milli: u64,
    },
    /// Jobs that rank higher take all there is.
    Outranked {
        /// The lowest ranked of the jobs that run, where the policy knows it.
        by: Option<JobId>,
    },
    /// Its accelerators are being vacated.
    Vacating,
    /// The policy decides at fixed times only.
    NextRound,
    /// It was stopped to make room for a job that ranks higher.
    Preempted {
        /// For whom, where the policy knows it.
        by: Option<JobId>,
    },
    /// It is stopped to go on elsewhere, or on more or fewer accelerators.
    Moving {
        /// How many it will have.
        accelerators: u32,
    },
}

impl Reason {
    /// A number per kind, never 0.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Reason::NoCapacity { .. } => 1,
            Reason::Fragmented { .. } => 2,
            Reason::BehindHead { .. } => 3,
            Reason::WouldDelay { .. } => 4,
            Reason::OverQuota { .. } => 5,
            Reason::Outranked { .. } => 6,
            Reason::Vacating => 7,
            Reason::NextRound => 8,
            Reason::Preempted { .. } => 9,
            Reason::Moving { .. } => 10,
        }
    }
}

/// A reason that was recorded for a job; written when the kind of reason changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The job.
    pub job: JobId,
    /// Why it waits, or was stopped.
    pub reason: Reason,
}
