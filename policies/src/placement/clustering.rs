//! GPU clustering.

use super::scored::{Candidate, Score};
use crate::capacity::grant_kind;

/// Keeps jobs of one size together: nodes that hold only jobs of the same size first, then nodes that hold some, then idle
/// ones, last those that hold only others; among equals the fullest.
///
/// The "GPU clustering" of Weng et al., "Beware of Fragmentation" (ATC '23, section 6.1), with the scores of its published
/// simulator. Sizes are those of [`grant_kind`]: shares, one, two, up to 4, 8... accelerators on the node. A demand for processors
/// alone goes to the lowest-numbered node with room.
#[derive(Clone)]
pub struct Clustering;

impl Score for Clustering {
    fn score(&self, candidate: &Candidate<'_>) -> u16 {
        if candidate.count == 0 {
            return 0;
        }
        let kinds = candidate.capacity.grants_by_kind(candidate.node);
        let same = kinds[grant_kind(candidate.count, candidate.demand.milli)] > 0;
        let others = kinds.iter().filter(|&&grants| grants > 0).count() - usize::from(same);
        let company = match (same, others) {
            (true, 0) => 75,
            (true, _) => 50,
            (false, 0) => 25,
            (false, _) => 0,
        };
        let largest = candidate.largest.milli;
        let used = largest - candidate.capacity.node_free_milli(candidate.node);
        (company + 25 * used / largest.max(1)) as u16
    }
}
