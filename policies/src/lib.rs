//! The scheduler core: jobs, fleet, view, plan, the [`Policy`] trait and the [`Scheduler`] state machine.
//!
//! It has no clock, thread, file, socket, device, logger or global, and iterates in no hash order: equal inputs give equal
//! orders in the simulator and on real nodes. Start with [`Policy`] and [`Scheduler`].

// What is disallowed, and why, is in clippy.toml; tests may do it.
#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]
#![cfg_attr(test, allow(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

pub mod allocation;
mod attained;
pub mod capacity;
pub mod catalog;
mod check;
pub mod elastic;
pub mod event;
pub mod fleet;
pub mod ids;
pub mod idset;
pub mod idtable;
pub mod job;
pub mod journal;
pub mod ledger;
pub mod placement;
pub mod plan;
pub mod policy;
pub mod queue;
mod ranked;
pub mod scheduler;
pub mod snapshot;
pub mod spec;
pub mod tier;
pub mod time;
pub mod view;

pub use allocation::{Allocation, Grant};
pub use capacity::Capacity;
pub use elastic::{Elastic, FULL_SPEED};
pub use event::{Event, NodeState, Note, Order, Reason};
pub use fleet::{Cluster, Domain, Fleet, Node};
pub use ids::{Attempt, ClassId, ClusterId, JobId, NodeId, RegionId, TenantId, TypeId};
pub use idset::IdSet;
pub use idtable::IdTable;
pub use job::{Demand, Job, JobSpec, Level, Phase, TypeSet, WHOLE_MILLI};
pub use ledger::Ledger;
pub use placement::Placement;
pub use plan::Plan;
pub use policy::Policy;
pub use scheduler::{Decision, Scheduler};
pub use tier::{Tier, Tiers};
pub use time::{Span, Time};
pub use view::View;
