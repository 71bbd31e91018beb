//! Newtyped indices. Each one indexes a flat array, so ids are dense and start at zero.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl $name {
            /// The id as an index into the array of its kind.
            #[inline]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id!(
    /// A job, numbered in submit order (ties in input order): comparing ids compares arrivals.
    JobId(u32)
);
id!(
    /// A node of the fleet.
    NodeId(u32)
);
id!(
    /// A cluster: nodes that a gang may span.
    ClusterId(u16)
);
id!(
    /// A region: clusters that are near each other.
    RegionId(u16)
);
id!(
    /// An accelerator type, e.g. V100 or an FPGA card. At most 64 types exist in a fleet.
    TypeId(u8)
);
id!(
    /// Who pays: a user, a virtual cluster, a project.
    TenantId(u32)
);
id!(
    /// A set of jobs with equal [`Demand`](crate::Demand): what does not fit for one does not fit for any.
    ClassId(u32)
);
id!(
    /// Counts the starts of one job, from 1. A message that names an older attempt is stale.
    Attempt(u32)
);
