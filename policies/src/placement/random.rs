//! Placement by lot.

use super::scored::{Candidate, Score};
use crate::idset::IdSet;
use crate::job::WHOLE_MILLI;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// Any node with room, each as likely; a share goes to any of its accelerators with room, each as likely.
#[derive(Clone, Serialize, Deserialize)]
pub struct Random(Xoshiro256PlusPlus);

impl Random {
    /// Draws by xoshiro256++ from `seed`.
    pub fn new(seed: u64) -> Random {
        Random(Xoshiro256PlusPlus::seed_from_u64(seed))
    }
}

impl Score for Random {
    crate::saved_by_serde!();

    fn steps(&self) -> u16 {
        0
    }

    fn score(&self, _: &Candidate<'_>) -> u16 {
        0
    }

    /// Tries some nodes; where few have room they are counted instead.
    fn choose(&mut self, best: &IdSet, nodes: u32) -> Option<u32> {
        let tries = (0..64).map(|_| self.0.random_range(0..nodes)).find(|&node| best.contains(node));
        tries.or_else(|| best.nth(self.0.random_range(0..best.len())))
    }

    fn devices(&mut self, candidate: &Candidate<'_>) -> Option<u64> {
        let milli = candidate.demand.milli;
        if milli == WHOLE_MILLI {
            return None;
        }
        let free = candidate.capacity.device_free_milli(candidate.node);
        let mut roomy: Vec<usize> = (0..free.len()).filter(|&d| free[d] >= milli).collect();
        let draw = |_| 1 << roomy.swap_remove(self.0.random_range(0..roomy.len()));
        Some((0..candidate.count).map(draw).fold(0, |set, bit: u64| set | bit))
    }
}
