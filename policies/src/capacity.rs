//! What is free, indexed so that finding room does not walk the fleet.
//!
//! Two views are kept of every accelerator. *Planned* is what decisions use: accelerators of a job that was told to stop are
//! free to plan with at once. *Held* is what jobs physically occupy, by the last event. A job placed on accelerators that are
//! still held waits in [`Phase::Assigned`](crate::Phase::Assigned) until they are vacated.

use crate::allocation::{Allocation, Grant};
use crate::fleet::{Fleet, Node};
use crate::ids::{ClusterId, NodeId, TypeId};
use crate::idset::IdSet;
use crate::job::{Demand, WHOLE_MILLI};
use std::collections::BTreeMap;

/// Resources of one node in one view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    milli: u64,
    cpu_milli: u32,
    memory_mib: u32,
}

#[derive(Clone, Debug)]
struct NodeState {
    group: u32,
    /// Index of its first accelerator in the per-accelerator arrays; meaningless on fungible nodes.
    first_device: u32,
    /// Accelerators that are wholly free to plan with, as a bit set; empty on fungible nodes.
    whole: u64,
    free: Amount,
    held: Amount,
}

/// Nodes of one cluster with equal type and number of accelerators, indexed by how many are wholly free.
#[derive(Clone, Debug)]
pub struct Group {
    /// Where they stand.
    pub cluster: ClusterId,
    /// Their accelerators' type.
    pub kind: TypeId,
    /// Accelerators on each.
    pub size: u32,
    /// Nodes in all.
    pub nodes: u32,
    /// Whether accelerators are only counted.
    pub fungible: bool,
    /// `by_free[n]`: nodes with exactly `n` accelerators wholly free to plan with. Fungible nodes are all in `by_free[0]`.
    by_free: Vec<IdSet>,
    /// Nodes on which an accelerator is shared and not full.
    partial: IdSet,
}

impl Group {
    /// Nodes with exactly `count` accelerators wholly free, ascending.
    pub fn with_free(&self, count: u32) -> &IdSet {
        &self.by_free[count as usize]
    }

    /// Nodes with a shared accelerator that is not full, ascending.
    pub fn with_partial(&self) -> &IdSet {
        &self.partial
    }
}

/// The free capacity of a fleet and its indexes.
#[derive(Clone, Debug)]
pub struct Capacity {
    fleet: Fleet,
    nodes: Vec<NodeState>,
    /// Per accelerator of named nodes: thousandths free to plan with.
    device_free: Vec<u16>,
    /// Per accelerator of named nodes: thousandths physically held.
    device_held: Vec<u16>,
    groups: Vec<Group>,
    total_milli: u64,
    free_milli: u64,
    free_milli_by_type: Vec<u64>,
    generation: u64,
}

impl Capacity {
    /// Everything free.
    pub fn new(fleet: Fleet) -> Capacity {
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of: BTreeMap<(ClusterId, TypeId, u32), u32> = BTreeMap::new();
        let mut nodes = Vec::with_capacity(fleet.nodes.len());
        let mut devices = 0;
        let mut free_milli_by_type = vec![0; fleet.types.len()];
        for (id, node) in fleet.nodes.iter().enumerate() {
            let fungible = node.is_fungible();
            let group = *group_of.entry((node.cluster, node.kind, node.accelerators)).or_insert_with(|| {
                groups.push(Group::new(node));
                (groups.len() - 1) as u32
            });
            let count = node.accelerators;
            groups[group as usize].nodes += 1;
            groups[group as usize].by_free[if fungible { 0 } else { count as usize }].insert(id as u32);
            let milli = u64::from(count) * u64::from(WHOLE_MILLI);
            let free = Amount { milli, cpu_milli: node.cpu_milli, memory_mib: node.memory_mib };
            let whole = if fungible { 0 } else { low_bits(count) };
            nodes.push(NodeState { group, first_device: devices, whole, free, held: Amount::default() });
            devices += if fungible { 0 } else { count };
            free_milli_by_type[node.kind.index()] += milli;
        }
        let total_milli = free_milli_by_type.iter().sum();
        Capacity {
            fleet,
            nodes,
            device_free: vec![WHOLE_MILLI; devices as usize],
            device_held: vec![0; devices as usize],
            groups,
            total_milli,
            free_milli: total_milli,
            free_milli_by_type,
            generation: 0,
        }
    }

    /// The machines.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Groups of like nodes, in order of their first node.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Accelerator-thousandths in all.
    pub fn total_milli(&self) -> u64 {
        self.total_milli
    }

    /// Accelerator-thousandths free to plan with.
    pub fn free_milli(&self) -> u64 {
        self.free_milli
    }

    /// Accelerator-thousandths of the types in `demand` that are free to plan with.
    pub fn free_milli_for(&self, demand: &Demand) -> u64 {
        if demand.types == crate::job::TypeSet::ANY {
            return self.free_milli;
        }
        let of_type = |(kind, free): (usize, &u64)| if demand.types.contains(TypeId(kind as u8)) { *free } else { 0 };
        self.free_milli_by_type.iter().enumerate().map(of_type).sum()
    }

    /// Accelerator-thousandths of one type that are free to plan with.
    pub fn free_milli_of(&self, kind: TypeId) -> u64 {
        self.free_milli_by_type[kind.index()]
    }

    /// Grows by one whenever something becomes free to plan with: what did not fit before may fit now.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Accelerators of `node` that are wholly free to plan with, as a bit set (0 on fungible nodes).
    pub fn whole_free(&self, node: NodeId) -> u64 {
        self.nodes[node.index()].whole
    }

    /// Thousandths free to plan with on `node`, over all its accelerators.
    pub fn node_free_milli(&self, node: NodeId) -> u64 {
        self.nodes[node.index()].free.milli
    }

    /// Processors in thousandths free to plan with on `node`.
    pub fn node_free_cpu_milli(&self, node: NodeId) -> u32 {
        self.nodes[node.index()].free.cpu_milli
    }

    /// Host memory in MiB free to plan with on `node`.
    pub fn node_free_memory_mib(&self, node: NodeId) -> u32 {
        self.nodes[node.index()].free.memory_mib
    }

    /// Thousandths free to plan with on each accelerator of `node`; empty on fungible nodes.
    pub fn device_free_milli(&self, node: NodeId) -> &[u16] {
        &self.device_free[self.devices(node)]
    }

    fn devices(&self, node: NodeId) -> std::ops::Range<usize> {
        let spec = self.fleet.node(node);
        let first = self.nodes[node.index()].first_device as usize;
        first..first + if spec.is_fungible() { 0 } else { spec.accelerators as usize }
    }

    /// The grant that puts `count` of the demand's accelerators on `node`, or `None` if they do not fit there now.
    ///
    /// Among a node's accelerators those that nobody holds come first (the job can start at once), then the lowest numbered; a
    /// share goes to the fullest accelerator that has room for it.
    pub fn grant_on(&self, node: NodeId, demand: &Demand, count: u32) -> Option<Grant> {
        let state = &self.nodes[node.index()];
        let portion = |amount: u32| proportional(amount, count, demand.accelerators);
        let (cpu_milli, memory_mib) = (portion(demand.cpu_milli), portion(demand.memory_mib));
        if state.free.cpu_milli < cpu_milli || state.free.memory_mib < memory_mib {
            return None;
        }
        let grant = |devices| Grant { node, count, devices, cpu_milli, memory_mib };
        let wanted = u64::from(count) * u64::from(demand.milli);
        if state.free.milli < wanted {
            return None;
        }
        if self.fleet.node(node).is_fungible() || count == 0 {
            return Some(grant(0));
        }
        self.pick_devices(node, demand.milli, count).map(grant)
    }

    fn pick_devices(&self, node: NodeId, milli: u16, count: u32) -> Option<u64> {
        let devices = self.devices(node);
        let (free, held) = (&self.device_free[devices.clone()], &self.device_held[devices]);
        if milli == WHOLE_MILLI {
            let whole = self.nodes[node.index()].whole;
            if whole.count_ones() < count {
                return None;
            }
            let vacant = held.iter().enumerate().fold(0, |set, (i, &h)| set | u64::from(h == 0) << i) & whole;
            let first = lowest(vacant, count);
            return Some(first | lowest(whole & !first, count - first.count_ones()));
        }
        let mut picked = 0u64;
        for _ in 0..count {
            let fits = |&i: &usize| free[i] >= milli && picked >> i & 1 == 0;
            let best = (0..free.len()).filter(fits).min_by_key(|&i| (held[i] + milli > WHOLE_MILLI, free[i], i))?;
            picked |= 1 << best;
        }
        Some(picked)
    }

    /// Whether nobody physically holds any of what `allocation` names.
    pub fn is_vacant(&self, allocation: &Allocation, milli: u16) -> bool {
        allocation.iter().all(|grant| {
            let spec = self.fleet.node(grant.node);
            let state = &self.nodes[grant.node.index()];
            let wanted = u64::from(grant.count) * u64::from(milli);
            let room = |have: u32, held: u32, wanted: u32| have == u32::MAX || have - held >= wanted;
            room(spec.cpu_milli, state.held.cpu_milli, grant.cpu_milli)
                && room(spec.memory_mib, state.held.memory_mib, grant.memory_mib)
                && state.held.milli + wanted <= u64::from(spec.accelerators) * u64::from(WHOLE_MILLI)
                && bits(grant.devices).all(|d| self.device_held[state.first_device as usize + d] + milli <= WHOLE_MILLI)
        })
    }

    /// Takes `allocation` out of what is free to plan with.
    pub(crate) fn take(&mut self, allocation: &Allocation, milli: u16) {
        for grant in allocation {
            self.change_planned(grant, milli, true);
        }
    }

    /// Puts `allocation` back into what is free to plan with.
    pub(crate) fn give(&mut self, allocation: &Allocation, milli: u16) {
        self.lend(allocation, milli);
        self.generation += 1;
    }

    /// Puts `allocation` back for a moment, to see what would fit then: unlike [`give`](Capacity::give) this is no news.
    pub(crate) fn lend(&mut self, allocation: &Allocation, milli: u16) {
        for grant in allocation {
            self.change_planned(grant, milli, false);
        }
    }

    fn change_planned(&mut self, grant: &Grant, milli: u16, taken: bool) {
        let spec = *self.fleet.node(grant.node);
        let state = &mut self.nodes[grant.node.index()];
        let amount = u64::from(grant.count) * u64::from(milli);
        shift(&mut state.free.milli, amount, !taken);
        shift(&mut self.free_milli, amount, !taken);
        shift(&mut self.free_milli_by_type[spec.kind.index()], amount, !taken);
        if spec.cpu_milli != u32::MAX {
            shift32(&mut state.free.cpu_milli, grant.cpu_milli, !taken);
        }
        if spec.memory_mib != u32::MAX {
            shift32(&mut state.free.memory_mib, grant.memory_mib, !taken);
        }
        if spec.is_fungible() || grant.devices == 0 {
            return;
        }
        let before = state.whole;
        for device in bits(grant.devices) {
            let free = &mut self.device_free[state.first_device as usize + device];
            *free = if taken { free.checked_sub(milli).expect("planned twice") } else { *free + milli };
            debug_assert!(*free <= WHOLE_MILLI);
            state.whole = state.whole & !(1 << device) | u64::from(*free == WHOLE_MILLI) << device;
        }
        let group = &mut self.groups[state.group as usize];
        let (was, is) = (before.count_ones(), state.whole.count_ones());
        if was != is {
            group.by_free[was as usize].remove(grant.node.0);
            group.by_free[is as usize].insert(grant.node.0);
        }
        // Something is free beside the whole ones: a shared accelerator has room.
        if state.free.milli > u64::from(is) * u64::from(WHOLE_MILLI) {
            group.partial.insert(grant.node.0);
        } else if !group.partial.is_empty() {
            group.partial.remove(grant.node.0);
        }
    }

    /// Records that a job physically occupies (or leaves, if not `held`) `allocation`.
    pub(crate) fn hold(&mut self, allocation: &Allocation, milli: u16, held: bool) {
        for grant in allocation {
            let state = &mut self.nodes[grant.node.index()];
            shift(&mut state.held.milli, u64::from(grant.count) * u64::from(milli), held);
            shift32(&mut state.held.cpu_milli, grant.cpu_milli, held);
            shift32(&mut state.held.memory_mib, grant.memory_mib, held);
            for device in bits(grant.devices) {
                let d = &mut self.device_held[state.first_device as usize + device];
                *d = if held { *d + milli } else { d.checked_sub(milli).expect("released twice") };
                debug_assert!(*d <= WHOLE_MILLI, "accelerator held twice");
            }
        }
    }

    /// Compares everything that is kept incrementally with a recomputation from the allocations that are planned and held.
    ///
    /// # Errors
    /// The first difference, in words.
    pub fn check<'a>(
        &self,
        planned: impl Iterator<Item = (&'a Allocation, u16)>,
        held: impl Iterator<Item = (&'a Allocation, u16)>,
    ) -> Result<(), String> {
        let mut fresh = Capacity::new(self.fleet.clone());
        for (allocation, milli) in planned {
            for grant in allocation {
                let free = fresh.nodes[grant.node.index()].free;
                if free.milli < u64::from(grant.count) * u64::from(milli)
                    || free.cpu_milli < grant.cpu_milli
                    || free.memory_mib < grant.memory_mib
                {
                    return Err(format!("node {} is oversubscribed", grant.node.0));
                }
                if bits(grant.devices).any(|d| fresh.device_free_milli(grant.node)[d] < milli) {
                    return Err(format!("an accelerator of node {} is oversubscribed", grant.node.0));
                }
                fresh.change_planned(grant, milli, true);
            }
        }
        for (allocation, milli) in held {
            if !fresh.is_vacant(allocation, milli) {
                return Err(format!("accelerators of node {} are held twice", allocation[0].node.0));
            }
            fresh.hold(allocation, milli, true);
        }
        self.compare(&fresh)
    }

    fn compare(&self, fresh: &Capacity) -> Result<(), String> {
        for (id, (kept, new)) in self.nodes.iter().zip(&fresh.nodes).enumerate() {
            if (kept.whole, kept.free, kept.held) != (new.whole, new.free, new.held) {
                return Err(format!("node {id}: kept {kept:?}, recomputed {new:?}"));
            }
        }
        for (kept, new) in self.groups.iter().zip(&fresh.groups) {
            let ids = |sets: &[IdSet]| sets.iter().map(|s| s.iter().collect::<Vec<_>>()).collect::<Vec<_>>();
            if ids(&kept.by_free) != ids(&new.by_free) || kept.partial.iter().ne(new.partial.iter()) {
                return Err(format!("free index of cluster {} is stale", kept.cluster.0));
            }
        }
        let same = self.free_milli == fresh.free_milli
            && self.free_milli_by_type == fresh.free_milli_by_type
            && self.device_free == fresh.device_free
            && self.device_held == fresh.device_held;
        if same { Ok(()) } else { Err("free totals are stale".into()) }
    }
}

impl Group {
    fn new(node: &Node) -> Group {
        let fungible = node.is_fungible();
        let buckets = if fungible { 1 } else { node.accelerators as usize + 1 };
        Group {
            cluster: node.cluster,
            kind: node.kind,
            size: node.accelerators,
            nodes: 0,
            fungible,
            by_free: vec![IdSet::new(); buckets],
            partial: IdSet::new(),
        }
    }
}

/// The positions of the set bits, ascending.
pub fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (set != 0).then(|| {
            let bit = set.trailing_zeros() as usize;
            set &= set - 1;
            bit
        })
    })
}

fn low_bits(count: u32) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// The `count` lowest bits of `set`, or all if it has fewer.
fn lowest(set: u64, count: u32) -> u64 {
    bits(set).take(count as usize).fold(0, |picked, bit| picked | 1 << bit)
}

/// `amount * part / whole`, rounded up; all of it where the whole is nothing.
fn proportional(amount: u32, part: u32, whole: u32) -> u32 {
    if part == whole { amount } else { (u64::from(amount) * u64::from(part)).div_ceil(u64::from(whole)) as u32 }
}

fn shift(value: &mut u64, amount: u64, up: bool) {
    *value = if up { *value + amount } else { value.checked_sub(amount).expect("capacity taken twice") };
}

fn shift32(value: &mut u32, amount: u32, up: bool) {
    *value = if up { *value + amount } else { value.checked_sub(amount).expect("capacity taken twice") };
}
