//! What breaks, and what a job keeps when its node does.

use super::ScenarioError;
use super::error::Place;
use crate::duration::Length;
use crate::faults::{Change, Cut, Disturbance, FaultModel, FaultTraceError, Trouble, Unit, read_faults};
use policies::{ClusterId, FULL_SPEED, Fleet, NodeId, NodeState, RegionId, Span, Time};
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
    /// `"node"`, `"cluster"`, `"region"`, `"store"`, `{ nodes = 4 }` for so many neighbours at once, or `{ domain = "rack" }` for
    /// all of a locality domain. Default: `"node"`.
    #[serde(default)]
    pub unit: UnitSpec,
    /// Its nodes are not down but work at this part of their speed, above 0 and below 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<f64>,
    /// The cluster or region is not down but cut off: its transfers stand still, messages from and to it are late.
    #[serde(default)]
    pub partition: bool,
    /// Mean time between faults of one unit.
    pub mtbf: Length,
    /// Half of the repairs take no longer.
    pub repair_median: Length,
    /// Mean time of repair; repairs are lognormal. Default: the median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair_mean: Option<Length>,
}

/// What breaks at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// A region's blob store: nothing can be saved there or fetched from there.
    Store,
    /// A locality domain of the fleet, by the name of its level.
    Domain(String),
}

/// Something that happens at a given time. Exactly one of `region`, `cluster`, `node`, `store` and `domain` says to whom.
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
    /// The region whose blob store is out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// A locality domain: `{ level = "rack", number = 3 }`, counted from 0 through all clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainSpec>,
    /// The nodes are emptied for an upgrade, not broken.
    #[serde(default)]
    pub drain: bool,
    /// As in [`ModelSpec::slow`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<f64>,
    /// As in [`ModelSpec::partition`].
    #[serde(default)]
    pub partition: bool,
}

/// One locality domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainSpec {
    /// Name of its level.
    pub level: String,
    /// From 0, through all clusters.
    pub number: u32,
}

/// What is hit, and how.
enum Hit {
    /// Nodes are in this state.
    Nodes(Vec<NodeId>, NodeState),
    Troubles(Vec<Trouble>),
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
    /// `{ just-in-time = "2s" }`: all but a mini-batch. Where the costs bring profiles, theirs counts instead.
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
            if let UnitSpec::Domain(level) = &model.unit {
                domain_size(fleet, level).map_err(|expected| place.refuse(&field("unit"), expected))?;
            }
            let cuttable = matches!(model.unit, UnitSpec::Cluster | UnitSpec::Region);
            effect(model.slow, model.partition, cuttable, model.unit == UnitSpec::Store)
                .map_err(|(name, expected)| place.refuse(&field(name), expected.into()))?;
        }
        for (index, event) in self.event.iter().enumerate() {
            let field = |name: &str| format!("faults.event[{index}]{name}");
            event.hit(fleet).map_err(|expected| place.refuse(&field(""), expected))?;
            let cuttable = event.cluster.is_some() || event.region.is_some();
            effect(event.slow, event.partition, cuttable, event.store.is_some())
                .map_err(|(name, expected)| place.refuse(&field(&format!(".{name}")), expected.into()))?;
            if event.drain && (event.slow.is_some() || event.partition || event.store.is_some()) {
                return Err(place.refuse(&field(".drain"), "expected only one of drain, slow, partition and store".into()));
            }
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
        for (index, model) in self.model.iter().enumerate().filter(|(_, model)| !model.is_trouble()) {
            changes.extend(model.model(fleet).changes(fleet, until, stream(seed, index)));
        }
        for event in &self.event {
            let Ok(Hit::Nodes(nodes, state)) = event.hit(fleet) else { continue };
            for node in nodes {
                changes.push(Change { at: event.from(), node, state });
                changes.extend(event.to().map(|at| Change { at, node, state: NodeState::Up }));
            }
        }
        changes.sort();
        Ok(changes)
    }

    /// All that gets in the way of work without ending it until `until`, sorted.
    pub fn disturbances(&self, fleet: &Fleet, until: Time, seed: u64) -> Vec<Disturbance> {
        let mut found = Vec::new();
        let mut add = |troubles: &[Trouble], from, to: Option<Time>| {
            for &trouble in troubles {
                found.push(Disturbance { at: from, trouble, begins: true });
                found.extend(to.map(|at| Disturbance { at, trouble, begins: false }));
            }
        };
        for (index, model) in self.model.iter().enumerate().filter(|(_, model)| model.is_trouble()) {
            let troubles = model.troubles(fleet);
            for (unit, from, to) in model.model(fleet).outages(troubles.len(), until, stream(seed, index)) {
                add(&troubles[unit], from, Some(to));
            }
        }
        for event in &self.event {
            if let Ok(Hit::Troubles(troubles)) = event.hit(fleet) {
                add(&troubles, event.from(), event.to());
            }
        }
        found.sort();
        found
    }
}

/// Every model has a stream of its own.
fn stream(seed: u64, index: usize) -> u64 {
    seed ^ (index as u64) << 56
}

/// Checks what a fault does: the field that is wrong, and what was expected.
fn effect(slow: Option<f64>, partition: bool, cuttable: bool, store: bool) -> Result<(), (&'static str, &'static str)> {
    match slow {
        Some(part) if !(part > 0.0 && part < 1.0) => return Err(("slow", "expected a part of the speed, above 0 and below 1")),
        Some(_) if partition || store => return Err(("slow", "expected only one of slow, partition and store")),
        _ => {}
    }
    if partition && !cuttable {
        return Err(("partition", "expected a cluster or a region: only these can be cut off"));
    }
    Ok(())
}

/// The nodes of a domain of that level, or what was expected.
fn domain_size(fleet: &Fleet, level: &str) -> Result<u32, String> {
    let found = fleet.domains.iter().find(|domain| domain.name == level);
    found.map(|domain| domain.nodes).ok_or_else(|| {
        let known: Vec<&str> = fleet.domains.iter().map(|domain| domain.name.as_str()).collect();
        format!("no level {level:?}: expected one of fleet.domains: {}", known.join(", "))
    })
}

fn ten_thousandths(part: f64) -> u16 {
    (part * f64::from(FULL_SPEED)).round().max(1.0) as u16
}

impl ModelSpec {
    fn model(&self, fleet: &Fleet) -> FaultModel {
        let unit = match &self.unit {
            UnitSpec::Node | UnitSpec::Store => Unit::Node,
            UnitSpec::Nodes(count) => Unit::Nodes(*count),
            // Checked when the scenario was read.
            UnitSpec::Domain(level) => Unit::Nodes(domain_size(fleet, level).unwrap_or(1)),
            UnitSpec::Cluster => Unit::Cluster,
            UnitSpec::Region => Unit::Region,
        };
        let repair_mean = self.repair_mean.unwrap_or(self.repair_median).0;
        FaultModel { mtbf: self.mtbf.0, repair_median: self.repair_median.0, repair_mean, unit }
    }

    /// Whether it is in the way of work without ending it.
    fn is_trouble(&self) -> bool {
        self.slow.is_some() || self.partition || self.unit == UnitSpec::Store
    }

    /// What troubles each of its units.
    fn troubles(&self, fleet: &Fleet) -> Vec<Vec<Trouble>> {
        let regions = || (0..fleet.regions.len() as u16).map(RegionId);
        let cut = |cut| vec![Trouble::Cut(cut)];
        match (&self.unit, self.slow) {
            (UnitSpec::Store, _) => regions().map(|region| cut(Cut::Store(region))).collect(),
            (_, Some(part)) => {
                let slow = |nodes: &Vec<NodeId>| nodes.iter().map(|&n| Trouble::Slow(n, ten_thousandths(part))).collect();
                self.model(fleet).units(fleet).iter().map(slow).collect()
            }
            (UnitSpec::Region, None) => regions().map(|region| cut(Cut::Region(region))).collect(),
            _ => (0..fleet.clusters.len() as u16).map(|id| cut(Cut::Cluster(ClusterId(id)))).collect(),
        }
    }
}

impl EventSpec {
    fn from(&self) -> Time {
        Time::ZERO + self.at.0
    }

    fn to(&self) -> Option<Time> {
        self.lasts.map(|lasts| self.from() + lasts.0)
    }

    /// What it hits, or what was expected.
    fn hit(&self, fleet: &Fleet) -> Result<Hit, String> {
        let given = [&self.region, &self.cluster, &self.store].into_iter().flatten().count();
        if given + usize::from(self.node.is_some()) + usize::from(self.domain.is_some()) != 1 {
            return Err("expected exactly one of region, cluster, node, store and domain".into());
        }
        let one = |cut| Ok(Hit::Troubles(vec![Trouble::Cut(cut)]));
        if let Some(name) = &self.store {
            return one(Cut::Store(region(fleet, name)?));
        }
        if let Some(name) = self.region.as_ref().filter(|_| self.partition) {
            return one(Cut::Region(region(fleet, name)?));
        }
        if let Some(name) = self.cluster.as_ref().filter(|_| self.partition) {
            return one(Cut::Cluster(cluster(fleet, name)?));
        }
        let nodes = self.nodes(fleet)?;
        Ok(match self.slow {
            Some(part) => Hit::Troubles(nodes.iter().map(|&node| Trouble::Slow(node, ten_thousandths(part))).collect()),
            None => Hit::Nodes(nodes, if self.drain { NodeState::Draining } else { NodeState::Down }),
        })
    }

    /// The nodes, or what was expected.
    fn nodes(&self, fleet: &Fleet) -> Result<Vec<NodeId>, String> {
        let all = || (0..fleet.nodes.len() as u32).map(NodeId);
        if let Some(name) = &self.region {
            let region = region(fleet, name)?;
            return Ok(all().filter(|&id| fleet.region_of(fleet.node(id).cluster) == region).collect());
        }
        if let Some(name) = &self.cluster {
            let cluster = cluster(fleet, name)?;
            return Ok(all().filter(|&id| fleet.node(id).cluster == cluster).collect());
        }
        if let Some(DomainSpec { level, number }) = &self.domain {
            let mut domains = fleet.neighbours(domain_size(fleet, level)?);
            let count = domains.len();
            return if (*number as usize) < count {
                Ok(domains.swap_remove(*number as usize))
            } else {
                Err(format!("no {level} {number}: expected 0 to {}", count - 1))
            };
        }
        match self.node {
            Some(node) if (node as usize) < fleet.nodes.len() => Ok(vec![NodeId(node)]),
            _ => Err(format!("no node {}: expected 0 to {}", self.node.unwrap_or(0), fleet.nodes.len() - 1)),
        }
    }
}

fn region(fleet: &Fleet, name: &str) -> Result<RegionId, String> {
    let found = fleet.regions.iter().position(|region| region == name);
    found.map(|id| RegionId(id as u16)).ok_or_else(|| unknown("region", name, fleet.regions.iter().map(String::as_str)))
}

fn cluster(fleet: &Fleet, name: &str) -> Result<ClusterId, String> {
    let found = fleet.clusters.iter().position(|cluster| cluster.name == name);
    found.map(|id| ClusterId(id as u16)).ok_or_else(|| unknown("cluster", name, fleet.clusters.iter().map(|c| c.name.as_str())))
}

fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    format!("no {kind} {name:?}: expected one of {}", known.collect::<Vec<_>>().join(", "))
}
