//! What `singularity` owes: nobody of a better tier waits while worse ones hold what he needs, and nothing that fits lies idle.
//!
//! A failure names its scenario. `ORRERY_SEEDS=N` runs N times as many.

#![allow(clippy::disallowed_methods, reason = "tests read the environment")]

#[allow(dead_code, reason = "each test crate uses a part of it")]
mod world;

use policies::{
    Demand, Elastic, Fleet, JobId, JobSpec, Level, NodeId, NodeState, Order, Phase, Scheduler, Span, Tier, Tiers, Time, View,
};
use policies::{catalog, placement};
use std::collections::BTreeMap;
use world::scenario::{FLEETS, Scenario, first_seed};
use world::{Arrival, Ideal, World};

/// Per node: whole accelerators that are free to plan with, and those that jobs hold which were not told to stop, by tier.
type Floor = BTreeMap<NodeId, (u32, [u32; 3])>;

fn floor(view: &View) -> Floor {
    let capacity = view.capacity();
    let nodes = (0..view.fleet().nodes.len() as u32).map(NodeId).filter(|&node| capacity.state(node) == NodeState::Up);
    let free = |node| match view.fleet().node(node).is_fungible() {
        true => (capacity.node_free_milli(node) / 1000) as u32,
        false => capacity.whole_free(node).count_ones(),
    };
    let mut floor: Floor = nodes.map(|node| (node, (free(node), [0; 3]))).collect();
    for id in (0..view.submitted()).map(JobId) {
        let Some(job) = view.get(id) else { continue };
        let settled = matches!(job.phase, Phase::Assigned | Phase::Starting | Phase::Running);
        if settled && job.spec.demand.is_whole() {
            for grant in &job.allocation {
                if let Some(row) = floor.get_mut(&grant.node) {
                    row.1[usize::from(job.spec.tier.min(2))] += grant.count;
                }
            }
        }
    }
    floor
}

/// Whether processors or memory could be what is short: then accelerators tell nothing.
fn only_accelerators(demand: &Demand) -> bool {
    demand.is_whole() && demand.cpu_milli == 0 && demand.memory_mib == 0
}

/// The first job that waits although one node could hold it, with what tiers behind it hold there (`claims`) or as it is.
fn wronged(view: &View, claims: bool) -> Option<JobId> {
    let floor = floor(view);
    let fits = |demand: &Demand, tier: usize| {
        let size = demand.accelerators;
        floor.iter().any(|(&node, (free, held))| {
            let kind = view.fleet().node(node).kind;
            let behind: u32 = if claims { held[tier + 1..].iter().sum() } else { 0 };
            demand.types.contains(kind) && free + behind >= size && view.fleet().node(node).accelerators >= size
        })
    };
    view.pending().iter().map(JobId).find(|&id| {
        let spec = view.job(id).spec;
        let one_node = spec.demand.within == Level::Node || spec.demand.accelerators <= 8;
        only_accelerators(&spec.demand) && one_node && fits(&spec.demand, usize::from(spec.tier.min(2)))
    })
}

#[test]
fn nobody_waits_for_what_worse_tiers_hold_or_nobody_does() {
    let seeds: u64 = std::env::var("ORRERY_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let mut waited = 0;
    for number in 0..120 * seeds {
        let seed = first_seed() + number;
        let fleet = FLEETS[seed as usize % FLEETS.len()];
        // Nobody of the worst tier waits long enough to be ranked before others.
        let policies =
            ["singularity(starve=1e9)", "singularity(starve=1e9, resize=false)", "singularity(starve=1e9, migrate=false)"];
        let policy = policies[(seed / 4) as usize % policies.len()];
        let scenario = Scenario { policy, placement: "best-fit", fleet, seed };
        let mut world = scenario.world(|policy| policy);
        while let Some(step) = world.step() {
            let view = world.scheduler.view();
            for claims in [false, true] {
                if let Some(job) = wronged(view, claims) {
                    panic!("{scenario:?} at {}: job {} waits (claims: {claims}): {:?}", step.now, job.0, view.job(job).spec);
                }
            }
            waited += view.pending().len();
        }
    }
    assert!(waited > 10_000, "too little contention to show anything: {waited}");
}

/// Two gangs run on a quarter; then there is room for one of them.
#[test]
fn what_becomes_free_goes_back_in_the_order_of_the_table() {
    let first_to_grow = |give_back: [u8; 3]| {
        let usual = Tiers::default();
        let numbered = usual.iter().cloned().zip(give_back);
        let tiers = Tiers::new(numbered.map(|(tier, give_back)| Tier { guarantee: 0, give_back, ..tier }).collect());
        let job = |submit_s: u64, tier, size, work_s, elastic| Arrival {
            submit: Time(submit_s * 1_000_000),
            spec: JobSpec { tier, elastic, ..JobSpec::whole(size) },
            work: Span::from_secs(work_s),
            patience: None,
        };
        let (rigid, elastic) = (Elastic::RIGID, Elastic::linear(2, 0));
        let jobs =
            [job(0, 0, 8, 100, rigid), job(0, 0, 2, 10, rigid), job(1, 1, 8, 9000, elastic), job(10, 2, 8, 9000, elastic)];
        let policy = catalog::by_name("singularity(quiet=0)", 0).expect("listed").0;
        let place = placement::by_name("best-fit", 0).expect("listed");
        let mut world = World::new(Scheduler::new(Fleet::uniform(1, 12), policy, place).with_tiers(&tiers), &jobs, Ideal);
        while let Some(step) = world.step() {
            for order in &step.orders {
                if let Order::Start { job, allocation, .. } = order
                    && step.now >= Time(100_000_000)
                    && allocation[0].count == 8
                {
                    return job.0;
                }
            }
        }
        panic!("nobody grew");
    };
    assert_eq!(first_to_grow([0, 1, 2]), 2);
    assert_eq!(first_to_grow([0, 2, 1]), 3);
}

/// A gang of the worst tier that asks for everything, among small jobs of its tier that never leave enough.
#[test]
fn nobody_starves_beyond_his_age_where_capacity_allows() {
    let start = |starve: &str| {
        let job = |submit_s: u64, size, work_s| Arrival {
            submit: Time(submit_s * 1_000_000),
            spec: JobSpec { tier: 2, ..JobSpec::whole(size) },
            work: Span::from_secs(work_s),
            patience: None,
        };
        let small = (0..300).map(|i| job(10 * i, 1, 100));
        let mut jobs: Vec<Arrival> = small.chain([job(5, 8, 50)]).collect();
        jobs.sort_by_key(|arrival| arrival.submit);
        let gang = jobs.iter().position(|arrival| arrival.spec.demand.accelerators == 8).expect("it is there") as u32;
        let policy = catalog::by_name(&format!("singularity(starve={starve})"), 0).expect("listed").0;
        let place = placement::by_name("best-fit", 0).expect("listed");
        let mut world = World::new(Scheduler::new(Fleet::uniform(1, 8), policy, place), &jobs, Ideal);
        let mut started = None;
        while let Some(step) = world.step() {
            let begins = |order: &Order| matches!(order, Order::Start { job, .. } if job.0 == gang);
            if started.is_none() && step.orders.iter().any(begins) {
                started = Some(step.now.0 / 1_000_000);
            }
        }
        assert!(world.all_done(), "{:?} never ended", world.left());
        started.expect("everybody runs some time")
    };
    assert!(start("1e9") > 3000, "it waits for the last of the others");
    assert_eq!(start("600"), 605, "it takes the place of those of its tier");
}

/// Four jobs that are promised seven tenths of each hour, and room for three.
#[test]
fn those_of_a_tier_take_turns_within_their_windows() {
    let kept = |policy: &str| {
        let job = Arrival {
            submit: Time::ZERO,
            spec: JobSpec { tier: 1, ..JobSpec::whole(2) },
            work: Span::from_secs(40 * 3600),
            patience: None,
        };
        let policy = catalog::by_name(policy, 0).expect("listed").0;
        let place = placement::by_name("best-fit", 0).expect("listed");
        let scheduler = Scheduler::new(Fleet::uniform(3, 2), policy, place).with_tiers(&Tiers::default());
        let jobs = [job; 4];
        let mut world = World::new(scheduler, &jobs, Ideal);
        let mut stops = 0;
        while let Some(step) = world.step().filter(|step| step.now < Time(24 * 3_600_000_000)) {
            stops += step.orders.iter().filter(|order| matches!(order, Order::Preempt { .. })).count();
        }
        let account = world.scheduler.view().ledger().expect("it keeps books").account();
        let tier = &account.tiers[1];
        (tier.attained, tier.observed, stops)
    };
    let (kept_alone, time, stops) = kept("singularity(turns=0)");
    assert_eq!((kept_alone * 4, stops), (time * 3, 0), "one of four never runs");
    let (kept, time, stops) = kept("singularity");
    assert!(
        kept + 3_600_000_000 > time,
        "{kept} of {time}: but for the window that is not over, all have what they were promised"
    );
    assert!((24 * 2..=24 * 4).contains(&stops), "{stops} stops in a day: two or three turns an hour");
}

/// The share of job-time in which those of the second tier had what they were promised, in a day of jobs that are all there from its
/// start, and how often one of them was stopped, in thousandths an hour.
fn day(policy: &str, nodes: u32, jobs: &[Arrival]) -> (f64, usize) {
    let policy = catalog::by_name(policy, 0).expect("listed").0;
    let place = placement::by_name("best-fit", 0).expect("listed");
    let scheduler = Scheduler::new(Fleet::uniform(nodes, 8), policy, place).with_tiers(&Tiers::default());
    let mut world = World::new(scheduler, jobs, Ideal);
    let mut stops = 0;
    while let Some(step) = world.step().filter(|step| step.now < Time(24 * 3_600_000_000)) {
        stops += step.orders.iter().filter(|order| matches!(order, Order::Preempt { .. })).count();
    }
    let tier = &world.scheduler.view().ledger().expect("it keeps books").account().tiers[1];
    (tier.attained as f64 / tier.observed as f64, 1000 * stops / jobs.len() / 24)
}

/// Jobs of one tier and of all sizes, rigid and elastic, that ask for more than there is and were promised less than that.
#[test]
fn those_who_ask_for_different_things_take_turns() {
    let seeds: u64 = std::env::var("ORRERY_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let (mut with, mut without, mut all) = (0.0, 0.0, 0);
    for number in 0..60 * seeds {
        let seed = first_seed() + number;
        let mut random = seed;
        let mut below = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % n
        };
        let nodes = 3 + below(4) as u32;
        let (mut asked, mut jobs) = (0, Vec::new());
        // Seven tenths of what they ask for are at most eight ninths of what there is.
        while asked * 7 * 9 < nodes * 8 * 10 * 8 {
            let size = 1 << below(4);
            let elastic = if size > 1 && below(2) == 0 { Elastic::linear(1, 300) } else { Elastic::RIGID };
            let spec = JobSpec { tier: 1, elastic, ..JobSpec::whole(size) };
            asked += size;
            jobs.push(Arrival { submit: Time::ZERO, spec, work: Span::from_secs(40 * 3600), patience: None });
        }
        let last = jobs.pop().expect("it asks for too much");
        if asked - last.spec.demand.accelerators <= nodes * 8 {
            continue;
        }
        let (kept, stops) = day("singularity", nodes, &jobs);
        assert!(kept >= 0.4 && stops <= 2000, "seed {seed}: kept {kept}, {} jobs, {stops} stops in 1000 hours", jobs.len());
        let (kept_alone, _) = day("singularity(turns=0)", nodes, &jobs);
        (with, without, all) = (with + kept, without + kept_alone, all + 1);
    }
    let (with, without) = (with / f64::from(all), without / f64::from(all));
    assert!(with >= 0.95, "{with} of {all} worlds' time, {without} without turns");
    assert!(without <= 0.9, "these worlds show nothing: {without} without turns");
}
