//! Which accelerators a job holds.

use crate::ids::NodeId;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Accelerators of one node given to one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grant {
    /// The node.
    pub node: NodeId,
    /// How many of its accelerators.
    pub count: u32,
    /// Which ones, as a bit set; empty on a fungible node.
    pub devices: u64,
    /// Processors in thousandths.
    pub cpu_milli: u32,
    /// Host memory in MiB.
    pub memory_mib: u32,
}

/// All grants of a gang; most jobs have one.
pub type Allocation = SmallVec<[Grant; 1]>;
