//! What a world with a mechanism knows of a job beyond its work.

use crate::mechanism::{Image, Leg, Placement, TransferId};
use policies::{Allocation, ClusterId, NodeId, RegionId, Span, Time};
use serde::{Deserialize, Serialize};

/// Where an attempt is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Seat {
    pub place: Placement,
    /// Of its first node: gangs over several clusters load the links of one.
    pub cluster: ClusterId,
    pub region: RegionId,
    pub nodes: Vec<NodeId>,
}

/// How far a leg has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Work on the job's own nodes.
    Local,
    /// Device state is on its way.
    Device(TransferId),
    /// Host images are on their way.
    Host(TransferId),
}

impl Stage {
    pub fn transfer(self) -> Option<TransferId> {
        match self {
            Stage::Local => None,
            Stage::Device(id) | Stage::Host(id) => Some(id),
        }
    }

    pub fn renumber(&mut self, new: TransferId) {
        match self {
            Stage::Local => {}
            Stage::Device(id) | Stage::Host(id) => *id = new,
        }
    }
}

/// What comes after an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum After {
    Nothing,
    /// The attempt is stopped: it held its accelerators until now.
    Stop,
    /// The attempt goes on.
    Resume,
}

/// A checkpoint on its way to the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Upload {
    /// Distinguishes it from other uploads of the job.
    pub serial: u32,
    pub leg: Leg,
    pub stage: Stage,
    /// Work that it holds.
    pub work: Span,
    pub image: Image,
    pub seat: Seat,
    pub after: After,
}

/// A checkpoint on its way to the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fetch {
    /// It is not yet in the store.
    Awaited,
    /// Then so much on the nodes.
    Under { leg: Leg, stage: Stage, rest: Span },
}

/// A job, as far as its switches depend on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Carried {
    /// Number of its profile.
    pub profile: u16,
    pub workers: u32,
    /// The newest checkpoint in a store, and in whose.
    pub image: Option<(Image, RegionId)>,
    /// Work that is not lost when the attempt is.
    pub durable: Span,
    pub upload: Option<Box<Upload>>,
    pub fetch: Option<Box<Fetch>>,
    pub seat: Option<Box<Seat>>,
    /// Where the newest attempt was sent.
    pub cluster: ClusterId,
    /// Nodes in whose host memory the newest checkpoint still lies.
    pub copy: Vec<NodeId>,
    /// Since when.
    pub copied: Time,
    /// When the attempt finishes if nothing changes. Ends that were foreseen for other instants do not happen.
    pub ends: Time,
    /// When it crashes.
    pub crashes: Time,
    pub serial: u32,
    /// Its newest checkpoint was lost on the way to the store; it does not know it yet.
    pub forgotten: bool,
    /// Stands still for a periodic checkpoint.
    pub paused: bool,
}

impl Carried {
    pub fn new(profile: u16, workers: u32) -> Carried {
        Carried {
            profile,
            workers,
            image: None,
            durable: Span::ZERO,
            upload: None,
            fetch: None,
            seat: None,
            cluster: ClusterId(0),
            copy: Vec::new(),
            copied: Time::ZERO,
            ends: Time::MAX,
            crashes: Time::MAX,
            serial: 0,
            forgotten: false,
            paused: false,
        }
    }

    /// What the next checkpoint has to store: everything, if its region's store has none yet.
    pub fn next_image(&self, region: RegionId) -> Image {
        match self.image {
            Some((_, store)) if store == region => Image::Incremental,
            _ => Image::First,
        }
    }
}

/// Nodes of an allocation, each once, in order.
pub(super) fn nodes_of(allocation: &Allocation) -> Vec<NodeId> {
    allocation.iter().map(|grant| grant.node).collect()
}
