//! Faults drawn from rates.

use super::Change;
use policies::{Fleet, NodeId, NodeState, Span, Time};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

/// A row of independent faults at a constant rate, and how long repairs take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultModel {
    /// Mean time between faults of one unit.
    pub mtbf: Span,
    /// Half of the repairs take no longer.
    pub repair_median: Span,
    /// Repairs are lognormal with this mean; not below the median.
    pub repair_mean: Span,
    /// What breaks at once.
    pub unit: Unit,
}

/// What breaks at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// One node.
    Node,
    /// So many neighbouring nodes of one cluster, e.g. a rack.
    Nodes(u32),
    /// All nodes of a cluster.
    Cluster,
    /// All nodes of a region.
    Region,
}

impl FaultModel {
    /// All changes until `until`, by time; faults of a unit that is still down are left out. `seed` is that of the stream
    /// `faults`: it depends on nothing that a policy does.
    pub fn changes(&self, fleet: &Fleet, until: Time, seed: u64) -> Vec<Change> {
        let units = self.units(fleet);
        let mut changes = Vec::new();
        for (unit, from, to) in self.outages(units.len(), until, seed) {
            let change = |at, state| units[unit].iter().map(move |&node| Change { at, node, state });
            changes.extend(change(from, NodeState::Down).chain(change(to, NodeState::Up)));
        }
        changes.sort_unstable();
        changes
    }

    /// Number, begin and end of every fault of so many units until `until`, by unit.
    pub fn outages(&self, units: usize, until: Time, seed: u64) -> Vec<(usize, Time, Time)> {
        let sigma = (2.0 * (self.repair_mean.0 as f64 / self.repair_median.0.max(1) as f64).max(1.0).ln()).sqrt();
        let mut outages = Vec::new();
        for unit in 0..units {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x6661_756c_7473_0000 ^ (unit as u64) << 8);
            let mut now = Time::ZERO;
            loop {
                let uniform: f64 = rng.random();
                now = now + Span::from_secs_f64(-(1.0 - uniform).ln() * self.mtbf.as_secs_f64()).unwrap_or(Span::MAX);
                if now > until {
                    break;
                }
                let repair = lognormal(&mut rng, self.repair_median.as_secs_f64(), sigma);
                let repaired = now + Span::from_secs_f64(repair).unwrap_or(Span::MAX).max(Span(1));
                outages.push((unit, now, repaired));
                now = repaired;
            }
        }
        outages
    }

    /// The nodes of each unit.
    pub fn units(&self, fleet: &Fleet) -> Vec<Vec<NodeId>> {
        let ids = || (0..fleet.nodes.len() as u32).map(NodeId);
        let cluster = |id: NodeId| fleet.node(id).cluster;
        let together = |key: &dyn Fn(NodeId) -> u32| {
            let mut units: std::collections::BTreeMap<u32, Vec<NodeId>> = std::collections::BTreeMap::new();
            ids().for_each(|id| units.entry(key(id)).or_default().push(id));
            units.into_values().collect::<Vec<_>>()
        };
        match self.unit {
            Unit::Node => ids().map(|id| vec![id]).collect(),
            Unit::Cluster => together(&|id| cluster(id).0.into()),
            Unit::Region => together(&|id| fleet.region_of(cluster(id)).0.into()),
            Unit::Nodes(count) => fleet.neighbours(count),
        }
    }
}

/// By Box and Muller (Ann. Math. Stat. 29(2), 1958), with the portable mathematics of `libm`.
fn lognormal(rng: &mut Xoshiro256PlusPlus, median: f64, sigma: f64) -> f64 {
    let (a, b): (f64, f64) = (rng.random(), rng.random());
    let normal = libm::sqrt(-2.0 * libm::log(1.0 - a)) * libm::cos(std::f64::consts::TAU * b);
    median * libm::exp(sigma * normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_repairs_are_those_asked_for() {
        let day = Span::from_secs(86_400);
        let model = FaultModel {
            mtbf: Span(day.0 * 239),
            repair_median: Span::from_secs(20 * 3600),
            repair_mean: Span::from_secs(133 * 3600),
            unit: Unit::Node,
        };
        let fleet = Fleet::uniform(4000, 8);
        let changes = model.changes(&fleet, Time::ZERO + Span(day.0 * 349), 7);
        assert!(changes.is_sorted());
        let down = changes.iter().filter(|change| change.state == NodeState::Down).count() as f64;
        // Less than 349 / 239 a node, as nodes under repair do not break: 349 / (239 + 133 / 24) = 1.427.
        assert!((down / 4000.0 - 1.427).abs() < 0.06, "{}", down / 4000.0);
        assert_eq!(changes, model.changes(&fleet, Time::ZERO + Span(day.0 * 349), 7));
    }

    #[test]
    fn units_break_together() {
        let mut fleet = Fleet::uniform(6, 8);
        let region = fleet.add_region("other");
        let cluster = fleet.add_cluster("other", region);
        fleet.add_nodes(cluster, policies::TypeId(0), 3, 8);
        let sizes = |unit| {
            let hour = Span::from_secs(3600);
            let model = FaultModel { mtbf: hour, repair_median: hour, repair_mean: hour, unit };
            model.units(&fleet).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(Unit::Nodes(4)), [4, 2, 3]);
        assert_eq!((sizes(Unit::Cluster), sizes(Unit::Region)), (vec![6, 3], vec![6, 3]));
        assert_eq!(sizes(Unit::Node).len(), 9);
    }
}
