//! `hierarchy`: several schedulers under a level that sends jobs to them.

#[allow(dead_code, reason = "each test crate uses a part of it")]
mod world;

use policies::{Allocation, Demand, Elastic, Fleet, JobSpec, Level, Order, Scheduler, Span, Time, catalog, placement};
use world::scenario::Scenario;
use world::{Arrival, Ideal, World};

/// What was ordered, and when.
fn orders(scenario: &Scenario) -> Vec<(Time, Order)> {
    let mut world = scenario.world(|policy| policy);
    let mut orders = Vec::new();
    while let Some(step) = world.step() {
        orders.extend(step.orders.into_iter().map(|order| (step.now, order)));
    }
    assert!(world.all_done(), "{scenario:?}: {:?} never ended", world.left());
    orders
}

/// Nothing is lost or gained in translation: what a part of the whole fleet orders is what its policy would order without the
/// hierarchy.
#[test]
fn a_hierarchy_of_one_part_is_its_policy() {
    let mut compared = 0;
    for entry in catalog::POLICIES.iter().filter(|entry| entry.name != "hierarchy") {
        for (seed, fleet) in ["pool", "node", "nodes"].into_iter().cycle().take(12).enumerate() {
            let nested: &'static str = format!("hierarchy(of=hierarchy(by=cluster, of={}))", entry.name).leak();
            let plain = Scenario { policy: entry.name, placement: "best-fit", fleet, seed: seed as u64 };
            let expected = orders(&plain);
            let found = orders(&Scenario { policy: nested, ..plain });
            let differs = found.iter().zip(&expected).find(|(a, b)| a != b);
            assert!(found.len() == expected.len() && differs.is_none(), "{nested} {fleet} {seed}: {differs:?}");
            compared += expected.len();
        }
    }
    assert!(compared > 5_000, "only {compared} orders: nothing was tested");
}

/// Two regions with a node of 8 each.
fn two_regions() -> Fleet {
    let mut fleet = Fleet::default();
    let kind = fleet.add_type("gpu");
    for name in ["east", "west"] {
        let region = fleet.add_region(name);
        let cluster = fleet.add_cluster(name, region);
        fleet.add_nodes(cluster, kind, 1, 8);
    }
    fleet
}

fn job(submit_s: u64, accelerators: u32, work_s: u64) -> Arrival {
    let spec = JobSpec { tier: 2, ..JobSpec::whole(accelerators) };
    Arrival { submit: Time(submit_s * 1_000_000), spec, work: Span::from_secs(work_s), patience: None }
}

/// When each attempt of each job was ordered to start, in seconds, on which nodes and how many accelerators.
fn starts(policy: &str, jobs: &[Arrival]) -> Vec<(u32, u64, Vec<(u32, u32)>)> {
    let (policy, _) = catalog::by_name(policy, 0).unwrap();
    let scheduler = Scheduler::new(two_regions(), policy, placement::by_name("best-fit", 0).unwrap());
    let mut world = World::new(scheduler, jobs, Ideal);
    let mut starts = Vec::new();
    let places = |allocation: &Allocation| allocation.iter().map(|grant| (grant.node.0, grant.count)).collect();
    while let Some(step) = world.step() {
        for order in &step.orders {
            if let Order::Start { job, allocation, .. } = order {
                starts.push((job.0, step.now.0 / 1_000_000, places(allocation)));
            }
        }
    }
    assert!(world.all_done(), "{:?} never ended", world.left());
    starts
}

#[test]
fn new_jobs_go_where_they_fit_and_where_least_is_asked_for() {
    let jobs = [job(0, 4, 100), job(1, 2, 100), job(2, 6, 100), job(3, 4, 100)];
    let nodes: Vec<u32> = starts("hierarchy(of=fifo)", &jobs).iter().map(|start| start.2[0].0).collect();
    assert_eq!(nodes, [0, 1, 1, 0]);
}

#[test]
fn what_is_told_takes_its_time() {
    assert_eq!(starts("hierarchy(of=fifo, delay=5)", &[job(10, 1, 100)]), [(0, 15, vec![(0, 1)])]);
    // Four at once: what was sent is counted before any report shows it.
    let four = [job(0, 8, 1), job(0, 8, 1), job(0, 8, 1), job(0, 8, 1)];
    let starts = starts("hierarchy(of=fifo, delay=5)", &four);
    assert_eq!(starts.iter().map(|start| start.2[0].0).collect::<Vec<_>>(), [0, 1, 0, 1]);
}

#[test]
fn who_waits_is_moved_to_where_there_is_room() {
    // Jobs 0 and 1 fill both nodes; 2 and 3 wait, one behind each. Node 1 is free first, and again before node 0 is.
    let jobs = [job(0, 8, 1000), job(0, 8, 10), job(1, 8, 30), job(2, 8, 30)];
    let last = |policy: &str| starts(policy, &jobs).last().map(|start| (start.1, start.2[0].0));
    assert_eq!(last("hierarchy(of=fifo, every=0)"), Some((1000, 0)), "nobody looks");
    assert_eq!(last("hierarchy(of=fifo, every=60)"), Some((61, 1)), "at 1 s there was no room; a minute later there is");
}

#[test]
fn who_runs_on_too_little_is_moved_to_where_there_is_room() {
    let elastic = |arrival: Arrival| Arrival { spec: JobSpec { elastic: Elastic::linear(2, 0), ..arrival.spec }, ..arrival };
    // Job 2 shrinks beside job 0, which never ends, while job 1 fills the other node; something must wait for a look to be due.
    let jobs = [job(0, 6, 10_000), job(0, 8, 1200), elastic(job(1, 8, 3000)), job(2, 8, 1)];
    let grown = starts("hierarchy(of=singularity)", &jobs);
    let of_two: Vec<_> = grown.iter().filter(|start| start.0 == 2).map(|start| start.2.clone()).collect();
    assert_eq!(of_two, [vec![(0, 2)], vec![(1, 8)]], "{grown:?}");
}

#[test]
fn a_gang_that_no_part_could_hold_spans_them() {
    let spec = JobSpec { demand: Demand { within: Level::Fleet, ..Demand::whole(16) }, ..JobSpec::whole(16) };
    let wide = Arrival { spec, ..job(1, 16, 50) };
    let starts = starts("hierarchy(of=fifo)", &[job(0, 8, 20), wide, job(2, 8, 10), job(30, 8, 5)]);
    // Job 2 does not wait behind it; it starts when both nodes are free, and keeps others out while it runs.
    let summary: Vec<_> = starts.iter().map(|(job, at, nodes)| (*job, *at, nodes.len())).collect();
    assert_eq!(summary, [(0, 0, 1), (2, 2, 1), (1, 20, 2), (3, 70, 1)]);
}

#[test]
fn a_name_within_a_name_is_checked() {
    let message = catalog::by_name("hierarchy(of=fi)", 0).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(message.starts_with("unknown policy `fi`; valid names: fifo"), "{message}");
    let message = catalog::by_name("hierarchy(by=rack)", 0).err().map(|e| e.to_string()).unwrap_or_default();
    assert_eq!(message, "policy `hierarchy`: by=rack: expected region or cluster");
}
