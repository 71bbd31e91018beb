//! Resources of one node.

use crate::allocation::Grant;
use crate::ids::NodeId;
use crate::job::Demand;

/// Resources of one node in one view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub milli: u64,
    pub cpu_milli: u32,
    pub memory_mib: u32,
}

impl Amount {
    /// What `count` of the demand's accelerators take, processors and memory in proportion.
    #[inline]
    pub fn portion(demand: &Demand, count: u32) -> Amount {
        Amount {
            milli: u64::from(count) * u64::from(demand.milli),
            cpu_milli: if demand.cpu_milli == 0 { 0 } else { demand.cpu_milli_for(count) },
            memory_mib: if demand.memory_mib == 0 { 0 } else { demand.memory_mib_for(count) },
        }
    }

    #[inline]
    pub fn holds(&self, wanted: &Amount) -> bool {
        self.milli >= wanted.milli && self.cpu_milli >= wanted.cpu_milli && self.memory_mib >= wanted.memory_mib
    }

    #[inline]
    pub fn shift(&mut self, by: &Amount, up: bool) {
        shift(&mut self.milli, by.milli, up);
        if by.cpu_milli | by.memory_mib != 0 {
            shift32(&mut self.cpu_milli, by.cpu_milli, up);
            shift32(&mut self.memory_mib, by.memory_mib, up);
        }
    }

    #[inline]
    pub fn grant(&self, node: NodeId, count: u32, devices: u64) -> Grant {
        Grant { node, count, devices, cpu_milli: self.cpu_milli, memory_mib: self.memory_mib }
    }
}

#[inline]
pub(super) fn shift(value: &mut u64, amount: u64, up: bool) {
    *value = if up { *value + amount } else { value.checked_sub(amount).expect("capacity taken twice") };
}

#[inline]
fn shift32(value: &mut u32, amount: u32, up: bool) {
    *value = if up { *value + amount } else { value.checked_sub(amount).expect("capacity taken twice") };
}
