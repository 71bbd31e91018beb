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
use crate::journal::Journal;
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
    /// Grants planned here by [kind](grant_kind).
    kinds: [u16; GRANT_KINDS],
}

/// How many kinds of grant [`grant_kind`] tells apart.
pub const GRANT_KINDS: usize = 8;

/// What kind of user a grant is to its node: 0 a share of accelerators, 1 to 7 whole ones: one, two, up to 4, 8, 16, 32, 64.
pub const fn grant_kind(count: u32, milli: u16) -> usize {
    if milli < WHOLE_MILLI || count == 0 { 0 } else { 1 + count.next_power_of_two().trailing_zeros() as usize }
}

impl Amount {
    /// What `count` of the demand's accelerators take, processors and memory in proportion.
    #[inline]
    fn portion(demand: &Demand, count: u32) -> Amount {
        Amount {
            milli: u64::from(count) * u64::from(demand.milli),
            cpu_milli: demand.cpu_milli_for(count),
            memory_mib: demand.memory_mib_for(count),
        }
    }

    #[inline]
    fn holds(&self, wanted: &Amount) -> bool {
        self.milli >= wanted.milli && self.cpu_milli >= wanted.cpu_milli && self.memory_mib >= wanted.memory_mib
    }

    /// What a grant takes of a node, less what nobody counts there.
    #[inline]
    fn counted(grant: &Grant, milli: u16, node: &Node) -> Amount {
        Amount {
            milli: u64::from(grant.count) * u64::from(milli),
            cpu_milli: if node.cpu_milli == u32::MAX { 0 } else { grant.cpu_milli },
            memory_mib: if node.memory_mib == u32::MAX { 0 } else { grant.memory_mib },
        }
    }

    #[inline]
    fn shift(&mut self, by: &Amount, up: bool) {
        shift(&mut self.milli, by.milli, up);
        shift32(&mut self.cpu_milli, by.cpu_milli, up);
        shift32(&mut self.memory_mib, by.memory_mib, up);
    }

    #[inline]
    fn grant(&self, node: NodeId, count: u32, devices: u64) -> Grant {
        Grant { node, count, devices, cpu_milli: self.cpu_milli, memory_mib: self.memory_mib }
    }
}

/// Which of the two views of the accelerators something changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Views {
    Planned,
    Held,
    Both,
}

/// Nodes of one cluster with equal type and number of accelerators, indexed by how many are wholly free.
#[derive(Clone, Debug)]
pub struct Group {
    /// Where they stand.
    pub cluster: ClusterId,
    /// Their accelerators' type.
    pub kind: TypeId,
    /// The lowest-numbered of them.
    pub first: NodeId,
    /// Accelerators on each.
    pub size: u32,
    /// Nodes in all.
    pub nodes: u32,
    /// Whether accelerators are only counted.
    pub fungible: bool,
    /// `by_free[n]`: nodes with exactly `n` accelerators wholly free to plan with. Fungible nodes are all in `by_free[0]`.
    by_free: Vec<IdSet>,
    /// `shared[m]`: nodes with a shared accelerator of which exactly `m` thousandths are free.
    shared: BTreeMap<u16, IdSet>,
}

impl Group {
    /// Nodes with exactly `count` accelerators wholly free, ascending.
    pub fn with_free(&self, count: u32) -> &IdSet {
        &self.by_free[count as usize]
    }

    /// Nodes with a shared accelerator that has room for `milli` thousandths more, by how much is free on it, ascending. A node
    /// with several such accelerators is in several sets.
    pub fn with_shared(&self, milli: u16) -> impl DoubleEndedIterator<Item = &IdSet> {
        self.shared.range(milli..).map(|(_, nodes)| nodes).filter(|nodes| !nodes.is_empty())
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
    journal: Journal,
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
                groups.push(Group::new(NodeId(id as u32), node));
                (groups.len() - 1) as u32
            });
            let count = node.accelerators;
            groups[group as usize].nodes += 1;
            groups[group as usize].by_free[if fungible { 0 } else { count as usize }].insert(id as u32);
            let milli = u64::from(count) * u64::from(WHOLE_MILLI);
            let free = Amount { milli, cpu_milli: node.cpu_milli, memory_mib: node.memory_mib };
            let whole = if fungible { 0 } else { low_bits(count) };
            nodes.push(NodeState {
                group,
                first_device: devices,
                whole,
                free,
                held: Amount::default(),
                kinds: [0; GRANT_KINDS],
            });
            devices += if fungible { 0 } else { count };
            free_milli_by_type[node.kind.index()] += milli;
        }
        let total_milli = free_milli_by_type.iter().sum();
        let journal = Journal::new(fleet.nodes.len());
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
            journal,
        }
    }

    /// The machines.
    #[inline]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Groups of like nodes, in order of their first node.
    #[inline]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Accelerator-thousandths in all.
    pub fn total_milli(&self) -> u64 {
        self.total_milli
    }

    /// Accelerator-thousandths free to plan with.
    #[inline]
    pub fn free_milli(&self) -> u64 {
        self.free_milli
    }

    /// Accelerator-thousandths of the types in `demand` that are free to plan with.
    #[inline]
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
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The nodes on which something became free to plan with or ceased to be, in order.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Accelerators of `node` that are wholly free to plan with, as a bit set (0 on fungible nodes).
    pub fn whole_free(&self, node: NodeId) -> u64 {
        self.nodes[node.index()].whole
    }

    /// Thousandths free to plan with on `node`, over all its accelerators.
    #[inline]
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

    /// How many grants of each [kind](grant_kind) are planned on `node`; all 0 on fungible nodes.
    pub fn grants_by_kind(&self, node: NodeId) -> &[u16; GRANT_KINDS] {
        &self.nodes[node.index()].kinds
    }

    fn devices(&self, node: NodeId) -> std::ops::Range<usize> {
        let spec = self.fleet.node(node);
        let first = self.nodes[node.index()].first_device as usize;
        first..first + if spec.is_fungible() { 0 } else { spec.accelerators as usize }
    }

    /// Whether [`grant_on`](Capacity::grant_on) would find room, and the node is of an acceptable type.
    pub fn fits(&self, node: NodeId, demand: &Demand, count: u32) -> bool {
        let (spec, state) = (self.fleet.node(node), &self.nodes[node.index()]);
        if count > 0 && !demand.types.contains(spec.kind) || !state.free.holds(&Amount::portion(demand, count)) {
            return false;
        }
        if spec.is_fungible() || count == 0 {
            return true;
        }
        if demand.milli == WHOLE_MILLI {
            return state.whole.count_ones() >= count;
        }
        state.whole.count_ones() >= count || {
            self.device_free_milli(node).iter().filter(|&&free| free >= demand.milli).count() >= count as usize
        }
    }

    /// The grant that puts `count` of the demand's accelerators on `node`, or `None` if they do not fit there now.
    ///
    /// Among a node's accelerators those that nobody holds come first (the job can start at once), then the lowest numbered; a
    /// share goes to the fullest accelerator that has room for it.
    #[inline]
    pub fn grant_on(&self, node: NodeId, demand: &Demand, count: u32) -> Option<Grant> {
        let wanted = Amount::portion(demand, count);
        if !self.nodes[node.index()].free.holds(&wanted) {
            return None;
        }
        if self.fleet.node(node).is_fungible() || count == 0 {
            return Some(wanted.grant(node, count, 0));
        }
        self.pick_devices(node, demand.milli, count).map(|devices| wanted.grant(node, count, devices))
    }

    /// Like [`grant_on`](Capacity::grant_on), on exactly these accelerators of a node whose accelerators are named.
    pub fn grant_devices(&self, node: NodeId, demand: &Demand, devices: u64) -> Option<Grant> {
        let count = devices.count_ones();
        let wanted = Amount::portion(demand, count);
        let free = self.device_free_milli(node);
        let fits = bits(devices).all(|d| free.get(d).is_some_and(|&free| free >= demand.milli));
        (fits && self.nodes[node.index()].free.holds(&wanted)).then(|| wanted.grant(node, count, devices))
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
        self.change(allocation, milli, true, Views::Planned);
    }

    /// Puts `allocation` back into what is free to plan with.
    pub(crate) fn give(&mut self, allocation: &Allocation, milli: u16) {
        self.lend(allocation, milli);
        self.generation += 1;
    }

    /// Puts `allocation` back for a moment, to see what would fit then: unlike [`give`](Capacity::give) this is no news.
    pub(crate) fn lend(&mut self, allocation: &Allocation, milli: u16) {
        self.change(allocation, milli, false, Views::Planned);
    }

    /// Records that a job physically occupies `allocation`, which was taken before.
    pub(crate) fn hold(&mut self, allocation: &Allocation, milli: u16) {
        self.change(allocation, milli, true, Views::Held);
    }

    /// Records that a job physically leaves `allocation`, which was given back before.
    pub(crate) fn vacate(&mut self, allocation: &Allocation, milli: u16) {
        self.change(allocation, milli, false, Views::Held);
    }

    /// [`take`](Capacity::take) and [`hold`](Capacity::hold).
    pub(crate) fn occupy(&mut self, allocation: &Allocation, milli: u16) {
        self.change(allocation, milli, true, Views::Both);
    }

    /// [`give`](Capacity::give) and [`vacate`](Capacity::vacate).
    pub(crate) fn release(&mut self, allocation: &Allocation, milli: u16) {
        self.change(allocation, milli, false, Views::Both);
        self.generation += 1;
    }

    /// Moves `allocation` out of (`taken`) or back into what is free. Inlined, so that each use knows its views.
    #[inline(always)]
    fn change(&mut self, allocation: &Allocation, milli: u16, taken: bool, views: Views) {
        for grant in allocation {
            let spec = self.fleet.node(grant.node);
            let state = &mut self.nodes[grant.node.index()];
            let amount = Amount::counted(grant, milli, spec);
            if views != Views::Planned {
                state.held.shift(&amount, taken);
            }
            if views != Views::Held {
                state.free.shift(&amount, !taken);
                shift(&mut self.free_milli, amount.milli, !taken);
                shift(&mut self.free_milli_by_type[spec.kind.index()], amount.milli, !taken);
                self.journal.push(grant.node);
            }
            // Accelerators of fungible nodes have no names.
            if grant.devices != 0 {
                self.change_devices(grant, milli, taken, views);
            }
        }
    }

    fn change_devices(&mut self, grant: &Grant, milli: u16, taken: bool, views: Views) {
        if views != Views::Planned {
            self.change_held(grant, milli, taken);
        }
        if views != Views::Held {
            self.change_planned(grant, milli, taken);
        }
    }

    fn change_planned(&mut self, grant: &Grant, milli: u16, taken: bool) {
        let accelerators = self.fleet.node(grant.node).accelerators as usize;
        let state = &mut self.nodes[grant.node.index()];
        let kind = &mut state.kinds[grant_kind(grant.count, milli)];
        *kind = if taken { *kind + 1 } else { kind.checked_sub(1).expect("given twice") };
        let before = state.whole.count_ones();
        let group = &mut self.groups[state.group as usize];
        let first = state.first_device as usize;
        let devices = &mut self.device_free[first..first + accelerators];
        for device in bits(grant.devices) {
            let was = devices[device];
            let is = if taken { was.checked_sub(milli).expect("planned twice") } else { was + milli };
            debug_assert!(is <= WHOLE_MILLI);
            devices[device] = is;
            state.whole = state.whole & !(1 << device) | u64::from(is == WHOLE_MILLI) << device;
            if milli != WHOLE_MILLI {
                group.reshare(grant.node, devices, was, is);
            }
        }
        let after = state.whole.count_ones();
        if before != after {
            group.by_free[before as usize].remove(grant.node.0);
            group.by_free[after as usize].insert(grant.node.0);
        }
    }

    fn change_held(&mut self, grant: &Grant, milli: u16, taken: bool) {
        let first = self.nodes[grant.node.index()].first_device as usize;
        for device in bits(grant.devices) {
            let d = &mut self.device_held[first + device];
            *d = if taken { *d + milli } else { d.checked_sub(milli).expect("released twice") };
            debug_assert!(*d <= WHOLE_MILLI, "accelerator held twice");
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
                fresh.take(&Allocation::from_buf([*grant]), milli);
            }
        }
        for (allocation, milli) in held {
            if !fresh.is_vacant(allocation, milli) {
                return Err(format!("accelerators of node {} are held twice", allocation[0].node.0));
            }
            fresh.hold(allocation, milli);
        }
        self.compare(&fresh)
    }

    fn compare(&self, fresh: &Capacity) -> Result<(), String> {
        for (id, (kept, new)) in self.nodes.iter().zip(&fresh.nodes).enumerate() {
            if (kept.whole, kept.free, kept.held, kept.kinds) != (new.whole, new.free, new.held, new.kinds) {
                return Err(format!("node {id}: kept {kept:?}, recomputed {new:?}"));
            }
        }
        for (kept, new) in self.groups.iter().zip(&fresh.groups) {
            let ids = |set: &IdSet| set.iter().collect::<Vec<_>>();
            let by_free = |group: &Group| group.by_free.iter().map(ids).collect::<Vec<_>>();
            let shared = |group: &Group| {
                let filled = group.shared.iter().filter(|(_, nodes)| !nodes.is_empty());
                filled.map(|(&milli, nodes)| (milli, ids(nodes))).collect::<Vec<_>>()
            };
            if by_free(kept) != by_free(new) || shared(kept) != shared(new) {
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
    fn new(first: NodeId, node: &Node) -> Group {
        let fungible = node.is_fungible();
        let buckets = if fungible { 1 } else { node.accelerators as usize + 1 };
        Group {
            cluster: node.cluster,
            kind: node.kind,
            first,
            size: node.accelerators,
            nodes: 0,
            fungible,
            by_free: vec![IdSet::new(); buckets],
            shared: BTreeMap::new(),
        }
    }

    /// An accelerator of `node` that had `was` thousandths free now has `is`; `devices` shows all of them after that.
    fn reshare(&mut self, node: NodeId, devices: &[u16], was: u16, is: u16) {
        let is_shared = |milli: u16| milli > 0 && milli < WHOLE_MILLI;
        if is_shared(was) && !devices.contains(&was) {
            self.shared.get_mut(&was).expect("a shared accelerator is indexed").remove(node.0);
        }
        if is_shared(is) {
            self.shared.entry(is).or_default().insert(node.0);
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

#[inline]
fn shift(value: &mut u64, amount: u64, up: bool) {
    *value = if up { *value + amount } else { value.checked_sub(amount).expect("capacity taken twice") };
}

#[inline]
fn shift32(value: &mut u32, amount: u32, up: bool) {
    *value = if up { *value + amount } else { value.checked_sub(amount).expect("capacity taken twice") };
}
