//! Jobs that no placement can hold, not even on the empty fleet.

use crate::model::Trace;
use policies::{Demand, Fleet, Level, Node, TypeId, WHOLE_MILLI};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Jobs that can never run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Misfits {
    /// How many.
    pub count: u64,
    /// The first hundred.
    pub first: Vec<Misfit>,
}

/// A job that can never run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Misfit {
    /// Its id.
    pub id: String,
    /// What it asks for.
    pub demand: Demand,
    /// Why the fleet cannot give it.
    pub why: String,
}

impl Misfits {
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, at_most: usize) -> fmt::Result {
        if self.count > 0 {
            writeln!(f, "{} jobs can never run:", self.count)?;
        }
        for misfit in self.first.iter().take(at_most) {
            writeln!(f, "  {}: {}", misfit.id, misfit.why)?;
        }
        if self.count as usize > at_most { writeln!(f, "  ...") } else { Ok(()) }
    }
}

/// The jobs that the empty fleet cannot hold.
pub(super) fn misfits(trace: &Trace, fleet: &Fleet, examples: usize) -> Misfits {
    let shape = Shape::of(fleet);
    let mut known: BTreeMap<Demand, Option<String>> = BTreeMap::new();
    let mut misfits = Misfits::default();
    for job in &trace.jobs {
        let Some(why) = known.entry(job.demand).or_insert_with(|| shape.refusal(&job.demand)) else { continue };
        misfits.count += 1;
        if misfits.first.len() < examples {
            misfits.first.push(Misfit { id: job.id.to_string(), demand: job.demand, why: why.clone() });
        }
    }
    misfits
}

/// The largest gang of whole accelerators that one cluster can hold: those of one type in one cluster.
pub fn largest_gang(fleet: &Fleet) -> u32 {
    let shape = Shape::of(fleet);
    let sums = shape.largest(Level::Cluster, |node| u64::from(node.accelerators), |_| true);
    sums.min(u64::from(u32::MAX)) as u32
}

/// Equal nodes of one cluster, counted: a fleet of a million accelerators has a handful of these.
struct Shape<'a> {
    fleet: &'a Fleet,
    groups: Vec<(Node, u64)>,
}

impl Shape<'_> {
    fn of(fleet: &Fleet) -> Shape<'_> {
        let mut groups: BTreeMap<_, (Node, u64)> = BTreeMap::new();
        for node in &fleet.nodes {
            let key = (node.cluster, node.kind, node.accelerators, node.cpu_milli, node.memory_mib);
            groups.entry(key).or_insert((*node, 0)).1 += 1;
        }
        Shape { fleet, groups: groups.into_values().collect() }
    }

    /// The most that any part of the fleet at `level` holds in nodes of one type, where a node holds `room`.
    fn largest(&self, level: Level, room: impl Fn(&Node) -> u64, accepts: impl Fn(TypeId) -> bool) -> u64 {
        if let Level::Domain(number) = level {
            return self.largest_domain(number, room, accepts);
        }
        let mut sums: BTreeMap<(u32, TypeId), u64> = BTreeMap::new();
        let mut most = 0;
        for (node, count) in self.groups.iter().filter(|(node, _)| accepts(node.kind)) {
            let part = match level {
                Level::Node => {
                    most = most.max(room(node));
                    continue;
                }
                Level::Cluster | Level::Domain(_) => u32::from(node.cluster.0),
                Level::Region => u32::from(self.fleet.region_of(node.cluster).0),
                Level::Fleet => 0,
            };
            *sums.entry((part, node.kind)).or_default() += room(node) * count;
        }
        sums.into_values().max().unwrap_or(0).max(most)
    }

    fn largest_domain(&self, number: u8, room: impl Fn(&Node) -> u64, accepts: impl Fn(TypeId) -> bool) -> u64 {
        let Some(domain) = self.fleet.domains.get(usize::from(number)) else { return 0 };
        let mut most = 0;
        for nodes in self.fleet.neighbours(domain.nodes) {
            let mut sums: BTreeMap<TypeId, u64> = BTreeMap::new();
            for node in nodes.iter().map(|&node| self.fleet.node(node)).filter(|node| accepts(node.kind)) {
                *sums.entry(node.kind).or_default() += room(node);
            }
            most = sums.into_values().max().unwrap_or(0).max(most);
        }
        most
    }

    /// Why the demand cannot be met; `None` if it can.
    fn refusal(&self, demand: &Demand) -> Option<String> {
        if demand.accelerators == 0 {
            let fits = |node: &Node| node.cpu_milli >= demand.cpu_milli && node.memory_mib >= demand.memory_mib;
            let refusal = || format!("no node has {} and {} MiB", processors(demand.cpu_milli), demand.memory_mib);
            return (!self.groups.iter().any(|(node, _)| fits(node))).then(refusal);
        }
        let accepts = |kind: TypeId| demand.types.contains(kind);
        if !self.groups.iter().any(|(node, _)| accepts(node.kind) && node.accelerators > 0) {
            return Some("the fleet has none of the accelerator types that it accepts".into());
        }
        let wanted = u64::from(demand.accelerators);
        let devices = self.largest(demand.within, |node| slots(node, demand), accepts);
        if devices < wanted {
            return Some(format!(
                "wants {wanted} accelerators in {}, which holds at most {devices} of one accepted type",
                within(demand.within)
            ));
        }
        let both = self.largest(demand.within, |node| slots(node, demand).min(hosted(node, demand)), accepts);
        let refusal = || {
            let (cpu, memory) = (processors(demand.cpu_milli), demand.memory_mib);
            format!(
                "with {cpu} and {memory} MiB in all, {} has room for only {both} of its {wanted} accelerators",
                within(demand.within)
            )
        };
        (both < wanted).then(refusal)
    }
}

/// Accelerators of the gang that a node has devices for.
fn slots(node: &Node, demand: &Demand) -> u64 {
    let shared = u64::from(WHOLE_MILLI / demand.milli.clamp(1, WHOLE_MILLI));
    // Each accelerator of a gang is another device; only on fungible nodes are parts of devices not told apart.
    u64::from(node.accelerators) * if node.is_fungible() { shared } else { 1 }
}

/// Accelerators of the gang for which a node has processors and memory, which come in proportion.
fn hosted(node: &Node, demand: &Demand) -> u64 {
    let of = |have: u32, asked: u32| match asked {
        0 => u64::MAX,
        _ => u64::from(have) * u64::from(demand.accelerators) / u64::from(asked),
    };
    of(node.cpu_milli, demand.cpu_milli).min(of(node.memory_mib, demand.memory_mib))
}

fn processors(milli: u32) -> String {
    format!("{} processors", f64::from(milli) / 1000.0)
}

fn within(level: Level) -> &'static str {
    match level {
        Level::Node => "one node",
        Level::Domain(_) => "one domain",
        Level::Cluster => "one cluster",
        Level::Region => "one region",
        Level::Fleet => "the fleet",
    }
}
