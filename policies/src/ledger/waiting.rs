//! The smallest gangs that wait, by accelerator type: kept by demand, never by walking the queue.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Jobs that accept the same types.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Mask {
    types: u64,
    /// How many jobs wait for which least number of accelerator-thousandths.
    counts: BTreeMap<u64, u32>,
}

/// What waits, in classes of (acceptable types, least accelerator-thousandths).
///
/// O(log classes) a change; when the smallest gang of a set of types changes, O(types x sets of types) more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Waiting {
    masks: Vec<Mask>,
    mask_of: BTreeMap<u64, u32>,
    /// The least that somebody waits for who accepts the type.
    least: Vec<Option<u64>>,
    /// All types of the fleet.
    all: u64,
}

impl Waiting {
    pub fn new(types: usize) -> Waiting {
        let all = if types >= 64 { u64::MAX } else { (1 << types) - 1 };
        Waiting { masks: Vec::new(), mask_of: BTreeMap::new(), least: vec![None; types], all }
    }

    /// The number of a set of types.
    pub fn mask(&mut self, types: u64) -> u32 {
        let types = types & self.all;
        *self.mask_of.entry(types).or_insert_with(|| {
            self.masks.push(Mask { types, counts: BTreeMap::new() });
            self.masks.len() as u32 - 1
        })
    }

    /// The least that somebody waits for who accepts this type.
    #[inline]
    pub fn least(&self, kind: usize) -> Option<u64> {
        self.least[kind]
    }

    /// A job begins to wait, or no longer does. Jobs that need no accelerators are not counted.
    pub fn change(&mut self, mask: u32, milli: u64, waits: bool) {
        if milli == 0 {
            return;
        }
        let Mask { types, counts } = &mut self.masks[mask as usize];
        let before = counts.first_key_value().map(|(&least, _)| least);
        if waits {
            *counts.entry(milli).or_default() += 1;
        } else if let Some(count) = counts.get_mut(&milli) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&milli);
            }
        }
        let types = *types;
        if before != counts.first_key_value().map(|(&least, _)| least) {
            self.recount(types);
        }
    }

    fn recount(&mut self, types: u64) {
        for kind in (0..self.least.len()).filter(|kind| types >> kind & 1 == 1) {
            let accepting = self.masks.iter().filter(|mask| mask.types >> kind & 1 == 1);
            self.least[kind] = accepting.filter_map(|mask| mask.counts.first_key_value()).map(|(&least, _)| least).min();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_gang_of_each_type_is_known() {
        let mut waiting = Waiting::new(2);
        let (any, second) = (waiting.mask(u64::MAX), waiting.mask(2));
        assert_eq!(waiting.mask(3), any, "types that the fleet lacks make no difference");
        waiting.change(any, 8000, true);
        waiting.change(second, 2000, true);
        waiting.change(second, 2000, true);
        assert_eq!((waiting.least(0), waiting.least(1)), (Some(8000), Some(2000)));
        waiting.change(second, 2000, false);
        assert_eq!(waiting.least(1), Some(2000));
        waiting.change(second, 2000, false);
        assert_eq!(waiting.least(1), Some(8000));
        waiting.change(any, 8000, false);
        assert_eq!((waiting.least(0), waiting.least(1)), (None, None));
    }
}
