//! The policies, a file each. [`by_name`] is the list.

mod fifo;
mod gittins;
mod las;
mod srtf;
mod tiresias;

pub use fifo::{FifoSkip, FifoStrict};
pub use srtf::ShortestRemaining;

use crate::policy::Policy;
use crate::spec::{Entry, Parameter, Spec, SpecError};

/// All policies, for lists and for error messages.
pub const POLICIES: &[Entry] = &[fifo::ENTRY, srtf::SRTF, srtf::SRSF, las::ENTRY, tiresias::ENTRY, gittins::ENTRY];

/// The policy that `text` names, e.g. `fifo(skip=true)`, and its full name with every parameter. `seed` feeds those that draw
/// at random.
///
/// # Errors
/// An unknown name or parameter, with the valid ones.
pub fn by_name(text: &str, seed: u64) -> Result<(Box<dyn Policy>, String), SpecError> {
    let spec = Spec::parse(text, "policy", POLICIES)?;
    let _ = seed;
    let policy = match spec.name() {
        "fifo" => fifo::make(&spec)?,
        "srtf" | "srsf" => srtf::make(&spec)?,
        "las" => las::make(&spec)?,
        "gittins" => gittins::make(&spec)?,
        "tiresias" => tiresias::make(&spec)?,
        name => unreachable!("policy {name} is listed but not made"),
    };
    Ok((policy, spec.to_string()))
}
