//! Conservative backfilling.

use super::expect::{self, Expected};
use super::profile::Profile;
use super::{Entry, Parameter, Policy, Spec, SpecError};
use crate::event::{Event, NodeState, Reason};
use crate::ids::{JobId, TypeId};
use crate::job::{Demand, TypeSet};
use crate::plan::Plan;
use crate::queue::made_pending;
use crate::time::{Span, Time};
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ENTRY: Entry = Entry {
    name: "conservative",
    about: "every waiting job has a reservation that no later one may delay (Mu'alem & Feitelson, TPDS '01, section 2)",
    parameters: &[
        Parameter { key: "depth", default: "500", about: "waiting jobs that have a reservation; the others wait for one" },
        expect::ASSUME,
    ],
};

pub(super) fn make(spec: &Spec) -> Result<Box<dyn Policy>, SpecError> {
    let depth = spec.get_where("depth", "a number of jobs above 0", |&d: &usize| d > 0)?;
    Ok(Box::new(Conservative::new(depth, expect::assumed(spec)?)))
}

/// Each job is given, when it arrives, the earliest start that delays no job before it, in a profile of free accelerators over
/// time (one for each type); it starts then. When a job ends before its estimate the schedule is *compressed*: in order of
/// arrival each job moves to the earliest start that is now possible, until none can move any more; none moves back. When a
/// job outlives its estimate promises cannot be kept: all are made anew, in order of arrival.
///
/// Lengths of jobs without an estimate, and of those that outlive it, are as in [`Easy`](super::Easy). Where the count would
/// do but the placement finds no room (fragmentation), a job that is due keeps its claim, and later ones that outlast the
/// next expected end do not start on its type, so that the fleet drains towards it. A job that finds no room on an empty fleet
/// loses its claim.
///
/// A change of schedule costs O(depth x (depth + running jobs)), an arrival O(depth + running jobs). Slurm's limit for the same
/// work, `bf_max_job_test`, has the same default.
#[derive(Serialize, Deserialize)]
pub struct Conservative {
    depth: usize,
    expected: Expected,
    /// By type; empty until the fleet is known.
    profiles: Vec<Profile>,
    totals: Vec<u64>,
    reserved: BTreeMap<JobId, Slot>,
    starts: BTreeSet<(Time, JobId)>,
    /// Pending jobs without a reservation.
    waiting: BTreeSet<JobId>,
    /// Found no room though nothing ran: they wait for a node to come back.
    homeless: Vec<JobId>,
    /// Something ended early: reservations may move forward.
    freed: bool,
    /// Something will end late: reservations cannot be kept.
    broken: bool,
    /// Jobs were launched: others may have their reservations.
    admitting: bool,
    /// When the last decision was made. What was due by then and is still here waits for a place, not for a time.
    decided: Time,
}

/// A reservation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Slot {
    start: Time,
    length: Span,
    kind: TypeId,
    milli: i64,
    /// It was due and found no room: it cannot start before something ends, and claims its accelerators until then as well.
    stuck: bool,
}

impl Conservative {
    /// Reservations for `depth` jobs; `assume` is the length of jobs without an estimate.
    pub fn new(depth: usize, assume: Span) -> Conservative {
        Conservative {
            depth,
            expected: Expected::new(assume),
            profiles: Vec::new(),
            totals: Vec::new(),
            reserved: BTreeMap::new(),
            starts: BTreeSet::new(),
            waiting: BTreeSet::new(),
            homeless: Vec::new(),
            freed: false,
            broken: false,
            admitting: false,
            decided: Time::ZERO,
        }
    }

    fn learn_fleet(&mut self, view: &View) {
        if self.totals.is_empty() {
            self.totals = vec![0; view.fleet().types.len()];
            for node in &view.fleet().nodes {
                self.totals[node.kind.index()] += u64::from(node.accelerators) * u64::from(crate::job::WHOLE_MILLI);
            }
            self.profiles = self.totals.iter().map(|&total| Profile::new(total)).collect();
        }
    }

    /// Brings the profiles up to now.
    fn catch_up(&mut self, view: &View) {
        let Conservative { expected, profiles, broken, .. } = self;
        expected.correct(view, |old, new| {
            profiles[new.kind.index()].add(old.end, new.end, -(new.milli as i64));
            *broken = true;
        });
        // What found no room claims accelerators from now on, until the next end that is now expected.
        let mut due = self.starts.range(..=(view.now(), JobId(u32::MAX)));
        self.broken |= due.any(|(start, job)| *start < view.now() || (self.freed && self.reserved[job].stuck));
        if std::mem::take(&mut self.broken) {
            self.reschedule(view, false);
        } else if self.freed {
            // A job that moves may leave room for one that was looked at before it.
            while self.reschedule(view, true) {}
        }
        self.freed = false;
        self.profiles.iter_mut().for_each(|profile| profile.trim(view.now()));
    }

    /// Finds each reservation a new start, in order of arrival, all others staying where they are (`keep`) or gone. Whether
    /// any is earlier than it was.
    fn reschedule(&mut self, view: &View, keep: bool) -> bool {
        let mut moved = false;
        let jobs: Vec<JobId> = self.reserved.keys().copied().collect();
        if !keep {
            jobs.iter().for_each(|job| self.claim(self.reserved[job], 1));
        }
        for job in jobs {
            let old = self.reserved[&job];
            if keep {
                let ahead = |profile: &Profile| profile.reaches(old.milli, view.now(), old.start);
                if !self.kinds_of(view, job).any(|kind| ahead(&self.profiles[kind.index()])) {
                    continue;
                }
                self.claim(old, 1);
            }
            self.starts.remove(&(old.start, job));
            let length = if keep { old.length } else { self.length(view, job, old.stuck) };
            let slot = Slot { stuck: old.stuck, ..self.earliest(view, job, length).expect("it was found once") };
            debug_assert!(!keep || slot.start <= old.start.max(view.now()), "compression delayed a job");
            moved |= slot.start < old.start;
            self.put(job, slot);
        }
        moved
    }

    /// Takes a reservation's accelerators out of the profile, or with `sign` 1 puts them back.
    fn claim(&mut self, slot: Slot, sign: i64) {
        self.profiles[slot.kind.index()].add(slot.start, slot.start + slot.length, sign * slot.milli);
    }

    fn put(&mut self, job: JobId, slot: Slot) {
        self.claim(slot, -1);
        self.reserved.insert(job, slot);
        self.starts.insert((slot.start, job));
    }

    /// For how long a job claims its accelerators.
    fn length(&self, view: &View, job: JobId, stuck: bool) -> Span {
        let wait = self.expected.first().filter(|_| stuck).map_or(Span::ZERO, |end| end.since(view.now()));
        self.expected.length(view.job(job)) + wait
    }

    /// The types that have enough for a job.
    fn kinds_of(&self, view: &View, job: JobId) -> impl Iterator<Item = TypeId> + '_ {
        let demand = view.job(job).spec.demand;
        let kinds = (0..self.totals.len() as u8).map(TypeId);
        kinds.filter(move |kind| demand.types.contains(*kind) && demand.milli_total() <= self.totals[kind.index()])
    }

    /// The earliest reservation that is possible on any type; `None` if no type has enough.
    fn earliest(&self, view: &View, job: JobId, length: Span) -> Option<Slot> {
        let milli = view.job(job).spec.demand.milli_total() as i64;
        let on = |kind: TypeId| Some((self.profiles[kind.index()].earliest(view.now(), milli, length)?, kind));
        let first = self.kinds_of(view, job).filter_map(on).min();
        first.map(|(start, kind)| Slot { start, length, kind, milli, stuck: false })
    }

    /// Gives reservations to those that wait for one.
    fn admit(&mut self, plan: &mut Plan<'_>) {
        while self.reserved.len() < self.depth
            && let Some(job) = self.waiting.pop_first()
        {
            if let Some(slot) = self.earliest(plan, job, self.length(plan, job, false)) {
                self.put(job, slot);
                if slot.start > plan.now() {
                    self.explain(plan, job);
                }
            }
        }
    }

    fn explain(&self, plan: &mut Plan<'_>, job: JobId) {
        let demand = plan.job(job).spec.demand;
        let (needed_milli, free_milli) = (demand.milli_total(), plan.capacity().free_milli_for(&demand));
        let ahead = self.reserved.keys().next().filter(|&&first| first != job && needed_milli <= free_milli);
        let reason = match ahead {
            Some(&reserved) => Reason::WouldDelay { reserved },
            None => Reason::NoCapacity { needed_milli, free_milli },
        };
        plan.hold(job, reason);
    }

    /// Launches what is due, in order of arrival.
    fn launch_due(&mut self, plan: &mut Plan<'_>) {
        let due: BTreeSet<JobId> = self.starts.range(..=(plan.now(), JobId(u32::MAX))).map(|&(_, job)| job).collect();
        let mut draining = TypeSet(0);
        for job in due {
            let slot = self.reserved[&job];
            let demand = plan.job(job).spec.demand;
            let next_end = self.expected.first();
            let end = plan.now() + self.length(plan, job, false);
            if draining.contains(slot.kind) && next_end.is_some_and(|next| next < end) {
                continue;
            }
            if let Some(place) = plan.find(&Demand { types: TypeSet::only(slot.kind), ..demand }) {
                plan.launch_at(job, place);
                self.forget(job);
                let occupancy = self.expected.launched(plan, job);
                self.profiles[occupancy.kind.index()].add(plan.now(), occupancy.end, -(occupancy.milli as i64));
                self.admitting = true;
            } else if next_end.is_none() {
                // It finds no room though nothing runs: on these nodes it never will.
                self.forget(job);
                self.homeless.push(job);
                self.freed = true;
            } else {
                draining.0 |= TypeSet::only(slot.kind).0;
                let known = std::mem::replace(&mut self.reserved.get_mut(&job).expect("it is due").stuck, true);
                self.broken |= !known;
                let (needed_milli, free_milli) = (demand.milli_total(), plan.capacity().free_milli_for(&demand));
                plan.hold(job, Reason::Fragmented { needed_milli, free_milli });
            }
        }
    }

    fn forget(&mut self, job: JobId) {
        let slot = self.reserved.remove(&job).expect("it was reserved");
        self.starts.remove(&(slot.start, job));
        self.claim(slot, 1);
    }
}

impl Policy for Conservative {
    crate::saved_by_serde!();

    fn observe(&mut self, view: &View, event: &Event) {
        self.learn_fleet(view);
        let (old, new) = self.expected.observe(view, event);
        if let Some(old) = old {
            let profile = &mut self.profiles[old.kind.index()];
            let end = new.map_or(view.now(), |new| new.end);
            profile.add(end.max(view.now()), old.end, old.milli as i64);
            profile.add(old.end.max(view.now()), end, -(old.milli as i64));
            self.freed |= end < old.end;
            self.broken |= end > old.end && new.is_some();
        }
        self.waiting.extend(made_pending(view, event));
        if let Event::Node { state: NodeState::Up, .. } = event {
            self.waiting.extend(self.homeless.drain(..));
        }
        if let Event::Withdrawn { job } = *event {
            self.waiting.remove(&job);
            self.homeless.retain(|other| *other != job);
            if self.reserved.contains_key(&job) {
                self.forget(job);
                self.freed = true;
            }
        }
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        self.learn_fleet(plan);
        self.decided = plan.now();
        loop {
            self.catch_up(plan);
            self.admit(plan);
            self.admitting = false;
            self.launch_due(plan);
            if !(self.admitting || self.freed || self.broken) {
                break;
            }
        }
    }

    /// When a reservation begins, or a job outlives its estimate.
    fn next_wakeup(&self, view: &View) -> Option<Time> {
        let due = self.starts.range((self.decided + Span(1), JobId(0))..).next().map(|&(start, _)| start);
        let late = if view.pending().is_empty() { None } else { self.expected.first() };
        due.into_iter().chain(late).min()
    }
}
