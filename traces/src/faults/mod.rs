//! Nodes that break and are repaired, drawn from rates or as a trace recorded them; and what is in the way of work without
//! ending it: stores that are out, networks that are cut, nodes that are slow.

mod model;
mod trace;

pub use model::{FaultModel, Unit};
pub use trace::{FaultTraceError, read_faults};

use policies::{ClusterId, NodeId, NodeState, RegionId, Time};

/// A node is something else from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// When.
    pub at: Time,
    /// Which.
    pub node: NodeId,
    /// What.
    pub state: NodeState,
}

/// What can be cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// A region's blob store: nothing is stored or fetched.
    Store(RegionId),
    /// A region, from all others and from the scheduler.
    Region(RegionId),
    /// A cluster, from everything else.
    Cluster(ClusterId),
}

/// Something in the way of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Transfers stand still; messages from and to what is cut off are late.
    Cut(Cut),
    /// A node works at so many ten-thousandths of its speed, and so does every gang that has a part on it.
    Slow(NodeId, u16),
}

/// A trouble begins or ends. Troubles of the same kind may overlap; each ends for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disturbance {
    /// When.
    pub at: Time,
    /// What.
    pub trouble: Trouble,
    /// Whether it begins.
    pub begins: bool,
}
