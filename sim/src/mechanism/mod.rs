//! What it costs to stop, move, resize and save a job: a small model of Singularity's mechanisms.
//!
//! [`JobState`] says what a job has to carry, [`Placement`] where it runs, [`Mechanism`] how fast the parts of a switch go.
//! An operation ([`Mechanism::preempt`], [`Mechanism::resume`], [`Mechanism::migrate`], ...) answers with a [`Switch`]: times
//! that are spent whatever else happens, and transfers in bytes over a blob store's links. Alone on the links a switch takes
//! [`Switch::parts`]; in company, [`Links`] shares the bandwidth and says when each transfer ends.
//!
//! Parameters are data: every one has its unit in its name, can be set in a scenario, and a whole table of them with model
//! profiles is a TOML file. The presets ([`Mechanism::by_name`]) are such files too; one measured on real hardware is loaded by
//! [`Mechanism::load`].
//!
//! ```
//! use sim::mechanism::{Image, Mechanism};
//!
//! let v100 = Mechanism::by_name("singularity-v100")?;
//! let bert = v100.profile("bert-109m")?;
//! let migrate = v100.migrate(bert, bert.placed(16)?, bert.placed(16)?, Image::Incremental);
//! assert_eq!(migrate.parts().total().as_secs_f64().round(), 36.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Source of the mechanisms: "Singularity: Planet-Scale, Preemptive and Elastic Scheduling of AI Workloads"
//! (arXiv 2202.07848). The decomposition into parts and their rates is ours; see the file of each preset for
//! what was published, what was fitted and what was assumed.

mod job;
mod links;
mod model;
mod operations;
mod presets;
mod units;

pub use job::{JobState, Parallelism, Placement, PlacementError, SplicePoint};
pub use links::{LinkId, Links, TransferId};
pub use model::{Barrier, BarrierRange, Checkpoint, Download, Dump, Mechanism, Restore, Splicing, Upload};
pub use operations::{Image, Leg, Part, Parts, StoreLink, Switch, Transfer};
pub use presets::{PresetError, preset_names};
pub use units::{Above, BySize, Fraction, Seconds};
