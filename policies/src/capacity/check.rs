//! What is kept against what it is made from.

use super::{Capacity, bits};
use crate::allocation::Allocation;

impl Capacity {
    /// Compares everything that is kept incrementally with a recomputation from the allocations that are planned and held.
    ///
    /// # Errors
    /// The first difference, in words.
    pub fn check<'a>(
        &self,
        planned: impl Iterator<Item = (&'a Allocation, u16)>,
        held: impl Iterator<Item = (&'a Allocation, u16)>,
    ) -> Result<(), String> {
        let mut fresh = Capacity::new(self.fleet.clone());
        for (&node, &state) in &self.states {
            fresh.set_state(node, state);
        }
        for (allocation, milli) in planned {
            for grant in allocation {
                let free = fresh.nodes[grant.node.index()].free;
                if free.milli < u64::from(grant.count) * u64::from(milli)
                    || free.cpu_milli < grant.cpu_milli
                    || free.memory_mib < grant.memory_mib
                {
                    return Err(format!("node {} is oversubscribed", grant.node.0));
                }
                if bits(grant.devices).any(|d| fresh.device_free_milli(grant.node)[d] < milli) {
                    return Err(format!("an accelerator of node {} is oversubscribed", grant.node.0));
                }
                fresh.take(&Allocation::from_elem(*grant, 1), milli);
            }
        }
        for (allocation, milli) in held {
            if !fresh.is_vacant(allocation, milli) {
                return Err(format!("accelerators of node {} are held twice", allocation[0].node.0));
            }
            fresh.hold(allocation, milli);
        }
        self.compare(&fresh)
    }

    fn compare(&self, fresh: &Capacity) -> Result<(), String> {
        for (id, (kept, new)) in self.nodes.iter().zip(&fresh.nodes).enumerate() {
            if kept != new {
                return Err(format!("node {id}: kept {kept:?}, recomputed {new:?}"));
            }
        }
        if let Some((kept, _)) = self.groups.iter().zip(&fresh.groups).find(|(kept, new)| !kept.same_index(new)) {
            return Err(format!("free index of cluster {} is stale", kept.cluster.0));
        }
        let same = self.free_milli == fresh.free_milli
            && self.free_milli_by_type == fresh.free_milli_by_type
            && self.shares == fresh.shares
            && self.held == fresh.held;
        if same { Ok(()) } else { Err("free totals are stale".into()) }
    }
}
