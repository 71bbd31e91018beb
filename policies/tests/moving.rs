//! Moving and resizing: a policy that does it at random, in worlds that do what executors can do.
//!
//! A failure names its seed. `ORRERY_SEEDS=N` runs N times as many.

#![allow(clippy::disallowed_methods, reason = "tests read the environment")]

#[allow(dead_code, reason = "each test crate uses a part of it")]
mod world;

use policies::{Elastic, Event, Fleet, JobId, JobSpec, Order, Phase, Plan, Policy, Scheduler, Span, Time, View};
use policies::{Ledger, Reason, Tiers, placement};
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use world::scenario::{FLEETS, Scenario};
use world::{Arrival, Ideal, World};

/// Starts what fits at a random legal size, and moves, resizes, preempts and changes its mind without any sense.
struct Restless {
    rng: Xoshiro256PlusPlus,
    patience: u32,
}

impl Policy for Restless {
    fn decide(&mut self, plan: &mut Plan<'_>) {
        let waiting: Vec<u32> = plan.pending().iter().collect();
        for job in waiting.into_iter().map(JobId) {
            let sizes: Vec<u32> = plan.job(job).spec.sizes().collect();
            let size = *sizes.choose(&mut self.rng).expect("at least its own");
            // Without it a job whose sizes never fit beside others could wait for ever.
            let _ = plan.launch_on(job, size) || plan.launch(job);
        }
        if self.patience == 0 {
            return;
        }
        let live: Vec<JobId> = (0..plan.submitted()).map(JobId).filter(|&job| plan.is_live(job)).collect();
        for job in live {
            let running = matches!(plan.job(job).phase, Phase::Starting | Phase::Running);
            match self.rng.random_range(0..12) {
                0 | 1 if running => {
                    let sizes: Vec<u32> = plan.job(job).spec.sizes().collect();
                    let size = *sizes.choose(&mut self.rng).expect("at least its own");
                    self.patience -= u32::from(plan.relocate(job, size)).min(self.patience);
                }
                2 => {
                    plan.preempt(job, None);
                    self.patience = self.patience.saturating_sub(1);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn gangs_stay_whole_and_nothing_is_lost_however_they_are_moved() {
    let seeds: u64 = std::env::var("ORRERY_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let (mut moves, mut resized) = (0, 0);
    for seed in 0..60 * seeds {
        let fleet = FLEETS[seed as usize % FLEETS.len()];
        let placement = ["best-fit", "first-fit", "worst-fit", "packing"][seed as usize / FLEETS.len() % 4];
        let scenario = Scenario { policy: "fifo", placement, fleet, seed };
        let restless = Restless { rng: Xoshiro256PlusPlus::seed_from_u64(seed), patience: 300 };
        let mut world = scenario.world(|_| Box::new(restless));
        let mut steps = 0;
        let mut ledger = Ledger::new(world.scheduler.view().fleet(), &Tiers::default());
        while let Some(step) = world.step() {
            ledger.step(step.now, &step.events, &step.orders, &step.notes);
            ledger.check().unwrap_or_else(|e| panic!("{scenario:?} at {}: {e}", step.now));
            world.scheduler.check().unwrap_or_else(|e| panic!("{scenario:?} at {}: {e}", step.now));
            moves += step.notes.iter().filter(|note| matches!(note.reason, Reason::Moving { .. })).count();
            for order in &step.orders {
                if let Order::Start { job, attempt, allocation } = order {
                    let full = world.scheduler.view().job(*job).spec.demand.accelerators;
                    resized += usize::from(attempt.0 > 1 && allocation.iter().map(|g| g.count).sum::<u32>() < full);
                }
            }
            steps += 1;
            assert!(steps < 100_000, "{scenario:?}: no end");
        }
        assert!(world.all_done(), "{scenario:?}: {:?} never ended", world.left());
    }
    assert!(moves > 1000 && resized > 1000, "only {moves} moves and {resized} smaller starts: nothing was tested");
}

/// Shrinks the first job when the second comes, and grows it when that is gone.
struct MakeRoom;

impl Policy for MakeRoom {
    fn decide(&mut self, plan: &mut Plan<'_>) {
        while let Some(job) = plan.first_pending() {
            if !plan.launch(job) {
                assert!(plan.relocate(JobId(0), 4), "half of it fits");
                assert!(plan.launch(job), "what it leaves is free to plan with");
            }
        }
        let grows = plan.get(JobId(0)).is_some_and(|first| first.phase == Phase::Running && first.size() == 4);
        if grows && plan.active().len() == 1 && plan.assigned().is_empty() {
            assert!(plan.relocate(JobId(0), 8));
        }
    }

    fn observe(&mut self, view: &View, event: &Event) {
        if let Event::Stopped { job, .. } = event {
            assert_eq!(view.job(*job).phase, Phase::Assigned, "it has a place to go to");
        }
    }
}

#[test]
fn a_gang_shrinks_for_another_and_grows_again() {
    let elastic = Elastic::linear(2, 0);
    let job = |submit, size, work| Arrival {
        submit: Time(submit),
        spec: JobSpec { elastic, ..JobSpec::whole(size) },
        work: Span(work),
        patience: None,
    };
    let scheduler =
        Scheduler::new(Fleet::uniform(1, 8), Box::new(MakeRoom), placement::by_name("best-fit", 0).expect("listed"));
    let mut world = World::new(scheduler, &[job(0, 8, 100), job(20, 4, 30)], Ideal);
    let mut said = Vec::new();
    while let Some(step) = world.step() {
        world.scheduler.check().expect("sound");
        said.extend(step.events.iter().map(|event| match event {
            Event::Stopped { job, progress, .. } => format!("{}: job {} stops after {}", step.now.0, job.0, progress.0),
            Event::Started { job, .. } => {
                format!("{}: job {} runs on {}", step.now.0, job.0, world.scheduler.view().job(*job).size())
            }
            Event::Finished { job, .. } => format!("{}: job {} ends", step.now.0, job.0),
            Event::Submit { job, .. } => format!("{}: job {} comes", step.now.0, job.0),
            Event::Failed { .. } | Event::Withdrawn { .. } | Event::Node { .. } => unreachable!("nothing breaks"),
        }));
    }
    // 20 at full speed, 30 at half speed beside the other, 65 more at full speed.
    let expected = [
        "0: job 0 comes",
        "0: job 0 runs on 8",
        "20: job 1 comes",
        "20: job 0 stops after 20",
        "20: job 0 runs on 4",
        "20: job 1 runs on 4",
        "50: job 1 ends",
        "50: job 0 stops after 35",
        "50: job 0 runs on 8",
        "115: job 0 ends",
    ];
    assert_eq!(said, expected);
}
