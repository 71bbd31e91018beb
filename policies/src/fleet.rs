//! The fleet: regions hold clusters, clusters hold nodes, nodes hold accelerators of one type.

use crate::ids::{ClusterId, NodeId, RegionId, TypeId};
use crate::job::Level;
use serde::{Deserialize, Serialize};

/// Nodes with more accelerators than this are *fungible*: their accelerators are counted, not named.
pub const NAMED_ACCELERATORS_MAX: u32 = 64;

/// One machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Where it stands.
    pub cluster: ClusterId,
    /// What its accelerators are.
    pub kind: TypeId,
    /// How many it has; may be zero.
    pub accelerators: u32,
    /// Processors in thousandths; `u32::MAX` where nobody counts them.
    pub cpu_milli: u32,
    /// Host memory in MiB; `u32::MAX` where nobody counts it.
    pub memory_mib: u32,
}

impl Node {
    /// Whether its accelerators are only counted (see [`NAMED_ACCELERATORS_MAX`]).
    pub const fn is_fungible(&self) -> bool {
        self.accelerators > NAMED_ACCELERATORS_MAX
    }
}

/// Nodes that a gang may span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// For people.
    pub name: String,
    /// Where it stands.
    pub region: RegionId,
}

/// A locality domain between node and cluster: so many neighbouring nodes of one cluster that share something, such as a rack, a
/// rail or a power supply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// For people.
    pub name: String,
    /// How many nodes; the last domain of a cluster may have fewer.
    pub nodes: u32,
    /// Whether gangs keep to one where they can, and may be told to: an NVLink island, a rail. Placements then look at every
    /// domain of the smallest such level.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gangs: bool,
}

/// Everything that can be scheduled on. Ids are positions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// Region names.
    pub regions: Vec<String>,
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// Accelerator type names, at most 64.
    pub types: Vec<String>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Levels of locality domains, smallest first.
    #[serde(default)]
    pub domains: Vec<Domain>,
}

impl Fleet {
    /// `accelerators` fungible accelerators: one place where only the total counts.
    pub fn pool(accelerators: u32) -> Fleet {
        let mut fleet = Fleet::uniform(1, accelerators);
        fleet.clusters[0].name = "pool".into();
        fleet
    }

    /// One cluster of `nodes` equal nodes with `accelerators` each.
    pub fn uniform(nodes: u32, accelerators: u32) -> Fleet {
        let mut fleet = Fleet::default();
        let kind = fleet.add_type("accelerator");
        let region = fleet.add_region("region");
        let cluster = fleet.add_cluster("cluster", region);
        fleet.add_nodes(cluster, kind, nodes, accelerators);
        fleet
    }

    /// Adds a region.
    pub fn add_region(&mut self, name: &str) -> RegionId {
        self.regions.push(name.into());
        RegionId((self.regions.len() - 1) as u16)
    }

    /// Adds a cluster.
    pub fn add_cluster(&mut self, name: &str, region: RegionId) -> ClusterId {
        self.clusters.push(Cluster { name: name.into(), region });
        ClusterId((self.clusters.len() - 1) as u16)
    }

    /// The type of that name, added if new.
    ///
    /// # Panics
    /// At the 65th type; borders check [`Fleet::types`] first.
    pub fn add_type(&mut self, name: &str) -> TypeId {
        let position = self.types.iter().position(|t| t == name).unwrap_or_else(|| {
            assert!(self.types.len() < 64, "at most 64 accelerator types");
            self.types.push(name.into());
            self.types.len() - 1
        });
        TypeId(position as u8)
    }

    /// Adds `count` equal nodes whose processors and memory nobody counts.
    pub fn add_nodes(&mut self, cluster: ClusterId, kind: TypeId, count: u32, accelerators: u32) {
        let node = Node { cluster, kind, accelerators, cpu_milli: u32::MAX, memory_mib: u32::MAX };
        self.nodes.extend((0..count).map(|_| node));
    }

    /// Accelerators in all.
    pub fn accelerators(&self) -> u64 {
        self.nodes.iter().map(|n| u64::from(n.accelerators)).sum()
    }

    /// The node with that id.
    #[inline]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The nodes of each group of `size` neighbours, in order of their clusters; with the `nodes` of a [`Domain`], its domains.
    pub fn neighbours(&self, size: u32) -> Vec<Vec<NodeId>> {
        let mut clusters = vec![Vec::new(); self.clusters.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            clusters[node.cluster.index()].push(NodeId(id as u32));
        }
        clusters.iter().flat_map(|nodes| nodes.chunks(size.max(1) as usize).map(<[NodeId]>::to_vec)).collect()
    }

    /// For each node the number of its group of `size` neighbours, as [`neighbours`](Fleet::neighbours) lists them.
    pub fn neighbourhoods(&self, size: u32) -> Vec<u32> {
        let mut number_of = vec![0; self.nodes.len()];
        for (number, nodes) in self.neighbours(size).iter().enumerate() {
            nodes.iter().for_each(|node| number_of[node.index()] = number as u32);
        }
        number_of
    }

    /// The levels of domains that gangs keep to, smallest first.
    pub fn gang_levels(&self) -> impl DoubleEndedIterator<Item = Level> + '_ {
        let levels = self.domains.iter().enumerate().filter(|(_, domain)| domain.gangs);
        levels.map(|(number, _)| Level::Domain(number as u8))
    }

    /// The region of a cluster.
    #[inline]
    pub fn region_of(&self, cluster: ClusterId) -> RegionId {
        self.clusters[cluster.index()].region
    }
}
