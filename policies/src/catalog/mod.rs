//! The policies, a file each. [`by_name`] is the list.

mod bylength;
mod conservative;
mod easy;
mod edf;
mod expect;
mod fair_share;
mod fifo;
mod gittins;
mod hierarchy;
mod las;
mod priority;
mod profile;
mod random;
mod room;
mod singularity;
mod sjf;
mod srtf;
mod tenants;
mod tiresias;

pub use conservative::Conservative;
pub use easy::{BackfillOrder, Easy};
pub use fair_share::{FairShare, Rules};
pub use fifo::{FifoSkip, FifoStrict};
pub use priority::Priority;
pub use random::Random;
pub use sjf::{SjfSkip, SjfStrict};
pub use srtf::ShortestRemaining;
pub use tenants::PerTenant;

use crate::policy::Policy;
use crate::spec::{Entry, Parameter, Spec, SpecError};

/// All policies, for lists and for error messages.
pub const POLICIES: &[Entry] = &[
    fifo::ENTRY,
    sjf::ENTRY,
    srtf::SRTF,
    srtf::SRSF,
    las::ENTRY,
    tiresias::ENTRY,
    gittins::ENTRY,
    easy::ENTRY,
    conservative::ENTRY,
    priority::ENTRY,
    edf::ENTRY,
    fair_share::ENTRY,
    singularity::ENTRY,
    hierarchy::ENTRY,
    random::ENTRY,
];

/// What tells a listed policy from its defaults: `tiresias(limits=60)` for its full name with `limits=60`. Other names stay as they
/// are.
pub fn short_name(full: &str) -> String {
    Spec::parse(full, "policy", POLICIES).map_or_else(|_| full.into(), |spec| spec.short())
}

/// The policy that `text` names, e.g. `fifo(skip=true)`, and its full name with every parameter. `seed` feeds those that draw
/// at random.
///
/// # Errors
/// An unknown name or parameter, with the valid ones.
pub fn by_name(text: &str, seed: u64) -> Result<(Box<dyn Policy>, String), SpecError> {
    let spec = Spec::parse(text, "policy", POLICIES)?;
    let policy = match spec.name() {
        "fifo" => fifo::make(&spec)?,
        "sjf" => sjf::make(&spec)?,
        "easy" => easy::make(&spec)?,
        "conservative" => conservative::make(&spec)?,
        "priority" => priority::make(&spec)?,
        "edf" => edf::make(&spec)?,
        "fair-share" => fair_share::make(&spec)?,
        "singularity" => singularity::make(&spec)?,
        "hierarchy" => hierarchy::make(&spec, seed)?,
        "random" => Box::new(Random::new(seed)),
        "srtf" | "srsf" => srtf::make(&spec)?,
        "las" => las::make(&spec)?,
        "gittins" => gittins::make(&spec)?,
        "tiresias" => tiresias::make(&spec)?,
        name => unreachable!("policy {name} is listed but not made"),
    };
    Ok((policy, spec.to_string()))
}
