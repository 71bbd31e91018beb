//! Every placement against naive references, on random fleets with random loads.

use super::*;
use crate::capacity::bits;
use crate::fleet::Node;
use crate::fleet::{Domain, Fleet};
use crate::ids::NodeId;
use crate::ids::{ClusterId, TypeId};
use crate::job::Level;
use crate::job::{TypeSet, WHOLE_MILLI};
use proptest::prelude::*;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

/// A fleet of up to four clusters in two regions with nodes of mixed sizes and types, and a load that comes and goes.
struct Bench {
    rng: Xoshiro256PlusPlus,
    capacity: Capacity,
    placed: Vec<Placed>,
    /// What is free to plan with but still held: jobs that were told to stop and have not stopped yet.
    leaving: Vec<(Allocation, u16)>,
}

struct Placed {
    allocation: Allocation,
    milli: u16,
    started: bool,
}

impl Bench {
    fn new(seed: u64) -> Bench {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut fleet = Fleet::default();
        let types = [fleet.add_type("a"), fleet.add_type("b")];
        let regions = [fleet.add_region("north"), fleet.add_region("south")];
        for _ in 0..rng.random_range(1..=4) {
            let region = regions[rng.random_range(0..2)];
            fleet.add_cluster("c", region);
        }
        let counted = rng.random_bool(0.5);
        for _ in 0..rng.random_range(1..=24) {
            let cluster = ClusterId(rng.random_range(0..fleet.clusters.len()) as u16);
            let accelerators = *[0, 1, 2, 2, 4, 4, 8, 8, 8, 80].choose(&mut rng).unwrap();
            let (cpu_milli, memory_mib) =
                if counted { (rng.random_range(0..40) * 1000, rng.random_range(0..64) * 1024) } else { (u32::MAX, u32::MAX) };
            fleet.nodes.push(Node { cluster, kind: types[rng.random_range(0..2)], accelerators, cpu_milli, memory_mib });
        }
        let domain = |nodes, gangs| Domain { name: format!("of-{nodes}"), nodes, gangs };
        fleet.domains = match rng.random_range(0..4) {
            0 => vec![domain(2, true), domain(6, true)],
            1 => vec![domain(2, false), domain(4, true)],
            _ => Vec::new(),
        };
        Bench { rng, capacity: Capacity::new(fleet), placed: Vec::new(), leaving: Vec::new() }
    }

    fn demand(&mut self) -> Demand {
        let rng = &mut self.rng;
        let plain = rng.random_bool(0.5);
        let accelerators = *[0, 1, 1, 2, 2, 3, 4, 8, 10, 16, 21, 90].choose(rng).unwrap();
        let mut levels = vec![Level::Node, Level::Cluster, Level::Region, Level::Fleet];
        levels.extend(self.capacity.fleet().gang_levels());
        Demand {
            accelerators,
            milli: if rng.random_bool(0.6) { WHOLE_MILLI } else { rng.random_range(1..=9) * 100 },
            within: *levels.choose(rng).unwrap(),
            types: if rng.random_bool(0.7) { TypeSet::ANY } else { TypeSet::only(TypeId(rng.random_range(0..2))) },
            cpu_milli: if plain { 0 } else { rng.random_range(0..20_000) },
            memory_mib: if plain { 0 } else { rng.random_range(0..32_000) },
        }
    }

    fn take(&mut self, allocation: Allocation, milli: u16) {
        self.capacity.take(&allocation, milli);
        self.placed.push(Placed { allocation, milli, started: false });
        self.start_vacant();
    }

    fn start_vacant(&mut self) {
        for placed in self.placed.iter_mut().filter(|placed| !placed.started) {
            placed.started = self.capacity.is_vacant(&placed.allocation, placed.milli);
            if placed.started {
                self.capacity.hold(&placed.allocation, placed.milli);
            }
        }
    }

    /// One job is told to stop; some that were have stopped.
    fn give_one(&mut self) {
        if !self.placed.is_empty() {
            let at = self.rng.random_range(0..self.placed.len());
            let Placed { allocation, milli, started } = self.placed.swap_remove(at);
            self.capacity.give(&allocation, milli);
            if started {
                self.leaving.push((allocation, milli));
            }
        }
        while self.leaving.len() > 3 || !self.leaving.is_empty() && self.rng.random_bool(0.5) {
            let (allocation, milli) = self.leaving.remove(0);
            self.capacity.vacate(&allocation, milli);
        }
        self.start_vacant();
    }

    /// The indexes equal a recomputation, and nothing is oversubscribed or held twice.
    fn check(&self) {
        let planned = self.placed.iter().map(|placed| (&placed.allocation, placed.milli));
        let started = self.placed.iter().filter(|placed| placed.started).map(|placed| (&placed.allocation, placed.milli));
        let leaving = self.leaving.iter().map(|(allocation, milli)| (allocation, *milli));
        self.capacity.check(planned, started.chain(leaving)).unwrap();
    }
}

/// A gang is whole, of one acceptable type, near enough together, and names each node once.
fn assert_valid(capacity: &Capacity, demand: &Demand, allocation: &Allocation) {
    assert_eq!(allocation.iter().map(|grant| grant.count).sum::<u32>(), demand.accelerators);
    let fleet = capacity.fleet();
    let first = allocation[0].node;
    for (i, grant) in allocation.iter().enumerate() {
        let node = fleet.node(grant.node);
        assert!(demand.accelerators == 0 || demand.types.contains(node.kind) && node.kind == fleet.node(first).kind);
        assert!(capacity.near_enough(demand.within, first, grant.node));
        assert!(allocation[..i].iter().all(|other| other.node != grant.node));
        assert!(node.is_fungible() || grant.devices.count_ones() == grant.count);
        assert!(grant.cpu_milli <= capacity.node_free_cpu_milli(grant.node));
        assert!(grant.memory_mib <= capacity.node_free_memory_mib(grant.node));
        if !node.is_fungible() {
            assert!(bits(grant.devices).all(|d| capacity.device_free_milli(grant.node)[d] >= demand.milli));
        }
    }
}

/// Places a random load with `make`'s placement, lets `inspect` compare each result, and checks the indexes now and then.
fn drive(seed: u64, make: impl Fn() -> Box<dyn Placement>, inspect: impl Fn(&Capacity, &Demand, Option<&Allocation>)) {
    let mut bench = Bench::new(seed);
    let mut placement = make();
    for step in 0..80 {
        let demand = bench.demand();
        placement.observe(&demand);
        let found = placement.place(&bench.capacity, &demand);
        inspect(&bench.capacity, &demand, found.as_ref());
        if let Some(allocation) = found {
            assert_valid(&bench.capacity, &demand, &allocation);
            bench.take(allocation, demand.milli);
        }
        if bench.rng.random_bool(0.4) {
            bench.give_one();
        }
        if step % 16 == 15 {
            bench.check();
        }
    }
}

fn nodes(capacity: &Capacity) -> impl Iterator<Item = NodeId> {
    (0..capacity.fleet().nodes.len() as u32).map(NodeId)
}

fn acceptable(capacity: &Capacity, demand: &Demand, node: NodeId) -> bool {
    demand.accelerators == 0 || demand.types.contains(capacity.fleet().node(node).kind)
}

fn holds(capacity: &Capacity, demand: &Demand, node: NodeId, count: u32) -> bool {
    acceptable(capacity, demand, node) && capacity.grant_on(node, demand, count).is_some()
}

/// Whether a gang fits as [`gang`] splits it: completely free nodes of one type and size, and one more for the rest.
fn fits_as_gang(capacity: &Capacity, demand: &Demand) -> bool {
    let wanted = demand.accelerators;
    if nodes(capacity).any(|node| holds(capacity, demand, node, wanted)) {
        return true;
    }
    let fleet = capacity.fleet();
    nodes(capacity).any(|lead| {
        let (kind, size) = (fleet.node(lead).kind, fleet.node(lead).accelerators);
        if demand.within == Level::Node || size == 0 || size >= wanted || !acceptable(capacity, demand, lead) {
            return false;
        }
        let kin = || {
            nodes(capacity).filter(|&node| {
                let spec = fleet.node(node);
                (spec.kind, spec.accelerators) == (kind, size) && capacity.near_enough(demand.within, lead, node)
            })
        };
        let free = |node: &NodeId| fleet.node(*node).is_fungible() || capacity.whole_free(*node).count_ones() == size;
        let full = kin().filter(free).filter(|&node| holds(capacity, demand, node, size)).count() as u32;
        let (need, rest) = (wanted / size, wanted % size);
        // All full nodes have room for the rest too; if all are needed, another node must have it.
        let spare = || {
            let full = |node: &NodeId| free(node) && holds(capacity, demand, *node, size);
            kin().any(|node| !full(&node) && holds(capacity, demand, node, rest))
        };
        full > need || full == need && (rest == 0 || spare())
    })
}

/// Larger is worse.
fn rank(capacity: &Capacity, demand: &Demand, order: NodeOrder, node: NodeId) -> i64 {
    let whole = match capacity.fleet().node(node).is_fungible() {
        true => (capacity.node_free_milli(node) / 1000) as i64,
        false => i64::from(capacity.whole_free(node).count_ones()),
    };
    let shared = capacity.device_free_milli(node).into_iter().filter(|&free| free >= demand.milli && free < WHOLE_MILLI);
    let shared = shared.map(i64::from);
    let shares = demand.milli < WHOLE_MILLI && demand.accelerators > 0;
    match order {
        NodeOrder::Lowest => 0,
        NodeOrder::FewestFree if shares => shared.min().unwrap_or(1000 + whole),
        NodeOrder::FewestFree => whole,
        NodeOrder::MostFree if shares && whole == 0 => 1000 - shared.max().unwrap_or(0),
        NodeOrder::MostFree => -whole,
    }
}

fn inspect_indexed(order: NodeOrder) -> impl Fn(&Capacity, &Demand, Option<&Allocation>) {
    move |capacity, demand, found| {
        let wanted = demand.accelerators;
        let room = nodes(capacity).filter(|&node| holds(capacity, demand, node, wanted));
        match room.min_by_key(|&node| (rank(capacity, demand, order, node), node)) {
            Some(best) => assert_eq!(found.map(|allocation| allocation[0].node), Some(best), "{demand:?}"),
            None => assert_eq!(found.is_some(), fits_as_gang(capacity, demand), "{demand:?}"),
        }
    }
}

/// The most that `node` can hold of a gang.
fn room(capacity: &Capacity, demand: &Demand, node: NodeId) -> u32 {
    (1..=demand.accelerators).rev().find(|&count| holds(capacity, demand, node, count)).unwrap_or(0)
}

fn inspect_scatter(order: ScatterOrder) -> impl Fn(&Capacity, &Demand, Option<&Allocation>) {
    move |capacity, demand, found| {
        let wanted = demand.accelerators;
        let fleet = capacity.fleet();
        let parts = nodes(capacity).map(|lead| {
            let kin = nodes(capacity).filter(|&node| {
                fleet.node(node).kind == fleet.node(lead).kind && capacity.near_enough(demand.within, lead, node)
            });
            let mut rooms: Vec<u32> = kin.map(|node| room(capacity, demand, node)).collect();
            rooms.sort_unstable_by(|a, b| b.cmp(a));
            rooms
        });
        let enough: Vec<Vec<u32>> = parts.filter(|rooms| rooms.iter().sum::<u32>() >= wanted).collect();
        let cpu_only = wanted == 0 && nodes(capacity).any(|node| holds(capacity, demand, node, 0));
        assert_eq!(found.is_some(), if wanted == 0 { cpu_only } else { !enough.is_empty() }, "{demand:?}");
        if let Some(found) = found
            && demand.is_plain()
            && wanted > 0
            && order != ScatterOrder::FewestFree
        {
            let fewest = |rooms: &Vec<u32>| {
                let sums = rooms.iter().scan(0, |sum, room| {
                    *sum += room;
                    Some(*sum)
                });
                sums.take_while(|&sum| sum < wanted).count() + 1
            };
            assert_eq!(found.len(), enough.iter().map(fewest).min().unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn indexed_placements_agree_with_a_walk_over_all_nodes(seed: u64) {
        for order in [NodeOrder::Lowest, NodeOrder::FewestFree, NodeOrder::MostFree] {
            drive(seed, || Box::new(Indexed(order)), inspect_indexed(order));
        }
    }

    #[test]
    fn scatter_fails_only_if_the_level_holds_too_little(seed: u64) {
        for order in [ScatterOrder::FewestNodes, ScatterOrder::MostFree, ScatterOrder::FewestFree] {
            drive(seed, || Box::new(Scatter(order)), inspect_scatter(order));
        }
    }

    #[test]
    fn scored_placements_find_a_place_where_there_is_one(seed: u64) {
        for name in ["packing", "clustering", "dot-product", "best-fit-resources(memory=0.2)", "random", "fgd(steps=1000)"] {
            drive(seed, || by_name(name, seed).unwrap(), |capacity, demand, found| {
                assert_eq!(found.is_some(), fits_as_gang(capacity, demand), "{name}: {demand:?}");
            });
        }
    }

    /// What is remembered never shows: a placement that scores all nodes anew decides the same, also on a copy of the
    /// capacity that went its own way.
    #[test]
    fn remembered_scores_equal_fresh_ones(seed: u64) {
        for name in ["packing", "clustering", "dot-product", "best-fit-resources", "fgd(steps=1000)"] {
            let mut bench = Bench::new(seed);
            let mut history = Vec::new();
            let mut kept = by_name(name, seed).unwrap();
            for step in 0..60 {
                let demand = bench.demand();
                kept.observe(&demand);
                history.push(demand);
                let mut fresh = by_name(name, seed).unwrap();
                history.iter().for_each(|demand| fresh.observe(demand));
                if step % 7 == 0 {
                    let mut copy = bench.capacity.clone();
                    for _ in 0..3 {
                        let found = kept.place(&copy, &demand);
                        prop_assert_eq!(&found, &fresh.place(&copy, &demand));
                        found.iter().for_each(|allocation| copy.take(allocation, demand.milli));
                    }
                }
                let found = kept.place(&bench.capacity, &demand);
                prop_assert_eq!(&found, &fresh.place(&bench.capacity, &demand), "{}", name);
                if let Some(allocation) = found {
                    bench.take(allocation, demand.milli);
                }
                if bench.rng.random_bool(0.3) {
                    bench.give_one();
                }
            }
        }
    }
}

#[test]
fn every_listed_placement_is_made_and_places() {
    let capacity = Capacity::new(Fleet::uniform(4, 8));
    for entry in PLACEMENTS {
        let mut placement = by_name(entry.name, 1).unwrap();
        assert!(placement.place(&capacity, &Demand::whole(20)).is_some(), "{}", entry.name);
        assert!(placement.place(&capacity, &Demand::whole(33)).is_none(), "{}", entry.name);
        assert!(!entry.about.is_empty() && !entry.about.contains('\n'));
    }
}

#[test]
fn bad_parameters_say_what_would_do() {
    let message = |text| by_name(text, 0).err().unwrap().to_string();
    assert!(message("fgd(coverage=2)").contains("coverage=2: expected a number above 0 and up to 1"));
    assert!(message("fgd(coverage=NaN)").contains("expected a number above 0"));
    assert!(message("fgd(steps=0)").contains("expected a whole number from 1 to 10000"));
    assert!(message("scatter(order=any)").contains("expected fewest-nodes, most-free or fewest-free"));
    assert!(message("best-fit-resources(cpu=0, accelerators=0)").contains("another weight above 0"));
    assert!(message("best").contains("best-fit-resources"));
}

#[test]
fn a_gang_prefers_one_node_then_one_cluster_then_few_clusters() {
    let mut fleet = Fleet::default();
    let kind = fleet.add_type("a");
    let region = fleet.add_region("r");
    for _ in 0..3 {
        let cluster = fleet.add_cluster("c", region);
        fleet.add_nodes(cluster, kind, 3, 2);
    }
    let cluster = ClusterId(0);
    fleet.add_nodes(cluster, kind, 1, 8);
    let capacity = Capacity::new(fleet);
    let place = |accelerators, within| {
        let demand = Demand { within, ..Demand::whole(accelerators) };
        let found = by_name("first-fit", 0).unwrap().place(&capacity, &demand);
        found.map(|allocation| allocation.iter().map(|grant| grant.node.0).collect::<Vec<_>>())
    };
    assert_eq!(place(6, Level::Cluster), Some(vec![9]), "one node of 8 rather than three of 2");
    assert_eq!(place(12, Level::Cluster), None);
    assert_eq!(place(12, Level::Region), Some((0..6).collect()));
    assert_eq!(place(18, Level::Region), Some((0..9).collect()));
}

#[test]
fn worst_fit_gives_a_share_an_accelerator_of_its_own_and_best_fit_the_fullest() {
    let mut capacity = Capacity::new(Fleet::uniform(2, 2));
    let share = |milli| Demand { milli, within: Level::Node, ..Demand::whole(1) };
    let mut place = |name: &str, milli| {
        let allocation = by_name(name, 0).unwrap().place(&capacity, &share(milli)).unwrap();
        capacity.take(&allocation, milli);
        (allocation[0].node.0, allocation[0].devices)
    };
    assert_eq!(place("best-fit", 300), (0, 0b01));
    assert_eq!(place("worst-fit", 300), (1, 0b01));
    assert_eq!(place("worst-fit", 600), (0, 0b10));
    assert_eq!(place("best-fit", 300), (0, 0b10));
    assert_eq!(place("best-fit", 500), (0, 0b01));
}

#[test]
fn clustering_keeps_sizes_together_and_packing_fills_used_nodes() {
    let mut capacity = Capacity::new(Fleet::uniform(3, 8));
    let mut put = |placement: &mut dyn Placement, accelerators| {
        let allocation = placement.place(&capacity, &Demand::whole(accelerators)).unwrap();
        capacity.take(&allocation, WHOLE_MILLI);
        allocation[0].node.0
    };
    let mut clustering = by_name("clustering", 0).unwrap();
    let sizes = [1, 2, 1, 2, 4, 4, 1];
    assert_eq!(sizes.map(|n| put(&mut *clustering, n)), [0, 1, 0, 1, 2, 2, 0]);
    let mut packing = by_name("packing", 0).unwrap();
    assert_eq!([5, 4].map(|n| put(&mut *packing, n)), [0, 1]);
}

#[test]
fn random_is_even_and_repeats_by_seed() {
    let capacity = Capacity::new(Fleet::uniform(10, 1));
    let draw = |seed| {
        let mut random = by_name("random", seed).unwrap();
        let mut counts = BTreeMap::<u32, u32>::new();
        for _ in 0..2000 {
            *counts.entry(random.place(&capacity, &Demand::whole(1)).unwrap()[0].node.0).or_default() += 1;
        }
        counts
    };
    assert_eq!(draw(5), draw(5));
    assert_ne!(draw(5), draw(6));
    assert!(draw(5).len() == 10 && draw(5).values().all(|n| (140..260).contains(n)), "{:?}", draw(5));
}
