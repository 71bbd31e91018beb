//! A part of the fleet with a scheduler of its own.

use super::knowledge::{Report, TIERS, tier_of};
use super::saved::{PartState, of_part};
use super::{By, Row, Style};
use crate::allocation::{Allocation, Grant};
use crate::capacity::{Capacity, Group};
use crate::event::{Event, Note, Order, Reason};
use crate::fleet::Fleet;
use crate::ids::{Attempt, ClassId, JobId, NodeId, TypeId};
use crate::idtable::IdTable;
use crate::job::{Demand, Job, Phase};
use crate::placement::Placement;
use crate::plan::Plan;
use crate::scheduler::Scheduler;
use crate::snapshot::StateError;
use crate::time::Time;
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Times that a part may change its mind within one step, when what it took for begun had not begun.
const TRIES: usize = 64;

/// A job of a part. What looks for better places need of those that wait is here in one place.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Member {
    /// The fleet's number of it.
    pub job: JobId,
    /// The fleet's class of it.
    pub class: ClassId,
    pub tier: u8,
    /// When it came.
    pub since: Time,
}

pub(super) struct Part {
    pub scheduler: Scheduler,
    /// When it wants to be asked again.
    pub wakeup: Option<Time>,
    /// The fleet's number of a node, by the part's.
    nodes: Vec<NodeId>,
    /// Its jobs, by the numbers that they have here.
    pub jobs: IdTable<Member>,
    /// The types of its nodes, ascending.
    pub kinds: Vec<TypeId>,
    /// The part without any job, and a placement to try it with.
    empty: Capacity,
    judge: Box<dyn Placement>,
    /// Jobs that run on fewer accelerators than they asked for.
    pub small: BTreeSet<JobId>,
    /// What its jobs ask for, by type and tier.
    wanted: Vec<[u64; TIERS]>,
    said: Report,
    orders: Vec<Order>,
    notes: Vec<Note>,
}

/// The parts of a fleet, and where each node is.
pub(super) fn split(view: &View, placement: &dyn Placement, style: &Style) -> (Vec<Part>, Vec<(u16, NodeId)>) {
    let fleet = view.fleet();
    let areas = match style.by {
        By::Region => fleet.regions.len(),
        By::Cluster => fleet.clusters.len(),
    };
    let mut nodes = vec![Vec::new(); areas];
    for (id, node) in fleet.nodes.iter().enumerate() {
        let area = match style.by {
            By::Region => fleet.region_of(node.cluster).index(),
            By::Cluster => node.cluster.index(),
        };
        nodes[area].push(NodeId(id as u32));
    }
    nodes.retain(|nodes| !nodes.is_empty());
    let mut part_of = vec![(0, NodeId(0)); fleet.nodes.len()];
    for (part, nodes) in nodes.iter().enumerate() {
        for (local, node) in nodes.iter().enumerate() {
            part_of[node.index()] = (part as u16, NodeId(local as u32));
        }
    }
    let parts = nodes.into_iter().enumerate().map(|(part, nodes)| Part::new((view, placement), style, part, nodes));
    (parts.collect(), part_of)
}

impl Part {
    fn new((view, placement): (&View, &dyn Placement), style: &Style, part: usize, nodes: Vec<NodeId>) -> Part {
        let whole = view.fleet();
        let own = nodes.iter().map(|&node| *whole.node(node)).collect();
        let Fleet { regions, clusters, types, domains, .. } = whole.clone();
        let fleet = Fleet { regions, clusters, types, domains, nodes: own };
        let policy = crate::catalog::by_name(&style.of, style.seed.wrapping_add(part as u64)).expect("tried before").0;
        let mut kinds: Vec<TypeId> = fleet.nodes.iter().map(|node| node.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let mut scheduler = Scheduler::new(fleet.clone(), policy, placement.fork());
        scheduler.know_tiers(view.tiers());
        Part {
            scheduler,
            wakeup: None,
            nodes,
            kinds,
            jobs: IdTable::default(),
            wanted: vec![[0; TIERS]; fleet.types.len()],
            empty: Capacity::new(fleet),
            judge: placement.fork(),
            small: BTreeSet::new(),
            said: Report::new(),
            orders: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Whether such a gang would fit if nobody else were there and everything were up.
    pub fn could_hold(&mut self, demand: &Demand) -> bool {
        self.judge.place(&self.empty, demand).is_some()
    }

    pub fn member(&self, number: JobId) -> &Member {
        self.jobs.get(number).expect("it is live")
    }

    /// Takes in a job.
    pub fn adopt(&mut self, job: &Job, fleet_number: JobId, kind: TypeId, now: Time) -> JobId {
        self.wanted[kind.index()][tier_of(job)] += job.spec.demand.milli_total();
        self.jobs.push(Member { job: fleet_number, class: job.class, tier: job.spec.tier, since: now });
        self.scheduler.adopt(now, job)
    }

    /// Lets a job go that goes on elsewhere.
    pub fn dismiss(&mut self, job: &Job, number: JobId, kind: TypeId, now: Time) {
        self.scheduler.handle(now, &Event::Withdrawn { job: number });
        self.forget(job, number, kind);
    }

    /// Forgets a job that is done.
    pub fn forget(&mut self, job: &Job, number: JobId, kind: TypeId) {
        self.wanted[kind.index()][tier_of(job)] -= job.spec.demand.milli_total();
        self.jobs.retire(number);
        self.small.remove(&number);
    }

    /// Takes in an event of the fleet about the part's job `number`, whose attempts are counted `skew` further here.
    pub fn hear(&mut self, now: Time, event: &Event, number: JobId, skew: u32) {
        let attempt_here = |attempt: Attempt| Attempt(attempt.0.wrapping_add(skew));
        let mut event = event.clone();
        match &mut event {
            Event::Started { job, attempt }
            | Event::Stopped { job, attempt, .. }
            | Event::Finished { job, attempt }
            | Event::Failed { job, attempt, .. } => (*job, *attempt) = (number, attempt_here(*attempt)),
            Event::Withdrawn { job } => *job = number,
            Event::Submit { .. } | Event::Node { .. } => unreachable!("jobs are adopted, and nodes are told directly"),
        }
        self.scheduler.handle(now, &event);
    }

    /// Decides, and has it carried out on the fleet.
    pub fn decide(&mut self, plan: &mut Plan<'_>, rows: &mut IdTable<Row>) {
        for _ in 0..TRIES {
            let decision = self.scheduler.decide(plan.now());
            self.orders.clear();
            self.orders.extend_from_slice(decision.orders);
            self.notes.clear();
            self.notes.extend_from_slice(decision.notes);
            for note in std::mem::take(&mut self.notes) {
                self.pass_on(plan, &note);
            }
            let mut undone = false;
            for order in std::mem::take(&mut self.orders) {
                undone |= self.carry_out(plan, rows, order);
            }
            if !undone {
                return;
            }
        }
    }

    fn pass_on(&self, plan: &mut Plan<'_>, note: &Note) {
        let job = self.member(note.job).job;
        if !plan.is_live(job) {
            return;
        }
        let known = |job: JobId| self.jobs.get(job).map(|member| member.job);
        let reason = match note.reason {
            Reason::BehindHead { head } => known(head).map(|head| Reason::BehindHead { head }),
            Reason::WouldDelay { reserved } => known(reserved).map(|reserved| Reason::WouldDelay { reserved }),
            Reason::Outranked { by } => Some(Reason::Outranked { by: by.and_then(known) }),
            Reason::Preempted { by } => Some(Reason::Preempted { by: by.and_then(known) }),
            other => Some(other),
        };
        if let Some(reason) = reason {
            plan.hold(job, reason);
        }
    }

    /// Returns whether the part has to think again: what it stopped had not begun, since others still vacate the place.
    fn carry_out(&mut self, plan: &mut Plan<'_>, rows: &mut IdTable<Row>, order: Order) -> bool {
        match order {
            Order::Start { job: number, attempt, mut allocation } => {
                let job = self.member(number).job;
                allocation.iter_mut().for_each(|grant| grant.node = self.nodes[grant.node.index()]);
                plan.launch_at(job, allocation);
                let entry = plan.job(job);
                if entry.size() < entry.spec.demand.accelerators {
                    self.small.insert(number);
                } else {
                    self.small.remove(&number);
                }
                let next = entry.attempt.0 + u32::from(entry.phase == Phase::Assigned);
                rows.get_mut(job).expect("live jobs have rows").skew = attempt.0.wrapping_sub(next);
                false
            }
            Order::Preempt { job: number, attempt } => {
                let job = self.member(number).job;
                let entry = plan.job(job);
                if entry.phase != Phase::Assigned {
                    plan.stop(job);
                    return false;
                }
                let progress = entry.progress;
                plan.preempt(job, None);
                self.scheduler.handle(plan.now(), &Event::Stopped { job: number, attempt, progress });
                true
            }
        }
    }

    /// Whether any of its jobs could be better off elsewhere: it waits, or runs on less than it asked for.
    pub fn is_restless(&self) -> bool {
        !self.small.is_empty() || !self.scheduler.view().pending().is_empty()
    }

    /// Its state, if that has changed since it was asked last.
    pub fn news(&mut self) -> Option<Report> {
        let report = self.report();
        let changed = report != self.said;
        if changed {
            self.said.clone_from(&report);
        }
        changed.then_some(report)
    }

    /// Its state.
    pub fn report(&self) -> Report {
        let capacity = self.scheduler.view().capacity();
        let mut report = vec![super::knowledge::Kind::default(); self.wanted.len()];
        // Groups of one kind and cluster follow each other, or are the only ones.
        let mut last = (None, 0);
        for group in capacity.groups() {
            let kind = &mut report[group.kind.index()];
            kind.open += u64::from(group.nodes) * u64::from(group.size) * 1000;
            let (widest, whole) = shape(capacity, group);
            let like = Some((group.cluster, group.kind, group.size));
            last = if last.0 == like && !group.fungible { (like, last.1 + whole) } else { (like, whole) };
            (kind.widest, kind.whole) = (kind.widest.max(widest), kind.whole.max(last.1));
        }
        for (node, _) in capacity.closed() {
            let node = capacity.fleet().node(node);
            report[node.kind.index()].open -= u64::from(node.accelerators) * 1000;
        }
        for (kind, entry) in report.iter_mut().enumerate() {
            entry.free = capacity.free_milli_of(TypeId(kind as u8));
            entry.wanted = self.wanted[kind];
        }
        report
    }

    pub fn to_state(&self) -> Result<PartState, StateError> {
        Ok(PartState {
            scheduler: self.scheduler.save().map_err(of_part)?,
            wakeup: self.wakeup,
            jobs: self.jobs.clone(),
            small: self.small.clone(),
            wanted: self.wanted.clone(),
            said: self.said.clone(),
        })
    }

    /// Becomes what was saved; nothing has happened in it yet.
    pub fn become_again(&mut self, state: PartState) -> Result<(), StateError> {
        self.scheduler.load(&state.scheduler).map_err(of_part)?;
        (self.wakeup, self.jobs, self.small) = (state.wakeup, state.jobs, state.small);
        (self.wanted, self.said) = (state.wanted, state.said);
        Ok(())
    }

    /// Takes what a gang over several parts holds here out of the part's hands, or gives it back.
    pub fn lend(&mut self, grants: impl Iterator<Item = (Grant, NodeId)>, milli: u16, lent: bool) {
        let grants: Allocation = grants.map(|(grant, node)| Grant { node, ..grant }).collect();
        if !grants.is_empty() {
            self.scheduler.lend(&grants, milli, lent);
        }
    }
}

/// The most accelerators free on one node of the group, and on its wholly free nodes.
fn shape(capacity: &Capacity, group: &Group) -> (u32, u64) {
    if group.fungible {
        let free = |node: u32| capacity.node_free_milli(NodeId(node)) / 1000;
        let most = group.with_free(0).iter().map(free).max().unwrap_or(0);
        return (most as u32, most);
    }
    let widest = (0..=group.size).rev().find(|&free| !group.with_free(free).is_empty()).unwrap_or(0);
    (widest, u64::from(group.size) * group.with_free(group.size).len() as u64)
}
