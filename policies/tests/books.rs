//! The books of random worlds, made again from the whole story when it is over: job by job and window by window, without any of the
//! ledger's ways of doing it as it goes.
//!
//! A failure names its scenario. `ORRERY_SEED=S` begins with other seeds, `ORRERY_SEEDS=N` runs N times as many.

#![allow(clippy::disallowed_methods, reason = "tests read the environment")]

#[allow(dead_code, reason = "each test crate uses a part of it")]
mod world;

use policies::ledger::Spent;
use policies::{Event, Fleet, JobSpec, Order, Tier, Tiers, Time};
use world::Step;
use world::scenario::{FLEETS, Scenario, first_seed};

/// Work is counted in ten-thousandths of a microsecond at full speed.
const UNIT: u128 = 10_000;

#[derive(Clone, Copy)]
enum Ending {
    /// With the job.
    Last,
    /// With this much progress reported, in microseconds.
    Reported(u64),
}

struct Attempt {
    size: u32,
    ordered: Time,
    began: Option<Time>,
    ended: Option<(Time, Ending)>,
}

struct Story {
    spec: JobSpec,
    submit: Time,
    end: Option<Time>,
    failures: u16,
    attempts: Vec<Attempt>,
}

/// What was told of each job. What an older attempt says is not listened to.
fn listen(stories: &mut Vec<Story>, step: &Step) {
    for event in &step.events {
        if let Event::Submit { spec, .. } = event {
            stories.push(Story { spec: *spec, submit: step.now, end: None, failures: 0, attempts: Vec::new() });
            continue;
        }
        let Some(job) = event.job() else { continue };
        let story = &mut stories[job.index()];
        if story.end.is_some() {
            continue;
        }
        let number = story.attempts.len() as u32;
        let mut current = story.attempts.last_mut().filter(|attempt| attempt.ended.is_none());
        let mut close = |ending| current.as_mut().map(|attempt| attempt.ended = Some((step.now, ending)));
        match *event {
            Event::Started { attempt, .. } if attempt.0 == number => {
                if let Some(current) = &mut current {
                    current.began.get_or_insert(step.now);
                }
            }
            Event::Stopped { attempt, progress, .. } if attempt.0 == number => {
                close(Ending::Reported(progress.0));
            }
            Event::Failed { attempt, progress, lost, .. }
                if attempt.0 == number && close(Ending::Reported(progress.0)).is_some() =>
            {
                story.failures += u16::from(!lost);
                let spent = !lost && story.failures >= story.spec.attempts_max;
                story.end = spent.then_some(step.now);
            }
            Event::Finished { attempt, .. } if attempt.0 == number => {
                story.end = close(Ending::Last).map(|()| step.now);
            }
            Event::Withdrawn { .. } => {
                close(Ending::Last);
                story.end = Some(step.now);
            }
            _ => {}
        }
    }
    for order in &step.orders {
        if let Order::Start { job, allocation, .. } = order {
            let size = allocation.iter().map(|grant| grant.count).sum();
            stories[job.index()].attempts.push(Attempt { size, ordered: step.now, began: None, ended: None });
        }
    }
}

/// A stretch in which work counts: when the run began, how fast it was, and from which to which work.
struct Stretch {
    began: u64,
    speed: u128,
    from: u128,
    to: u128,
}

impl Stretch {
    /// Work that counts and was done before an instant.
    fn before(&self, instant: u64) -> u128 {
        (u128::from(instant.saturating_sub(self.began)) * self.speed).clamp(self.from, self.to) - self.from
    }
}

#[derive(Default, Debug, PartialEq)]
struct Books {
    jobs: u64,
    observed: u128,
    attained: u128,
    ideal: u128,
    useful: u128,
}

/// Adds a story to the books of its tier, and what its attempts held before they ran to `waits`: first ones and later ones.
fn book(story: &Story, tier: &Tier, books: &mut Books, waits: &mut [u128; 2]) {
    let end = story.end.expect("everybody's story is over").0;
    let share = u128::from(story.spec.demand.milli);
    let (mut stretches, mut extra) = (Vec::new(), Vec::new());
    let (mut progress, mut debt) = (0, 0);
    for (number, attempt) in story.attempts.iter().enumerate() {
        let (over, ending) = attempt.ended.expect("attempts end with their jobs");
        let began = attempt.began.unwrap_or(over);
        let held = u128::from(attempt.size) * share;
        waits[number.min(1)] += held * u128::from(began.since(attempt.ordered).0);
        let ran = u128::from(over.since(began).0);
        let speed = u128::from(story.spec.speed_on(attempt.size));
        let done = ran * speed;
        let gained = match ending {
            Ending::Last => done,
            Ending::Reported(now) => {
                // A failure may have taken what was credited before.
                debt += u128::from(u64::saturating_sub(progress, now)) * UNIT;
                let gained = u128::from(now.saturating_sub(progress)) * UNIT;
                progress = now;
                gained
            }
        };
        let again = gained.min(debt);
        debt -= again;
        let (from, to) = (again.min(done), gained.min(done));
        stretches.push(Stretch { began: began.0, speed, from, to });
        extra.push((began.0, gained - again - (to - from)));
        // Shrunk gangs are worth what the whole gang would have needed for the same.
        let full = u128::from(story.spec.demand.milli_total());
        let gross = (held * ran).min(full * done / UNIT);
        books.useful += (gross * (to - from)).checked_div(done).unwrap_or(0);
    }
    books.jobs += 1;
    let window = tier.window.0;
    for number in story.submit.0 / window..=end / window {
        let (from, to) = ((number * window).max(story.submit.0), ((number + 1) * window).min(end));
        let real = u128::from(to.saturating_sub(from));
        let counted: u128 = stretches.iter().map(|stretch| stretch.before(to) - stretch.before(from)).sum();
        let told: u128 = extra.iter().filter(|(at, _)| at / window == number).map(|(_, work)| work).sum();
        books.observed += real;
        books.ideal += counted + told;
        let slack = u128::from(window / 100_000_000) * UNIT;
        if counted + told + slack >= real * u128::from(tier.guarantee) {
            books.attained += real;
        }
    }
}

#[test]
fn the_books_are_those_of_the_whole_story() {
    let seeds: u64 = std::env::var("ORRERY_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let policies = ["singularity", "priority", "srtf", "hierarchy(by=cluster)", "fifo(skip=true)"];
    let (mut broken, mut shrunk) = (0, 0);
    for number in 0..150 * seeds {
        let seed = first_seed() + number;
        let fleet = FLEETS[seed as usize % FLEETS.len()];
        let scenario = Scenario { policy: policies[(seed / 5) as usize % policies.len()], placement: "best-fit", fleet, seed };
        let tiers = Tiers::new(
            Tiers::default().iter().map(|tier| Tier { window: policies::Span(40_000_000), ..tier.clone() }).collect(),
        );
        let mut world = scenario.world_with(&tiers);
        let mut stories = Vec::new();
        while let Some(step) = world.step() {
            listen(&mut stories, &step);
            world.scheduler.check().unwrap_or_else(|e| panic!("{scenario:?} at {}: {e}", step.now));
        }
        assert!(world.all_done(), "{scenario:?}: {:?} never ended", world.left());
        let account = world.scheduler.view().ledger().expect("there are tiers").account();
        let mut waits = [0; 2];
        for (index, (tier, kept)) in tiers.iter().zip(&account.tiers).enumerate() {
            let mut books = Books::default();
            let own = stories.iter().filter(|story| tiers.index(story.spec.tier) == index);
            own.for_each(|story| book(story, tier, &mut books, &mut waits));
            let said = Books {
                jobs: kept.jobs,
                observed: kept.observed,
                attained: kept.attained,
                ideal: kept.ideal,
                useful: kept.useful,
            };
            assert_eq!(said, books, "{scenario:?}: {}", tier.name);
            broken += u64::from(books.attained < books.observed);
        }
        assert_eq!([account.spent(Spent::Start), account.spent(Spent::Restore)], waits, "{scenario:?}");
        let sized = |story: &Story| story.attempts.iter().any(|a| a.size < story.spec.demand.accelerators);
        shrunk += stories.iter().filter(|story| sized(story)).count();
        assert_eq!(account.spent.iter().sum::<u128>(), capacity(world.scheduler.view().fleet()) * time(&account));
    }
    assert!(broken > 20 && shrunk > 20, "{broken} {shrunk}: nothing was tested");
}

fn capacity(fleet: &Fleet) -> u128 {
    u128::from(fleet.accelerators()) * 1000
}

fn time(account: &policies::ledger::Account) -> u128 {
    u128::from(account.to.since(account.from).0)
}
