//! Like nodes, indexed by what is free on them.

use crate::fleet::Node;
use crate::ids::{ClusterId, NodeId, TypeId};
use crate::idset::IdSet;
use crate::job::WHOLE_MILLI;
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// Nodes of one cluster, or of one domain of it where gangs keep to domains, with equal type and number of accelerators, indexed by how many are wholly free.
#[derive(Clone, Debug)]
pub struct Group {
    /// Where they stand.
    pub cluster: ClusterId,
    /// By level of [`Fleet::domains`](crate::Fleet::domains): the number of the domain where they stand, counted through the fleet.
    /// Empty where gangs keep to none; what is smaller than the smallest that they keep to is not told.
    pub domains: SmallVec<[u32; 2]>,
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
    /// An empty group of nodes like `node`.
    pub(super) fn new(first: NodeId, node: &Node, domains: SmallVec<[u32; 2]>) -> Group {
        let fungible = node.is_fungible();
        let buckets = if fungible { 1 } else { node.accelerators as usize + 1 };
        Group {
            cluster: node.cluster,
            domains,
            kind: node.kind,
            first,
            size: node.accelerators,
            nodes: 0,
            fungible,
            by_free: vec![IdSet::new(); buckets],
            shared: BTreeMap::new(),
        }
    }

    /// Adds a completely free node.
    pub(super) fn add(&mut self, node: NodeId) {
        self.nodes += 1;
        self.by_free.last_mut().expect("there is at least one bucket").insert(node.0);
    }

    /// Nodes with exactly `count` accelerators wholly free, ascending.
    pub fn with_free(&self, count: u32) -> &IdSet {
        &self.by_free[count as usize]
    }

    /// Nodes with a shared accelerator that has room for `milli` thousandths more: how much is free on it, ascending, and the
    /// nodes. A node with several such accelerators is in several sets.
    pub fn with_shared(&self, milli: u16) -> impl DoubleEndedIterator<Item = (u16, &IdSet)> {
        self.shared.range(milli..).map(|(&free, nodes)| (free, nodes)).filter(|(_, nodes)| !nodes.is_empty())
    }

    /// On `node` `was` accelerators were wholly free, and now `is` are.
    #[inline]
    pub(super) fn recount(&mut self, node: NodeId, was: u32, is: u32) {
        if was != is {
            self.by_free[was as usize].remove(node.0);
            self.by_free[is as usize].insert(node.0);
        }
    }

    /// An accelerator of `node` that had `was` thousandths free now has `is`; `still` says that another one has `was`.
    pub(super) fn reshare(&mut self, node: NodeId, was: u16, is: u16, still: bool) {
        let is_shared = |milli: u16| milli > 0 && milli < WHOLE_MILLI;
        if is_shared(was) && !still {
            self.shared.get_mut(&was).expect("a shared accelerator is indexed").remove(node.0);
        }
        if is_shared(is) {
            self.shared.entry(is).or_default().insert(node.0);
        }
    }

    /// `node`, with so many accelerators wholly free, is listed from now on, or is not.
    pub(super) fn list(&mut self, node: NodeId, free: u32, listed: bool) {
        let set = &mut self.by_free[if self.fungible { 0 } else { free as usize }];
        if listed {
            set.insert(node.0)
        } else {
            set.remove(node.0)
        };
    }

    /// The same for an accelerator of it that is shared and has `milli` thousandths free.
    pub(super) fn list_share(&mut self, node: NodeId, milli: u16, listed: bool) {
        if milli > 0 && milli < WHOLE_MILLI {
            let set = self.shared.entry(milli).or_default();
            if listed {
                set.insert(node.0)
            } else {
                set.remove(node.0)
            };
        }
    }

    /// Whether both index the same nodes the same way.
    pub(super) fn same_index(&self, other: &Group) -> bool {
        let ids = |set: &IdSet| set.iter().collect::<Vec<_>>();
        let by_free = |group: &Group| group.by_free.iter().map(ids).collect::<Vec<_>>();
        let shared = |group: &Group| {
            let filled = group.shared.iter().filter(|(_, nodes)| !nodes.is_empty());
            filled.map(|(&milli, nodes)| (milli, ids(nodes))).collect::<Vec<_>>()
        };
        by_free(self) == by_free(other) && shared(self) == shared(other)
    }
}
