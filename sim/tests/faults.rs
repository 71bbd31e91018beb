//! Nodes that break under every policy.

use policies::{Event, Fleet, JobSpec, NodeId, NodeState, Order, Scheduler, Span, Time, catalog, placement};
use sim::{Arrival, Costs, End, Limits, Recovery, World, run};
use std::collections::BTreeSet;
use traces::faults::{Change, Cut, Disturbance, FaultModel, Trouble, Unit};
use traces::runlog::{Observer, StepView, Tracker};

/// Follows which nodes are open by the events, and refuses starts on others.
#[derive(Default)]
struct Watch {
    closed: BTreeSet<NodeId>,
    lost: u64,
}

struct Both(Tracker, Watch);

impl Observer for Both {
    fn step(&mut self, step: StepView<'_>) {
        self.0.step(step);
        let watch = &mut self.1;
        for event in step.events {
            match *event {
                Event::Node { node, state: NodeState::Up } => drop(watch.closed.remove(&node)),
                Event::Node { node, .. } => drop(watch.closed.insert(node)),
                Event::Failed { lost, .. } => watch.lost += u64::from(lost),
                _ => {}
            }
        }
        for order in step.orders {
            if let Order::Start { job, allocation, .. } = order {
                let closed = allocation.iter().find(|grant| watch.closed.contains(&grant.node));
                assert!(closed.is_none(), "job {} was started on node {closed:?}, which is closed, at {}", job.0, step.now);
            }
        }
    }
}

fn job(submit_s: u64, duration_s: u64, accelerators: u32) -> Arrival {
    let duration = Span::from_secs(duration_s);
    let spec = JobSpec { estimate: Some(duration), ..JobSpec::whole(accelerators) };
    Arrival { submit: Time::from_secs(submit_s), spec, duration }
}

fn simulate(policy: &str, fleet: &Fleet, jobs: &[Arrival], changes: Vec<Change>, recovery: Recovery) -> Both {
    let (policy, _) = catalog::by_name(policy, 0).expect("a policy");
    let mut scheduler = Scheduler::new(fleet.clone(), policy, placement::by_name("best-fit", 0).expect("listed"));
    let mut world = World::new(Costs::default(), None).with_faults(fleet, changes).with_recovery(recovery);
    let mut both = Both(Tracker::new(fleet.accelerators() * 1000), Watch::default());
    let limits = Limits { check: true, ..Limits::default() };
    assert_eq!(run(&mut scheduler, &mut world, jobs.iter().copied(), limits, &mut both), End::Quiet);
    both
}

fn change(at_s: u64, node: u32, state: NodeState) -> Change {
    Change { at: Time::from_secs(at_s), node: NodeId(node), state }
}

#[test]
fn every_policy_goes_on_when_nodes_break() {
    let fleet = Fleet::uniform(6, 4);
    let hour = Span::from_secs(3600);
    let model =
        FaultModel { mtbf: Span(hour.0 * 20), repair_median: hour, repair_mean: Span(hour.0 * 2), unit: Unit::Nodes(2) };
    let jobs: Vec<Arrival> = (0..150).map(|i| job(i * 900, 600 + i * 37 % 7000, [1, 2, 4, 8][i as usize % 4])).collect();
    for entry in catalog::POLICIES {
        let changes = model.changes(&fleet, Time::from_secs(200_000), 3);
        let Both(tracker, watch) = simulate(entry.name, &fleet, &jobs, changes, Recovery::Periodic(Span::from_secs(600)));
        assert_eq!(tracker.done, 150, "{}: jobs are missing", entry.name);
        assert!(tracker.jobs().iter().all(|job| job.failures == 0), "{}: nodes break, jobs do not", entry.name);
        assert!(watch.lost > 10, "{}: only {} attempts were lost", entry.name, watch.lost);
    }
}

#[test]
fn what_survives_is_what_recovery_says() {
    let end = |recovery| {
        let changes = vec![change(1250, 0, NodeState::Down), change(5000, 0, NodeState::Up)];
        let Both(tracker, _) = simulate("fifo", &Fleet::uniform(1, 4), &[job(0, 2000, 4)], changes, recovery);
        assert_eq!(tracker.jobs()[0].attempts, 2);
        tracker.jobs()[0].end()
    };
    assert_eq!(end(Recovery::LastStop), Time::from_secs(5000 + 2000));
    assert_eq!(end(Recovery::Periodic(Span::from_secs(600))), Time::from_secs(5000 + 2000 - 1200));
    assert_eq!(end(Recovery::JustInTime(Span::from_secs(2))), Time::from_secs(5000 + 2000 - 1248));
}

#[test]
fn a_draining_node_finishes_what_it_has() {
    let changes = vec![change(10, 0, NodeState::Draining), change(500, 0, NodeState::Up)];
    let jobs = [job(0, 100, 4), job(20, 50, 4)];
    let Both(tracker, watch) = simulate("fifo", &Fleet::uniform(1, 4), &jobs, changes, Recovery::LastStop);
    let ends: Vec<f64> = tracker.jobs().iter().map(|job| job.end().as_secs_f64()).collect();
    assert_eq!((ends, watch.lost), (vec![100.0, 550.0], 0));
}

/// Keeps the progress that was reported of job 0.
#[derive(Default)]
struct Progress(Vec<u64>);

impl Observer for Progress {
    fn step(&mut self, step: StepView<'_>) {
        self.0.extend(step.events.iter().filter_map(|event| match *event {
            Event::Stopped { job, progress, .. } if job.0 == 0 => Some(progress.0 / 1_000_000),
            _ => None,
        }));
    }
}

#[test]
fn work_to_be_redone_is_not_progress_however_often_a_job_was_stopped() {
    // Shorter jobs stop the long one at 100, 200 and 300 s; Helios's rule adds 30 s of work at each.
    let jobs = [job(0, 1000, 8), job(100, 10, 8), job(200, 10, 8), job(300, 10, 8)];
    let fleet = Fleet::uniform(1, 8);
    let (policy, _) = catalog::by_name("srtf", 0).expect("a policy");
    let mut scheduler = Scheduler::new(fleet, policy, placement::by_name("best-fit", 0).expect("listed"));
    let mut world = World::new(Costs::by_name("helios").expect("a preset"), None);
    let mut told = Progress::default();
    run(&mut scheduler, &mut world, jobs.into_iter(), Limits::default(), &mut told);
    // Ran 100 s, then twice the 89 s from 11 s after a stop (the shorter job's end is seen a second late) to the next.
    assert_eq!(told.0, [100 - 30, 189 - 60, 278 - 90]);
}

#[test]
fn every_policy_sees_that_a_node_is_back_though_nothing_else_happens() {
    for entry in catalog::POLICIES {
        let changes = vec![change(10, 0, NodeState::Down), change(500, 0, NodeState::Up)];
        let Both(tracker, _) =
            simulate(entry.name, &Fleet::uniform(1, 4), &[job(0, 100, 4), job(20, 50, 4)], changes, Recovery::LastStop);
        assert_eq!(tracker.done, 2, "{}", entry.name);
    }
}

/// Ends of the jobs, in seconds.
fn ends(fleet: &Fleet, jobs: &[Arrival], changes: Vec<Change>, disturbances: Vec<Disturbance>) -> Vec<f64> {
    let (policy, _) = catalog::by_name("fifo(skip=true)", 0).expect("a policy");
    let mut scheduler = Scheduler::new(fleet.clone(), policy, placement::by_name("best-fit", 0).expect("listed"));
    let mut world = World::new(Costs::default(), None).with_faults(fleet, changes).with_disturbances(fleet, disturbances);
    let mut both = Both(Tracker::new(fleet.accelerators() * 1000), Watch::default());
    let limits = Limits { check: true, ..Limits::default() };
    assert_eq!(run(&mut scheduler, &mut world, jobs.iter().copied(), limits, &mut both), End::Quiet);
    both.0.jobs().iter().map(|job| job.end().as_secs_f64()).collect()
}

fn trouble(at_s: u64, trouble: Trouble, begins: bool) -> Disturbance {
    Disturbance { at: Time::from_secs(at_s), trouble, begins }
}

#[test]
fn a_gang_works_at_the_speed_of_its_slowest_node() {
    let fleet = Fleet::uniform(3, 8);
    let slow = |node, speed| Trouble::Slow(NodeId(node), speed);
    let disturbances = vec![
        trouble(100, slow(0, 5000), true),
        trouble(150, slow(1, 2000), true),
        trouble(200, slow(0, 5000), false),
        trouble(250, slow(1, 2000), false),
    ];
    // 100 s at full speed, 50 at half, 100 at a fifth: 145 s of work in 250; the job on the third node sees none of it.
    let jobs = [job(0, 1000, 16), job(0, 1000, 8)];
    assert_eq!(ends(&fleet, &jobs, Vec::new(), disturbances.clone()), [1105.0, 1000.0]);
    // One that begins when the node is slow already.
    assert_eq!(ends(&fleet, &[job(160, 8, 24)], Vec::new(), disturbances), [200.0]);
}

#[test]
fn messages_from_and_to_a_place_that_is_cut_off_are_late() {
    let mut fleet = Fleet::uniform(1, 8);
    let region = fleet.add_region("far");
    let cluster = fleet.add_cluster("far", region);
    fleet.add_nodes(cluster, policies::TypeId(0), 1, 8);
    let cut = Trouble::Cut(Cut::Region(region));
    let disturbances = vec![trouble(50, cut, true), trouble(300, cut, false)];
    // The first two run at once, one here, one there: the end of that one at 100 is told at 300. The third is sent here, at 100,
    // the fourth there as soon as it seems free: nobody knows better.
    let jobs = [job(0, 100, 8), job(0, 100, 8), job(60, 100, 8), job(60, 100, 8)];
    assert_eq!(ends(&fleet, &jobs, Vec::new(), disturbances.clone()), [100.0, 300.0, 200.0, 300.0]);
    // Sent there while it is cut off, a job begins when the order comes through.
    let jobs = [job(0, 400, 8), job(60, 100, 8)];
    assert_eq!(ends(&fleet, &jobs, Vec::new(), disturbances.clone()), [400.0, 400.0]);
    // A node that breaks there and is back by then: its job is told to have been lost, and begins anew.
    let changes = vec![change(80, 1, NodeState::Down), change(120, 1, NodeState::Up)];
    assert_eq!(ends(&fleet, &[job(0, 400, 8), job(0, 400, 8)], changes, disturbances), [400.0, 700.0]);
}
