//! The simulated world: it knows the truth, carries out the scheduler's orders, and reports what happens.
//!
//! [`run`] is the whole loop. Compare it with the executor's: the scheduler cannot tell them apart.

mod costs;
mod driver;
mod events;
pub mod mechanism;
mod network;
mod recovery;
mod world;

pub use costs::{COSTS, CostModel, Costs, CostsError};
pub use driver::{End, Limits, run};
pub use events::EventQueue;
pub use network::Cut;
pub use recovery::Recovery;
pub use world::{Arrival, Crashes, ENDLESS, Switched, World};
