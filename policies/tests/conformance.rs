//! What every policy must do, in worlds that do what executors can do: late, crossed, repeated and stale
//! messages, crashes, and jobs that finish while they are being stopped.
//!
//! A failure names its scenario. `ORRERY_SEED=S` begins with other seeds, `ORRERY_SEEDS=N` runs N seeds of each combination instead of one, and
//! `ORRERY_POLICY=TEXT` only the policies whose name begins with TEXT.

#![allow(clippy::disallowed_methods, reason = "tests read the environment")]

#[allow(dead_code, reason = "each test crate uses a part of it")]
mod world;

use policies::catalog::POLICIES;
use policies::placement::PLACEMENTS;
use policies::{Attempt, Event, JobId, Phase, Plan, Policy, Scheduler, Span, Time, View};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::fmt::Write;
use world::scenario::{FLEETS, Scenario, Weather, first_seed};
use world::{Step, World};

/// Enough for the slowest policy on the longest of the random scenarios, and few enough to catch one that never ends.
const STEPS_MAX: usize = 100_000;

/// Beside the defaults and every true-or-false parameter switched.
const VARIANTS: &[&str] = &[
    "easy(order=sjf)",
    "easy(assume=5)",
    "conservative(depth=3)",
    "priority(preempt=false, skip=false)",
    "fair-share(weights=0:2|1:0.5, quotas=0:10|1:5|*:2)",
    "fair-share(quotas=0:10|1:5|*:2, reclaim=true)",
    "fair-share(quotas=0:40|1:3, reclaim=true)",
    "singularity(turns=2, quiet=5)",
    "hierarchy(by=cluster, of=fifo(skip=true), every=7)",
    "hierarchy(of=srtf, delay=3, every=5)",
    "hierarchy(by=region, of=hierarchy(by=cluster, of=singularity), delay=2)",
    "hierarchy(by=cluster, of=tiresias, delay=1)",
];

/// Every policy with its default parameters, with each true-or-false parameter switched, and [`VARIANTS`].
fn policies() -> Vec<&'static str> {
    let only = std::env::var("ORRERY_POLICY").unwrap_or_default();
    let mut names: Vec<String> = VARIANTS.iter().map(|&v| v.to_owned()).collect();
    for entry in POLICIES {
        names.push(entry.name.to_owned());
        for parameter in entry.parameters {
            let switched = match parameter.default {
                "true" => "false",
                "false" => "true",
                _ => continue,
            };
            names.push(format!("{}({}={switched})", entry.name, parameter.key));
        }
    }
    names.into_iter().filter(|name| name.starts_with(&only)).map(|name| &*name.leak()).collect()
}

/// For each policy every `stride`-th combination of placement and fleet, with as many seeds as the environment says.
fn scenarios(stride: usize) -> impl Iterator<Item = Scenario> {
    let seeds = std::env::var("ORRERY_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    policies().into_iter().enumerate().flat_map(move |(p, policy)| {
        let combinations = PLACEMENTS.iter().flat_map(|place| FLEETS.iter().map(|&fleet| (place.name, fleet)));
        combinations.enumerate().skip(p % stride).step_by(stride).flat_map(move |(i, (placement, fleet))| {
            (0..seeds).map(move |seed| Scenario { policy, placement, fleet, seed: first_seed() + seed * 1000 + i as u64 })
        })
    })
}

/// Runs `scenario` to its end, `after` each step; what happened, in words.
fn play(
    scenario: &Scenario,
    wrap: impl FnOnce(Box<dyn Policy>) -> Box<dyn Policy>,
    mut after: impl FnMut(&mut World<Weather>, &Step),
) -> String {
    let mut world = scenario.world(wrap);
    let mut said = String::new();
    for _ in 0..STEPS_MAX {
        let Some(step) = world.step() else {
            assert!(world.all_done(), "{scenario:?}: {:?} never ended, and nothing will happen any more", world.left());
            return said;
        };
        writeln!(said, "{:?} {:?} {:?} # {:?}", step.now, step.events, step.orders, step.notes).expect("memory");
        after(&mut world, &step);
        if world.all_done() && world.scheduler.view().active().is_empty() {
            return said;
        }
    }
    panic!("{scenario:?}: no end after {STEPS_MAX} steps; left {:?}", world.left());
}

fn plain(policy: Box<dyn Policy>) -> Box<dyn Policy> {
    policy
}

#[test]
fn invariants_hold_and_every_job_ends() {
    for scenario in scenarios(5) {
        play(&scenario, plain, |world, step| {
            world.scheduler.check().unwrap_or_else(|e| panic!("{scenario:?} at {}: {e}", step.now));
            if let Some(wakeup) = world.scheduler.next_wakeup() {
                assert!(wakeup > step.now, "{scenario:?}: woken at {} for {wakeup}", step.now);
            }
        });
    }
}

/// Asks a policy twice; the second answer must be empty.
struct Twice(Box<dyn Policy>, Scenario);

impl Policy for Twice {
    fn observe(&mut self, view: &View, event: &Event) {
        self.0.observe(view, event);
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        self.0.decide(plan);
        let before = fingerprint(plan);
        self.0.decide(plan);
        assert_eq!(before, fingerprint(plan), "{:?}: the second decision at {} ordered something", self.1, plan.now());
    }

    fn next_wakeup(&self, view: &View) -> Option<Time> {
        self.0.next_wakeup(view)
    }
}

#[test]
fn deciding_again_without_news_orders_nothing_and_moves_nothing() {
    for scenario in scenarios(13) {
        let once = play(&scenario, plain, |_, _| {});
        let twice = play(&scenario, |policy| Box::new(Twice(policy, scenario)), |_, _| {});
        // Asked again, it may find another reason to tell.
        let orders = |said: &str| said.lines().map(|l| l.split('#').next().unwrap_or(l)).collect::<Vec<_>>().join("\n");
        assert_same(&scenario, &orders(&once), &orders(&twice));
    }
}

#[test]
fn equal_inputs_give_equal_orders() {
    for scenario in scenarios(13) {
        assert_same(&scenario, &play(&scenario, plain, |_, _| {}), &play(&scenario, plain, |_, _| {}));
    }
}

#[test]
fn events_of_an_old_attempt_change_nothing() {
    for scenario in scenarios(13) {
        let undisturbed = play(&scenario, plain, |_, _| {});
        let mut turn = 0;
        let disturbed = play(&scenario, plain, |world, step| {
            turn += 1;
            let job = JobId(turn % world.scheduler.view().submitted().max(1));
            stale_events(&world.scheduler, job).iter().for_each(|event| {
                let before = fingerprint(world.scheduler.view());
                world.scheduler.handle(step.now, event);
                assert_eq!(before, fingerprint(world.scheduler.view()), "{scenario:?}: {event:?} changed something");
            });
            let decision = world.scheduler.decide(step.now);
            assert!(decision.orders.is_empty(), "{scenario:?}: ordered {:?} for nothing", decision.orders);
        });
        assert_same(&scenario, &undisturbed, &disturbed);
    }
}

#[test]
fn saved_and_loaded_at_any_step_it_decides_as_if_it_had_not_been() {
    for scenario in scenarios(7) {
        let undisturbed = play(&scenario, plain, |_, _| {});
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(scenario.seed);
        let disturbed = play(&scenario, plain, |world, step| {
            if rng.random_bool(0.8) {
                return;
            }
            let saved = world.scheduler.save().unwrap_or_else(|e| panic!("{scenario:?}: {e}"));
            let mut fresh = scenario.scheduler(plain);
            fresh.load(&saved).unwrap_or_else(|e| panic!("{scenario:?} at {}: {e}", step.now));
            fresh.check().unwrap_or_else(|e| panic!("{scenario:?} at {}: {e}", step.now));
            assert!(fresh.save().as_ref() == Ok(&saved), "{scenario:?} at {}: saved again it is another", step.now);
            assert_eq!(fresh.next_wakeup(), world.scheduler.next_wakeup(), "{scenario:?} at {}", step.now);
            world.scheduler = fresh;
        });
        assert_same(&scenario, &undisturbed, &disturbed);
    }
}

/// Messages about `job` that come too late to mean anything.
fn stale_events(scheduler: &Scheduler, job: JobId) -> Vec<Event> {
    let attempt = match scheduler.view().get(job) {
        // It is long gone, or out: even its newest attempt is over.
        None => Attempt(1),
        Some(j) if matches!(j.phase, Phase::Pending | Phase::Assigned | Phase::Done) => j.attempt,
        Some(j) => Attempt(j.attempt.0 - 1),
    };
    let progress = Span(12345);
    let mut events = vec![
        Event::Started { job, attempt },
        Event::Stopped { job, attempt, progress },
        Event::Failed { job, attempt, progress, lost: false },
        Event::Finished { job, attempt },
    ];
    // A start that is told again is no news either.
    let running = scheduler.view().get(job).filter(|j| j.running_since != Time::MAX);
    events.extend(running.map(|j| Event::Started { job, attempt: j.attempt }));
    events
}

/// All that a policy can see of the state, but for the reasons, and for the count of what was ever given back: a policy may try
/// a place and return to the one it had.
fn fingerprint(view: &View) -> String {
    let mut text = format!("{}\n", view.capacity().free_milli());
    for job in (0..view.submitted()).filter_map(|id| view.get(JobId(id))) {
        let progress = (job.failures, job.preemptions, job.running_since, job.executed, job.progress);
        writeln!(text, "{:?} {:?} {progress:?} {:?}", job.phase, job.attempt, job.allocation).expect("memory");
    }
    text
}

#[track_caller]
fn assert_same(scenario: &Scenario, a: &str, b: &str) {
    if let Some((step, (a, b))) = a.lines().zip(b.lines()).enumerate().find(|(_, (a, b))| a != b) {
        panic!("{scenario:?}: step {step} differs:\n{a}\n{b}");
    }
    assert_eq!(a.lines().count(), b.lines().count(), "{scenario:?}: one run is longer");
}
