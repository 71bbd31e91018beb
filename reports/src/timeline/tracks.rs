//! Which track an attempt is drawn on.

use policies::{Allocation, Fleet, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// The slot of tracks that belong to a node as a whole.
const WHOLE_NODE: u32 = u32::MAX;
/// Thread numbers begin beyond any process number: viewers take equal numbers for the main thread.
const FIRST_TID: u32 = 1 << 24;
/// Process 1 holds the counters.
const FIRST_PID: u32 = 2;

/// Place for one attempt at a time: a node, an accelerator of it or the node as a whole, and a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Track {
    pub node: NodeId,
    slot: u32,
    lane: u32,
}

/// Lanes of one slot: the lowest free one is taken first.
#[derive(Default)]
struct Lanes {
    free: BTreeSet<u32>,
    used: u32,
}

/// All tracks so far.
pub(super) struct TrackMap {
    by_node: bool,
    lanes: BTreeMap<(NodeId, u32), Lanes>,
    tids: BTreeMap<Track, u32>,
}

impl TrackMap {
    pub fn new(by_node: bool) -> TrackMap {
        TrackMap { by_node, lanes: BTreeMap::new(), tids: BTreeMap::new() }
    }

    /// Tracks that were drawn on.
    pub fn len(&self) -> u64 {
        self.tids.len() as u64
    }

    /// Takes a track for each accelerator, or each node, of an allocation.
    pub fn take(&mut self, allocation: &Allocation) -> Vec<Track> {
        let mut tracks = Vec::new();
        for grant in allocation {
            let named = if self.by_node { 0 } else { grant.devices };
            if named == 0 {
                tracks.push(self.take_lane(grant.node, WHOLE_NODE));
            }
            for device in (0..64).filter(|device| named >> device & 1 == 1) {
                tracks.push(self.take_lane(grant.node, device));
            }
        }
        tracks
    }

    fn take_lane(&mut self, node: NodeId, slot: u32) -> Track {
        let lanes = self.lanes.entry((node, slot)).or_default();
        let lane = lanes.free.pop_first().unwrap_or_else(|| {
            lanes.used += 1;
            lanes.used - 1
        });
        Track { node, slot, lane }
    }

    pub fn give_back(&mut self, track: Track) {
        if let Some(lanes) = self.lanes.get_mut(&(track.node, track.slot)) {
            lanes.free.insert(track.lane);
        }
    }

    /// The thread number of a track, and whether it is new.
    pub fn tid(&mut self, track: Track) -> (u32, bool) {
        let next = FIRST_TID + self.tids.len() as u32;
        let tid = *self.tids.entry(track).or_insert(next);
        (tid, tid == next)
    }

    /// The process number of a track.
    pub fn pid(&self, track: Track, fleet: &Fleet) -> u32 {
        FIRST_PID + if self.by_node { fleet.node(track.node).cluster.0.into() } else { track.node.0 }
    }

    /// What to call the process and the thread of a track, and where the thread is sorted.
    pub fn names(&self, track: Track, fleet: &Fleet) -> (String, String, u64) {
        let node = fleet.node(track.node);
        let (cluster, kind) = (&fleet.clusters[node.cluster.index()].name, &fleet.types[node.kind.index()]);
        let lane = if track.lane == 0 { String::new() } else { format!(", {}", track.lane + 1) };
        let slot = if track.slot == WHOLE_NODE { 0 } else { u64::from(track.slot) };
        let order = (slot << 20) + u64::from(track.lane);
        if self.by_node {
            return (cluster.clone(), format!("node {}{lane}", track.node.0), u64::from(track.node.0) << 12 | order.min(0xfff));
        }
        let thread =
            if track.slot == WHOLE_NODE { format!("place {}", track.lane + 1) } else { format!("{kind} {}{lane}", track.slot) };
        (format!("node {} ({cluster}, {} x {kind})", track.node.0, node.accelerators), thread, order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policies::Grant;

    fn grant(node: u32, count: u32, devices: u64) -> Allocation {
        Allocation::from_iter([Grant { node: NodeId(node), count, devices, cpu_milli: 0, memory_mib: 0 }])
    }

    #[test]
    fn shared_accelerators_get_lanes_and_lanes_are_used_again() {
        let mut map = TrackMap::new(false);
        let first = map.take(&grant(0, 2, 0b101));
        let second = map.take(&grant(0, 1, 0b100));
        assert_eq!(first.iter().map(|t| (t.slot, t.lane)).collect::<Vec<_>>(), [(0, 0), (2, 0)]);
        assert_eq!((second[0].slot, second[0].lane), (2, 1));
        map.give_back(first[1]);
        assert_eq!(map.take(&grant(0, 1, 0b100))[0], first[1]);
        let counted = [map.take(&grant(1, 500, 0)), map.take(&grant(1, 1, 0))];
        assert_eq!(counted.map(|tracks| (tracks.len(), tracks[0].lane)), [(1, 0), (1, 1)]);
        assert_eq!(TrackMap::new(true).take(&grant(0, 2, 0b101)).len(), 1, "one for the node");
    }
}
