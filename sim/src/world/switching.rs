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

use super::carried::{After, Carried, Fetch, Seat, Stage, Upload, nodes_of};
use super::troubles::Troubles;
use super::{ENDLESS, Happening, State, Truth, World};
use crate::mechanism::{Image, JobState, Leg, Mechanism, StoreLink, TransferId};
use crate::network::{Flow, Network};
use crate::recovery::Recovery;
use policies::elastic::time_for;
use policies::{
    Allocation, Attempt, ClusterId, Elastic, Event, FULL_SPEED, Fleet, IdTable, JobId, JobSpec, NodeId, Order, Span, Time,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use traces::faults::{Cut, Disturbance, Trouble};
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

    /// When a transfer ends next or, while anybody cares, something begins or ends to be in the way.
    pub fn next_time(&self, cares: bool) -> Option<Time> {
        self.network.next_time().into_iter().chain(self.troubles.next_time().filter(|_| cares)).min()
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

    /// Begins to fetch what is stored.
    fn fetch(&mut self, world: &mut World, now: Time, job: JobId) {
        let (Some(carried), Some(mechanism)) = (self.jobs.get(job), &self.mechanism) else { return };
        let (Some((image, store)), Some(seat)) = (carried.image, &carried.seat) else { return };
        let switch = mechanism.resume(&self.state(carried), seat.place, image);
        self.switched.fetched_bytes += u128::from(switch.download.bytes());
        self.switched.fetched_far_bytes += if store == seat.region { 0 } else { u128::from(switch.download.bytes()) };
        let rest = switch.download.local + switch.restore;
        self.fetch_on(world, now, job, Fetch::Under { leg: switch.download, stage: Stage::Local, rest });
    }

    /// The next part of fetching, or the restore.
    fn fetch_on(&mut self, world: &mut World, now: Time, job: JobId, fetch: Fetch) {
        let Some(carried) = self.jobs.get_mut(job) else { return };
        let (Fetch::Under { leg, stage, rest }, Some(seat), Some((_, store))) = (fetch, &carried.seat, carried.image) else {
            return;
        };
        let flow = Flow { job, way: StoreLink::OutOf, cluster: seat.cluster, store, cap: u64::MAX };
        let next = forward(&mut self.network, now, flow, &leg, stage);
        carried.fetch = next.map(|stage| Box::new(Fetch::Under { leg, stage, rest }));
        if next.is_none() {
            let attempt = world.jobs.get(job).map_or(Attempt(0), |truth| truth.attempt);
            world.queue.push(now + rest, (job, attempt, Happening::Start));
        }
    }

    /// Begins to store what the job has done by now. `dump`: first it has to be read.
    fn upload(&mut self, world: &mut World, now: Time, job: JobId, seat: Seat, dump: bool, after: After) {
        self.drop_upload(now, job);
        let (Some(carried), Some(mechanism), Some(truth)) = (self.jobs.get(job), &self.mechanism, world.jobs.get(job)) else {
            return;
        };
        let image = carried.next_image(seat.region);
        let save = mechanism.save(&self.state(carried), seat.place, image);
        self.switched.uploaded_bytes += u128::from(save.upload.bytes());
        let read = if dump { save.device_dump + save.host_dump } else { Span::ZERO };
        let carried = self.jobs.get_mut(job).expect("just there");
        carried.serial += 1;
        let (serial, leg) = (carried.serial, save.upload);
        carried.upload = Some(Box::new(Upload { serial, leg, stage: Stage::Local, work: truth.done, image, seat, after }));
        self.uploading.insert(job);
        world.queue.push(now + read + leg.local, (job, Attempt(serial), Happening::Scanned));
    }

    /// The next part of an upload, or what comes after it.
    fn upload_on(&mut self, world: &mut World, now: Time, job: JobId, events: &mut Vec<Event>) {
        let Some(carried) = self.jobs.get_mut(job) else { return };
        let Some(upload) = &mut carried.upload else { return };
        let seat = &upload.seat;
        let flow = Flow { job, way: StoreLink::Into, cluster: seat.cluster, store: seat.region, cap: u64::MAX };
        if let Some(stage) = forward(&mut self.network, now, flow, &upload.leg, upload.stage) {
            upload.stage = stage;
            return;
        }
        (carried.image, carried.durable) = (Some((upload.image, seat.region)), upload.work);
        let after = upload.after;
        carried.upload = None;
        self.uploading.remove(&job);
        let awaited = carried.fetch.as_deref() == Some(&Fetch::Awaited);
        match after {
            After::Nothing => {}
            After::Stop => self.stopped(world, now, job, events),
            After::Resume => self.go_on(world, now, job),
        }
        if awaited {
            self.fetch(world, now, job);
        }
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

    /// The attempt's first step.
    fn begin_work(&mut self, world: &mut World, now: Time, job: JobId, events: &mut Vec<Event>) {
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { return };
        let attempt = truth.attempt;
        if truth.state == State::Starting {
            truth.state = State::Running;
        }
        carried.copy.clear();
        carried.crashes = world.crashes.map_or(Time::MAX, |crashes| now + crashes.draw(job, attempt));
        self.go_on(world, now, job);
        self.tell(Event::Started { job, attempt }, events);
    }

    /// The attempt works from now on.
    pub fn go_on(&mut self, world: &mut World, now: Time, job: JobId) {
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { return };
        let (attempt, state) = (truth.attempt, truth.state);
        (truth.running_since, carried.paused) = (now, false);
        self.foresee(world, now, job);
        let (Some(mechanism), Some(carried)) = (&self.mechanism, self.jobs.get(job)) else { return };
        let Some(seat) = &carried.seat else { return };
        let barrier = || mechanism.barrier(&self.state(carried), seat.place);
        if state == State::Stopping {
            world.queue.push(now + barrier(), (job, attempt, Happening::Barrier));
        } else if let Some(period) = self.period(world.recovery) {
            world.queue.push(now + period + barrier(), (job, attempt, Happening::Checkpoint));
        }
    }

    /// How often jobs are saved.
    fn period(&self, recovery: Recovery) -> Option<Span> {
        let own = self.mechanism.as_ref().and_then(|mechanism| mechanism.checkpoint.period_s).map(|seconds| seconds.0);
        let asked = if let Recovery::Periodic(every) = recovery { Some(every) } else { None };
        own.or(asked).filter(|period| *period > Span::ZERO)
    }

    /// Schedules how the attempt ends by itself, from how it works now.
    pub fn foresee(&mut self, world: &mut World, now: Time, job: JobId) {
        let (Some(truth), Some(carried)) = (world.jobs.get(job), self.jobs.get_mut(job)) else { return };
        let left = time_for(truth.work.saturating_sub(truth.done), truth.speed.into());
        let over = now + left;
        let end = over + world.costs.teardown;
        carried.ends = if world.costs.seen_late { end.next_multiple(Span::from_secs(1)) } else { end };
        if carried.crashes < over {
            carried.crashes = carried.crashes.max(now);
            world.queue.push(carried.crashes, (job, truth.attempt, Happening::Crash));
        } else if left.0 <= ENDLESS.0 / 2 {
            world.queue.push(carried.ends, (job, truth.attempt, Happening::Finish));
        }
    }

    /// The job stands still before it is read.
    fn dump(&mut self, world: &mut World, now: Time, job: JobId) {
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { return };
        bank(truth, now);
        (truth.state, carried.ends) = (State::Saving, Time::MAX);
        let attempt = truth.attempt;
        let read = self.read_time(job);
        world.queue.push(now + read, (job, attempt, Happening::Dumped));
    }

    /// How long reading devices and processes takes.
    fn read_time(&self, job: JobId) -> Span {
        let (Some(carried), Some(mechanism)) = (self.jobs.get(job), &self.mechanism) else { return Span::ZERO };
        let Some(seat) = &carried.seat else { return Span::ZERO };
        let save = mechanism.save(&self.state(carried), seat.place, Image::First);
        save.device_dump + save.host_dump
    }

    fn in_background(&self) -> bool {
        self.mechanism.as_ref().is_some_and(|mechanism| mechanism.checkpoint.upload_in_background)
    }

    /// The job was read on its way to a stop.
    fn dumped(&mut self, world: &mut World, now: Time, job: JobId, events: &mut Vec<Event>) {
        let Some(seat) = self.jobs.get(job).and_then(|carried| carried.seat.as_deref().cloned()) else { return };
        self.switched.stops += 1;
        if let Some(carried) = self.jobs.get_mut(job) {
            (carried.copy, carried.copied) = (seat.nodes.clone(), now);
        }
        let background = self.in_background();
        self.upload(world, now, job, seat, false, if background { After::Nothing } else { After::Stop });
        if background {
            self.stopped(world, now, job, events);
        }
    }

    /// The accelerators are free.
    fn stopped(&mut self, world: &mut World, now: Time, job: JobId, events: &mut Vec<Event>) {
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { return };
        bank(truth, now);
        truth.state = State::Waiting;
        (carried.ends, carried.seat, carried.paused) = (Time::MAX, None, false);
        let stopped = Event::Stopped { job, attempt: truth.attempt, progress: truth.progress() };
        self.tell(stopped, events);
    }

    /// A periodic checkpoint, unless the last one is still on its way.
    fn pause(&mut self, world: &mut World, now: Time, job: JobId) {
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { return };
        let attempt = truth.attempt;
        if carried.upload.is_some() {
            let period = self.period(world.recovery).unwrap_or(Span::MAX);
            world.queue.push(now + period, (job, attempt, Happening::Checkpoint));
            return;
        }
        bank(truth, now);
        (carried.ends, carried.paused) = (Time::MAX, true);
        let (read, held) = (self.read_time(job), truth.accelerators);
        self.switched.checkpoints += 1;
        self.switched.paused_us += u128::from(read.0) * u128::from(held);
        world.queue.push(now + read, (job, attempt, Happening::Resume));
    }

    /// The job was read while it stood still.
    fn paused(&mut self, world: &mut World, now: Time, job: JobId) {
        let Some(seat) = self.jobs.get(job).and_then(|carried| carried.seat.as_deref().cloned()) else { return };
        let background = self.in_background();
        self.upload(world, now, job, seat, true, if background { After::Nothing } else { After::Resume });
        if background {
            self.go_on(world, now, job);
        }
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

    /// The attempt ends without having been stopped. `down`: which nodes are, by number; those beyond its end are not. Returns
    /// the progress that is left.
    pub fn break_off(&mut self, world: &mut World, now: Time, job: JobId, down: &[bool]) -> Span {
        let is_down = |node: &NodeId| down.get(node.index()).is_some_and(|down| *down);
        let Some(carried) = self.jobs.get(job) else { return Span::ZERO };
        if carried.upload.as_ref().is_some_and(|upload| upload.seat.nodes.iter().any(is_down)) {
            self.drop_upload(now, job);
            self.switched.checkpoints_lost += 1;
        }
        self.drop_fetch(now, job);
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { return Span::ZERO };
        bank(truth, now);
        truth.state = State::Waiting;
        (carried.ends, carried.paused) = (Time::MAX, false);
        let seat = carried.seat.take();
        let kept = carried.upload.as_mut().map_or(carried.durable, |upload| {
            // What was read is stored all the same.
            upload.after = After::Nothing;
            upload.work
        });
        let gained = truth.done.saturating_sub(kept);
        let carried = self.jobs.get(job).expect("just there");
        let saved = match (world.recovery, &self.mechanism, seat) {
            (Recovery::JustInTime(lost), Some(_), Some(seat)) if gained > Span::ZERO => {
                let state = self.state(carried);
                let left = seat.nodes.iter().filter(|node| !is_down(node)).count() as u32;
                // Every shard must live on: as many nodes as a replica spans.
                let replica = state.model_parallel.div_ceil((seat.place.accelerators() / seat.place.nodes()).max(1));
                let batch = if state.mini_batch_s.0 > Span::ZERO { state.mini_batch_s.0 } else { lost };
                let seat = Seat { nodes: seat.nodes.iter().copied().filter(|node| !is_down(node)).collect(), ..*seat };
                (left >= replica.max(1)).then(|| (Span(gained.0 - gained.0 % batch.0.max(1)), Some(seat)))
            }
            (recovery, None, _) => Some((recovery.kept_work(gained, truth.speed.into()), None)),
            _ => None,
        };
        let (more, seat) = saved.unwrap_or((Span::ZERO, None));
        truth.done = kept + more;
        let progress = truth.progress();
        if let Some(seat) = seat {
            self.upload(world, now, job, seat, true, After::Nothing);
        }
        progress
    }

    /// Nodes went down: checkpoints that were still on their way from them are lost.
    pub fn lose_uploads(&mut self, world: &mut World, now: Time, node: NodeId) {
        self.went_down.insert(node, now);
        let from = |job: &JobId| {
            let upload = self.jobs.get(*job).and_then(|carried| carried.upload.as_ref());
            upload.is_some_and(|upload| upload.seat.nodes.contains(&node))
        };
        let hit: Vec<JobId> = self.uploading.iter().copied().filter(from).collect();
        for job in hit {
            self.drop_upload(now, job);
            self.switched.checkpoints_lost += 1;
            let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { continue };
            match truth.state {
                State::Waiting => carried.forgotten = true,
                State::Starting | State::Stopping if carried.fetch.is_some() => {
                    truth.done = carried.durable;
                    world.queue.push(now, (job, truth.attempt, Happening::Lose));
                }
                _ => {}
            }
        }
    }

    fn drop_upload(&mut self, now: Time, job: JobId) {
        self.uploading.remove(&job);
        let Some(upload) = self.jobs.get_mut(job).and_then(|carried| carried.upload.take()) else { return };
        upload.stage.transfer().into_iter().for_each(|id| self.network.cancel(now, id));
    }

    fn drop_fetch(&mut self, now: Time, job: JobId) {
        let fetch = self.jobs.get_mut(job).and_then(|carried| carried.fetch.take());
        if let Some(Fetch::Under { stage, .. }) = fetch.as_deref() {
            stage.transfer().into_iter().for_each(|id| self.network.cancel(now, id));
        }
    }

    /// A node works at another speed: so does every gang that has a part on it.
    fn repace(&mut self, world: &mut World, now: Time, node: NodeId) {
        let on = world.breaks.as_ref().map_or(Vec::new(), |breaks| breaks.on[node.index()].clone());
        for (job, attempt) in on {
            let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get(job)) else { continue };
            let Some(seat) = carried.seat.as_ref().filter(|_| truth.attempt == attempt && truth.state.holds()) else {
                continue;
            };
            let speed = self.troubles.speed(base_speed(truth, seat.place.accelerators()), &seat.nodes);
            let works = truth.running_since != Time::MAX;
            if works {
                bank(truth, now);
                truth.running_since = now;
            }
            truth.speed = speed;
            if works {
                self.foresee(world, now, job);
            }
        }
    }

    /// Troubles that begin or end by now. Returns the orders that went to what is joined again.
    pub fn disturb(&mut self, world: &mut World, now: Time, events: &mut Vec<Event>) -> Vec<Order> {
        let mut joined = false;
        while let Some(Disturbance { trouble, begins, .. }) = self.troubles.next_by(now) {
            match trouble {
                Trouble::Slow(node, speed) => {
                    self.troubles.slow(node, speed, begins);
                    self.repace(world, now, node);
                }
                Trouble::Cut(cut) => {
                    for (flow, id) in self.network.cut(now, cut, begins) {
                        self.renumber(&flow, id);
                    }
                    let clusters = (0..self.network.clusters()).map(|id| ClusterId(id as u16));
                    let apart = clusters.filter(|&cluster| match cut {
                        Cut::Store(_) => false,
                        Cut::Region(region) => self.network.region_of(cluster) == region,
                        Cut::Cluster(id) => cluster == id,
                    });
                    apart.for_each(|cluster| self.troubles.part(cluster, begins));
                    joined |= !begins;
                }
            }
        }
        if joined { self.troubles.join(events) } else { Vec::new() }
    }

    /// Keeps an order back that goes to what is cut off. Whether it does.
    pub fn hold_back(&mut self, order: &Order) -> bool {
        let (cluster, job) = match *order {
            Order::Start { job, ref allocation, .. } => (allocation.first().map(|grant| self.nodes[grant.node.index()].0), job),
            Order::Preempt { job, .. } => (self.jobs.get(job).map(|carried| carried.cluster), job),
        };
        let Some(cluster) = cluster.filter(|cluster| self.troubles.is_apart(*cluster)) else { return false };
        if let Some(carried) = self.jobs.get_mut(job) {
            carried.cluster = cluster;
        }
        self.troubles.hold_back(cluster, order.clone());
        true
    }

    /// A transfer goes on under another number.
    pub fn renumber(&mut self, flow: &Flow, id: TransferId) {
        let Some(carried) = self.jobs.get_mut(flow.job) else { return };
        let stage = match flow.way {
            StoreLink::Into => carried.upload.as_mut().map(|upload| &mut upload.stage),
            StoreLink::OutOf => carried.fetch.as_mut().and_then(|fetch| match &mut **fetch {
                Fetch::Under { stage, .. } => Some(stage),
                Fetch::Awaited => None,
            }),
        };
        stage.into_iter().for_each(|stage| stage.renumber(id));
    }
}

/// Begins the part of a leg that comes after `stage`; `None` if none does.
fn forward(network: &mut Network, now: Time, flow: Flow, leg: &Leg, stage: Stage) -> Option<Stage> {
    let mut begin = |transfer: crate::mechanism::Transfer| {
        let flow = Flow { cap: transfer.cap_bytes_per_s, ..flow };
        (transfer.bytes > 0).then(|| network.begin(now, flow, transfer.bytes))
    };
    match stage {
        Stage::Local => begin(leg.device).map(Stage::Device).or_else(|| begin(leg.host).map(Stage::Host)),
        Stage::Device(_) => begin(leg.host).map(Stage::Host),
        Stage::Host(_) => None,
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
