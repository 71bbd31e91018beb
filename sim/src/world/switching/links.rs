//! What jobs send to stores and fetch from them.

use super::super::carried::{After, Fetch, Seat, Stage, Upload};
use super::super::{Happening, State, World};
use super::Switching;
use crate::mechanism::{Leg, StoreLink, TransferId};
use crate::network::{Flow, Network};
use policies::{Attempt, Event, JobId, NodeId, Span, Time};

impl Switching {
    /// Begins to fetch what is stored.
    pub(super) fn fetch(&mut self, world: &mut World, now: Time, job: JobId) {
        let (Some(carried), Some(mechanism)) = (self.jobs.get(job), &self.mechanism) else { return };
        let (Some((image, store)), Some(seat)) = (carried.image, &carried.seat) else { return };
        let switch = mechanism.resume(&self.state(carried), seat.place, image);
        self.switched.fetched_bytes += u128::from(switch.download.bytes());
        self.switched.fetched_far_bytes += if store == seat.region { 0 } else { u128::from(switch.download.bytes()) };
        let rest = switch.download.local + switch.restore;
        self.fetch_on(world, now, job, Fetch::Under { leg: switch.download, stage: Stage::Local, rest });
    }

    /// The next part of fetching, or the restore.
    pub(super) fn fetch_on(&mut self, world: &mut World, now: Time, job: JobId, fetch: Fetch) {
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
    pub(super) fn upload(&mut self, world: &mut World, now: Time, job: JobId, seat: Seat, dump: bool, after: After) {
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
    pub(super) fn upload_on(&mut self, world: &mut World, now: Time, job: JobId, events: &mut Vec<Event>) {
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

    pub(super) fn drop_upload(&mut self, now: Time, job: JobId) {
        self.uploading.remove(&job);
        let Some(upload) = self.jobs.get_mut(job).and_then(|carried| carried.upload.take()) else { return };
        upload.stage.transfer().into_iter().for_each(|id| self.network.cancel(now, id));
    }

    pub(super) fn drop_fetch(&mut self, now: Time, job: JobId) {
        let fetch = self.jobs.get_mut(job).and_then(|carried| carried.fetch.take());
        if let Some(Fetch::Under { stage, .. }) = fetch.as_deref() {
            stage.transfer().into_iter().for_each(|id| self.network.cancel(now, id));
        }
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
