//! What is in the way of work without ending it: slow nodes, and places that are cut off.
//!
//! A gang works at the speed of the slowest of its nodes. What happens in a cluster that is cut off is told to the scheduler when
//! it is joined again, in order; orders that go there are carried out then, after that. The scheduler does not know, as it would
//! not in truth.

use policies::{ClusterId, Event, FULL_SPEED, NodeId, Order, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use traces::faults::Disturbance;

/// Troubles of a world.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Troubles {
    /// By time; those before `next` have begun or ended.
    #[serde(skip)]
    pub all: Vec<Disturbance>,
    next: usize,
    /// Speeds of nodes that are slow, one for each trouble that makes them so.
    slow: BTreeMap<NodeId, Vec<u16>>,
    /// How many troubles cut each cluster off.
    apart: BTreeMap<ClusterId, u32>,
    /// Not told yet, in order.
    untold: Vec<(ClusterId, Event)>,
    /// Not carried out yet, in order.
    undone: Vec<(ClusterId, Order)>,
}

impl Troubles {
    /// When something begins or ends next.
    pub fn next_time(&self) -> Option<Time> {
        self.all.get(self.next).map(|disturbance| disturbance.at)
    }

    /// What begins or ends next, if by now.
    pub fn next_by(&mut self, now: Time) -> Option<Disturbance> {
        let next = self.all.get(self.next).copied().filter(|disturbance| disturbance.at <= now)?;
        self.next += 1;
        Some(next)
    }

    /// A node gets slower, or one reason for that is gone.
    pub fn slow(&mut self, node: NodeId, speed: u16, begins: bool) {
        let speeds = self.slow.entry(node).or_default();
        if begins {
            speeds.push(speed);
        } else if let Some(at) = speeds.iter().position(|&known| known == speed) {
            speeds.swap_remove(at);
        }
        if speeds.is_empty() {
            self.slow.remove(&node);
        }
    }

    /// Of a gang on these nodes that would have speed `base` on sound ones; at least 1.
    pub fn speed(&self, base: u16, nodes: &[NodeId]) -> u16 {
        if self.slow.is_empty() {
            return base;
        }
        let speeds = nodes.iter().filter_map(|node| self.slow.get(node)).flatten();
        let slowest = speeds.min().map_or(FULL_SPEED, |&speed| u32::from(speed));
        (u32::from(base) * slowest / FULL_SPEED).max(1) as u16
    }

    /// A cluster is cut off, or one reason for that is gone.
    pub fn part(&mut self, cluster: ClusterId, begins: bool) {
        let reasons = self.apart.entry(cluster).or_default();
        *reasons = if begins { *reasons + 1 } else { reasons.saturating_sub(1) };
        if *reasons == 0 {
            self.apart.remove(&cluster);
        }
    }

    pub fn is_apart(&self, cluster: ClusterId) -> bool {
        !self.apart.is_empty() && self.apart.contains_key(&cluster)
    }

    /// Tells an event, or keeps it until its cluster is joined again.
    pub fn tell(&mut self, cluster: Option<ClusterId>, event: Event, events: &mut Vec<Event>) {
        match cluster.filter(|cluster| self.is_apart(*cluster)) {
            Some(cluster) => self.untold.push((cluster, event)),
            None => events.push(event),
        }
    }

    pub fn hold_back(&mut self, cluster: ClusterId, order: Order) {
        self.undone.push((cluster, order));
    }

    /// Tells what was kept of clusters that are joined again, and returns the orders that went there.
    pub fn join(&mut self, events: &mut Vec<Event>) -> Vec<Order> {
        let (untold, undone) = (std::mem::take(&mut self.untold), std::mem::take(&mut self.undone));
        for (cluster, event) in untold {
            self.tell(Some(cluster), event, events);
        }
        let mut orders = Vec::new();
        for (cluster, order) in undone {
            if self.is_apart(cluster) {
                self.undone.push((cluster, order));
            } else {
                orders.push(order);
            }
        }
        orders
    }
}
