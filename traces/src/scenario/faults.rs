//! What breaks, and what a job keeps when its node does.

use super::ScenarioError;
use super::error::Place;
use crate::duration::Length;
use crate::faults::{Change, FaultModel, FaultTraceError, Unit, read_faults};
use policies::{Fleet, NodeId, NodeState, Span, Time};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Faults: as recorded, as drawn, as written down; all together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultSpec {
    /// A recorded fault trace (see [`faults::read_faults`](crate::faults::read_faults)), relative to the scenario's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// How many servers the trace was recorded on. Default: those that failed in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers: Option<u32>,
    /// Faults at constant rates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub model: Vec<ModelSpec>,
    /// Faults and upgrades at given times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub event: Vec<EventSpec>,
    /// What of an attempt's work survives. Default: `"last-stop"`.
    pub recovery: RecoverySpec,
}

/// Faults of one kind of unit at a constant rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// `"node"`, `"cluster"`, `"region"`, or `{ nodes = 4 }` for so many neighbours at once. Default: `"node"`.
    #[serde(default)]
    pub unit: UnitSpec,
    /// Mean time between faults of one unit.
    pub mtbf: Length,
    /// Half of the repairs take no longer.
    pub repair_median: Length,
    /// Mean time of repair; repairs are lognormal. Default: the median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair_mean: Option<Length>,
}

/// What breaks at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitSpec {
    /// One node.
    #[default]
    Node,
    /// So many neighbours.
    Nodes(u32),
    /// A cluster.
    Cluster,
    /// A region.
    Region,
}

/// Something that happens at a given time. Exactly one of `region`, `cluster` and `node` says to whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    /// When.
    pub at: Length,
    /// For how long. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Length>,
    /// A region's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A cluster's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// A node's number, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// The nodes are emptied for an upgrade, not broken.
    #[serde(default)]
    pub drain: bool,
}

/// What of an attempt's work survives the loss of its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecoverySpec {
    /// What was saved at its last stop.
    #[default]
    LastStop,
    /// `{ periodic = "30m" }`: what was done by the last checkpoint.
    Periodic(Length),
    /// `{ just-in-time = "2s" }`: all but a mini-batch.
    JustInTime(Length),
}

impl FaultSpec {
    pub(super) fn check(&self, place: &Place<'_>, folder: &Path, fleet: &Fleet) -> Result<(), ScenarioError> {
        if let Some(file) = &self.file {
            place.require_file("faults.file", &folder.join(file))?;
        }
        for (index, model) in self.model.iter().enumerate() {
            let field = |name| format!("faults.model[{index}].{name}");
            for (name, length) in [("mtbf", model.mtbf), ("repair_median", model.repair_median)] {
                if length.0 == Span::ZERO {
                    return Err(place.invalid(&field(name), length, "a length of time above 0"));
                }
            }
            if model.unit == UnitSpec::Nodes(0) {
                return Err(place.invalid(&field("unit"), 0, "at least 1 node"));
            }
        }
        for (index, event) in self.event.iter().enumerate() {
            event.nodes(fleet).map_err(|expected| place.refuse(&format!("faults.event[{index}]"), expected))?;
        }
        Ok(())
    }

    /// All that happens until `until`, sorted. A node for which several things are in force at once is what the last of them
    /// said.
    ///
    /// # Errors
    /// A fault trace that cannot be used.
    pub fn changes(&self, folder: &Path, fleet: &Fleet, until: Time, seed: u64) -> Result<Vec<Change>, FaultTraceError> {
        let mut changes = Vec::new();
        if let Some(file) = &self.file {
            changes.extend(read_faults(&folder.join(file), self.servers.unwrap_or(0) as usize, fleet)?);
        }
        for (index, model) in self.model.iter().enumerate() {
            // A stream of its own for each.
            changes.extend(model.model().changes(fleet, until, seed ^ (index as u64) << 56));
        }
        for event in &self.event {
            let (from, state) = (Time::ZERO + event.at.0, if event.drain { NodeState::Draining } else { NodeState::Down });
            for node in event.nodes(fleet).unwrap_or_default() {
                changes.push(Change { at: from, node, state });
                changes.extend(event.lasts.map(|lasts| Change { at: from + lasts.0, node, state: NodeState::Up }));
            }
        }
        changes.sort();
        Ok(changes)
    }
}

impl ModelSpec {
    fn model(&self) -> FaultModel {
        let unit = match self.unit {
            UnitSpec::Node => Unit::Node,
            UnitSpec::Nodes(count) => Unit::Nodes(count),
            UnitSpec::Cluster => Unit::Cluster,
            UnitSpec::Region => Unit::Region,
        };
        let repair_mean = self.repair_mean.unwrap_or(self.repair_median).0;
        FaultModel { mtbf: self.mtbf.0, repair_median: self.repair_median.0, repair_mean, unit }
    }
}

impl EventSpec {
    /// The nodes, or what was expected.
    fn nodes(&self, fleet: &Fleet) -> Result<Vec<NodeId>, String> {
        let all = || (0..fleet.nodes.len() as u32).map(NodeId);
        let known =
            |kind: &str, name: &str, names: Vec<&str>| format!("no {kind} {name:?}: expected one of {}", names.join(", "));
        match (&self.region, &self.cluster, self.node) {
            (Some(name), None, None) => {
                let Some(region) = fleet.regions.iter().position(|region| region == name) else {
                    return Err(known("region", name, fleet.regions.iter().map(String::as_str).collect()));
                };
                Ok(all().filter(|&id| fleet.region_of(fleet.node(id).cluster).0 as usize == region).collect())
            }
            (None, Some(name), None) => {
                let Some(cluster) = fleet.clusters.iter().position(|cluster| cluster.name == *name) else {
                    return Err(known("cluster", name, fleet.clusters.iter().map(|c| c.name.as_str()).collect()));
                };
                Ok(all().filter(|&id| fleet.node(id).cluster.0 as usize == cluster).collect())
            }
            (None, None, Some(node)) if (node as usize) < fleet.nodes.len() => Ok(vec![NodeId(node)]),
            (None, None, Some(node)) => Err(format!("no node {node}: expected 0 to {}", fleet.nodes.len() - 1)),
            _ => Err("expected exactly one of region, cluster and node".into()),
        }
    }
}
