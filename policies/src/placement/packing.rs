//! GPU packing.

use super::free_shape::FreeShape;
use super::scored::{Candidate, Score};
use crate::job::WHOLE_MILLI;

/// First accelerators that are shared already, the fullest first; then free ones on nodes in use; last untouched nodes, small
/// ones first.
///
/// The "GPU packing" of Weng et al., "Beware of Fragmentation" (ATC '23, section 6.1), with the scores of its published
/// simulator. A demand for processors alone goes to the lowest-numbered node with room.
#[derive(Clone)]
pub struct Packing;

impl Score for Packing {
    fn score(&self, candidate: &Candidate<'_>) -> u16 {
        if candidate.count == 0 {
            return 0;
        }
        let shape = FreeShape::of(candidate.capacity, candidate.node);
        let accelerators = candidate.capacity.fleet().node(candidate.node).accelerators;
        let milli = candidate.demand.milli;
        if shape.iter().eq([(WHOLE_MILLI, accelerators)]) {
            return 33u32.saturating_sub(accelerators) as u16;
        }
        let (mut left, mut whole, mut free_percent) = (candidate.count, 0, 0);
        for (free, have) in shape.iter().filter(|&(free, _)| free >= milli) {
            let used = have.min(left);
            left -= used;
            free_percent += used * (u32::from(free) * 100 / u32::from(WHOLE_MILLI));
            whole += if free == WHOLE_MILLI { used } else { 0 };
        }
        if whole > 0 {
            50u32.saturating_sub(whole).max(33) as u16
        } else {
            100u32.saturating_sub(free_percent / 10).max(50) as u16
        }
    }
}
