//! Starts, stops, moves and checkpoints under a [`Mechanism`]: what [`Costs`](crate::Costs) say in a number takes place here, step
//! by step, and over links that jobs share.
//!
//! | step | accelerators | who can delay it |
//! |---|---|---|
//! | barrier | held, the job works on and may finish | |
//! | dump | held, the job stands still | |
//! | upload | free, if `checkpoint.upload_in_background`; else held | all that share the links |
//! | download | held | all that share the links, and the job's own upload: it begins when that is over |
//! | restore | held | |
//!
//! A job goes on from where it stood after the barrier: nothing is done twice. A job without any checkpoint pays `start` instead
//! of download and restore, and a job that is told to stop before it runs stops at once. A checkpoint counts when its upload is
//! over. If one of its nodes goes down before, it is lost, and the job's next start is reported as failed, with what is left.
//! Where it goes on decides what it fetches: nothing on the same nodes (see
//! [`NetworkSpec::always_fetch`](traces::scenario::NetworkSpec)), from the store of its region within that, over the links between
//! regions elsewhere; its next checkpoint there is a whole one.

mod links;
mod trouble;
mod work;

use super::carried::{Carried, Fetch, Seat, Stage, Upload, nodes_of};
use super::troubles::Troubles;
use super::{Happening, State, Truth, World};
use crate::mechanism::{JobState, Mechanism, StoreLink};
use crate::network::Network;
use policies::{
    Allocation, Attempt, ClusterId, Elastic, Event, FULL_SPEED, Fleet, IdTable, JobId, JobSpec, NodeId, Span, Time,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use traces::scenario::{NetworkSpec, StateRule};

/// What a mechanism did in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// Starts without a checkpoint.
    pub starts: u64,
    /// Starts from one.
    pub restores: u64,
    /// Of these, those that had nothing to fetch.
    pub restores_local: u64,
    /// Stops of jobs that ran.
    pub stops: u64,
    /// Periodic checkpoints.
    pub checkpoints: u64,
    /// Checkpoints that a node took with it before they were stored.
    pub checkpoints_lost: u64,
    /// Bytes that were to be stored.
    pub uploaded_bytes: u128,
    /// Bytes that were to be fetched.
    pub fetched_bytes: u128,
    /// Of these, those from another region.
    pub fetched_far_bytes: u128,
    /// Accelerator-microseconds in which jobs stood still for periodic checkpoints. A ledger counts them as useful work of
    /// attempts that finish, as nobody reports what these did.
    pub paused_us: u128,
}

/// The mechanism of a world, and what its jobs carry.
#[derive(Serialize, Deserialize)]
pub(super) struct Switching {
    #[serde(skip)]
    mechanism: Option<Mechanism>,
    pub(super) network: Network,
    always_fetch: bool,
    /// Cluster of each node, and whether its accelerators are only counted.
    #[serde(skip)]
    nodes: Vec<(ClusterId, bool)>,
    #[serde(skip)]
    profiles: Vec<JobState>,
    /// Number of each job's profile, by id.
    #[serde(skip)]
    chosen: Vec<u16>,
    pub(super) jobs: IdTable<Carried>,
    uploading: BTreeSet<JobId>,
    /// When a node went down last.
    went_down: BTreeMap<NodeId, Time>,
    pub(super) troubles: Troubles,
    pub(super) switched: Switched,
}

impl Switching {
    /// `jobs`: name and accelerators of each job, by id.
    pub fn new<'a>(
        fleet: &Fleet,
        mechanism: Option<&Mechanism>,
        network: &NetworkSpec,
        jobs: impl Iterator<Item = (&'a str, u32)>,
    ) -> Switching {
        let none = (Vec::new(), Vec::new());
        let (mut profiles, chosen) = mechanism.map_or(none, |mechanism| {
            let rule = |rule: &StateRule| mechanism.profiles.get(&rule.profile).cloned().unwrap_or_default();
            let profiles: Vec<JobState> = mechanism.states.iter().map(rule).collect();
            let choose = |(name, size)| StateRule::choose(&mechanism.states, name, size).unwrap_or(profiles.len()) as u16;
            let chosen = jobs.map(choose).collect();
            (profiles, chosen)
        });
        // Of jobs to which no rule applies.
        profiles.push(JobState::default());
        Switching {
            mechanism: mechanism.cloned(),
            network: Network::new(fleet, network),
            always_fetch: network.always_fetch,
            nodes: fleet.nodes.iter().map(|node| (node.cluster, node.is_fungible())).collect(),
            profiles,
            chosen,
            jobs: IdTable::default(),
            uploading: BTreeSet::new(),
            went_down: BTreeMap::new(),
            troubles: Troubles::default(),
            switched: Switched::default(),
        }
    }

    /// The same, with what is given and not saved from a fresh one.
    pub fn of(mut self, fresh: Switching) -> Switching {
        let Switching { mechanism, nodes, profiles, chosen, troubles, .. } = fresh;
        self.troubles.all = troubles.all;
        Switching { mechanism, nodes, profiles, chosen, ..self }
    }

    fn state(&self, job: &Carried) -> JobState {
        self.profiles[usize::from(job.profile)].with_workers(job.workers)
    }

    fn seat(&self, state: &JobState, allocation: &Allocation) -> Seat {
        let (mut accelerators, mut nodes) = (0, 0);
        for grant in allocation {
            accelerators += grant.count;
            let fungible = self.nodes[grant.node.index()].1;
            nodes += if fungible { grant.count.div_ceil(state.accelerators_per_node.max(1)) } else { 1 };
        }
        let cluster = allocation.first().map_or(ClusterId(0), |grant| self.nodes[grant.node.index()].0);
        let (place, region) = (state.placed_somehow(accelerators, nodes), self.network.region_of(cluster));
        Seat { place, cluster, region, nodes: nodes_of(allocation) }
    }

    /// Lets a job in. Sharing accelerators costs what the mechanism says, and only replicas of one shard can.
    pub fn submit(&mut self, spec: &mut JobSpec) {
        let (full, id) = (spec.demand.accelerators, self.jobs.len() as usize);
        let profile = self.chosen.get(id).copied().unwrap_or(self.profiles.len() as u16 - 1);
        let carried = Carried::new(profile, full.max(1));
        if let Some(mechanism) = self.mechanism.as_ref().filter(|_| !spec.elastic.is_rigid()) {
            spec.elastic = spliced(mechanism, &self.state(&carried), spec.elastic);
        }
        self.jobs.push(carried);
    }

    /// When a transfer ends next, or something begins or ends to be in the way.
    pub fn next_time(&self) -> Option<Time> {
        self.network.next_time().into_iter().chain(self.troubles.next_time()).min()
    }

    /// Carries out an order to start.
    pub fn start(&mut self, world: &mut World, now: Time, (job, attempt): (JobId, Attempt), at: &Allocation, delay: Span) {
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { return };
        if std::mem::take(&mut carried.forgotten) {
            truth.done = carried.durable;
            world.queue.push(now, (job, attempt, Happening::Lose));
            return;
        }
        let carried = self.jobs.get(job).expect("just there");
        let state = self.state(carried);
        let seat = self.seat(&state, at);
        truth.speed = self.troubles.speed(base_speed(truth, seat.place.accelerators()), &seat.nodes);
        let Some(mechanism) = &self.mechanism else {
            let carried = self.jobs.get_mut(job).expect("just there");
            (carried.durable, carried.cluster) = (truth.done, seat.cluster);
            carried.seat = Some(Box::new(seat));
            world.queue.push(now + delay, (job, attempt, Happening::Start));
            return;
        };
        let stored = carried.upload.as_ref().map(|upload| upload.image).or(carried.image.map(|(image, _)| image));
        let (local, awaited) = (self.is_local(carried, &seat), carried.upload.is_some());
        let (delay, fetches) = match stored {
            None => (mechanism.launch(seat.place).start, false),
            Some(image) => {
                let switch = mechanism.resume(&state, seat.place, image);
                (switch.download.local + switch.restore, !local)
            }
        };
        self.switched.starts += u64::from(stored.is_none());
        self.switched.restores += u64::from(stored.is_some());
        self.switched.restores_local += u64::from(stored.is_some() && local);
        let carried = self.jobs.get_mut(job).expect("just there");
        carried.cluster = seat.cluster;
        carried.seat = Some(Box::new(seat));
        if !fetches {
            world.queue.push(now + delay, (job, attempt, Happening::Start));
        } else if awaited {
            carried.fetch = Some(Box::new(Fetch::Awaited));
        } else {
            self.fetch(world, now, job);
        }
    }

    /// Whether the newest checkpoint still lies in the host memory of all these nodes, and of no others.
    fn is_local(&self, carried: &Carried, seat: &Seat) -> bool {
        let kept = |node: &NodeId| self.went_down.get(node).is_none_or(|&down| down < carried.copied);
        !self.always_fetch && !carried.copy.is_empty() && carried.copy == seat.nodes && carried.copy.iter().all(kept)
    }

    /// Transfers that are over by now.
    pub fn complete(&mut self, world: &mut World, now: Time, events: &mut Vec<Event>) {
        while let Some((time, flow)) = self.network.complete(now) {
            debug_assert_eq!(time, now, "the loop stops at each completion");
            match flow.way {
                StoreLink::Into => self.upload_on(world, now, flow.job, events),
                StoreLink::OutOf => {
                    let fetch = self.jobs.get(flow.job).and_then(|carried| carried.fetch.as_deref().copied());
                    fetch.into_iter().for_each(|fetch| self.fetch_on(world, now, flow.job, fetch));
                }
            }
        }
    }

    /// Carries out an order to stop an attempt that starts or runs.
    pub fn stop(&mut self, world: &mut World, now: Time, job: JobId, attempt: Attempt) {
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get(job)) else { return };
        let was = std::mem::replace(&mut truth.state, State::Stopping);
        let Some(mechanism) = &self.mechanism else {
            world.queue.push(now + world.costs.stop, (job, attempt, Happening::Stop));
            return;
        };
        if was == State::Starting {
            self.drop_fetch(now, job);
            world.queue.push(now, (job, attempt, Happening::Stop));
        } else if let Some(seat) = carried.seat.as_deref().filter(|_| !carried.paused) {
            let barrier = mechanism.barrier(&self.state(carried), seat.place);
            world.queue.push(now + barrier, (job, attempt, Happening::Barrier));
        }
    }

    /// Something happens.
    pub fn happen(
        &mut self,
        world: &mut World,
        now: Time,
        (job, attempt, what): (JobId, Attempt, Happening),
        events: &mut Vec<Event>,
    ) {
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { return };
        if what == Happening::Scanned {
            let waits = |upload: &Upload| upload.serial == attempt.0 && upload.stage == Stage::Local;
            if carried.upload.as_deref().is_some_and(waits) {
                self.upload_on(world, now, job, events);
            }
            return;
        }
        if truth.attempt != attempt {
            return;
        }
        let works = matches!(truth.state, State::Running | State::Stopping);
        match what {
            Happening::Start
                if truth.state == State::Starting || (self.mechanism.is_none() && truth.state == State::Stopping) =>
            {
                self.begin_work(world, now, job, events);
            }
            Happening::Finish if works && carried.ends == now => {
                truth.state = State::Done;
                world.jobs.retire(job);
                world.live -= 1;
                self.tell(Event::Finished { job, attempt }, events);
                self.finish(now, job);
            }
            Happening::Crash if carried.crashes == now && works => {
                let progress = self.break_off(world, now, job, &[]);
                self.tell(Event::Failed { job, attempt, progress, lost: false }, events);
            }
            Happening::Lose if matches!(truth.state, State::Starting | State::Stopping) => {
                truth.state = State::Waiting;
                let progress = truth.progress();
                carried.seat = None;
                self.drop_fetch(now, job);
                self.tell(Event::Failed { job, attempt, progress, lost: true }, events);
            }
            Happening::Stop if truth.state == State::Stopping && self.mechanism.is_some() => {
                self.stopped(world, now, job, events);
            }
            Happening::Stop if truth.state == State::Stopping => {
                let progress = truth.stop(now, &world.costs);
                self.tell(Event::Stopped { job, attempt, progress }, events);
            }
            Happening::Barrier if truth.state == State::Stopping => self.dump(world, now, job),
            Happening::Dumped if truth.state == State::Saving => self.dumped(world, now, job, events),
            Happening::Checkpoint if truth.state == State::Running => self.pause(world, now, job),
            Happening::Resume if works && carried.paused => self.paused(world, now, job),
            _ => {}
        }
    }

    /// Tells the scheduler, or will when what the job is in is joined again.
    pub fn tell(&mut self, event: Event, events: &mut Vec<Event>) {
        let cluster = match event {
            Event::Node { node, .. } => Some(self.nodes[node.index()].0),
            _ => event.job().and_then(|job| self.jobs.get(job)).map(|carried| carried.cluster),
        };
        self.troubles.tell(cluster, event, events);
    }

    /// The job is done or withdrawn: nothing of it is on its way any more.
    pub fn finish(&mut self, now: Time, job: JobId) {
        self.drop_upload(now, job);
        self.drop_fetch(now, job);
        if let Some(carried) = self.jobs.get_mut(job) {
            *carried = Carried::new(0, 1);
        }
        self.jobs.retire(job);
    }
}

/// What an attempt has done so far becomes the job's.
pub(super) fn bank(truth: &mut Truth, now: Time) {
    truth.done = (truth.done + truth.ran(now)).min(truth.work);
    truth.running_since = Time::MAX;
}

/// Speed on nodes that are well.
fn base_speed(truth: &Truth, accelerators: u32) -> u16 {
    if truth.elastic.is_rigid() { FULL_SPEED as u16 } else { truth.elastic.speed_on(truth.accelerators, accelerators) as u16 }
}

/// How a gang may be resized, with what sharing accelerators costs it: swaps and the overhead of splicing beside what the
/// scaling rule says. Sizes are multiples of what a replica spans.
fn spliced(mechanism: &Mechanism, state: &JobState, elastic: Elastic) -> Elastic {
    let shard = state.model_parallel.max(elastic.shard.into()).min(u16::MAX.into()) as u16;
    let mut least = FULL_SPEED as u16;
    let mut speed = elastic.speed;
    for (power, speed) in speed.iter_mut().enumerate() {
        let degree = 2 << power;
        let (alone, shared) = (mechanism.mini_batch(state, 1), mechanism.mini_batch(state, degree));
        let slowed = if alone == Span::ZERO {
            let ppm = 1_000_000 + mechanism.splice_overhead_ppm(state, degree).max(-999_999);
            i128::from(*speed) * 1_000_000 / i128::from(ppm)
        } else {
            i128::from(*speed) * i128::from(alone.0) * i128::from(degree) / i128::from(shared.0.max(1))
        };
        least = least.min(u16::try_from(slowed).unwrap_or(u16::MAX));
        *speed = least;
    }
    Elastic { shard, speed, ..elastic }
}
