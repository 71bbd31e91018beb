//! Jobs whose owners do not want them any more.

use policies::{Event, Fleet, JobId, JobSpec, Ledger, Scheduler, Span, Tiers, Time, catalog, placement};
use sim::mechanism::Mechanism;
use sim::{Arrival, Costs, ENDLESS, End, Limits, World, run};
use traces::runlog::{Observer, StepView, Tracker};
use traces::scenario::NetworkSpec;

struct Both(Tracker, Vec<(u64, Event)>);

impl Observer for Both {
    fn step(&mut self, step: StepView<'_>) {
        self.0.step(step);
        let told = step.events.iter().filter(|event| !matches!(event, Event::Submit { .. }));
        self.1.extend(told.map(|event| (step.now.0 / 1_000_000, event.clone())));
    }
}

fn simulate(policy: &str, jobs: &[Arrival], withdrawals: &[(u64, u32)]) -> (Both, Ledger) {
    let (policy, _) = catalog::by_name(policy, 0).expect("listed");
    let placement = placement::by_name("best-fit", 0).expect("listed");
    let mut scheduler = Scheduler::new(Fleet::uniform(1, 4), policy, placement).with_tiers(&Tiers::default());
    let withdrawals = withdrawals.iter().map(|&(at, job)| (Time::from_secs(at), JobId(job))).collect();
    let mut world = World::new(Costs::by_name("restart").expect("listed"), None).with_withdrawals(withdrawals);
    let mut both = Both(Tracker::new(4000), Vec::new());
    let limits = Limits { check: true, ..Limits::default() };
    assert_eq!(run(&mut scheduler, &mut world, jobs.iter().copied(), limits, &mut both), End::Quiet);
    let ledger = scheduler.view().ledger().expect("there are tiers").clone();
    ledger.check().expect("it adds up");
    (both, ledger)
}

fn job(submit_s: u64, accelerators: u32, duration: Span, tier: u8) -> Arrival {
    let spec = JobSpec { tier, priority: -i32::from(tier), ..JobSpec::whole(accelerators) };
    Arrival { submit: Time::from_secs(submit_s), spec, duration }
}

#[test]
fn a_replica_takes_its_accelerators_back_and_gives_them_up_when_it_goes() {
    // Training runs on all four; a replica needs two of them from 100 until 500; training then goes on.
    let jobs = [job(0, 4, Span::from_secs(1000), 2), job(100, 2, ENDLESS, 0), job(105, 2, ENDLESS, 0)];
    for policy in ["priority", "singularity"] {
        let (both, ledger) = simulate(policy, &jobs, &[(108, 2), (500, 1)]);
        let tracker = both.0;
        assert_eq!((tracker.done, tracker.withdrawn), (1, 2), "{policy}");
        let [training, replica, whim] = tracker.jobs() else { panic!("three jobs") };
        // Ten seconds to stop, twenty to start.
        assert_eq!(replica.first_start, Time::from_secs(130), "{policy}");
        assert_eq!((replica.executed, replica.end()), (Span::from_secs(370), Time::from_secs(500)), "{policy}");
        assert!(replica.is_withdrawn() && !replica.is_done() && !replica.is_failed(), "{policy}");
        // It was withdrawn while others were still leaving its place.
        assert_eq!((whim.first_start, whim.end()), (Time::MAX, Time::from_secs(108)), "{policy}");
        assert!(training.is_done() && training.end() > Time::from_secs(1400), "{policy}: {:?}", training.end());
        let account = ledger.account();
        assert_eq!((account.tiers[0].withdrawn, account.tiers[0].done, account.tiers[2].done), (2, 0, 1), "{policy}");
        assert_eq!(both.1.last().map(|(_, event)| event.job()), Some(Some(JobId(0))), "nothing comes after the last end");
    }
}

#[test]
fn what_is_on_its_way_for_a_job_goes_with_it() {
    // Replicas come and go while others are saved, moved and restored.
    let mut jobs: Vec<Arrival> = (0..6).map(|i| job(i * 40, 2, Span::from_secs(3000), 2)).collect();
    jobs.extend((0..30).map(|i| job(300 + i * 50, 2, ENDLESS, 0)));
    let withdrawals: Vec<(u64, u32)> = (0..30).map(|i| (310 + i * 50 + i * 17 % 120, 6 + i as u32)).collect();
    let mut sorted = withdrawals.clone();
    sorted.sort_unstable();
    for policy in ["priority", "singularity"] {
        let fleet = Fleet::uniform(2, 4);
        let mechanism = Mechanism::by_name("singularity-v100").expect("listed");
        let (made, _) = catalog::by_name(policy, 0).expect("listed");
        let placement = placement::by_name("best-fit", 0).expect("listed");
        let mut scheduler = Scheduler::new(fleet.clone(), made, placement).with_tiers(&Tiers::default());
        let names: Vec<String> = (0..jobs.len()).map(|i| i.to_string()).collect();
        let named = names.iter().zip(&jobs).map(|(name, job)| (&**name, job.spec.demand.accelerators));
        let due = sorted.iter().map(|&(at, job)| (Time::from_secs(at), JobId(job))).collect();
        let mut world = World::new(Costs::default(), None)
            .with_mechanism(&fleet, &mechanism, &NetworkSpec { store_gbps: Some(10.0), ..NetworkSpec::default() }, named)
            .with_withdrawals(due);
        let mut both = Both(Tracker::new(8000), Vec::new());
        let limits = Limits { check: true, ..Limits::default() };
        assert_eq!(run(&mut scheduler, &mut world, jobs.iter().copied(), limits, &mut both), End::Quiet);
        let tracker = &both.0;
        assert_eq!((tracker.done, tracker.withdrawn, tracker.used_milli()), (6, 30, 0), "{policy}");
        assert!(tracker.preemptions > 0, "{policy}: nothing was tested");
        scheduler.view().ledger().expect("there are tiers").check().expect("it adds up");
    }
}

#[test]
fn who_is_done_cannot_be_withdrawn_and_who_starts_can() {
    let jobs = [job(0, 4, Span::from_secs(10), 0), job(0, 4, ENDLESS, 0), job(0, 4, Span::from_secs(10), 0)];
    // The first one ended at 30; the second one starts from then until 50.
    let (both, _) = simulate("fifo", &jobs, &[(30, 0), (40, 1)]);
    let done: Vec<_> = both.0.jobs().iter().map(|row| (row.is_done(), row.is_withdrawn(), row.end().0 / 1_000_000)).collect();
    assert_eq!(done, [(true, false, 30), (false, true, 40), (true, false, 70)]);
}
