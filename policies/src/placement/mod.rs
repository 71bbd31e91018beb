//! Where a gang goes. Policies say which job runs; placements say on which accelerators.
//!
//! A placement is chosen by name, independently of the policy: [`by_name`] makes what [`PLACEMENTS`] lists. Two kinds exist.
//! [`Indexed`] and [`Scatter`] look into the free-count indexes of [`Capacity`]; [`Scored`] wraps a [`Score`], a file each, and
//! takes the node with the best one. Gangs larger than a node are the same to both (see [`gang`]).

mod clustering;
mod fgd;
mod free_shape;
pub mod gang;
mod indexed;
mod packing;
mod random;
mod resources;
mod scatter;
mod scored;
#[cfg(test)]
mod tests;

pub use clustering::Clustering;
pub use fgd::Fgd;
pub use indexed::{Indexed, NodeOrder};
pub use packing::Packing;
pub use random::Random;
pub use resources::{BestFitResources, DotProduct};
pub use scatter::{Scatter, ScatterOrder};
pub use scored::{Candidate, Largest, Score, Scored};

use crate::allocation::Allocation;
use crate::capacity::Capacity;
use crate::job::Demand;
use crate::snapshot::{self, StateError};
use crate::spec::{Entry, Parameter, Spec, SpecError};

/// Finds accelerators for a gang.
pub trait Placement: Send {
    /// A place for all of `demand` in what is free to plan with, or `None`. Use [`Capacity::grant_on`] to make grants.
    fn place(&mut self, capacity: &Capacity, demand: &Demand) -> Option<Allocation>;

    /// Whether it wants to be told beforehand what jobs will ask for ([`Fgd`] does, if asked to).
    fn wants_prior(&self) -> bool {
        false
    }

    /// What jobs will ask for, and how many of each: what an operator knows from history. Whoever makes a placement that
    /// [wants it](Placement::wants_prior) calls this before handing it to a scheduler, and records it: a replay must tell the
    /// same.
    fn expect(&mut self, workload: &[(Demand, u32)]) {
        let _ = workload;
    }

    /// A job that asks for `demand` was submitted.
    fn observe(&mut self, demand: &Demand) {
        let _ = demand;
    }

    /// Another one that knows what this one knows, for another capacity: policies that split a fleet use one for each part.
    fn fork(&self) -> Box<dyn Placement>;

    /// Everything that places to come depend on, but for what follows from the capacity; as [`Policy::save`](crate::Policy::save).
    ///
    /// # Errors
    /// [`StateError::Unsupported`]: the placement does not say how.
    fn save(&self) -> Result<Vec<u8>, StateError> {
        snapshot::save_stateless(self)
    }

    /// Becomes what [`save`](Placement::save) was called on.
    ///
    /// # Errors
    /// The placement does not say how, or the bytes are no state of it.
    fn load(&mut self, state: &[u8]) -> Result<(), StateError> {
        snapshot::load_stateless(self, state)
    }
}

const STEPS: Parameter =
    Parameter { key: "steps", default: "100", about: "steps of the score, 1 to 10000; kube-scheduler has 100" };

/// All placements, for lists and for error messages.
pub const PLACEMENTS: &[Entry] = &[
    Entry { name: "pool", about: "wherever room is; the fleet is usually one fungible pool", parameters: &[] },
    Entry {
        name: "first-fit",
        about: "lowest-numbered node with room; larger gangs take whole free nodes and one for the rest (yarn: Tiresias, NSDI '19, section 4)",
        parameters: &[],
    },
    Entry {
        name: "best-fit",
        about: "node with the fewest free accelerators that fits; shares on the fullest that has room (consolidates)",
        parameters: &[],
    },
    Entry { name: "worst-fit", about: "node with the most free accelerators (spreads)", parameters: &[] },
    Entry {
        name: "scatter",
        about: "gangs split over any nodes that their level allows; small ones whole where one node has room",
        parameters: &[Parameter {
            key: "order",
            default: "fewest-nodes",
            about: "which nodes give first: fewest-nodes (most free, the last part tight), most-free or fewest-free",
        }],
    },
    Entry {
        name: "packing",
        about: "shared accelerators first, then used nodes, then idle ones (FGD, ATC '23, section 6.1)",
        parameters: &[],
    },
    Entry {
        name: "clustering",
        about: "nodes that hold jobs of the same size first (FGD, ATC '23, section 6.1)",
        parameters: &[],
    },
    Entry {
        name: "dot-product",
        about: "smallest product of free and asked-for resources (FGD, ATC '23, section 6.1; Tetris, SIGCOMM '14, section 3.2)",
        parameters: &[
            Parameter { key: "memory", default: "false", about: "count host memory beside processors and accelerators" },
            STEPS,
        ],
    },
    Entry {
        name: "best-fit-resources",
        about: "node with least left over its weighted resources (FGD's best fit, ATC '23, section 6.1)",
        parameters: &[
            Parameter { key: "cpu", default: "0.5", about: "weight of processors" },
            Parameter { key: "memory", default: "0", about: "weight of host memory" },
            Parameter { key: "accelerators", default: "0.5", about: "weight of accelerators" },
            STEPS,
        ],
    },
    Entry { name: "random", about: "any node with room, each as likely", parameters: &[] },
    Entry {
        name: "fgd",
        about: "fragmentation gradient descent: least fragmentation for the expected workload (ATC '23, sections 4 and 5)",
        parameters: &[
            Parameter {
                key: "prior",
                default: "false",
                about: "expect the demands of the whole trace, told before the run, instead of those seen so far",
            },
            Parameter { key: "coverage", default: "0.95", about: "part of jobs that the most frequent demands make up" },
            STEPS,
        ],
    },
];

/// The placement that `text` names, e.g. `best-fit` or `fgd(coverage=0.9)`. `seed` feeds those that draw at random.
///
/// # Errors
/// An unknown name or parameter, with the valid ones, or a bad value.
pub fn by_name(text: &str, seed: u64) -> Result<Box<dyn Placement>, SpecError> {
    let spec = Spec::parse(text, "placement", PLACEMENTS)?;
    let steps = || spec.get_where("steps", "a whole number from 1 to 10000", |n: &u16| (1..=10_000).contains(n));
    Ok(match spec.name() {
        "pool" | "first-fit" => Box::new(Indexed(NodeOrder::Lowest)),
        "best-fit" => Box::new(Indexed(NodeOrder::FewestFree)),
        "worst-fit" => Box::new(Indexed(NodeOrder::MostFree)),
        "scatter" => Box::new(Scatter(spec.get("order", "fewest-nodes, most-free or fewest-free")?)),
        "packing" => Box::new(Scored::new(Packing)),
        "clustering" => Box::new(Scored::new(Clustering)),
        "dot-product" => Box::new(Scored::new(DotProduct { memory: spec.get("memory", "true or false")?, steps: steps()? })),
        "best-fit-resources" => Box::new(Scored::new(BestFitResources { weights: weights(&spec)?, steps: steps()? })),
        "random" => Box::new(Scored::new(Random::new(seed))),
        "fgd" => {
            let part = |c: &f64| *c > 0.0 && *c <= 1.0;
            let coverage = spec.get_where("coverage", "a number above 0 and up to 1", part)?;
            Box::new(Scored::new(Fgd::new(spec.get("prior", "true or false")?, coverage, steps()?)))
        }
        name => unreachable!("placement {name} is listed but not made"),
    })
}

/// The placement's name with every parameter, so that a result says exactly what ran.
///
/// # Errors
/// An unknown name or parameter, with the valid ones.
pub fn full_name(text: &str) -> Result<String, SpecError> {
    Ok(Spec::parse(text, "placement", PLACEMENTS)?.to_string())
}

/// Weights of processors, memory and accelerators, scaled to add up to 1.
fn weights(spec: &Spec) -> Result<[f64; 3], SpecError> {
    let weight = |key| spec.get_where(key, "a number from 0 to 1000", |w: &f64| (0.0..=1000.0).contains(w));
    let weights: [f64; 3] = [weight("cpu")?, weight("memory")?, weight("accelerators")?];
    let sum: f64 = weights.iter().sum();
    if sum == 0.0 {
        return spec.get_where("accelerators", "a number above 0, or another weight above 0", |_: &f64| false).map(|_| weights);
    }
    Ok(weights.map(|weight| weight / sum))
}
