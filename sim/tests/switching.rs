//! The mechanism charged by the world, on cases worked out by hand.

use policies::ledger::{Ledger, Spent};
use policies::{
    Elastic, Event, FULL_SPEED, Fleet, JobSpec, NodeId, NodeState, Scheduler, Span, Tiers, Time, catalog, placement,
};
use sim::mechanism::Mechanism;
use sim::{Arrival, Costs, Crashes, End, Limits, Recovery, Switched, World, run};
use traces::faults::{Change, Cut, Disturbance, Trouble};
use traces::runlog::{Observer, StepView, Tracker};
use traces::scenario::NetworkSpec;

/// Times are round: at 1 Gbps, 1 GB takes 8 s.
const PLAIN: &str = r#"
name = "plain"
start = { fixed_s = 5.0 }
barrier.data_parallel = { least_mini_batches = 1.0, most_mini_batches = 1.0 }
dump = { fixed_s = 3.0 }
restore.fixed = { fixed_s = 7.0 }
states = [{ profile = "m" }]

[profiles.m]
device_state_bytes = 1_000_000_000
mini_batch_s = 2.0
"#;

fn mechanism(more: &str) -> Mechanism {
    Mechanism::from_toml(&format!("{more}\n{PLAIN}"), "test").unwrap()
}

/// Tracker and ledger of a run, and all events in words with their times in seconds.
struct Told {
    tracker: Tracker,
    ledger: Ledger,
    events: Vec<(f64, String)>,
}

impl Observer for Told {
    fn step(&mut self, step: StepView<'_>) {
        self.tracker.step(step);
        self.ledger.step(step.now, step.events, step.orders, step.notes);
        self.ledger.check().unwrap_or_else(|e| panic!("at {}: {e}", step.now));
        for event in step.events {
            let text = match *event {
                Event::Started { job, .. } => format!("{} started", job.0),
                Event::Stopped { job, progress, .. } => format!("{} stopped at {}", job.0, progress.as_secs_f64()),
                Event::Finished { job, .. } => format!("{} finished", job.0),
                Event::Failed { job, progress, .. } => format!("{} failed at {}", job.0, progress.as_secs_f64()),
                _ => continue,
            };
            self.events.push((step.now.as_secs_f64(), text));
        }
    }
}

struct Case {
    fleet: Fleet,
    mechanism: Mechanism,
    network: NetworkSpec,
    policy: &'static str,
    recovery: Recovery,
    changes: Vec<Change>,
    crashes: Option<Crashes>,
    disturbances: Vec<Disturbance>,
}

impl Case {
    fn new(fleet: Fleet, mechanism: Mechanism) -> Case {
        let network = NetworkSpec { store_gbps: Some(1.0), always_fetch: true, ..NetworkSpec::default() };
        let (changes, disturbances) = (vec![], vec![]);
        Case { fleet, mechanism, network, policy: "srtf", recovery: Recovery::LastStop, changes, crashes: None, disturbances }
    }

    fn run(&self, jobs: &[Arrival]) -> (Told, Switched) {
        let (policy, _) = catalog::by_name(self.policy, 0).unwrap();
        let mut scheduler = Scheduler::new(self.fleet.clone(), policy, placement::by_name("best-fit", 0).unwrap());
        let names: Vec<String> = (0..jobs.len()).map(|i| i.to_string()).collect();
        let sizes = names.iter().zip(jobs).map(|(name, job)| (name.as_str(), job.spec.demand.accelerators));
        let mut world = World::new(Costs::default(), self.crashes).with_recovery(self.recovery).with_mechanism(
            &self.fleet,
            &self.mechanism,
            &self.network,
            sizes,
        );
        if !self.changes.is_empty() {
            world = world.with_faults(&self.fleet, self.changes.clone());
        }
        if !self.disturbances.is_empty() {
            world = world.with_disturbances(&self.fleet, self.disturbances.clone());
        }
        let mut told = Told {
            tracker: Tracker::new(self.fleet.accelerators() * 1000),
            ledger: Ledger::new(&self.fleet, &Tiers::default()),
            events: Vec::new(),
        };
        let limits = Limits { check: true, ..Limits::default() };
        assert_eq!(run(&mut scheduler, &mut world, jobs.iter().copied(), limits, &mut told), End::Quiet);
        assert_eq!(told.tracker.done, jobs.len() as u64, "all jobs finish: {:?}", told.events);
        (told, world.switched().unwrap())
    }
}

fn job(submit_s: u64, duration_s: u64, accelerators: u32) -> Arrival {
    let duration = Span::from_secs(duration_s);
    let spec = JobSpec { estimate: Some(duration), attempts_max: 99, ..JobSpec::whole(accelerators) };
    Arrival { submit: Time::from_secs(submit_s), spec, duration }
}

fn told(events: &[(f64, &str)]) -> Vec<(f64, String)> {
    events.iter().map(|&(at, text)| (at, text.to_owned())).collect()
}

#[test]
fn a_stop_and_a_move_take_their_parts() {
    let case = Case::new(Fleet::uniform(1, 8), mechanism(""));
    // Barrier 2 s, in which the job works on; dump 3 s, upload 8 s with accelerators held; download 8 s, restore 7 s.
    let (run, switched) = case.run(&[job(0, 1000, 8), job(100, 10, 8)]);
    let expected = [
        (5.0, "0 started"),
        (113.0, "0 stopped at 97"),
        (118.0, "1 started"),
        (128.0, "1 finished"),
        (143.0, "0 started"),
        (1046.0, "0 finished"),
    ];
    assert_eq!(run.events, told(&expected));
    assert_eq!((switched.starts, switched.restores, switched.stops), (2, 1, 1));
    assert_eq!((switched.uploaded_bytes, switched.fetched_bytes), (1_000_000_000, 1_000_000_000));
    let account = run.ledger.account();
    let seconds = |spent| account.spent(spent) as f64 / 8e9;
    assert_eq!(seconds(Spent::Start), 10.0);
    assert_eq!((seconds(Spent::Checkpoint), seconds(Spent::Restore), seconds(Spent::Useful)), (11.0, 15.0, 1010.0));
}

#[test]
fn in_the_background_an_upload_delays_only_its_own_job() {
    let case = Case::new(Fleet::uniform(1, 8), mechanism("checkpoint = { upload_in_background = true }"));
    let (run, _) = case.run(&[job(0, 1000, 8), job(100, 1, 8)]);
    let expected = [
        (5.0, "0 started"),
        (105.0, "0 stopped at 97"),
        (110.0, "1 started"),
        (111.0, "1 finished"),
        // The upload is over at 113: two more seconds, then 8 to fetch and 7 to restore.
        (128.0, "0 started"),
        (1031.0, "0 finished"),
    ];
    assert_eq!(run.events, told(&expected));
    // On the nodes where it was stopped there is nothing to fetch, and nothing to wait for.
    let near = Case { network: NetworkSpec { always_fetch: false, ..case.network.clone() }, ..case };
    let (run, switched) = near.run(&[job(0, 1000, 8), job(100, 1, 8)]);
    assert_eq!(run.events[4], (118.0, "0 started".to_owned()));
    assert_eq!((switched.restores_local, switched.fetched_bytes), (1, 0));
}

#[test]
fn two_that_fetch_at_once_take_twice_as_long() {
    let case = Case::new(Fleet::uniform(2, 8), mechanism("checkpoint = { upload_in_background = true }"));
    // Both make room for one that needs everything, and go on together.
    let (run, _) = case.run(&[job(0, 1000, 8), job(0, 1000, 8), job(100, 100, 16)]);
    let expected = [
        (5.0, "0 started"),
        (5.0, "1 started"),
        (105.0, "0 stopped at 97"),
        (105.0, "1 stopped at 97"),
        (110.0, "2 started"),
        (210.0, "2 finished"),
        (233.0, "0 started"),
        (233.0, "1 started"),
        (1136.0, "0 finished"),
        (1136.0, "1 finished"),
    ];
    assert_eq!(run.events, told(&expected));
}

#[test]
fn a_stop_before_the_start_is_at_once_and_frees_the_link() {
    let case = Case::new(Fleet::uniform(1, 8), mechanism("checkpoint = { upload_in_background = true }"));
    // Job 0 restores from 113 on when job 2 comes at 115: it gives way with 6 s of its download to go, and begins anew.
    let (run, _) = case.run(&[job(0, 1000, 8), job(100, 1, 8), job(115, 10, 8)]);
    let expected =
        [(115.0, "0 stopped at 97"), (120.0, "2 started"), (130.0, "2 finished"), (145.0, "0 started"), (1048.0, "0 finished")];
    assert_eq!(run.events[4..], told(&expected));
}

#[test]
fn periodic_checkpoints_pause_the_job_and_bring_it_back() {
    let down = |at, state| Change { at: Time::from_secs(at), node: NodeId(0), state };
    let mut case = Case::new(Fleet::uniform(1, 8), mechanism("checkpoint = { upload_in_background = true, period_s = 100.0 }"));
    let (run, switched) = case.run(&[job(0, 250, 8)]);
    // At 107 it stands still for 3 s, so again 102 s later; 46 s are left then.
    assert_eq!(run.events, told(&[(5.0, "0 started"), (261.0, "0 finished")]));
    assert_eq!((switched.checkpoints, switched.paused_us), (2, 2 * 3 * 8 * 1_000_000));
    case.changes = vec![down(200, NodeState::Down), down(300, NodeState::Up)];
    let (run, _) = case.run(&[job(0, 250, 8)]);
    // 102 s of work were read by 110, and in the store at 121 (read again for the upload's sake: 3 s; 8 s over the link).
    assert_eq!(run.events[1..3], told(&[(200.0, "0 failed at 102"), (315.0, "0 started")]));
    // Down before it was stored, nothing is kept.
    case.changes = vec![down(112, NodeState::Down), down(300, NodeState::Up)];
    let (run, _) = case.run(&[job(0, 250, 8)]);
    assert_eq!(run.events[1..3], told(&[(112.0, "0 failed at 0"), (305.0, "0 started")]));
}

#[test]
fn a_checkpoint_whose_node_breaks_on_the_way_is_lost() {
    let change = |at, state| Change { at: Time::from_secs(at), node: NodeId(0), state };
    let mut case = Case::new(Fleet::uniform(1, 8), mechanism("checkpoint = { upload_in_background = true }"));
    case.changes = vec![change(112, NodeState::Down), change(300, NodeState::Up)];
    let (run, switched) = case.run(&[job(0, 1000, 8), job(100, 1, 8)]);
    let expected = [
        (105.0, "0 stopped at 97"),
        (110.0, "1 started"),
        (111.0, "1 finished"),
        (112.0, "0 failed at 0"),
        (305.0, "0 started"),
        (1305.0, "0 finished"),
    ];
    assert_eq!(run.events[1..], told(&expected));
    assert_eq!(switched.checkpoints_lost, 1);
}

#[test]
fn just_in_time_loses_less_than_a_mini_batch_while_a_replica_lives() {
    let change = |at, node, state| Change { at: Time::from_secs(at), node: NodeId(node), state };
    let mut case = Case::new(Fleet::uniform(2, 8), mechanism("checkpoint = { upload_in_background = true }"));
    case.recovery = Recovery::JustInTime(Span::from_secs(2));
    case.changes = vec![change(104, 0, NodeState::Down), change(500, 0, NodeState::Up)];
    // 99 s of work: 49 mini-batches of 2 s are kept. Reading takes 3 s and the upload 8 s, long before node 0 is back.
    let (run, _) = case.run(&[job(0, 200, 16)]);
    assert_eq!(run.events[1..3], told(&[(104.0, "0 failed at 98"), (515.0, "0 started")]));
    // If no replica lives, nothing can be saved.
    case.changes.insert(1, change(104, 1, NodeState::Down));
    case.changes.push(change(500, 1, NodeState::Up));
    let (run, _) = case.run(&[job(0, 200, 16)]);
    assert_eq!(run.events[1..3], told(&[(104.0, "0 failed at 0"), (505.0, "0 started")]));
}

#[test]
fn sharing_accelerators_costs_what_the_mechanism_says() {
    let spliced = r#"splicing = { overhead = [{ degree = 2, overhead = 0.25 }], swap_s = 0.5 }"#;
    let case = Case { policy: "singularity(migrate=false)", ..Case::new(Fleet::uniform(1, 4), mechanism(spliced)) };
    let mut arrival = job(0, 100, 8);
    arrival.spec.elastic = Elastic::linear(4, 0);
    let (run, _) = case.run(&[arrival]);
    // A mini-batch of 2 s takes 4 s, a quarter more and two swaps on half the accelerators: 6 s.
    let ends = run.events.last().unwrap().0;
    assert!((ends - 305.0).abs() < 0.1, "{ends}: a third of the speed, to a ten-thousandth of {FULL_SPEED}");
}

#[test]
fn every_policy_with_a_mechanism_faults_and_crashes_keeps_its_books() {
    let fleet = Fleet::uniform(6, 4);
    let hour = Span::from_secs(3600);
    let model = traces::faults::FaultModel {
        mtbf: Span(hour.0 * 20),
        repair_median: hour,
        repair_mean: Span(hour.0 * 2),
        unit: traces::faults::Unit::Nodes(2),
    };
    let jobs: Vec<Arrival> = (0..120)
        .map(|i| {
            let mut job = job(i * 900, 600 + i * 37 % 7000, [1, 2, 4, 8][i as usize % 4]);
            job.spec.tier = (i % 3) as u8;
            job.spec.elastic = if i % 2 == 0 { Elastic::linear(1, 0) } else { Elastic::RIGID };
            job
        })
        .collect();
    let mut disturbances = Vec::new();
    for i in 0..20 {
        let (at, region, cluster) = (Time::from_secs(5000 * i + 77), policies::RegionId(0), policies::ClusterId(0));
        let troubles =
            [Trouble::Slow(NodeId(i as u32 % 6), 4000), Trouble::Cut(Cut::Store(region)), Trouble::Cut(Cut::Cluster(cluster))];
        for (trouble, lasts) in troubles.into_iter().zip([3000, 1500, 400]) {
            disturbances.push(Disturbance { at, trouble, begins: true });
            disturbances.push(Disturbance { at: at + Span::from_secs(lasts), trouble, begins: false });
        }
    }
    disturbances.sort();
    let recoveries = [Recovery::LastStop, Recovery::Periodic(Span::from_secs(600)), Recovery::JustInTime(Span::from_secs(2))];
    for (entry, recovery) in catalog::POLICIES.iter().zip(recoveries.iter().cycle()) {
        let mut case = Case::new(fleet.clone(), Mechanism::by_name("singularity-v100").unwrap());
        case.network.store_gbps = Some(10.0);
        (case.policy, case.recovery) = (entry.name, *recovery);
        case.changes = model.changes(&fleet, Time::from_secs(200_000), 3);
        case.disturbances.clone_from(&disturbances);
        case.crashes = Some(Crashes { mean: Span(hour.0 * 3), seed: 1 });
        let (run, _) = case.run(&jobs);
        let (again, _) = case.run(&jobs);
        assert_eq!(run.events, again.events, "{}: twice the same", entry.name);
    }
}

fn between(from_s: u64, to_s: u64, trouble: Trouble) -> Vec<Disturbance> {
    [(from_s, true), (to_s, false)].map(|(at, begins)| Disturbance { at: Time::from_secs(at), trouble, begins }).to_vec()
}

#[test]
fn transfers_of_a_store_that_is_out_stand_still_and_go_on() {
    let mut case = Case::new(Fleet::uniform(1, 8), mechanism("checkpoint = { upload_in_background = true }"));
    let jobs = [job(0, 1000, 8), job(100, 1, 8)];
    // Undisturbed the upload takes from 105 to 113, the download until 121: see above.
    case.disturbances = between(107, 207, Trouble::Cut(Cut::Store(policies::RegionId(0))));
    assert_eq!(case.run(&jobs).0.events[4], (228.0, "0 started".to_owned()));
    case.disturbances = between(115, 215, Trouble::Cut(Cut::Cluster(policies::ClusterId(0))));
    assert_eq!(case.run(&jobs).0.events[4], (228.0, "0 started".to_owned()));
    // Both overlap, one within the other.
    case.disturbances.extend(between(117, 200, Trouble::Cut(Cut::Store(policies::RegionId(0)))));
    case.disturbances.sort();
    assert_eq!(case.run(&jobs).0.events[4], (228.0, "0 started".to_owned()));
}

#[test]
fn a_job_in_another_region_fetches_over_the_link_between_them() {
    let mut fleet = Fleet::uniform(1, 8);
    let region = fleet.add_region("other");
    let cluster = fleet.add_cluster("other", region);
    fleet.add_nodes(cluster, policies::TypeId(0), 1, 8);
    let mut case = Case::new(fleet, mechanism("checkpoint = { upload_in_background = true }"));
    case.network.between_regions_gbps = Some(0.5);
    // Its node goes down when its state is stored: it goes on in the other region, at half the bandwidth.
    let change = |at, state| Change { at: Time::from_secs(at), node: NodeId(0), state };
    case.recovery = Recovery::Periodic(Span::from_secs(98));
    case.changes = vec![change(150, NodeState::Down), change(9000, NodeState::Up)];
    let (run, switched) = case.run(&[job(0, 170, 8)]);
    assert_eq!(run.events[1..3], told(&[(150.0, "0 failed at 100"), (173.0, "0 started")]));
    assert_eq!((switched.fetched_bytes, switched.fetched_far_bytes), (1_000_000_000, 1_000_000_000));
    // Cut off from each other on the way, it waits for as long.
    case.disturbances = between(152, 252, Trouble::Cut(Cut::Region(region)));
    let (run, _) = case.run(&[job(0, 170, 8)]);
    assert_eq!(run.events[2], (273.0, "0 started".to_owned()));
}
