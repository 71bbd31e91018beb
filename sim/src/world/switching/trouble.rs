//! What comes in the way: lost nodes, cut links, slow nodes.

use super::super::carried::{After, Seat};
use super::super::{State, World};
use super::{Switching, bank, base_speed};
use crate::recovery::Recovery;
use policies::{ClusterId, Event, JobId, NodeId, Order, Span, Time};
use traces::faults::{Cut, Disturbance, Trouble};

impl Switching {
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

    /// A node works at another speed: so does every gang that has a part on it.
    pub(super) fn repace(&mut self, world: &mut World, now: Time, node: NodeId) {
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
}
