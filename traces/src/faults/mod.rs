//! Nodes that break and are repaired: drawn from rates, or as a trace recorded them.

mod model;
mod trace;

pub use model::{FaultModel, Unit};
pub use trace::{FaultTraceError, read_faults};

use policies::{NodeId, NodeState, Time};

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
