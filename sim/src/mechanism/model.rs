//! The parameters: how fast each part of a switch goes.

use super::job::{JobState, SplicePoint};
use super::units::{BySize, Fraction, Seconds};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use traces::scenario::StateRule;

/// The switching mechanism of a fleet. A rate that is absent takes no time; so the default costs nothing at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mechanism {
    /// Its name, as it stands in results.
    pub name: String,
    /// One sentence about where the figures are from.
    pub about: String,
    /// From an empty accelerator to the first step of a job that has no checkpoint.
    pub start: BySize,
    /// Bringing all workers to one consistent point.
    pub barrier: Barrier,
    /// Reading state out of devices and processes.
    pub dump: Dump,
    /// Storing it.
    pub upload: Upload,
    /// Fetching it.
    pub download: Download,
    /// Bringing processes and devices back.
    pub restore: Restore,
    /// Sharing an accelerator among workers.
    pub splicing: Splicing,
    /// Checkpoints while the job runs on.
    pub checkpoint: Checkpoint,
    /// Which jobs of a simulated world have which profile, unless the scenario says it ([`StateRule`]). Jobs to which no rule
    /// applies have nothing to carry.
    pub states: Vec<StateRule>,
    /// Known models, by name.
    pub profiles: BTreeMap<String, JobState>,
}

/// The distributed barrier: a SUM all-reduce of two integers beside the job's own collectives.
///
/// A request falls somewhere into a mini-batch; the workers learn of it at the end of that one and stop at the end of the next.
/// With one round of collectives a mini-batch this takes between one and two mini-batches, uniformly: the expected value is the
/// middle. Mini-batches of a spliced job are longer by the degree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Barrier {
    /// Data-parallel jobs, which stop after the same collective.
    pub data_parallel: BarrierRange,
    /// 3D-parallel jobs, which stop at a mini-batch boundary.
    pub three_d: BarrierRange,
}

/// Shortest and longest barrier, in mini-batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BarrierRange {
    /// Shortest.
    pub least_mini_batches: Fraction,
    /// Longest.
    pub most_mini_batches: Fraction,
}

impl BarrierRange {
    /// The middle.
    pub fn expected_mini_batches(self) -> Fraction {
        Fraction::from_ppm((self.least_mini_batches.ppm + self.most_mini_batches.ppm) / 2)
    }
}

/// Dumping: each accelerator and each worker on its own, all at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dump {
    /// Part of the host dump that does not depend on sizes: freezing processes, draining the device proxy.
    pub fixed_s: Seconds,
    /// Device memory to host memory, an accelerator. One copy of a shard is dumped however many workers share it.
    pub device_bytes_per_s_per_accelerator: Option<NonZeroU64>,
    /// Writing a process image of first size, a worker.
    pub host_bytes_per_s_per_worker: Option<NonZeroU64>,
}

/// Storing into the blob store from `n` nodes: `n` times a node's rate, unless the store's links are narrower.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upload {
    /// Finding the pages that changed: the whole host images of the node's workers, read and checksummed there.
    pub scan_bytes_per_s_per_node: Option<NonZeroU64>,
    /// Sending device state, deduplicated over replicas: each node sends its part of the one copy.
    pub device_bytes_per_s_per_node: Option<NonZeroU64>,
    /// Sending host images, whole ones the first time and increments later.
    pub host_bytes_per_s_per_node: Option<NonZeroU64>,
}

/// Fetching onto `n` nodes: the one copy of the device state divided among them, and the host images of their workers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Download {
    /// Fetching device state.
    pub device_bytes_per_s_per_node: Option<NonZeroU64>,
    /// Fetching host images: the first and, if there is one, the increment.
    pub host_bytes_per_s_per_node: Option<NonZeroU64>,
    /// Handing every worker of the node its copy of its shard.
    pub copy_bytes_per_s_per_node: Option<NonZeroU64>,
    /// Unpacking and checking a host image of first size, by each worker on its own.
    pub unpack_bytes_per_s_per_worker: Option<NonZeroU64>,
    /// Preparing a worker, one after another on each node.
    pub per_worker_on_node_s: Seconds,
}

/// Restoring.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Restore {
    /// Processes, replay of the logged device calls, new communicators. A job may bring its own value.
    pub fixed: BySize,
    /// Host memory to device memory, an accelerator; every worker that it will hold, in turn.
    pub device_bytes_per_s_per_accelerator: Option<NonZeroU64>,
}

/// Replica splicing: workers of the same shard time-share an accelerator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Splicing {
    /// Overheads of jobs that bring none of their own, in order of degree; see [`SplicePoint`].
    pub overhead: Vec<SplicePoint>,
    /// A switch from one rank to the next, beyond what the measured overhead contains.
    pub swap_s: Seconds,
    /// Swapping a worker's `swap_bytes` out and in again.
    pub swap_bytes_per_s: Option<NonZeroU64>,
}

/// Checkpoints that do not stop the job for good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checkpoint {
    /// From one periodic checkpoint to the next; none: only on demand.
    pub period_s: Option<Seconds>,
    /// Whether the job goes on as soon as it is dumped, while the upload runs. In a simulated world a job that is stopped gives
    /// its accelerators back at that moment too: its state lies in the nodes' host memory.
    pub upload_in_background: bool,
}
