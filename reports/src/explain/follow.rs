//! The pass over the log that tells one job's story.

use super::floor::{Floor, Leaver};
use super::{
    Doing, Ending, ExplainError, Explanation, Freed, JobRef, LISTED, MOMENTS_FIRST, Moment, Noted, Overtaken, Period, Spot,
};
use super::{seconds, text};
use crate::jobs::tenant_name;
use crate::lives::{Cause, Life, Lives, Move, Phase, named};
use crate::names::Names;
use crate::reasons::Waiting;
use policies::{Allocation, Demand, Event, JobId, JobSpec, Level, Note, Time};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use traces::runlog::{Header, JobMeta, LogReader, Step};

/// Follows the log until `target` is done.
pub(super) fn follow(mut reader: LogReader, target: JobId, demand: Demand) -> Result<Explanation, ExplainError> {
    let mut teller = Teller::new(reader.header.clone(), target, demand);
    while let Some(step) = reader.next_step()? {
        teller.step(&step);
        if teller.is_done() {
            break;
        }
    }
    let jobs = teller.book.specs.len() as u64;
    teller.finish().ok_or(ExplainError::NoSuchJob { wanted: format!("#{}", target.0), near: Vec::new(), jobs })
}

/// What is known of every job: enough to mention it.
struct Book {
    header: Header,
    names: Names,
    specs: Vec<JobSpec>,
    submits: Vec<Time>,
}

impl Book {
    fn mention(&self, job: JobId, at: Time) -> JobRef {
        let spec = &self.specs[job.index()];
        JobRef {
            id: job.0,
            name: self.names.get(job).unwrap_or_default().to_owned(),
            tenant: tenant_name(&self.header, spec.tenant.0),
            accelerators: thousandths(spec.demand.milli_total()),
            at_s: seconds(at),
        }
    }

    fn submitted(&self, job: JobId) -> JobRef {
        self.mention(job, self.submits[job.index()])
    }
}

fn thousandths(milli: u64) -> f64 {
    milli as f64 / 1000.0
}

struct Teller {
    book: Book,
    target: JobId,
    demand: Demand,
    lives: Lives,
    floor: Floor,
    now: Time,
    /// The period that the target is in.
    since: Time,
    overtaken_milli: u64,
    open: Option<Period>,
    periods: Vec<Period>,
    moments: Vec<Moment>,
    moments_seen: u64,
    /// A waiting job with the target's demand that was found not to fit.
    same_demand: Option<(JobId, Waiting, Time)>,
    end: Option<(Time, Cause)>,
}

impl Teller {
    fn new(header: Header, target: JobId, demand: Demand) -> Teller {
        Teller {
            floor: Floor::new(&header.fleet),
            book: Book { header, names: Names::default(), specs: Vec::new(), submits: Vec::new() },
            target,
            demand,
            lives: Lives::default(),
            now: Time::ZERO,
            since: Time::ZERO,
            overtaken_milli: 0,
            open: None,
            periods: Vec::new(),
            moments: Vec::new(),
            moments_seen: 0,
            same_demand: None,
            end: None,
        }
    }

    fn is_done(&self) -> bool {
        self.end.is_some()
    }

    fn step(&mut self, step: &Step) {
        self.now = step.now;
        let mut metas = step.metas.iter();
        for event in &step.events {
            if let Event::Submit { spec, .. } = event {
                self.book.names.push(metas.next().map_or("", |meta: &JobMeta| &meta.name));
                self.book.specs.push(*spec);
                self.book.submits.push(step.now);
            }
        }
        let mut moves = Vec::new();
        let mut lives = std::mem::take(&mut self.lives);
        lives.step(step.view(), |moved| moves.push(moved));
        for moved in &moves {
            self.moved(moved, &step.notes);
        }
        self.lives = lives;
        // What the target waited behind is what is there after the decision, not in the middle of it.
        if let Some(what) = moves.iter().filter(|moved| moved.job == self.target).find_map(worth_a_look)
            && self.waiting()
        {
            self.look_around(what);
        }
    }

    fn waiting(&self) -> bool {
        self.open.as_ref().is_some_and(|period| period.doing == Doing::Waiting)
    }

    fn moved(&mut self, moved: &Move<'_>, notes: &[Note]) {
        let demand = self.book.specs[moved.job.index()].demand;
        if moved.job == self.target {
            self.target_moved(moved, notes);
        } else if moved.cause == Cause::Ordered && moved.job > self.target && self.waiting() {
            self.overtaken_milli += moved.was.milli;
            let mention = self.book.mention(moved.job, moved.now);
            let Overtaken { starts, first, .. } = &mut self.open.as_mut().expect("it waits").overtaken;
            *starts += 1;
            if first.len() < LISTED {
                first.push(mention);
            }
        }
        if moved.job != self.target && demand == self.demand {
            self.same_demand_moved(moved);
        }
        self.floor.moved(moved, demand.milli);
    }

    fn same_demand_moved(&mut self, moved: &Move<'_>) {
        if moved.to == Phase::Waiting && matches!(moved.waiting, Waiting::NoCapacity | Waiting::Fragmented) {
            self.same_demand = Some((moved.job, moved.waiting, moved.now));
        } else if self.same_demand.is_some_and(|(job, ..)| job == moved.job) {
            self.same_demand = None;
        }
    }

    fn target_moved(&mut self, moved: &Move<'_>, notes: &[Note]) {
        if moved.cause == Cause::Noted {
            let note = notes.iter().find(|note| note.job == self.target && Waiting::of(&note.reason) == moved.waiting);
            if let (Some(note), Some(open)) = (note, &mut self.open) {
                open.reasons.push(Noted {
                    at_s: seconds(moved.now),
                    kind: moved.waiting,
                    text: text::reason(&note.reason),
                    behind: named(&note.reason).map(|job| self.book.submitted(job)),
                });
            }
            return;
        }
        let ending = match moved.cause {
            Cause::Ordered => Ending::Ordered,
            Cause::Started => Ending::Started,
            Cause::Stopped => Ending::Preempted,
            Cause::Failed => Ending::Failed,
            Cause::Lost => Ending::Lost,
            Cause::Withdrawn => Ending::Withdrawn,
            Cause::Finished | Cause::Submitted | Cause::Noted => Ending::Finished,
        };
        let place = moved.allocation.map(|allocation| self.spots(allocation)).unwrap_or_default();
        self.close(ending, place);
        let doing = match moved.to {
            Phase::Waiting => Doing::Waiting,
            Phase::Starting => Doing::Starting,
            Phase::Running => Doing::Running,
            Phase::Done => {
                self.end = Some((moved.now, moved.cause));
                return;
            }
        };
        // A wait is for the attempt that will end it.
        let attempt = moved.was.attempt + u32::from(matches!(moved.to, Phase::Waiting | Phase::Starting));
        self.open(doing, attempt);
    }

    fn open(&mut self, doing: Doing, attempt: u32) {
        let from_s = seconds(self.now);
        (self.since, self.overtaken_milli) = (self.now, 0);
        self.open = Some(Period {
            doing,
            from_s,
            to_s: from_s,
            ending: Ending::LogEnds,
            attempt,
            overtaken: Overtaken::default(),
            reasons: Vec::new(),
            place: Vec::new(),
        });
    }

    fn close(&mut self, ending: Ending, place: Vec<Spot>) {
        let Some(mut period) = self.open.take() else { return };
        (period.to_s, period.ending, period.place) = (seconds(self.now), ending, place);
        period.overtaken.accelerators = thousandths(self.overtaken_milli);
        // A start or a wait that took no time says nothing, unless it says where the job went.
        if self.now > self.since || !period.place.is_empty() {
            self.periods.push(period);
        }
    }

    fn spots(&self, allocation: &Allocation) -> Vec<Spot> {
        let fleet = &self.book.header.fleet;
        let freed = |leaver: Leaver| Freed { job: self.book.mention(leaver.job, leaver.at), ending: leaver.ending };
        let spot = |grant: &policies::Grant| Spot {
            node: grant.node.0,
            cluster: fleet.clusters[fleet.node(grant.node).cluster.index()].name.clone(),
            kind: fleet.types[fleet.node(grant.node).kind.index()].clone(),
            accelerators: grant.count,
            freed_by: self.floor.leavers(grant).into_iter().map(freed).collect(),
        };
        allocation.iter().map(spot).collect()
    }

    /// Describes the floor.
    fn look_around(&mut self, what: &'static str) {
        self.moments_seen += 1;
        if self.moments_seen > MOMENTS_FIRST && !self.moments_seen.is_power_of_two() {
            return;
        }
        let free = self.floor.free(&self.demand);
        let waits = |job: u32| &self.lives.rows()[job as usize];
        let ahead = || self.floor.pending.iter().take_while(|job| *job < self.target.0);
        let (largest_holders, largest_tenants) = self.largest();
        self.moments.push(Moment {
            at_s: seconds(self.now),
            what,
            acceptable: thousandths(free.acceptable_milli),
            free: thousandths(free.milli),
            free_nodes: free.nodes,
            free_on_one_node: thousandths(free.on_one_node),
            room: free.on_one_node >= self.demand.milli_total() && !self.floor.shares(),
            holders: self.floor.holdings.len() as u64,
            largest_holders,
            largest_tenants,
            ahead: ahead().count() as u64,
            ahead_accelerators: thousandths(ahead().map(|job| waits(job).milli).sum()),
            first_ahead: ahead().take(LISTED).map(|job| (self.book.submitted(JobId(job)), waits(job).waiting)).collect(),
            pending: self.floor.pending.len() as u64 - 1,
            same_demand: self.same_demand.map(|(job, waiting, at)| (self.book.mention(job, at), waiting)),
        });
    }

    /// The jobs and the tenants that hold most, the largest first, then the earliest.
    fn largest(&self) -> (Vec<JobRef>, Vec<(String, f64)>) {
        let life = |job: JobId| -> &Life { &self.lives.rows()[job.index()] };
        let mut jobs: Vec<(JobId, Time)> = self.floor.holdings.iter().map(|(job, holding)| (*job, holding.since)).collect();
        let mut tenants: BTreeMap<u32, u64> = BTreeMap::new();
        for (job, _) in &jobs {
            *tenants.entry(life(*job).tenant).or_default() += life(*job).milli;
        }
        jobs.sort_by_key(|(job, _)| (Reverse(life(*job).milli), *job));
        let mut tenants: Vec<(u32, u64)> = tenants.into_iter().collect();
        tenants.sort_by_key(|&(tenant, milli)| (Reverse(milli), tenant));
        let name = |(tenant, milli): (u32, u64)| (tenant_name(&self.book.header, tenant), thousandths(milli));
        (
            jobs.into_iter().take(LISTED).map(|(job, since)| self.book.mention(job, since)).collect(),
            tenants.into_iter().take(LISTED).map(name).collect(),
        )
    }

    fn finish(mut self) -> Option<Explanation> {
        let spec = *self.book.specs.get(self.target.index())?;
        self.close(Ending::LogEnds, Vec::new());
        let total = |waits: bool| {
            let periods = self.periods.iter().filter(|period| (period.doing == Doing::Running) != waits);
            periods.map(|period| period.to_s - period.from_s).sum()
        };
        let all_types = &self.book.header.fleet.types;
        let accepts = |kind: usize| spec.demand.types.contains(policies::TypeId(kind as u8));
        let any = (0..all_types.len()).all(accepts);
        let types =
            if any { Vec::new() } else { (0..all_types.len()).filter(|k| accepts(*k)).map(|k| all_types[k].clone()).collect() };
        Some(Explanation {
            policy: self.book.header.policy.clone(),
            epoch_unix_s: self.book.header.epoch_unix_s,
            job: self.book.submitted(self.target),
            gang: spec.demand.accelerators,
            milli: spec.demand.milli,
            within: match spec.demand.within {
                Level::Node => "node".into(),
                Level::Domain(number) => {
                    let domain = self.book.header.fleet.domains.get(usize::from(number));
                    domain.map_or_else(|| "domain".into(), |domain| domain.name.clone())
                }
                Level::Cluster => "cluster".into(),
                Level::Region => "region".into(),
                Level::Fleet => "fleet".into(),
            },
            types,
            priority: spec.priority,
            tier: spec.tier,
            estimate_s: spec.estimate.map(policies::Span::as_secs_f64),
            done: self.end.is_some(),
            failed: self.end.is_some_and(|(_, cause)| cause == Cause::Failed),
            withdrawn: self.end.is_some_and(|(_, cause)| cause == Cause::Withdrawn),
            waited_s: total(true),
            ran_s: total(false),
            periods: self.periods,
            moments_left_out: self.moments_seen - self.moments.len() as u64,
            moments: self.moments,
        })
    }
}

/// What to call a move of the target after which the floor is described.
fn worth_a_look(moved: &Move<'_>) -> Option<&'static str> {
    match moved.cause {
        Cause::Submitted => Some("it was submitted"),
        Cause::Stopped => Some("it was stopped"),
        Cause::Failed => Some("its attempt failed"),
        Cause::Lost => Some("its node broke"),
        Cause::Noted => Some("its reason to wait changed"),
        _ => None,
    }
}
