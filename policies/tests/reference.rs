//! Backfilling against textbook versions that look at everything each time, on a pool.

#[allow(dead_code, reason = "each test crate uses a part of it")]
mod world;

use policies::{Event, Fleet, JobSpec, Order, Scheduler, Span, Time, catalog, placement};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use world::{Arrival, Ideal, World};

const ACCELERATORS: u32 = 16;

/// Jobs at whole seconds; estimates are exact or too long.
fn jobs(seed: u64, exact: bool) -> Vec<Arrival> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut submit, gap) = (0, rng.random_range(0..20));
    let job = |_| {
        submit += rng.random_range(0..=gap);
        let work = rng.random_range(1..60);
        let estimate = if exact { work } else { work + rng.random_range(0..30) };
        let size = rng.random_range(1..=ACCELERATORS);
        let spec = JobSpec { estimate: Some(Span::from_secs(estimate)), ..JobSpec::whole(size) };
        Arrival { submit: Time::from_secs(submit), spec, work: Span::from_secs(work), patience: None }
    };
    (0..60).map(job).collect()
}

/// When each job starts under `policy`.
fn starts(policy: &str, jobs: &[Arrival]) -> Vec<Time> {
    let policy = catalog::by_name(policy, 0).expect("a policy").0;
    let place = placement::by_name("pool", 0).expect("a placement");
    let mut world = World::new(Scheduler::new(Fleet::pool(ACCELERATORS), policy, place), jobs, Ideal);
    let mut starts = vec![Time::MAX; jobs.len()];
    while let Some(step) = world.step() {
        for order in &step.orders {
            match order {
                Order::Start { job, .. } => starts[job.index()] = step.now,
                Order::Preempt { .. } => panic!("backfilling does not preempt"),
            }
        }
        assert!(step.events.iter().all(|e| !matches!(e, Event::Failed { .. })));
    }
    starts
}

/// EASY as Mu'alem & Feitelson (TPDS '01, section 2) put it, at every submission and every end.
fn textbook_easy(jobs: &[Arrival], by_length: bool) -> Vec<Time> {
    let size = |j: usize| jobs[j].spec.demand.accelerators;
    let estimate = |j: usize| jobs[j].spec.estimate.expect("all have one");
    let mut starts = vec![Time::MAX; jobs.len()];
    let mut instants: std::collections::BTreeSet<Time> = jobs.iter().map(|j| j.submit).collect();
    while let Some(now) = instants.pop_first() {
        let mut queue: Vec<usize> = (0..jobs.len()).filter(|&j| jobs[j].submit <= now && starts[j] == Time::MAX).collect();
        let running = |starts: &[Time]| -> Vec<usize> {
            (0..jobs.len()).filter(|&j| starts[j] <= now && starts[j] + jobs[j].work > now).collect()
        };
        let free = |starts: &[Time]| ACCELERATORS - running(starts).iter().map(|&j| size(j)).sum::<u32>();
        let mut start = |starts: &mut Vec<Time>, j: usize| {
            starts[j] = now;
            instants.insert(now + jobs[j].work);
        };
        while !queue.is_empty() && size(queue[0]) <= free(&starts) {
            start(&mut starts, queue.remove(0));
        }
        if queue.is_empty() {
            continue;
        }
        let head = queue.remove(0);
        let mut ends: Vec<(Time, u32)> = running(&starts).iter().map(|&j| (starts[j] + estimate(j), size(j))).collect();
        ends.sort();
        let free_at = |t: Time| free(&starts) + ends.iter().filter(|(end, _)| *end <= t).map(|(_, n)| n).sum::<u32>();
        let shadow = ends.iter().map(|&(end, _)| end).find(|&t| free_at(t) >= size(head)).expect("it fits at last");
        let mut extra = free_at(shadow) - size(head);
        if by_length {
            queue.sort_by_key(|&j| (estimate(j), j));
        }
        for j in queue {
            let in_time = now + estimate(j) <= shadow;
            if size(j) <= free(&starts) && (in_time || size(j) <= extra) {
                extra -= if in_time { 0 } else { size(j) };
                start(&mut starts, j);
            }
        }
    }
    starts
}

#[test]
fn easy_is_the_textbook_easy() {
    for seed in 0..60 {
        let jobs = jobs(seed, seed % 2 == 0);
        assert_eq!(starts("easy", &jobs), textbook_easy(&jobs, false), "seed {seed}");
        assert_eq!(starts("easy(order=sjf)", &jobs), textbook_easy(&jobs, true), "seed {seed}, sjf");
    }
}

/// With exact estimates nothing ends early, so every job starts when it was promised to: as if nobody came after it.
#[test]
fn conservative_lets_no_later_job_matter() {
    for seed in 0..20 {
        let jobs = jobs(seed, true);
        let all = starts("conservative", &jobs);
        for last in (0..jobs.len()).step_by(7) {
            assert_eq!(starts("conservative", &jobs[..=last]), all[..=last], "seed {seed}, the first {last}");
        }
        assert_ne!(all, starts("fifo", &jobs), "seed {seed}: nothing was filled in");
    }
}

/// Early ends move jobs forward only: nobody starts later than with everything taking as long as estimated.
#[test]
fn conservative_keeps_the_promise_made_to_the_last_job() {
    for seed in 0..20 {
        let jobs = jobs(seed, false);
        let slow: Vec<Arrival> = jobs.iter().map(|j| Arrival { work: j.spec.estimate.expect("all have one"), ..*j }).collect();
        let all_at_once =
            |jobs: &[Arrival]| -> Vec<Arrival> { jobs.iter().map(|j| Arrival { submit: Time::ZERO, ..*j }).collect() };
        let (promised, kept) = (starts("conservative", &all_at_once(&slow)), starts("conservative", &all_at_once(&jobs)));
        assert!(kept.iter().zip(&promised).all(|(kept, promised)| kept <= promised), "seed {seed}");
    }
}
