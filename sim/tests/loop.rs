//! The simulated world keeps its promises.

use policies::{JobSpec, Scheduler, Span, Time, catalog, placement};
use sim::{Arrival, Costs, Crashes, End, Limits, World, run};
use traces::runlog::{LogDigest, Observer, StepView, Tracker};

#[derive(Default)]
struct Digest(LogDigest);

impl Observer for Digest {
    fn step(&mut self, step: StepView<'_>) {
        self.0.step(step);
    }
}

struct Both(Tracker, Digest);

impl Observer for Both {
    fn step(&mut self, step: StepView<'_>) {
        self.0.step(step);
        self.1.step(step);
    }
}

fn arrivals(rows: &[(u64, u64, u32)]) -> Vec<Arrival> {
    let one = |&(submit, duration, accelerators): &(u64, u64, u32)| {
        let estimate = Some(Span::from_secs(duration));
        let spec = JobSpec { estimate, attempts_max: u16::MAX, ..JobSpec::whole(accelerators) };
        Arrival { submit: Time::from_secs(submit), spec, duration: Span::from_secs(duration) }
    };
    rows.iter().map(one).collect()
}

fn simulate(policy: &str, pool: u32, rows: &[(u64, u64, u32)], costs: &str, crashes: Option<Crashes>) -> (Tracker, String) {
    let fleet = policies::Fleet::pool(pool);
    let capacity = fleet.accelerators() * 1000;
    let (policy, _) = catalog::by_name(policy, 1).unwrap();
    let mut scheduler = Scheduler::new(fleet, policy, placement::by_name("pool", 1).unwrap());
    let mut world = World::new(Costs::by_name(costs).unwrap(), crashes);
    let mut both = Both(Tracker::new(capacity), Digest::default());
    let limits = Limits { check: true, ..Limits::default() };
    assert_eq!(run(&mut scheduler, &mut world, arrivals(rows).into_iter(), limits, &mut both), End::Quiet);
    (both.0, both.1.0.finish())
}

fn starts(tracker: &Tracker) -> Vec<f64> {
    tracker.jobs().iter().map(|j| j.first_start.as_secs_f64()).collect()
}

#[test]
fn completions_free_accelerators_before_arrivals_enter() {
    let (tracker, _) = simulate("fifo", 4, &[(0, 10, 4), (10, 5, 4), (10, 1, 4)], "zero", None);
    assert_eq!(starts(&tracker), [0.0, 10.0, 15.0]);
    assert_eq!((tracker.makespan(), tracker.done), (Span::from_secs(16), 3));
    assert_eq!(tracker.allocation(), 1.0);
}

#[test]
fn nobody_overtakes_the_head_unless_skipping() {
    let rows = [(0, 10, 3), (1, 10, 4), (2, 1, 1)];
    assert_eq!(starts(&simulate("fifo", 4, &rows, "zero", None).0), [0.0, 10.0, 20.0]);
    assert_eq!(starts(&simulate("fifo(skip=true)", 4, &rows, "zero", None).0), [0.0, 10.0, 2.0]);
}

#[test]
fn starting_together_takes_longer_under_the_safa_preset() {
    let (tracker, _) = simulate("fifo", 4, &[(0, 10, 1), (100, 10, 1), (100, 10, 1)], "safa", None);
    assert_eq!(starts(&tracker), [2.0, 104.0, 104.0]);
    assert_eq!(tracker.jobs()[0].end(), Time(14_500_000));
}

#[test]
fn crashed_attempts_are_run_again_and_the_luck_is_the_seeds() {
    let rows: Vec<_> = (0..50).map(|i| (i, 3600, 1)).collect();
    let crashes = |seed| Some(Crashes { mean: Span::from_secs(3600), seed });
    let (a, digest) = simulate("fifo", 8, &rows, "restart", crashes(1));
    assert_eq!(a.done, 50);
    assert!(a.jobs().iter().any(|j| j.failures > 0));
    assert_eq!(digest, simulate("fifo", 8, &rows, "restart", crashes(1)).1);
    assert_ne!(digest, simulate("fifo", 8, &rows, "restart", crashes(2)).1);
}
