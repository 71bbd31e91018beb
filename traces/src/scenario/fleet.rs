//! Fleets in a few lines: a pool, equal nodes, a node list, or regions with clusters with groups of equal nodes.

use crate::import::{ImportError, import_fleet};
use policies::fleet::{Domain, Node};
use policies::{Fleet, RegionId};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A fleet as people write it. Exactly one of `pool`, `nodes`, `file`, `cluster` and `region` is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FleetSpec {
    /// That many fungible accelerators: only the total counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<u32>,
    /// One cluster of equal nodes: `"64x8"` is 64 nodes of 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<String>,
    /// A machine list in any form that [`import::machines`](crate::import::machines) knows, relative to the scenario's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Clusters of one region.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cluster: Vec<ClusterSpec>,
    /// Regions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub region: Vec<RegionSpec>,
    /// Locality domains inside clusters, smallest first: `[{ name = "island", nodes = 4, gangs = true }, { name = "rack", nodes = 16 }]`.
    /// Faults strike them; gangs keep to those with `gangs` where they can.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
}

/// A region, or several equal ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionSpec {
    /// For people. Several equal regions get `-1`, `-2`... behind it, and their clusters its name and a slash before theirs.
    pub name: String,
    /// How many regions like this. Default: 1.
    #[serde(default = "one")]
    pub count: u32,
    /// Its clusters.
    pub cluster: Vec<ClusterSpec>,
}

/// A cluster, or several equal ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// For people. Several equal clusters get `-1`, `-2`... behind it.
    pub name: String,
    /// How many clusters like this. Default: 1.
    #[serde(default = "one")]
    pub count: u32,
    /// Its nodes.
    pub group: Vec<NodeGroup>,
}

/// Equal nodes of one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeGroup {
    /// How many nodes.
    pub count: u32,
    /// Accelerators in each; may be zero.
    pub accelerators: u32,
    /// What they are. Default: `"accelerator"`.
    #[serde(default = "accelerator", rename = "type")]
    pub kind: String,
    /// Processors in thousandths. Default: nobody counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_milli: Option<u32>,
    /// Host memory in MiB. Default: nobody counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
}

fn one() -> u32 {
    1
}

fn accelerator() -> String {
    "accelerator".into()
}

/// A text that does not describe equal nodes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} does not describe nodes: expected NODESxACCELERATORS such as \"64x8\" (both at least 1, at most {NODES_MAX} nodes)"
)]
pub struct BadNodes(pub String);

/// Why a fleet cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// None or several of the ways to describe it.
    #[error("{0} of pool, nodes, file, cluster and region are given: expected exactly one")]
    Ambiguous(usize),
    /// Nothing to run on.
    #[error("no accelerator at all: expected at least one")]
    Empty,
    /// See [`BadNodes`].
    #[error(transparent)]
    Nodes(#[from] BadNodes),
    /// Domains that do not nest.
    #[error(
        "domain {name:?} of {nodes} nodes: expected a multiple of {of} nodes, at least twice as many: domains nest, smallest first"
    )]
    Domain {
        /// Its name.
        name: String,
        /// Its nodes.
        nodes: u32,
        /// Those of the level below; a node is the lowest.
        of: u32,
    },
    /// The machine list cannot be used.
    #[error(transparent)]
    List(#[from] Box<ImportError>),
    /// More of something than ids.
    #[error("{count} {what}: expected at most {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: u64,
        /// How many are possible.
        limit: u64,
    },
}

impl FleetError {
    pub(super) fn field(&self) -> Option<&'static str> {
        match self {
            FleetError::Nodes(_) => Some("nodes"),
            FleetError::List(_) => Some("file"),
            FleetError::Domain { .. } => Some("domains"),
            FleetError::Ambiguous(_) | FleetError::Empty | FleetError::TooMany { .. } => None,
        }
    }
}

const NODES_MAX: u32 = 10_000_000;

/// `"64x8"`: 64 nodes of 8 accelerators.
pub fn parse_nodes(text: &str) -> Result<Fleet, BadNodes> {
    let bad = || BadNodes(text.to_owned());
    let (nodes, accelerators) = text.split_once(['x', 'X', '×']).ok_or_else(bad)?;
    let number = |part: &str| part.trim().parse::<u32>().ok().filter(|n| *n > 0);
    let nodes = number(nodes).filter(|n| *n <= NODES_MAX).ok_or_else(bad)?;
    Ok(Fleet::uniform(nodes, number(accelerators).ok_or_else(bad)?))
}

impl FleetSpec {
    /// Builds the fleet; `folder` anchors a relative `file`.
    pub fn build(&self, folder: &Path) -> Result<Fleet, FleetError> {
        let ways =
            [self.pool.is_some(), self.nodes.is_some(), self.file.is_some(), !self.cluster.is_empty(), !self.region.is_empty()];
        let given = ways.iter().filter(|way| **way).count();
        if given != 1 {
            return Err(FleetError::Ambiguous(given));
        }
        let mut fleet = match (self.pool, &self.nodes, &self.file) {
            (Some(accelerators), ..) => Fleet::pool(accelerators),
            (_, Some(nodes), _) => parse_nodes(nodes)?,
            (.., Some(file)) => import_fleet(&folder.join(file)).map_err(Box::new)?,
            _ => self.build_tree()?,
        };
        self.check_domains()?;
        fleet.domains.clone_from(&self.domains);
        if fleet.accelerators() == 0 { Err(FleetError::Empty) } else { Ok(fleet) }
    }

    fn build_tree(&self) -> Result<Fleet, FleetError> {
        self.check_limits()?;
        let mut fleet = Fleet::default();
        if !self.cluster.is_empty() {
            let region = fleet.add_region("region");
            self.cluster.iter().for_each(|cluster| add_clusters(&mut fleet, region, cluster));
        }
        for spec in &self.region {
            for i in 1..=spec.count {
                let name = if spec.count == 1 { spec.name.clone() } else { format!("{}-{i}", spec.name) };
                let region = fleet.add_region(&name);
                for cluster in &spec.cluster {
                    let prefix = if spec.count == 1 { String::new() } else { format!("{name}/") };
                    add_clusters(&mut fleet, region, &ClusterSpec { name: prefix + &cluster.name, ..cluster.clone() });
                }
            }
        }
        Ok(fleet)
    }

    fn check_domains(&self) -> Result<(), FleetError> {
        let mut of = 1;
        for Domain { name, nodes, .. } in &self.domains {
            if nodes / of < 2 || !nodes.is_multiple_of(of) {
                return Err(FleetError::Domain { name: name.clone(), nodes: *nodes, of });
            }
            of = *nodes;
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), FleetError> {
        let check = |what, count, limit| {
            if count <= limit { Ok(()) } else { Err(FleetError::TooMany { what, count, limit }) }
        };
        // Every cluster with how many there are.
        let alone = self.cluster.iter().map(|cluster| (1, cluster));
        let regional = self.region.iter().flat_map(|region| region.cluster.iter().map(|cluster| (region.count, cluster)));
        let clusters: Vec<(u64, &ClusterSpec)> =
            alone.chain(regional).map(|(count, cluster)| (u64::from(count) * u64::from(cluster.count), cluster)).collect();
        let nodes = |(count, c): &(u64, &ClusterSpec)| {
            let each = c.group.iter().map(|g| u64::from(g.count)).sum::<u64>();
            count.saturating_mul(each)
        };
        let mut kinds: Vec<&str> = clusters.iter().flat_map(|(_, c)| &c.group).map(|g| g.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0, u64::saturating_add);
        check("regions", sum(&mut self.region.iter().map(|region| region.count.into())), u64::from(u16::MAX))?;
        check("clusters", sum(&mut clusters.iter().map(|(count, _)| *count)), u64::from(u16::MAX))?;
        check("nodes", sum(&mut clusters.iter().map(nodes)), u64::from(NODES_MAX))?;
        check("accelerator types", kinds.len() as u64, 64)
    }
}

fn add_clusters(fleet: &mut Fleet, region: RegionId, spec: &ClusterSpec) {
    for i in 1..=spec.count {
        let name = if spec.count == 1 { spec.name.clone() } else { format!("{}-{i}", spec.name) };
        let cluster = fleet.add_cluster(&name, region);
        for group in &spec.group {
            let node = Node {
                cluster,
                kind: fleet.add_type(&group.kind),
                accelerators: group.accelerators,
                cpu_milli: group.cpu_milli.unwrap_or(u32::MAX),
                memory_mib: group.memory_mib.unwrap_or(u32::MAX),
            };
            fleet.nodes.extend((0..group.count).map(|_| node));
        }
    }
}
