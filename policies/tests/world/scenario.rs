//! Random worlds: fleets, jobs, delays and crashes from one seed.

use crate::world::{Arrival, Delay, Nature, World};
use policies::{
    Capacity, Demand, Domain, Elastic, Fleet, JobSpec, Level, Node, NodeId, NodeState, Placement, Scheduler, Span, TenantId,
    Tier, Tiers, Time, TypeId, TypeSet,
};
use policies::{Policy, WHOLE_MILLI, catalog, placement};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// What varies between runs of the suite. Its `Debug` form is enough to run it again.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub policy: &'static str,
    pub placement: &'static str,
    pub fleet: &'static str,
    pub seed: u64,
}

/// Where the seeds of a swarm begin: `ORRERY_SEED`, or 0. In CI it is made from the commit's hash, so that each commit is tried in
/// worlds of its own.
#[allow(clippy::disallowed_methods, reason = "tests read the environment")]
pub fn first_seed() -> u64 {
    std::env::var("ORRERY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0)
}

pub const FLEETS: &[&str] = &["pool", "node", "nodes", "regions", "islands"];

/// One of [`FLEETS`].
pub fn fleet(name: &str) -> Fleet {
    match name {
        "pool" => Fleet::pool(100),
        "node" => Fleet::pool(12),
        "nodes" => Fleet::uniform(4, 8),
        "regions" => regions(),
        "islands" => islands(),
        _ => panic!("unknown fleet {name}"),
    }
}

/// Two regions, three clusters, two types, nodes of three sizes; processors and memory count.
fn regions() -> Fleet {
    let mut fleet = Fleet::default();
    let (slow, fast) = (fleet.add_type("slow"), fleet.add_type("fast"));
    let (east, west) = (fleet.add_region("east"), fleet.add_region("west"));
    for (name, region, kind, nodes, size) in
        [("a", east, slow, 3, 4), ("b", east, fast, 2, 8), ("c", west, fast, 2, 4), ("d", west, slow, 1, 80)]
    {
        let cluster = fleet.add_cluster(name, region);
        let node = Node { cluster, kind, accelerators: size, cpu_milli: size * 4000, memory_mib: size * 1000 };
        fleet.nodes.extend((0..nodes).map(|_| node));
    }
    fleet
}

/// Islands of two nodes in racks of four; gangs keep to both.
fn islands() -> Fleet {
    let domain = |name: &str, nodes| Domain { name: name.into(), nodes, gangs: true };
    Fleet { domains: vec![domain("island", 2), domain("rack", 4)], ..Fleet::uniform(10, 4) }
}

impl Scenario {
    /// The world of this scenario; `wrap` may put something around the policy.
    pub fn world(&self, wrap: impl FnOnce(Box<dyn Policy>) -> Box<dyn Policy>) -> World<Weather> {
        self.world_of(self.scheduler(wrap))
    }

    /// The same with other tiers.
    pub fn world_with(&self, tiers: &Tiers) -> World<Weather> {
        self.world_of(self.scheduler(|policy| policy).with_tiers(tiers))
    }

    fn world_of(&self, scheduler: Scheduler) -> World<Weather> {
        let fleet = fleet(self.fleet);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let weather = Weather::new(&mut rng);
        let empty = Capacity::new(fleet);
        let arrivals = arrivals(&mut rng, &weather, &empty, &mut *self.place());
        let changes = changes(self.seed, empty.fleet(), &arrivals);
        World::new(scheduler, &arrivals, weather).with_changes(&changes)
    }

    fn place(&self) -> Box<dyn Placement> {
        placement::by_name(self.placement, self.seed).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Its scheduler, that has seen nothing.
    pub fn scheduler(&self, wrap: impl FnOnce(Box<dyn Policy>) -> Box<dyn Policy>) -> Scheduler {
        let policy = catalog::by_name(self.policy, self.seed).unwrap_or_else(|e| panic!("{e}")).0;
        Scheduler::new(fleet(self.fleet), wrap(policy), self.place()).with_tiers(&short_windows())
    }
}

/// The usual tiers with windows of a minute: these worlds last for minutes.
fn short_windows() -> Tiers {
    Tiers::new(Tiers::default().iter().map(|tier| Tier { window: Span::from_secs(60), ..tier.clone() }).collect())
}

/// In some scenarios nodes break or are drained while jobs arrive, and come back; reports that came late from a node that has
/// broken since are of no use to anybody.
fn changes(seed: u64, fleet: &Fleet, arrivals: &[Arrival]) -> Vec<(Time, NodeId, NodeState)> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x6e6f_6465);
    let last = arrivals.last().map_or(0, |arrival| arrival.submit.0);
    let count = if rng.random_bool(0.5) { 0 } else { rng.random_range(1..12) };
    let mut changes = Vec::new();
    for _ in 0..count {
        let node = NodeId(rng.random_range(0..fleet.nodes.len()) as u32);
        let from = rng.random_range(0..=last);
        let away = rng.random_range(1..=100_000_000);
        let how = if rng.random_bool(0.6) { NodeState::Down } else { NodeState::Draining };
        changes.extend([(Time(from), node, how), (Time(from + away), node, NodeState::Up)]);
    }
    changes.sort_by_key(|change| change.0);
    changes
}

/// Random delays and crashes.
pub struct Weather {
    rng: Xoshiro256PlusPlus,
    /// Whether everything happens at whole seconds and at once, so that many events share an instant.
    calm: bool,
    crash: f64,
    delays: [f64; 3],
}

impl Weather {
    fn new(rng: &mut Xoshiro256PlusPlus) -> Weather {
        let calm = rng.random_bool(0.4);
        let longest = |rng: &mut Xoshiro256PlusPlus| if rng.random_bool(0.7) { rng.random_range(0.0..20.0) } else { 0.0 };
        Weather {
            calm,
            crash: if rng.random_bool(0.5) { 0.0 } else { 0.15 },
            delays: [longest(rng), longest(rng), longest(rng)],
            rng: Xoshiro256PlusPlus::seed_from_u64(rng.random()),
        }
    }

    fn span(&self, rng: &mut Xoshiro256PlusPlus, max_s: f64) -> Span {
        let seconds = rng.random_range(0.0..=max_s);
        Span::from_secs_f64(if self.calm { seconds.ceil() } else { seconds }).expect("a span")
    }
}

impl Nature for Weather {
    fn delay(&mut self, what: Delay) -> Span {
        let max_s = self.delays[what as usize];
        if self.calm { Span::ZERO } else { Span::from_secs_f64(self.rng.random_range(0.0..=max_s)).expect("a span") }
    }

    fn crash(&mut self, left: Span) -> Option<Span> {
        self.rng.random_bool(self.crash).then(|| Span(self.rng.random_range(0..=left.0)))
    }
}

fn arrivals(rng: &mut Xoshiro256PlusPlus, weather: &Weather, empty: &Capacity, place: &mut dyn Placement) -> Vec<Arrival> {
    let mut submit = Time::ZERO;
    let jobs = rng.random_range(5..70);
    let gap_s = rng.random_range(0.0..15.0);
    // Of their own, so that the rest of a scenario stays the same whether owners are patient or not.
    let mut whims = Xoshiro256PlusPlus::seed_from_u64(rng.clone().random::<u64>() ^ 0x7768_696d);
    let impatient = whims.random_bool(0.5);
    (0..jobs)
        .map(|_| {
            submit = submit + weather.span(rng, gap_s);
            let demand = loop {
                let demand = demand(rng, empty.fleet());
                // What could never run is refused before it gets to a scheduler.
                if place.place(empty, &demand).is_some() {
                    break demand;
                }
            };
            let work = weather.span(rng, 100.0).max(Span(1));
            let spec = JobSpec {
                demand,
                tenant: TenantId(rng.random_range(0..4)),
                priority: rng.random_range(-1..3),
                tier: rng.random_range(0..3),
                attempts_max: rng.random_range(1..4),
                estimate: estimate(rng, work),
                elastic: elastic(rng, &demand),
                deadline_s: if whims.random_bool(0.5) { whims.random_range(1..300) } else { 0 },
            };
            let gives_up = impatient && whims.random_bool(0.3);
            let patience = gives_up.then(|| weather.span(&mut whims, 150.0).max(Span(1)));
            Arrival { submit, spec, work, patience }
        })
        .collect()
}

fn elastic(rng: &mut Xoshiro256PlusPlus, demand: &Demand) -> Elastic {
    if demand.milli < WHOLE_MILLI || demand.accelerators < 2 || rng.random_bool(0.3) {
        return Elastic::RIGID;
    }
    let shard = if demand.accelerators.is_multiple_of(2) { rng.random_range(1..3) } else { 1 };
    Elastic { shard, ..Elastic::linear(rng.random_range(1..=demand.accelerators), rng.random_range(0..3000)) }
}

fn level(rng: &mut Xoshiro256PlusPlus, fleet: &Fleet) -> Level {
    let level = [Level::Node, Level::Cluster, Level::Cluster, Level::Region, Level::Fleet][rng.random_range(0..5)];
    let domains: Vec<Level> = fleet.gang_levels().collect();
    if domains.is_empty() || rng.random_bool(0.5) { level } else { domains[rng.random_range(0..domains.len())] }
}

/// Right, too long, too short, nothing, or unknown.
fn estimate(rng: &mut Xoshiro256PlusPlus, work: Span) -> Option<Span> {
    match rng.random_range(0..10) {
        0..4 => Some(work),
        4..6 => Some(Span(work.0 * rng.random_range(1..20))),
        6..8 => Some(Span(work.0 / rng.random_range(1..20))),
        8 => Some(Span::ZERO),
        _ => None,
    }
}

fn demand(rng: &mut Xoshiro256PlusPlus, fleet: &Fleet) -> Demand {
    let largest = fleet.accelerators() as u32;
    let accelerators = match rng.random_range(0..20) {
        0 if fleet.types.len() > 1 => 0,
        0..10 => rng.random_range(1..=4),
        10..18 => rng.random_range(1..=largest.min(16)),
        _ => rng.random_range(1..=largest),
    };
    let counted = fleet.nodes[0].cpu_milli != u32::MAX;
    Demand {
        accelerators,
        milli: if accelerators < 3 && rng.random_bool(0.3) { rng.random_range(1..=10) * 100 } else { WHOLE_MILLI },
        within: level(rng, fleet),
        types: if rng.random_bool(0.3) {
            TypeSet::only(TypeId(rng.random_range(0..fleet.types.len()) as u8))
        } else {
            TypeSet::ANY
        },
        cpu_milli: if counted { rng.random_range(0..8) * accelerators.max(1) * 1000 } else { 0 },
        memory_mib: if counted && rng.random_bool(0.5) { rng.random_range(0..1500) * accelerators.max(1) } else { 0 },
    }
}
