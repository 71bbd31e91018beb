//! EASY backfilling.

use super::bylength::ByLength;
use super::expect::{self, Expected};
use super::{Entry, Parameter, Policy, Spec, SpecError};
use crate::event::{Event, Reason};
use crate::ids::{ClassId, JobId, TypeId};
use crate::job::{Demand, TypeSet};
use crate::plan::Plan;
use crate::queue::made_pending;
use crate::time::{Span, Time};
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::str::FromStr;

pub(super) const ENTRY: Entry = Entry {
    name: "easy",
    about: "FIFO; later jobs may overtake if they do not delay the head (Lifka, JSSPP '95; Mu'alem & Feitelson, TPDS '01, section 2)",
    parameters: &[
        Parameter { key: "order", default: "fifo", about: "who may overtake first: fifo (arrival) or sjf (shortest estimate)" },
        expect::ASSUME,
    ],
};

pub(super) fn make(spec: &Spec) -> Result<Box<dyn Policy>, SpecError> {
    Ok(Box::new(Easy::new(spec.get("order", "fifo or sjf")?, expect::assumed(spec)?)))
}

/// Which of the jobs that may overtake does so first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackfillOrder {
    /// The earliest arrival.
    Fifo,
    /// The shortest estimate.
    Sjf,
}

impl FromStr for BackfillOrder {
    type Err = ();
    fn from_str(text: &str) -> Result<BackfillOrder, ()> {
        match text {
            "fifo" => Ok(BackfillOrder::Fifo),
            "sjf" => Ok(BackfillOrder::Sjf),
            _ => Err(()),
        }
    }
}

/// First come, first served, but the head of the queue holds a reservation and others may start before it where that does not
/// delay it: they end by then, or use accelerators that the head will not need.
///
/// The reservation is at the *shadow time*: when so many running jobs are expected to have ended that the head's accelerators
/// are free, counted by type. What is free beyond the head's need then is *spare*. Three things that the papers leave open:
/// - A job without an estimate is taken to run for a fixed time (parameter `assume`), as a site's default limit would have it;
///   a job that outlives its estimate is given as long again as it has run, at least a minute.
/// - A candidate that can run on a type that is not reserved goes there, whatever its length.
/// - If the count would do but the placement finds no room (fragmentation), then until that head starts nothing is spare on any
///   type that it accepts, and only what ends before the next expected end may overtake there: the fleet drains towards the
///   head. A head that could not run even if everything ended gets no reservation.
///
/// A decision costs O(classes log queue) and a walk over the running jobs up to the shadow time.
#[derive(Serialize, Deserialize)]
pub struct Easy {
    order: BackfillOrder,
    expected: Expected,
    classes: Vec<Class>,
    /// The head that found enough accelerators but no room.
    fragmented: Option<JobId>,
}

#[derive(Default, Serialize, Deserialize)]
struct Class {
    jobs: ByLength,
    /// When this is the capacity's generation, none of them fits.
    blocked_at: Option<u64>,
}

/// What the head of the queue may count on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reservation {
    kinds: TypeSet,
    start: Time,
    /// Thousandths that may be used beyond `start`; `None` if it takes more than a count to tell.
    spare: Option<u64>,
}

/// A job that may overtake: by rank, then arrival. `elsewhere`: only on types that are not reserved.
type Candidate = (Span, JobId, ClassId, bool);

impl Easy {
    /// EASY with that order of backfilling; `assume` is the length of jobs without an estimate.
    pub fn new(order: BackfillOrder, assume: Span) -> Easy {
        Easy { order, expected: Expected::new(assume), classes: Vec::new(), fragmented: None }
    }

    /// Launches from the head; the first job that does not fit, if any.
    fn launch_heads(&mut self, plan: &mut Plan<'_>) -> Option<JobId> {
        while let Some(head) = plan.first_pending() {
            if !plan.launch(head) {
                self.class_of(plan, head).blocked_at = Some(plan.capacity().generation());
                return Some(head);
            }
            self.launched(plan, head);
        }
        None
    }

    fn class_of(&mut self, view: &View, job: JobId) -> &mut Class {
        &mut self.classes[view.job(job).class.index()]
    }

    fn launched(&mut self, view: &View, job: JobId) {
        self.expected.launched(view, job);
        self.class_of(view, job).jobs.remove(job);
    }

    /// The earliest instant at which enough accelerators of one type will be free for the head.
    fn reserve(&mut self, view: &View, head: JobId) -> Option<Reservation> {
        let demand = view.job(head).spec.demand;
        let need = demand.milli_total();
        let kinds: Vec<TypeId> = types_of(view, &demand).collect();
        let mut free: Vec<u64> =
            (0..view.fleet().types.len()).map(|k| view.capacity().free_milli_of(TypeId(k as u8))).collect();
        let enough = |free: &[u64]| kinds.iter().copied().find(|kind| free[kind.index()] >= need);
        if enough(&free).is_some() {
            self.fragmented = Some(head);
        }
        let mut ends = self.expected.iter().filter(|o| demand.types.contains(o.kind)).peekable();
        while let Some(occupancy) = ends.next() {
            free[occupancy.kind.index()] += occupancy.milli;
            let start = occupancy.end;
            if ends.peek().is_some_and(|next| next.end == start) {
                continue;
            }
            if let Some(kind) = enough(&free) {
                return Some(if self.fragmented == Some(head) {
                    Reservation { kinds: demand.types, start, spare: None }
                } else {
                    Reservation { kinds: TypeSet::only(kind), start, spare: Some(free[kind.index()] - need) }
                });
            }
        }
        None
    }

    fn backfill(&mut self, plan: &mut Plan<'_>, head: JobId, mut reservation: Option<Reservation>) {
        let mut candidates: BTreeSet<Candidate> = BTreeSet::new();
        for c in 0..self.classes.len() {
            let class = ClassId(c as u32);
            let elsewhere = reservation.is_some_and(|r| types_of(plan, &off(&plan.classes()[c], r.kinds)).next().is_some());
            candidates.extend(self.candidate(plan, class, &reservation, elsewhere));
        }
        while let Some(candidate @ (_, job, class, elsewhere)) = candidates.pop_first() {
            // What is spare may have become less since the candidate was named.
            let still = self.candidate(plan, class, &reservation, elsewhere);
            if still == Some(candidate) {
                let launched = if elsewhere { launch_off(plan, job, &reservation) } else { plan.launch(job) };
                if launched {
                    let length = self.expected.length(plan.job(job));
                    self.launched(plan, job);
                    use_spare(plan, job, length, &mut reservation);
                    candidates.extend(self.candidate(plan, class, &reservation, elsewhere));
                } else if elsewhere {
                    candidates.extend(self.candidate(plan, class, &reservation, false));
                } else {
                    self.classes[class.index()].blocked_at = Some(plan.capacity().generation());
                }
            } else {
                candidates.extend(still);
            }
        }
        if reservation.is_some() {
            self.explain(plan, head);
        }
    }

    /// The job of `class` that may overtake next, if any may.
    fn candidate(
        &self,
        plan: &Plan<'_>,
        class: ClassId,
        reservation: &Option<Reservation>,
        elsewhere: bool,
    ) -> Option<Candidate> {
        let entry = &self.classes[class.index()];
        if entry.jobs.is_empty() || entry.blocked_at == Some(plan.capacity().generation()) {
            return None;
        }
        let demand = &plan.classes()[class.index()];
        let limit = match reservation {
            Some(r) if !elsewhere && demand.types.0 & r.kinds.0 != 0 => limit(plan.now(), demand, r),
            _ => Span::MAX,
        };
        match self.order {
            BackfillOrder::Fifo => entry.jobs.first_within(limit).map(|(job, _)| (Span::ZERO, job, class, elsewhere)),
            BackfillOrder::Sjf => entry.jobs.shortest().filter(|&(_, l)| l <= limit).map(|(job, l)| (l, job, class, elsewhere)),
        }
    }

    /// Notes whom the reservation keeps waiting: the first of each class that would fit.
    fn explain(&self, plan: &mut Plan<'_>, head: JobId) {
        let generation = plan.capacity().generation();
        for (c, class) in self.classes.iter().enumerate() {
            let demand = &plan.classes()[c];
            let fits = class.blocked_at != Some(generation) && demand.milli_total() <= plan.capacity().free_milli_for(demand);
            if let Some((job, _)) = class.jobs.first_within(Span::MAX).filter(|_| fits) {
                plan.hold(job, Reason::WouldDelay { reserved: head });
            }
        }
    }
}

/// How long a job may run on the reserved type.
fn limit(now: Time, demand: &Demand, reservation: &Reservation) -> Span {
    match reservation.spare {
        Some(spare) if demand.milli_total() <= spare => Span::MAX,
        _ => reservation.start.since(now),
    }
}

/// The types of the fleet that `demand` accepts.
fn types_of(view: &View, demand: &Demand) -> impl Iterator<Item = TypeId> + use<> {
    let types = demand.types;
    (0..view.fleet().types.len() as u8).map(TypeId).filter(move |&kind| types.contains(kind))
}

/// The same on other types.
fn off(demand: &Demand, kinds: TypeSet) -> Demand {
    Demand { types: TypeSet(demand.types.0 & !kinds.0), ..*demand }
}

/// Launches a job on a type that is not reserved.
fn launch_off(plan: &mut Plan<'_>, job: JobId, reservation: &Option<Reservation>) -> bool {
    let kinds = reservation.expect("elsewhere means that something is reserved").kinds;
    let allocation = plan.find(&off(&plan.job(job).spec.demand, kinds));
    allocation.map(|allocation| plan.launch_at(job, allocation)).is_some()
}

/// A job of that length was launched: it may use up what is spare.
fn use_spare(view: &View, job: JobId, length: Span, reservation: &mut Option<Reservation>) {
    let entry = view.job(job);
    let Some(r) = reservation else { return };
    let there = r.kinds.contains(view.fleet().node(entry.allocation[0].node).kind);
    if let Some(spare) = &mut r.spare
        && there
        && view.now() + length > r.start
    {
        *spare = spare.saturating_sub(entry.spec.demand.milli_total());
    }
}

impl Policy for Easy {
    crate::saved_by_serde!();

    fn observe(&mut self, view: &View, event: &Event) {
        self.expected.observe(view, event);
        if let Some(id) = made_pending(view, event) {
            let job = view.job(id);
            if self.classes.len() <= job.class.index() {
                self.classes.resize_with(job.class.index() + 1, Class::default);
            }
            self.classes[job.class.index()].jobs.insert(id, self.expected.length(job));
        } else if let Event::Withdrawn { job } = *event
            && let Some(class) = self.classes.get_mut(view.job(job).class.index())
        {
            class.jobs.discard(job);
        }
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        self.expected.correct(plan, |_, _| {});
        if let Some(head) = self.launch_heads(plan) {
            let reservation = self.reserve(plan, head);
            self.backfill(plan, head, reservation);
        }
    }

    /// When a job outlives its estimate the shadow time moves, and others may start.
    fn next_wakeup(&self, view: &View) -> Option<Time> {
        if view.pending().is_empty() { None } else { self.expected.first() }
    }
}
