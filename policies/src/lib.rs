//! The scheduler core.
pub mod allocation;
pub mod fleet;
pub mod ids;
pub mod job;
pub mod time;

pub use allocation::{Allocation, Grant};
pub use fleet::{Cluster, Fleet, Node};
pub use ids::{Attempt, ClassId, ClusterId, JobId, NodeId, RegionId, TenantId, TypeId};
pub use job::{Demand, Job, JobSpec, Level, Phase, TypeSet, WHOLE_MILLI};
pub use time::{Span, Time};
