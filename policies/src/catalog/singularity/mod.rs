//! The policy that Singularity's description asks for.

mod claim;
mod consolidate;
mod floor;
mod ranks;
mod room;
mod turns;
mod upkeep;

use super::{Entry, Parameter, Policy, Spec, SpecError};
use crate::allocation::Allocation;
use crate::event::{Event, NodeState};
use crate::ids::{JobId, NodeId};
use crate::idtable::IdTable;
use crate::job::{Demand, Phase};
use crate::plan::Plan;
use crate::queue::ClassQueue;
use crate::time::{Span, Time};
use crate::view::View;
use floor::{Floor, TIERS, WORST};
use ranks::Ranks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use turns::{Share, Turns};

pub(super) const ENTRY: Entry = Entry {
    name: "singularity",
    about: "tiers with guarantees: work-conserving; better tiers shrink, move or stop worse ones (Shukla et al., arXiv 2202.07848)",
    parameters: &[
        Parameter { key: "resize", default: "true", about: "run elastic gangs on fewer accelerators rather than not at all" },
        Parameter { key: "migrate", default: "true", about: "move jobs to make one large place of several small ones" },
        Parameter {
            key: "turns",
            default: "120",
            about: "seconds that it may take to stop one job and start another, where jobs of a tier take turns within their windows; 0 for no turns",
        },
        Parameter {
            key: "quiet",
            default: "600",
            about: "seconds after its start or move in which a job is not moved for gain",
        },
        Parameter {
            key: "starve",
            default: "86400",
            about: "seconds without running after which a job of the worst tier goes before others of it",
        },
    ],
};

pub(super) fn make(spec: &Spec) -> Result<Box<dyn Policy>, SpecError> {
    let seconds = |key| {
        let number: f64 = spec.get_where(key, "a number of seconds, at least 0", |s: &f64| *s >= 0.0)?;
        Ok(Span::from_secs_f64(number).unwrap_or(Span::MAX))
    };
    let expected = "true or false";
    Ok(Box::new(Singularity::new(Style {
        resize: spec.get("resize", expected)?,
        migrate: spec.get("migrate", expected)?,
        turns: seconds("turns")?,
        quiet: seconds("quiet")?,
        starve: seconds("starve")?,
    })))
}

/// What can be chosen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Style {
    resize: bool,
    migrate: bool,
    turns: Span,
    quiet: Span,
    starve: Span,
}

/// What is known of a live job beside what the view knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    /// The rank of its tier, or a better one while it is owed.
    tier: u8,
    /// When it last took a seat; when it began to wait, while it has none.
    since: Time,
    /// Where it sits, or will when it has been moved; empty while it has no place.
    seat: Allocation,
    /// What it has had of its window.
    share: Share,
}

/// Tiers in strict order, each by arrival. Nobody waits while something fits:
///
/// * a job that finds no room takes it from worse tiers, where the fewest accelerators are held by them;
/// * who made way goes on at once on fewer accelerators, or elsewhere, if that fits, and waits otherwise; nothing is lost;
/// * elastic gangs for which there is no room start on fewer accelerators;
/// * what nobody can use goes to gangs that run on fewer than they asked for, the best tier first; those that run too slowly for what
///   they were promised take it from worse tiers;
/// * those of a tier take [turns](turns) when there is too little for all of them;
/// * nodes that are to be emptied are;
/// * who is of the worst tier and has not run for `starve` goes before others of it, and takes their place.
#[derive(Serialize, Deserialize)]
struct Singularity {
    style: Style,
    ranks: Option<Ranks>,
    floor: Option<Floor>,
    rows: IdTable<Row>,
    waiting: [ClassQueue<Time>; TIERS],
    /// Jobs of the worst tier that wait, by since when.
    hungry: BTreeSet<(Time, JobId)>,
    /// Jobs that had waited too long and run now, by when they rank with their tier again.
    fed: BTreeSet<(Time, JobId)>,
    /// Jobs that were stopped for others and have not found another place yet.
    uprooted: BTreeSet<(u8, Time, JobId)>,
    /// Jobs that sit on fewer accelerators than they asked for.
    shrunk: BTreeSet<(u8, Time, JobId)>,
    turns: Turns,
    /// Nodes to be emptied.
    draining: BTreeSet<NodeId>,
    wakeup: Option<Time>,
}

impl Singularity {
    fn new(style: Style) -> Singularity {
        Singularity {
            style,
            ranks: None,
            floor: None,
            rows: IdTable::default(),
            waiting: std::array::from_fn(|_| ClassQueue::default()),
            hungry: BTreeSet::new(),
            fed: BTreeSet::new(),
            uprooted: BTreeSet::new(),
            shrunk: BTreeSet::new(),
            turns: Turns::default(),
            draining: BTreeSet::new(),
            wakeup: None,
        }
    }

    fn row(&self, job: JobId) -> &Row {
        self.rows.get(job).expect("live jobs have rows")
    }

    fn row_mut(&mut self, job: JobId) -> &mut Row {
        self.rows.get_mut(job).expect("live jobs have rows")
    }

    /// The job waits.
    fn wait(&mut self, view: &View, job: JobId) {
        let entry = view.job(job);
        let (class, submit) = (entry.class, entry.submit);
        let own = self.ranks.get_or_insert_with(|| Ranks::of(view)).rank(entry.spec.tier);
        let row = self.row_mut(job);
        (row.tier, row.since) = (own, view.now());
        self.waiting[own as usize].push(class, submit, job);
        if usize::from(own) == WORST {
            self.hungry.insert((view.now(), job));
        }
        self.await_turn(view, job);
    }

    /// The job has a place, or was given another.
    fn sit(&mut self, plan: &Plan<'_>, job: JobId) {
        let entry = plan.job(job);
        let seat = if entry.next.is_empty() { &entry.allocation } else { &entry.next }.clone();
        let small = seat.iter().map(|grant| grant.count).sum::<u32>() < entry.spec.demand.accelerators;
        let whole = entry.spec.demand.is_whole();
        let row = self.rows.get_mut(job).expect("live jobs have rows");
        let tier = row.tier;
        self.hungry.remove(&(row.since, job));
        row.since = plan.now();
        self.take_seat(plan, job);
        let row = self.rows.get_mut(job).expect("live jobs have rows");
        if small {
            self.shrunk.insert((tier, row.since, job));
        }
        if whole {
            row.seat = seat;
            self.floor.as_mut().expect("made at the first decision").enter(job, tier.into(), &row.seat);
        }
    }

    /// The job has no place any more.
    fn rise(&mut self, job: JobId) {
        let Some(row) = self.rows.get_mut(job) else { return };
        self.shrunk.remove(&(row.tier, row.since, job));
        self.fed.remove(&(row.since + self.style.quiet, job));
        if !row.seat.is_empty() {
            let seat = std::mem::take(&mut row.seat);
            self.floor.as_mut().expect("made at the first decision").leave(job, row.tier.into(), &seat);
        }
    }

    /// Starts what waits of one tier, in order of arrival; what does not fit does not keep the others waiting.
    fn start_waiting(&mut self, plan: &mut Plan<'_>, tier: usize) {
        if self.waiting[tier].is_empty() {
            return;
        }
        let mut queue = std::mem::take(&mut self.waiting[tier]);
        queue.launch_where(plan, |plan, job| self.try_start(plan, job, tier));
        // Who was stopped for these is of worse tiers and waits there.
        debug_assert!(self.waiting[tier].is_empty());
        self.waiting[tier] = queue;
    }

    fn try_start(&mut self, plan: &mut Plan<'_>, job: JobId, tier: usize) -> bool {
        let spec = plan.job(job).spec;
        let full = spec.demand.accelerators;
        if plan.launch(job) || self.claim(plan, job, tier, full) || self.consolidate(plan, job, full) {
            self.sit(plan, job);
            return true;
        }
        if !self.style.resize || spec.elastic.is_rigid() {
            return false;
        }
        for size in spec.sizes().skip(1) {
            if plan.launch_on(job, size) || self.claim(plan, job, tier, size) {
                self.sit(plan, job);
                return true;
            }
        }
        false
    }

    /// Takes room from worse tiers, for a job that waits or for one that runs and is to grow. Returns whether it has a place now.
    fn claim(&mut self, plan: &mut Plan<'_>, job: JobId, tier: usize, size: u32) -> bool {
        let demand = plan.job(job).spec.demand;
        if tier + 1 >= TIERS || !demand.is_whole() || size == 0 {
            return false;
        }
        let Singularity { floor, rows, .. } = &*self;
        let floor = floor.as_ref().expect("made at the first decision");
        let victims = |plan: &Plan<'_>, node: NodeId| {
            let stops = |&job: &JobId| {
                let settled = matches!(plan.job(job).phase, Phase::Assigned | Phase::Starting | Phase::Running);
                settled && usize::from(rows.get(job).expect("live").tier) > tier
            };
            let mut jobs: Vec<JobId> = floor.jobs_on(node).iter().copied().filter(stops).collect();
            // The worst tier first; of equals who sat down last.
            jobs.sort_by_key(|&job| rows.get(job).map(|row| (std::cmp::Reverse((row.tier, row.since)), job)));
            jobs
        };
        let sites = |plan: &Plan<'_>, demand: &Demand| claim::sites(plan.capacity(), floor, demand, tier);
        let Some(stopped) = claim::claim(plan, (job, size), sites, victims) else { return false };
        for victim in stopped {
            self.uproot(plan, victim);
        }
        true
    }

    /// A job that was just stopped for another one gets up.
    fn uproot(&mut self, plan: &Plan<'_>, job: JobId) {
        self.rise(job);
        if plan.job(job).phase == Phase::Pending {
            self.wait(plan, job);
        } else {
            let key = (self.row(job).tier, plan.job(job).submit, job);
            self.uprooted.insert(key);
        }
    }
}

impl Policy for Singularity {
    crate::saved_by_serde!();

    fn observe(&mut self, view: &View, event: &Event) {
        match *event {
            Event::Submit { job, .. } => {
                self.rows.push(Row { tier: 0, since: view.now(), seat: Allocation::new(), share: Share::default() });
                self.wait(view, job);
            }
            Event::Started { job, .. } => {
                self.begin_share(view, job);
                // Being quiet is counted from here.
                let now = view.now();
                let row = self.rows.get_mut(job).expect("live jobs have rows");
                if self.shrunk.remove(&(row.tier, row.since, job)) {
                    self.shrunk.insert((row.tier, now, job));
                }
                // An attempt that was told to stop may start after all, before the next one does.
                self.fed.remove(&(row.since + self.style.quiet, job));
                row.since = now;
                if usize::from(row.tier) == WORST - 1 && !row.seat.is_empty() {
                    self.fed.insert((now + self.style.quiet, job));
                }
            }
            Event::Stopped { job, .. } | Event::Failed { job, .. } | Event::Finished { job, .. } => {
                let entry = view.job(job);
                let key = (self.row(job).tier, entry.submit, job);
                self.uprooted.remove(&key);
                self.end_share(view, job);
                match entry.phase {
                    // On its way it could not be stopped for others; now it can.
                    Phase::Assigned => {
                        let tier = usize::from(self.row(job).tier);
                        self.waiting[..tier].iter_mut().for_each(ClassQueue::unblock);
                    }
                    Phase::Done => {
                        self.leave_seat(view, job);
                        self.rise(job);
                        self.rows.retire(job);
                    }
                    _ => {
                        self.rise(job);
                        self.wait(view, job);
                    }
                }
            }
            Event::Withdrawn { job } => {
                let (class, submit) = (view.job(job).class, view.job(job).submit);
                let (tier, since) = (self.row(job).tier, self.row(job).since);
                self.waiting[usize::from(tier)].remove(class, submit, job);
                self.hungry.remove(&(since, job));
                self.uprooted.remove(&(tier, submit, job));
                self.leave_seat(view, job);
                self.rise(job);
                self.rows.retire(job);
            }
            Event::Node { node, state } => {
                if let Some(floor) = &mut self.floor {
                    floor.set_open(node, state == NodeState::Up);
                }
                if state == NodeState::Draining {
                    self.draining.insert(node)
                } else {
                    self.draining.remove(&node)
                };
            }
        }
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        if self.floor.is_none() {
            let mut floor = Floor::new(plan.capacity());
            plan.capacity().closed().for_each(|(node, _)| floor.set_open(node, false));
            self.floor = Some(floor);
        }
        self.wakeup = None;
        self.feed(plan);
        self.empty_nodes(plan);
        loop {
            let generation = plan.capacity().generation();
            for tier in 0..TIERS {
                // Who made way goes on before others of its tier start.
                self.replant(plan, tier);
                self.start_waiting(plan, tier);
            }
            // Who made way may have left room for more than the job that it made way for.
            let settled = generation == plan.capacity().generation();
            if !self.catch_up(plan) && settled && !self.take_turns(plan) {
                break;
            }
        }
        self.grow(plan);
    }

    fn next_wakeup(&self, _: &View) -> Option<Time> {
        self.wakeup
    }
}
