//! The simulated world: it knows the truth, carries out the scheduler's orders, and reports what happens.
//!
//! [`run`] is the whole loop. Compare it with the executor's: the scheduler cannot tell them apart.
//!
//! What starting, stopping, saving and moving costs is a [`CostModel`]: fixed times, or a [`mechanism`] of parts whose transfers
//! share the links of the fleet. A world with such a mechanism, or with troubles such as stores that are out, is told about them
//! by [`World::with_mechanism`] and [`World::with_disturbances`]; all others pay nothing for them.

mod costs;
mod driver;
mod events;
pub mod mechanism;
mod network;
mod recovery;
mod world;

pub use costs::{COSTS, CostModel, Costs, CostsError};
pub use driver::{Driver, End, Limits, Stop, Stretch, run};
pub use events::EventQueue;
pub use recovery::Recovery;
pub use world::{Arrival, BadEnd, Crashes, ENDLESS, Switched, World};
