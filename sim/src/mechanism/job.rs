//! What a job has to carry when it moves.

use super::units::{Fraction, Seconds};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How the workers of a job depend on each other; decides where a barrier can stop them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parallelism {
    /// Data-parallel: all stop after the same collective.
    #[default]
    DataParallel,
    /// Data, pipeline and tensor parallel: all stop at a mini-batch boundary.
    ThreeD,
}

/// The state of a job, and what of its shape matters for moving it.
///
/// A preset's profile is a `JobState` measured or published for one model; a scenario makes others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobState {
    /// Device state of one whole model replica (the paper's S_G): all shards together, data-parallel copies counted once.
    pub device_state_bytes: u64,
    /// Process image of a worker in its first checkpoint.
    pub host_first_bytes_per_worker: u64,
    /// What a later checkpoint stores for a worker after temporal deduplication.
    pub host_incremental_bytes_per_worker: u64,
    /// Workers: the world size, which never changes.
    pub workers: u32,
    /// Accelerators that hold one model replica: 1 for pure data parallelism. Divides `workers`.
    pub model_parallel: u32,
    /// Accelerators of a node.
    pub accelerators_per_node: u32,
    /// Kind of parallelism.
    pub parallelism: Parallelism,
    /// One mini-batch with an accelerator for every worker.
    pub mini_batch_s: Seconds,
    /// Measured overheads of splicing; the mechanism's own table holds where this is empty. In order of degree.
    pub splice: Vec<SplicePoint>,
    /// Device bytes of a worker that must be swapped out and in at a switch of ranks: those that checksums do not save.
    pub swap_bytes: u64,
    /// This model's own fixed time of a restore, in place of the mechanism's.
    pub restore_fixed_s: Option<Seconds>,
}

/// Overhead of time-sharing an accelerator, measured at one degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplicePoint {
    /// Workers on one accelerator.
    pub degree: u32,
    /// Extra time over `degree` times the time of a mini-batch with an accelerator each. Negative where it was measured so.
    pub overhead: Fraction,
}

impl Default for JobState {
    fn default() -> Self {
        JobState {
            device_state_bytes: 0,
            host_first_bytes_per_worker: 0,
            host_incremental_bytes_per_worker: 0,
            workers: 1,
            model_parallel: 1,
            accelerators_per_node: 8,
            parallelism: Parallelism::DataParallel,
            mini_batch_s: Seconds::default(),
            splice: Vec::new(),
            swap_bytes: 0,
            restore_fixed_s: None,
        }
    }
}

/// Where a job runs, as far as its costs depend on it. Made by [`JobState::placed`], which checks that the size is legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    accelerators: u32,
    nodes: u32,
    degree: u32,
}

impl Placement {
    /// Accelerators held.
    pub fn accelerators(self) -> u32 {
        self.accelerators
    }

    /// Nodes over which they are spread.
    pub fn nodes(self) -> u32 {
        self.nodes
    }

    /// Workers on each accelerator.
    pub fn degree(self) -> u32 {
        self.degree
    }
}

/// A job cannot run at that size, or contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlacementError {
    /// The workers cannot be dealt out evenly, or replicas of different shards would share an accelerator.
    #[error(
        "{workers} workers of a model over {model_parallel} accelerators cannot run on {accelerators}; legal sizes: {legal}"
    )]
    Size {
        /// World size.
        workers: u32,
        /// Accelerators a replica.
        model_parallel: u32,
        /// The size that was asked for.
        accelerators: u32,
        /// Sizes that would do.
        legal: String,
    },
    /// Accelerators on more nodes than there are accelerators, or on none.
    #[error("{accelerators} accelerators cannot lie on {nodes} nodes; expected 1 to {accelerators} nodes")]
    Nodes {
        /// The size that was asked for.
        accelerators: u32,
        /// The nodes that were asked for.
        nodes: u32,
    },
    /// A count that must be at least one, or must divide, does not.
    #[error(
        "{workers} workers, {model_parallel} accelerators a replica, {accelerators_per_node} accelerators a node: all must be at least 1, and the second must divide the first"
    )]
    Job {
        /// World size.
        workers: u32,
        /// Accelerators a replica.
        model_parallel: u32,
        /// Accelerators of a node.
        accelerators_per_node: u32,
    },
}

impl JobState {
    /// The job on so many accelerators of whole nodes (the last one may be partly used).
    ///
    /// # Errors
    /// Sizes at which replicas of one shard cannot share evenly: the workers on an accelerator must divide the data-parallel
    /// degree.
    pub fn placed(&self, accelerators: u32) -> Result<Placement, PlacementError> {
        self.placed_on(accelerators, accelerators.div_ceil(self.accelerators_per_node.max(1)))
    }

    /// The job on so many accelerators that lie on so many nodes.
    ///
    /// # Errors
    /// As [`JobState::placed`], and more nodes than accelerators.
    pub fn placed_on(&self, accelerators: u32, nodes: u32) -> Result<Placement, PlacementError> {
        self.check()?;
        if !self.legal(accelerators) {
            let legal: Vec<_> = (1..=self.replicas()).filter(|n| self.replicas().is_multiple_of(*n)).collect();
            let legal: Vec<_> = legal.iter().map(|n| (n * self.model_parallel).to_string()).collect();
            let (workers, model_parallel) = (self.workers, self.model_parallel);
            return Err(PlacementError::Size { workers, model_parallel, accelerators, legal: legal.join(", ") });
        }
        if nodes == 0 || nodes > accelerators {
            return Err(PlacementError::Nodes { accelerators, nodes });
        }
        Ok(Placement { accelerators, nodes, degree: self.workers / accelerators })
    }

    /// As [`JobState::placed_on`], but for any size: where the workers cannot be dealt out evenly, the fullest accelerator counts.
    /// Costs are then defined for whatever a scheduler does.
    pub fn placed_somehow(&self, accelerators: u32, nodes: u32) -> Placement {
        let accelerators = accelerators.max(1);
        Placement { accelerators, nodes: nodes.clamp(1, accelerators), degree: self.workers.div_ceil(accelerators).max(1) }
    }

    /// This model trained by so many workers. Where the model does not divide them, a replica spans the largest part that does.
    pub fn with_workers(&self, workers: u32) -> JobState {
        let workers = workers.max(1);
        let model_parallel = (1..=self.model_parallel.clamp(1, workers)).rev().find(|shard| workers.is_multiple_of(*shard));
        JobState { workers, model_parallel: model_parallel.unwrap_or(1), ..self.clone() }
    }

    fn check(&self) -> Result<(), PlacementError> {
        let JobState { workers, model_parallel, accelerators_per_node, .. } = *self;
        let sound = workers > 0 && model_parallel > 0 && accelerators_per_node > 0 && workers % model_parallel == 0;
        sound.then_some(()).ok_or(PlacementError::Job { workers, model_parallel, accelerators_per_node })
    }

    fn legal(&self, accelerators: u32) -> bool {
        accelerators > 0
            && self.workers.is_multiple_of(accelerators)
            && self.replicas().is_multiple_of(self.workers / accelerators)
    }

    /// Data-parallel degree.
    pub fn replicas(&self) -> u32 {
        self.workers / self.model_parallel.max(1)
    }

    /// Device state that one worker holds: its shard.
    pub fn device_bytes_per_worker(&self) -> u64 {
        self.device_state_bytes.div_ceil(u64::from(self.model_parallel.max(1)))
    }
}
