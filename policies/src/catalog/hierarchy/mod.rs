//! Several schedulers, each with a part of the fleet, and a level above them.

mod knowledge;
mod part;
mod rebalance;
mod saved;
mod spanning;

use super::{Entry, Parameter, Policy, Spec, SpecError};
use crate::event::{Event, Reason};
use crate::ids::{JobId, NodeId};
use crate::idtable::IdTable;
use crate::job::Phase;
use crate::placement::Placement;
use crate::plan::Plan;
use crate::snapshot::StateError;
use crate::time::{Span, Time};
use crate::view::View;
use knowledge::{Knowledge, Report, Seat};
use part::Part;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::str::FromStr;

pub(super) const ENTRY: Entry = Entry {
    name: "hierarchy",
    about: "a scheduler for each region or cluster, and a level above that sends them jobs and moves what waits (Singularity, arXiv 2202.07848, section 2)",
    parameters: &[
        Parameter { key: "by", default: "region", about: "into what the fleet is split: region or cluster" },
        Parameter {
            key: "of",
            default: "singularity",
            about: "the policy of each part, with its parameters; another hierarchy for more levels",
        },
        Parameter {
            key: "delay",
            default: "0",
            about: "seconds after which the level above hears of a part's state, and a part of what it is told",
        },
        Parameter {
            key: "every",
            default: "60",
            about: "seconds between two looks for jobs that would fit elsewhere; 0 for never",
        },
    ],
};

pub(super) fn make(spec: &Spec, seed: u64) -> Result<Box<dyn Policy>, SpecError> {
    let seconds = |key| {
        let number: f64 = spec.get_where(key, "a number of seconds, at least 0", |s: &f64| *s >= 0.0)?;
        Ok(Span::from_secs_f64(number).unwrap_or(Span::MAX))
    };
    let of: String = spec.get("of", "the name of a policy")?;
    super::by_name(&of, seed)?;
    let style =
        Style { by: spec.get("by", "region or cluster")?, of, seed, delay: seconds("delay")?, every: seconds("every")? };
    Ok(Box::new(Hierarchy::new(style)))
}

/// Into what a fleet is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Region,
    Cluster,
}

impl FromStr for By {
    type Err = ();

    fn from_str(text: &str) -> Result<By, ()> {
        match text {
            "region" => Ok(By::Region),
            "cluster" => Ok(By::Cluster),
            _ => Err(()),
        }
    }
}

/// What can be chosen.
#[derive(Clone, Debug)]
struct Style {
    by: By,
    of: String,
    seed: u64,
    delay: Span,
    every: Span,
}

/// Where a job is, to this level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    /// Here: no part has heard of it yet.
    Here,
    /// In a part, where it has a number of its own.
    In(Seat, JobId),
    /// On its way out of a part, to go on in another one when it has stopped.
    Leaving(Seat),
    /// Over several parts: no single one could hold it.
    Spanning,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Row {
    place: Place,
    /// The number of its attempts in its part, less that here.
    skew: u32,
}

/// What is under way between the levels.
#[derive(Serialize, Deserialize)]
enum Letter {
    /// A part tells its state.
    Report(usize, Report),
    /// The level above gives a part a job.
    Assign(JobId, Seat),
    /// It takes a job from the part, to give it to another one.
    Recall(JobId, Seat, Seat),
}

/// Splits the fleet into parts, each with a [`Scheduler`](crate::Scheduler) and a policy of its own that know nothing of each other.
///
/// The level above knows each part by its reports: what is open and free by accelerator type, how large a gang fits, and what its
/// jobs want by tier. A new job goes where it fits at once, to the part that is asked for least; else where its tier and better
/// ones leave room, so that worse ones make way; else where they ask for least. From time to time it looks for jobs that wait,
/// or run on fewer accelerators than they asked for, although another part could hold them, and moves them. What a part decides
/// is carried out as if it were the whole scheduler.
///
/// Levels on different machines see each other late: reports, and what a part is told, take `delay`. Events reach the part at
/// once. A gang that no part could hold is started by the level itself as soon as enough is free over several, which it knows at
/// once: there it is not a hierarchy.
///
/// A step costs what the parts concerned cost, and O(parts) for each job that is sent somewhere.
struct Hierarchy {
    style: Style,
    parts: Vec<Part>,
    /// The part of a node, and its number there.
    part_of: Vec<(u16, NodeId)>,
    rows: IdTable<Row>,
    knowledge: Knowledge,
    letters: VecDeque<(Time, Letter)>,
    /// Jobs that are to be sent somewhere.
    fresh: Vec<JobId>,
    /// Jobs that no part could hold and that wait, and where those that have a place hold what.
    spanning: spanning::Spanning,
    /// Parts that something has happened to since they last decided.
    touched: BTreeSet<usize>,
    /// Parts that were [restless](Part::is_restless) when they last decided.
    restless: BTreeSet<usize>,
    wakeups: BTreeSet<(Time, usize)>,
    next_look: Time,
    /// What was loaded and waits for the parts to be made.
    loaded: Option<Vec<u8>>,
}

impl Hierarchy {
    fn new(style: Style) -> Hierarchy {
        Hierarchy {
            style,
            parts: Vec::new(),
            part_of: Vec::new(),
            rows: IdTable::default(),
            knowledge: Knowledge::default(),
            letters: VecDeque::new(),
            fresh: Vec::new(),
            spanning: spanning::Spanning::default(),
            touched: BTreeSet::new(),
            restless: BTreeSet::new(),
            wakeups: BTreeSet::new(),
            next_look: Time::ZERO,
            loaded: None,
        }
    }

    fn place(&self, job: JobId) -> Place {
        self.rows.get(job).expect("live jobs have rows").place
    }

    fn put(&mut self, job: JobId, place: Place) {
        self.rows.get_mut(job).expect("live jobs have rows").place = place;
    }

    fn send(&mut self, now: Time, letter: Letter) {
        self.letters.push_back((now + self.style.delay, letter));
    }

    /// Makes the parts, once the fleet, the placement and the tiers are known.
    fn settle(&mut self, plan: &mut Plan<'_>) {
        let (parts, part_of) = part::split(plan, plan.placement, &self.style);
        self.knowledge = Knowledge::new(&parts);
        (self.parts, self.part_of) = (parts, part_of);
        for (node, state) in plan.capacity().closed().collect::<Vec<_>>() {
            self.observe(plan, &Event::Node { node, state });
        }
        self.touched.extend(0..self.parts.len());
    }

    /// Reads the letters that have arrived.
    fn read_letters(&mut self, plan: &mut Plan<'_>) {
        let now = plan.now();
        while let Some((_, letter)) = self.letters.pop_front_if(|(due, _)| *due <= now) {
            match letter {
                Letter::Report(part, report) => self.knowledge.hear(part, report),
                Letter::Assign(job, seat) if plan.is_live(job) => {
                    let number = self.parts[seat.part].adopt(plan.job(job), job, seat.kind, now);
                    self.put(job, Place::In(seat, number));
                    self.touched.insert(seat.part);
                }
                Letter::Recall(job, from, to) if plan.is_live(job) => self.take_out(plan, job, from, to),
                Letter::Assign(..) | Letter::Recall(..) => {}
            }
        }
    }

    /// Sends new jobs to parts.
    fn send_fresh(&mut self, plan: &mut Plan<'_>) {
        for job in std::mem::take(&mut self.fresh) {
            if !plan.is_live(job) {
                continue;
            }
            match self.knowledge.choose(&mut self.parts, plan.job(job), None) {
                Some((seat, _)) => self.assign(plan.now(), plan, job, seat),
                None => self.spanning.wait(job),
            }
        }
    }

    fn assign(&mut self, now: Time, view: &View, job: JobId, seat: Seat) {
        self.knowledge.book(view.job(job), seat, now + self.style.delay + self.style.delay);
        self.send(now, Letter::Assign(job, seat));
    }

    /// Takes a job out of a part, where it may have moved on in the meantime.
    fn take_out(&mut self, plan: &mut Plan<'_>, job: JobId, from: Seat, to: Seat) {
        let now = plan.now();
        let Place::In(seat, number) = self.place(job) else { return };
        if seat.part != from.part {
            return;
        }
        let phase = plan.job(job).phase;
        self.parts[seat.part].dismiss(plan.job(job), number, seat.kind, now);
        self.touched.insert(seat.part);
        match phase {
            Phase::Assigned => plan.preempt(job, None),
            Phase::Starting | Phase::Running => {
                plan.hold(job, Reason::Moving { accelerators: plan.job(job).spec.demand.accelerators });
                plan.stop(job);
            }
            Phase::Pending | Phase::Stopping | Phase::Done => {}
        }
        if plan.job(job).phase == Phase::Pending {
            self.put(job, Place::Here);
            self.send(now, Letter::Assign(job, to));
        } else {
            self.put(job, Place::Leaving(to));
        }
    }

    /// Lets the parts decide to which something happened, and tells the level above what came of it.
    fn run_parts(&mut self, plan: &mut Plan<'_>) {
        let now = plan.now();
        while let Some((_, part)) = self.wakeups.first().copied().filter(|(due, _)| *due <= now) {
            self.wakeups.pop_first();
            self.touched.insert(part);
        }
        while let Some(part) = self.touched.pop_first() {
            let entry = &mut self.parts[part];
            entry.decide(plan, &mut self.rows);
            if entry.is_restless() {
                self.restless.insert(part);
            } else {
                self.restless.remove(&part);
            }
            if let Some(old) = entry.wakeup {
                self.wakeups.remove(&(old, part));
            }
            entry.wakeup = entry.scheduler.next_wakeup();
            self.wakeups.extend(entry.wakeup.map(|at| (at, part)));
            if let Some(report) = entry.news() {
                self.send(now, Letter::Report(part, report));
            }
        }
    }
}

impl Policy for Hierarchy {
    fn observe(&mut self, view: &View, event: &Event) {
        if let Event::Node { node, state } = *event {
            if let Some(&(part, node)) = self.part_of.get(node.index()) {
                self.parts[usize::from(part)].scheduler.handle(view.now(), &Event::Node { node, state });
                self.touched.insert(part.into());
            }
            return;
        }
        let job = event.job().expect("it is about a job");
        if let Event::Submit { .. } = event {
            self.rows.push(Row { place: Place::Here, skew: 0 });
            self.fresh.push(job);
            return;
        }
        let row = *self.rows.get(job).expect("live jobs have rows");
        let entry = view.job(job);
        match row.place {
            Place::In(seat, number) => {
                let part = &mut self.parts[seat.part];
                part.hear(view.now(), event, number, row.skew);
                self.touched.insert(seat.part);
                if entry.phase == Phase::Done {
                    part.forget(entry, number, seat.kind);
                }
            }
            Place::Leaving(to) if entry.phase == Phase::Pending => {
                self.put(job, Place::Here);
                self.send(view.now(), Letter::Assign(job, to));
            }
            Place::Spanning if matches!(entry.phase, Phase::Pending | Phase::Done) => {
                self.spanning.give_back(job, entry, &mut self.parts, &self.part_of);
                self.touched.extend(0..self.parts.len());
                if entry.phase == Phase::Pending {
                    self.put(job, Place::Here);
                    self.spanning.wait(job);
                }
            }
            _ => {}
        }
        if entry.phase == Phase::Done {
            self.spanning.forget(job);
            self.rows.retire(job);
        }
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        if self.parts.is_empty() {
            self.settle(plan);
        }
        self.read_letters(plan);
        self.knowledge.expire(plan.now());
        self.send_fresh(plan);
        self.read_letters(plan);
        self.run_parts(plan);
        self.start_spanning(plan);
        self.read_letters(plan);
        self.knowledge.expire(plan.now());
        if self.look_around(plan) {
            self.read_letters(plan);
            self.run_parts(plan);
            self.read_letters(plan);
        }
    }

    fn next_wakeup(&self, _: &View) -> Option<Time> {
        // Parts to which something happened since they decided may have changed their minds.
        let stirred = self.touched.iter().filter_map(|&part| self.parts[part].scheduler.wakeup_now());
        let due = self.letters.iter().find(|(_, letter)| !matches!(letter, Letter::Report(..))).map(|(due, _)| *due);
        let look = self.wants_to_look().then_some(self.next_look);
        let known = self.wakeups.iter().filter(|(_, part)| !self.touched.contains(part)).map(|(at, _)| *at).next();
        stirred.chain(due).chain(look).chain(known).min()
    }

    fn save(&self) -> Result<Vec<u8>, StateError> {
        self.to_bytes()
    }

    fn load(&mut self, state: &[u8]) -> Result<(), StateError> {
        self.loaded = Some(state.to_vec());
        Ok(())
    }

    fn resume(&mut self, view: &View, placement: &dyn Placement) -> Result<(), StateError> {
        self.make_again(view, placement)
    }
}
