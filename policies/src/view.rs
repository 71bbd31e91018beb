//! What a policy may look at.

use crate::capacity::Capacity;
use crate::event::Note;
use crate::fleet::Fleet;
use crate::ids::{ClassId, JobId};
use crate::idset::IdSet;
use crate::idtable::IdTable;
use crate::job::{Demand, Job, Phase};
use crate::ledger::Ledger;
use crate::tier::Tiers;
use crate::time::Time;
use std::collections::BTreeMap;

/// Gangs up to this size that ask for nothing special find their class by one array access.
const PLAIN_CLASSES: usize = 4096;

/// The state of the world as the scheduler was told it: jobs, capacity and the time of the present step.
///
/// A view knows no truth: durations appear only as estimates, and an accelerator is free when an event said so.
pub struct View {
    pub(crate) now: Time,
    pub(crate) jobs: IdTable<Job>,
    pub(crate) capacity: Capacity,
    pub(crate) pending: IdSet,
    pub(crate) active: IdSet,
    pub(crate) assigned: IdSet,
    /// Jobs that were told to stop and still hold accelerators.
    pub(crate) stopping: u32,
    pub(crate) notes: Vec<Note>,
    /// Where there are tiers.
    pub(crate) ledger: Option<Box<Ledger>>,
    /// Without any where nobody told.
    pub(crate) tiers: Tiers,
    classes: Vec<Demand>,
    class_of: BTreeMap<Demand, ClassId>,
    plain_class_of: Vec<Option<ClassId>>,
}

impl View {
    pub(crate) fn new(fleet: Fleet) -> View {
        View {
            now: Time::ZERO,
            jobs: IdTable::default(),
            capacity: Capacity::new(fleet),
            pending: IdSet::new(),
            active: IdSet::new(),
            assigned: IdSet::new(),
            stopping: 0,
            notes: Vec::new(),
            ledger: None,
            tiers: Tiers::none(),
            classes: Vec::new(),
            class_of: BTreeMap::new(),
            plain_class_of: vec![None; PLAIN_CLASSES],
        }
    }

    /// The time of the present step.
    #[inline]
    pub fn now(&self) -> Time {
        self.now
    }

    /// The machines.
    #[inline]
    pub fn fleet(&self) -> &Fleet {
        self.capacity.fleet()
    }

    /// What is free.
    #[inline]
    pub fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// The books of what is owed to tiers and of what became of accelerators, where there are tiers. In a decision they stand as
    /// before it.
    #[inline]
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_deref()
    }

    /// The tier table; an empty one where there are no tiers.
    #[inline]
    pub fn tiers(&self) -> &Tiers {
        &self.tiers
    }

    /// A job that is not done.
    ///
    /// # Panics
    /// If there is no such job. Policies learn ids from events and from this view, and forget a job when it is done.
    #[inline]
    pub fn job(&self, id: JobId) -> &Job {
        self.jobs.get(id).unwrap_or_else(|| panic!("job {} is not live", id.0))
    }

    /// The job, unless it is unknown or long done.
    #[inline]
    pub fn get(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// Jobs that wait for a decision, by id, which is by arrival.
    #[inline]
    pub fn pending(&self) -> &IdSet {
        &self.pending
    }

    /// The job that has waited longest since its submission.
    #[inline]
    pub fn first_pending(&self) -> Option<JobId> {
        self.pending.first().map(JobId)
    }

    /// The pending job that arrived next after `job`.
    #[inline]
    pub fn pending_after(&self, job: JobId) -> Option<JobId> {
        self.pending.next_from(job.0.checked_add(1)?).map(JobId)
    }

    /// Jobs that were ordered to start, or run, and were not told to stop.
    #[inline]
    pub fn active(&self) -> &IdSet {
        &self.active
    }

    /// Jobs with a place that others are still vacating.
    #[inline]
    pub fn assigned(&self) -> &IdSet {
        &self.assigned
    }

    /// Jobs submitted so far; their ids are 0 to this, exclusive.
    pub fn submitted(&self) -> u32 {
        self.jobs.len()
    }

    /// The demands seen so far, by [`ClassId`].
    pub fn classes(&self) -> &[Demand] {
        &self.classes
    }

    /// Whether `job` waits, runs, or is on its way in or out.
    pub fn is_live(&self, job: JobId) -> bool {
        self.get(job).is_some_and(|j| j.phase != Phase::Done)
    }

    /// Takes over jobs, and the demands in the order in which they were seen, and makes all indexes but the capacity's from them.
    pub(crate) fn restore(&mut self, now: Time, jobs: IdTable<Job>, classes: &[Demand]) {
        for demand in classes {
            self.intern(demand);
        }
        for (JobId(id), job) in jobs.iter() {
            match job.phase {
                Phase::Pending => self.pending.insert(id),
                Phase::Assigned => self.assigned.insert(id),
                Phase::Starting | Phase::Running => self.active.insert(id),
                Phase::Stopping | Phase::Done => false,
            };
            self.stopping += u32::from(job.phase == Phase::Stopping);
        }
        (self.now, self.jobs) = (now, jobs);
    }

    #[inline]
    pub(crate) fn intern(&mut self, demand: &Demand) -> ClassId {
        let size = demand.accelerators as usize;
        let plain = *demand == Demand::whole(demand.accelerators);
        match self.plain_class_of.get(size) {
            Some(&Some(class)) if plain => class,
            _ => self.intern_new(demand, plain),
        }
    }

    #[inline(never)]
    fn intern_new(&mut self, demand: &Demand, plain: bool) -> ClassId {
        let next = ClassId(self.classes.len() as u32);
        let class = *self.class_of.entry(*demand).or_insert(next);
        if class == next {
            self.classes.push(*demand);
        }
        if plain && demand.accelerators < PLAIN_CLASSES as u32 {
            self.plain_class_of[demand.accelerators as usize] = Some(class);
        }
        class
    }
}
