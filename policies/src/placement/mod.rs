//! Where a gang goes. Policies say which job runs; placements say on which accelerators.
//!
//! A placement is chosen by name, independently of the policy. A file each; [`by_name`] is the list.

mod indexed;

pub use indexed::{Indexed, NodeOrder};

use crate::allocation::Allocation;
use crate::capacity::Capacity;
use crate::fleet::Fleet;
use crate::ids::NodeId;
use crate::job::{Demand, Level};
use crate::spec::{Entry, Spec, SpecError};

/// Finds accelerators for a gang.
pub trait Placement: Send {
    /// A place for all of `demand` in what is free to plan with, or `None`. Use [`Capacity::grant_on`] to make grants.
    fn place(&mut self, capacity: &Capacity, demand: &Demand) -> Option<Allocation>;
}

/// All placements, for lists and for error messages.
pub const PLACEMENTS: &[Entry] = &[
    Entry { name: "pool", about: "wherever room is; the fleet is usually one fungible pool", parameters: &[] },
    Entry {
        name: "first-fit",
        about: "lowest-numbered node with room; larger gangs take whole free nodes and one for the rest",
        parameters: &[],
    },
    Entry { name: "best-fit", about: "node with the fewest free accelerators that fits (consolidates)", parameters: &[] },
    Entry { name: "worst-fit", about: "node with the most free accelerators (spreads)", parameters: &[] },
];

/// The placement that `text` names, e.g. `best-fit`. `seed` feeds those that draw at random.
///
/// # Errors
/// An unknown name or parameter, with the valid ones.
pub fn by_name(text: &str, seed: u64) -> Result<Box<dyn Placement>, SpecError> {
    let spec = Spec::parse(text, "placement", PLACEMENTS)?;
    let _ = seed;
    Ok(match spec.name() {
        "worst-fit" => Box::new(Indexed(NodeOrder::MostFree)),
        "best-fit" => Box::new(Indexed(NodeOrder::FewestFree)),
        _ => Box::new(Indexed(NodeOrder::Lowest)),
    })
}

/// Whether two nodes may hold parts of a gang that must stay within `level`.
pub fn near_enough(fleet: &Fleet, level: Level, a: NodeId, b: NodeId) -> bool {
    let (first, second) = (fleet.node(a).cluster, fleet.node(b).cluster);
    match level {
        Level::Node => a == b,
        Level::Cluster => first == second,
        Level::Region => fleet.region_of(first) == fleet.region_of(second),
        Level::Fleet => true,
    }
}
