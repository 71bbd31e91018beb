//! What is free, indexed so that finding room does not walk the fleet.
//!
//! Two views are kept of every accelerator. *Planned* is what decisions use: accelerators of a job that was told to stop are
//! free to plan with at once. *Held* is what jobs physically occupy, by the last event. A job placed on accelerators that are
//! still held waits in [`Phase::Assigned`] until they are vacated.

mod amount;
mod check;
mod group;
mod node;

pub use group::Group;

use crate::allocation::{Allocation, Grant};
use crate::event::NodeState as NodeCondition;
use crate::fleet::Fleet;
use crate::ids::{ClusterId, NodeId, TypeId};
use crate::idtable::IdTable;
use crate::job::{Demand, Job, Level, Phase, WHOLE_MILLI};
use crate::journal::Journal;
use amount::{Amount, shift};
use node::{NodeState, Shares};
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// How many kinds of grant [`grant_kind`] tells apart.
pub const GRANT_KINDS: usize = 8;

/// What kind of user a grant is to its node: 0 a share of accelerators, 1 to 7 whole ones: one, two, up to 4, 8, 16, 32, more.
pub const fn grant_kind(count: u32, milli: u16) -> usize {
    match count {
        _ if milli < WHOLE_MILLI => 0,
        0 => 0,
        1..=32 => 1 + count.next_power_of_two().trailing_zeros() as usize,
        _ => GRANT_KINDS - 1,
    }
}

/// Which of the two views of the accelerators something changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Views {
    Planned,
    Held,
    Both,
}

/// The free capacity of a fleet and its indexes.
#[derive(Clone, Debug)]
pub struct Capacity {
    fleet: Fleet,
    nodes: Vec<NodeState>,
    shares: Shares,
    /// What is physically held of fungible nodes, and of processors and memory where they are counted.
    held: Vec<Amount>,
    groups: Vec<Group>,
    total_milli: u64,
    free_milli: u64,
    free_milli_by_type: Vec<u64>,
    generation: u64,
    journal: Journal,
    /// Nodes that are not up.
    states: BTreeMap<NodeId, NodeCondition>,
}

impl Capacity {
    /// Everything free.
    pub fn new(fleet: Fleet) -> Capacity {
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of: BTreeMap<(ClusterId, SmallVec<[u32; 2]>, TypeId, u32), u32> = BTreeMap::new();
        let domains = domain_numbers(&fleet);
        let mut nodes = Vec::with_capacity(fleet.nodes.len());
        let mut devices = 0;
        let mut free_milli_by_type = vec![0; fleet.types.len()];
        for (id, node) in fleet.nodes.iter().enumerate() {
            let fungible = node.is_fungible();
            let domain: SmallVec<[u32; 2]> = domains.iter().map(|of| of.get(id).copied().unwrap_or(0)).collect();
            let group = *group_of.entry((node.cluster, domain, node.kind, node.accelerators)).or_insert_with_key(|key| {
                groups.push(Group::new(NodeId(id as u32), node, key.1.clone()));
                (groups.len() - 1) as u32
            });
            groups[group as usize].add(NodeId(id as u32));
            let count = node.accelerators;
            let milli = u64::from(count) * u64::from(WHOLE_MILLI);
            let free = Amount { milli, cpu_milli: node.cpu_milli, memory_mib: node.memory_mib };
            nodes.push(NodeState::new(group, devices, if fungible { 0 } else { low_bits(count) }, free));
            devices += if fungible { 0 } else { count };
            free_milli_by_type[node.kind.index()] += milli;
        }
        let total_milli = free_milli_by_type.iter().sum();
        let journal = Journal::new(fleet.nodes.len());
        Capacity {
            held: vec![Amount::default(); nodes.len()],
            fleet,
            nodes,
            shares: Shares { free: vec![WHOLE_MILLI; devices as usize], held: vec![0; devices as usize] },
            groups,
            total_milli,
            free_milli: total_milli,
            free_milli_by_type,
            generation: 0,
            journal,
            states: BTreeMap::new(),
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

    /// Whether two nodes may hold parts of a gang that must stay within `level`.
    pub fn near_enough(&self, level: Level, a: NodeId, b: NodeId) -> bool {
        let group = |node| &self.groups[self.group_of(node) as usize];
        if level == Level::Node { a == b } else { self.area(level, group(a)) == self.area(level, group(b)) }
    }

    /// A number for the part of the fleet at `level` in which the group's nodes stand.
    pub fn area(&self, level: Level, group: &Group) -> u32 {
        match level {
            Level::Domain(number) => group.domains.get(usize::from(number)).copied().unwrap_or(u32::MAX),
            Level::Node | Level::Cluster => u32::from(group.cluster.0),
            Level::Region => u32::from(self.fleet.region_of(group.cluster).0),
            Level::Fleet => 0,
        }
    }

    /// The position in [`groups`](Capacity::groups) of a node's group.
    pub fn group_of(&self, node: NodeId) -> u32 {
        self.nodes[node.index()].group
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
    pub fn device_free_milli(&self, node: NodeId) -> SmallVec<[u16; 16]> {
        let state = &self.nodes[node.index()];
        let group = &self.groups[state.group as usize];
        let devices = if group.fungible { 0 } else { group.size as usize };
        (0..devices).map(|device| state.device_free(&self.shares, device)).collect()
    }

    /// What is planned on `node`: first how many accelerators are shared, then grants of whole ones by [kind](grant_kind). All 0
    /// on fungible nodes.
    pub fn grants_by_kind(&self, node: NodeId) -> [u8; GRANT_KINDS] {
        let state = &self.nodes[node.index()];
        let mut grants = [0; GRANT_KINDS];
        grants[0] = state.shared.count_ones() as u8;
        grants[1..].copy_from_slice(&state.grants);
        grants
    }

    /// Whether [`grant_on`](Capacity::grant_on) would find room, and the node is of an acceptable type.
    pub fn fits(&self, node: NodeId, demand: &Demand, count: u32) -> bool {
        let state = &self.nodes[node.index()];
        let group = &self.groups[state.group as usize];
        let acceptable = !state.closed && (count == 0 || demand.types.contains(group.kind));
        if !acceptable || !state.free.holds(&Amount::portion(demand, count)) {
            return false;
        }
        let roomy = |&d: &usize| state.device_free(&self.shares, d) >= demand.milli;
        group.fungible
            || state.whole.count_ones() >= count
            || demand.milli < WHOLE_MILLI && bits(state.whole | state.shared).filter(roomy).count() >= count as usize
    }

    /// The grant that puts `count` of the demand's accelerators on `node`, or `None` if they do not fit there now.
    ///
    /// Among a node's accelerators those that nobody holds come first (the job can start at once), then the lowest numbered; a
    /// share goes to the fullest accelerator that has room for it.
    #[inline(always)]
    pub fn grant_on(&self, node: NodeId, demand: &Demand, count: u32) -> Option<Grant> {
        let state = &self.nodes[node.index()];
        let wanted = Amount::portion(demand, count);
        if !state.free.holds(&wanted) || state.closed {
            return None;
        }
        let devices = if self.groups[state.group as usize].fungible || count == 0 {
            0
        } else if demand.milli == WHOLE_MILLI {
            state.pick_whole(count)?
        } else {
            state.pick_shares(&self.shares, demand.milli, count)?
        };
        Some(wanted.grant(node, count, devices))
    }

    /// Like [`grant_on`](Capacity::grant_on), on exactly these accelerators of a node whose accelerators are named.
    pub fn grant_devices(&self, node: NodeId, demand: &Demand, devices: u64) -> Option<Grant> {
        let (state, count) = (&self.nodes[node.index()], devices.count_ones());
        let wanted = Amount::portion(demand, count);
        let named = (state.whole | state.shared) & devices == devices && !state.closed;
        let fits = named && bits(devices).all(|d| state.device_free(&self.shares, d) >= demand.milli);
        (fits && state.free.holds(&wanted)).then(|| wanted.grant(node, count, devices))
    }

    /// Whether nobody physically holds any of what `allocation` names.
    pub fn is_vacant(&self, allocation: &Allocation, milli: u16) -> bool {
        allocation.iter().all(|grant| {
            let state = &self.nodes[grant.node.index()];
            state.is_vacant(&self.shares, grant.devices, milli)
                && (!(self.groups[state.group as usize].fungible || state.counts_resources())
                    || self.amounts_are_vacant(grant, milli))
        })
    }

    fn amounts_are_vacant(&self, grant: &Grant, milli: u16) -> bool {
        let (spec, held) = (self.fleet.node(grant.node), &self.held[grant.node.index()]);
        let wanted = u64::from(grant.count) * u64::from(milli);
        let room = |have: u32, held: u32, wanted: u32| have == u32::MAX || have - held >= wanted;
        room(spec.cpu_milli, held.cpu_milli, grant.cpu_milli)
            && room(spec.memory_mib, held.memory_mib, grant.memory_mib)
            && held.milli + wanted <= u64::from(spec.accelerators) * u64::from(WHOLE_MILLI)
    }

    /// What a node is.
    pub fn state(&self, node: NodeId) -> NodeCondition {
        self.states.get(&node).copied().unwrap_or(NodeCondition::Up)
    }

    /// The nodes that are not up, and what they are.
    pub fn closed(&self) -> impl Iterator<Item = (NodeId, NodeCondition)> + '_ {
        self.states.iter().map(|(&node, &state)| (node, state))
    }

    /// Opens or closes a node: nothing is found on a closed one, and what is free there is in no total. What is planned and held
    /// there stays so until it is given back. Returns whether this is news.
    pub(crate) fn set_state(&mut self, node: NodeId, state: NodeCondition) -> bool {
        if self.state(node) == state {
            return false;
        }
        let closed = state != NodeCondition::Up;
        if closed {
            self.states.insert(node, state)
        } else {
            self.states.remove(&node)
        };
        let entry = &mut self.nodes[node.index()];
        if entry.closed != closed {
            let group = &mut self.groups[entry.group as usize];
            entry.close(node, &self.shares, group, closed);
            shift(&mut self.free_milli, entry.free.milli, !closed);
            shift(&mut self.free_milli_by_type[group.kind.index()], entry.free.milli, !closed);
            self.generation += u64::from(!closed);
            self.journal.push(node);
        }
        true
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
    #[inline]
    pub(crate) fn occupy(&mut self, allocation: &Allocation, milli: u16) {
        self.change(allocation, milli, true, Views::Both);
    }

    /// [`give`](Capacity::give) and [`vacate`](Capacity::vacate).
    #[inline]
    pub(crate) fn release(&mut self, allocation: &Allocation, milli: u16) {
        self.change(allocation, milli, false, Views::Both);
        self.generation += 1;
    }

    /// Makes an empty fleet one on which `jobs` stand and `nodes` are not up. `counts`: [generation](Capacity::generation), and
    /// changes in the [journal](Capacity::journal), of which only the number is kept: its readers look at all nodes anew.
    pub(crate) fn resume(&mut self, nodes: &[(NodeId, NodeCondition)], counts: [u64; 2], jobs: &IdTable<Job>) {
        for &(node, state) in nodes {
            self.set_state(node, state);
        }
        for (_, job) in jobs.iter() {
            let milli = job.spec.demand.milli;
            if matches!(job.phase, Phase::Assigned | Phase::Starting | Phase::Running) {
                self.take(&job.allocation, milli);
            }
            self.take(&job.next, milli);
            if matches!(job.phase, Phase::Starting | Phase::Running | Phase::Stopping) {
                self.hold(&job.allocation, milli);
            }
        }
        self.generation = counts[0];
        self.begin_again(counts[1]);
    }

    /// Nobody is told what changed so far, which is `changes` changes.
    pub(crate) fn begin_again(&mut self, changes: u64) {
        self.journal = Journal::after(self.nodes.len(), changes);
    }

    /// Moves `allocation` out of (`taken`) or back into what is free. Inlined, so that each use knows its views.
    #[inline(always)]
    fn change(&mut self, allocation: &Allocation, milli: u16, taken: bool, views: Views) {
        for grant in allocation {
            let state = &mut self.nodes[grant.node.index()];
            let group = &mut self.groups[state.group as usize];
            let amount = state.amount_of(grant, milli);
            if views != Views::Planned && (group.fungible || state.counts_resources()) {
                self.held[grant.node.index()].shift(&amount, taken);
            }
            if views != Views::Held {
                state.free.shift(&amount, !taken);
                if !state.closed {
                    shift(&mut self.free_milli, amount.milli, !taken);
                    shift(&mut self.free_milli_by_type[group.kind.index()], amount.milli, !taken);
                }
                self.journal.push(grant.node);
            }
            // Accelerators of fungible nodes have no names.
            if grant.devices != 0 && views != Views::Planned {
                state.hold(&mut self.shares, grant.devices, milli, taken);
            }
            if grant.devices != 0 && views != Views::Held {
                state.plan(grant.node, &mut self.shares, group, grant.devices, milli, taken);
            }
        }
    }
}

/// For each level of domains the domain of each node; nothing where gangs keep to none, and no number for levels that are too
/// small for them.
fn domain_numbers(fleet: &Fleet) -> Vec<Vec<u32>> {
    let Some(least) = fleet.domains.iter().position(|domain| domain.gangs) else { return Vec::new() };
    let levels = fleet.domains.iter().enumerate();
    levels.map(|(level, domain)| if level < least { Vec::new() } else { fleet.neighbourhoods(domain.nodes) }).collect()
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
