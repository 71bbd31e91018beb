//! What a job asks for, and where it stands.

use crate::allocation::Allocation;
use crate::elastic::{Elastic, FULL_SPEED, work_in};
use crate::ids::{Attempt, ClassId, TenantId, TypeId};
use crate::time::{Span, Time};
use serde::{Deserialize, Serialize};

/// A whole accelerator, in thousandths.
pub const WHOLE_MILLI: u16 = 1000;

/// The accelerator types that a job accepts, as a bit set over [`TypeId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TypeSet(pub u64);

impl TypeSet {
    /// Any type will do.
    pub const ANY: TypeSet = TypeSet(u64::MAX);

    /// Just this type.
    pub const fn only(kind: TypeId) -> TypeSet {
        TypeSet(1 << kind.0)
    }

    /// Whether `kind` is acceptable.
    pub const fn contains(self, kind: TypeId) -> bool {
        self.0 >> kind.0 & 1 == 1
    }
}

/// The smallest part of the fleet that must hold a whole gang.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// All accelerators on one node.
    Node,
    /// All accelerators in one locality domain of that level, by position in [`Fleet::domains`](crate::Fleet::domains): one that
    /// is for [gangs](crate::fleet::Domain::gangs).
    Domain(u8),
    /// All accelerators in one cluster.
    #[default]
    Cluster,
    /// All accelerators in one region.
    Region,
    /// Anywhere.
    Fleet,
}

/// What a job holds while it runs, all or nothing. A gang never mixes accelerator types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Demand {
    /// Accelerators in the gang. Zero only for jobs that need processors alone.
    pub accelerators: u32,
    /// Share of each accelerator (compute and memory alike) in thousandths, 1 to 1000.
    pub milli: u16,
    /// How near to each other they must be.
    pub within: Level,
    /// Acceptable accelerator types.
    pub types: TypeSet,
    /// Processors in thousandths, for the whole job; a gang on several nodes takes them in proportion.
    pub cpu_milli: u32,
    /// Host memory in MiB, for the whole job; a gang on several nodes takes it in proportion.
    pub memory_mib: u32,
}

impl Demand {
    /// `accelerators` whole accelerators of any type in one cluster.
    pub const fn whole(accelerators: u32) -> Demand {
        Demand { accelerators, milli: WHOLE_MILLI, within: Level::Cluster, types: TypeSet::ANY, cpu_milli: 0, memory_mib: 0 }
    }

    /// Accelerator-thousandths in all: the unit in which capacity is counted.
    pub const fn milli_total(&self) -> u64 {
        self.accelerators as u64 * self.milli as u64
    }

    /// Processors in thousandths that come with `count` of its accelerators, rounded up.
    pub const fn cpu_milli_for(&self, count: u32) -> u32 {
        proportional(self.cpu_milli, count, self.accelerators)
    }

    /// Host memory in MiB that comes with `count` of its accelerators, rounded up.
    pub const fn memory_mib_for(&self, count: u32) -> u32 {
        proportional(self.memory_mib, count, self.accelerators)
    }

    /// The same on `accelerators` of them; processors and memory are all that the workers need, however few devices they share.
    pub const fn on(&self, accelerators: u32) -> Demand {
        Demand { accelerators, ..*self }
    }

    /// Whether whole accelerators are asked for, not shares.
    pub const fn is_whole(&self) -> bool {
        self.milli == WHOLE_MILLI
    }

    /// Whether whole accelerators and nothing else are asked for.
    pub const fn is_plain(&self) -> bool {
        self.milli == WHOLE_MILLI && self.cpu_milli == 0 && self.memory_mib == 0
    }
}

/// `amount * part / whole`, rounded up; all of it where part is the whole.
const fn proportional(amount: u32, part: u32, whole: u32) -> u32 {
    if part == whole || amount == 0 { amount } else { (amount as u64 * part as u64).div_ceil(whole as u64) as u32 }
}

/// What a policy may know of a job when it is submitted. The true duration is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobSpec {
    /// What it holds while it runs.
    pub demand: Demand,
    /// Whose it is.
    pub tenant: TenantId,
    /// Larger is more important.
    pub priority: i32,
    /// Index into the tier table; 0 is the best tier.
    pub tier: u8,
    /// How many attempts may fail before the job does; at least 1.
    pub attempts_max: u16,
    /// Expected run time, from whatever source the scenario names. `None`: nobody knows.
    pub estimate: Option<Span>,
    /// On how many accelerators it may run, and how fast.
    pub elastic: Elastic,
    /// Seconds after its submission by which it should be done; 0 if there is no hurry.
    pub deadline_s: u32,
}

impl JobSpec {
    /// Speed on `size` accelerators, in ten-thousandths of [`FULL_SPEED`].
    #[inline]
    pub fn speed_on(&self, size: u32) -> u32 {
        if size == self.demand.accelerators { FULL_SPEED } else { self.elastic.speed_on(self.demand.accelerators, size) }
    }

    /// The sizes that it may run on, largest first.
    pub fn sizes(&self) -> impl Iterator<Item = u32> + use<> {
        self.elastic.sizes(self.demand.accelerators)
    }

    /// A job of `accelerators` whole accelerators about which nothing else is known.
    pub const fn whole(accelerators: u32) -> JobSpec {
        JobSpec {
            demand: Demand::whole(accelerators),
            tenant: TenantId(0),
            priority: 0,
            tier: 0,
            attempts_max: 1,
            estimate: None,
            elastic: Elastic::RIGID,
            deadline_s: 0,
        }
    }
}

/// Where a job stands, as far as the scheduler was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Waits for a decision.
    Pending,
    /// Has a place that others are still vacating; no order has gone out.
    Assigned,
    /// Ordered to start; holds its accelerators.
    Starting,
    /// Reported to run.
    Running,
    /// Ordered to stop; holds its accelerators until an event says otherwise.
    Stopping,
    /// Finished, failed for good or cancelled.
    Done,
}

/// One live job: what was asked, where it stands, what it got so far.
// In this order, so that what starts and ends touch shares one cache line: with thousands of jobs in line, lines are what a
// step costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(C, align(64))]
pub struct Job {
    /// What it holds or was promised.
    pub allocation: Allocation,
    /// When the present attempt began to run; [`Time::MAX`] while none does.
    pub running_since: Time,
    /// Time spent running, up to the last stop.
    pub executed: Span,
    /// The newest attempt that was ordered; 0 before the first.
    pub attempt: Attempt,
    /// Interned demand.
    pub class: ClassId,
    /// Where it stands.
    pub phase: Phase,
    pub(crate) last_reason: u8,
    /// Attempts that failed.
    pub failures: u16,
    /// Times it was ordered to stop and did.
    pub preemptions: u32,
    /// What was submitted.
    pub spec: JobSpec,
    /// When it was submitted.
    pub submit: Time,
    /// Work that survived the last stop, as reported, in time at full speed.
    pub progress: Span,
    /// Where it goes next, while it is stopped to be moved or resized; else empty.
    pub next: Allocation,
    /// In ten-thousandths of [`FULL_SPEED`], on what it holds.
    pub(crate) speed: u32,
}

const _: () = assert!(size_of::<Job>() == 192 && std::mem::offset_of!(Job, spec) <= 64);

impl Job {
    /// Time spent running until `now`.
    pub fn executed_at(&self, now: Time) -> Span {
        self.executed + now.since(self.running_since)
    }

    /// Accelerators that it holds or was promised.
    pub fn size(&self) -> u32 {
        match self.allocation[..] {
            [grant] => grant.count,
            ref grants => grants.iter().map(|grant| grant.count).sum(),
        }
    }

    /// Its speed on what it holds, in ten-thousandths of [`FULL_SPEED`].
    #[inline]
    pub(crate) fn speed_here(&self) -> u32 {
        if self.spec.elastic.is_rigid() { FULL_SPEED } else { self.spec.speed_on(self.size()) }
    }

    /// When it should be done, if it has a deadline.
    pub fn deadline(&self) -> Option<Time> {
        (self.spec.deadline_s > 0).then(|| self.submit + Span::from_secs(self.spec.deadline_s.into()))
    }

    /// Work done until `now`, in time at full speed.
    pub fn progress_at(&self, now: Time) -> Span {
        self.progress + work_in(now.since(self.running_since), self.speed)
    }

    /// Attained service until `now`, in accelerator-microseconds (fractions count in proportion).
    pub fn service_at(&self, now: Time) -> u64 {
        let micros = u128::from(self.executed_at(now).0);
        (micros * u128::from(self.spec.demand.milli_total()) / u128::from(WHOLE_MILLI)) as u64
    }

    /// Expected work left at `now`: the estimate less the work done. `None` without an estimate; zero when overrun.
    pub fn remaining_at(&self, now: Time) -> Option<Span> {
        let done = self.progress_at(now);
        self.spec.estimate.map(|estimate| estimate.saturating_sub(done))
    }
}
