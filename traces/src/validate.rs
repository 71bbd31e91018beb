//! Does a trace fit a fleet?

use policies::Fleet;
use std::collections::BTreeMap;

/// The largest gang that one cluster can hold: accelerators of one type in one cluster.
pub fn largest_gang(fleet: &Fleet) -> u32 {
    let mut sums: BTreeMap<_, u64> = BTreeMap::new();
    for node in &fleet.nodes {
        *sums.entry((node.cluster, node.kind)).or_default() += u64::from(node.accelerators);
    }
    sums.into_values().max().unwrap_or(0).min(u64::from(u32::MAX)) as u32
}
