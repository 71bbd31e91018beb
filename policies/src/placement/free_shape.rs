//! What is free on a node's accelerators, without saying on which.

use super::scored::Candidate;
use crate::capacity::Capacity;
use crate::ids::NodeId;
use crate::job::WHOLE_MILLI;
use smallvec::SmallVec;

/// Thousandths free on the accelerators of one node: `(free, how many)`, ascending by `free`, full ones left out.
///
/// Of a fungible node only the total is known; it counts as whole accelerators and one that is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FreeShape(SmallVec<[(u16, u32); 8]>);

impl FreeShape {
    /// The shape of `node` now.
    pub fn of(capacity: &Capacity, node: NodeId) -> FreeShape {
        if capacity.fleet().node(node).is_fungible() {
            return FreeShape::pool(capacity.node_free_milli(node));
        }
        FreeShape::from_free(&capacity.device_free_milli(node))
    }

    /// The shape of accelerators with these amounts free.
    pub fn from_free(free: &[u16]) -> FreeShape {
        let mut shape = FreeShape(SmallVec::new());
        free.iter().for_each(|&free| shape.add(free, 1));
        shape
    }

    fn pool(milli: u64) -> FreeShape {
        let mut shape = FreeShape(SmallVec::new());
        shape.add((milli % u64::from(WHOLE_MILLI)) as u16, 1);
        shape.add(WHOLE_MILLI, (milli / u64::from(WHOLE_MILLI)) as u32);
        shape
    }

    /// The distinct amounts and how many accelerators have each, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u32)> + '_ {
        self.0.iter().copied()
    }

    /// Thousandths free in all.
    pub fn total(&self) -> u64 {
        self.iter().map(|(free, count)| u64::from(free) * u64::from(count)).sum()
    }

    /// The shape after a share of `milli` went to an accelerator that had `from` free.
    pub fn with_share(&self, from: u16, milli: u16) -> FreeShape {
        let mut after = self.clone();
        after.remove(from);
        after.add(from - milli, 1);
        after
    }

    /// The shape after the candidate's accelerators were taken, shares from the fullest accelerators that have room.
    pub fn after(&self, candidate: &Candidate<'_>) -> FreeShape {
        let (milli, mut count) = (candidate.demand.milli, candidate.count);
        if candidate.capacity.fleet().node(candidate.node).is_fungible() {
            return FreeShape::pool(self.total().saturating_sub(u64::from(count) * u64::from(milli)));
        }
        let mut after = self.clone();
        let roomy = self.iter().filter(|&(free, _)| free >= milli);
        for (free, have) in roomy {
            let used = have.min(count);
            for _ in 0..used {
                after.remove(free);
            }
            after.add(free - milli, used);
            count -= used;
        }
        after
    }

    fn add(&mut self, free: u16, count: u32) {
        if free == 0 || count == 0 {
            return;
        }
        match self.0.iter().position(|&(have, _)| have >= free) {
            Some(at) if self.0[at].0 == free => self.0[at].1 += count,
            Some(at) => self.0.insert(at, (free, count)),
            None => self.0.push((free, count)),
        }
    }

    fn remove(&mut self, free: u16) {
        let at = self.0.iter().position(|&(have, _)| have == free).expect("an accelerator has that much free");
        self.0[at].1 -= 1;
        if self.0[at].1 == 0 {
            self.0.remove(at);
        }
    }
}
