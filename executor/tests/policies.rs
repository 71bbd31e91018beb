//! Every policy of the catalogue drives real processes, and `replay`, which makes it anew by its name, confirms each order.

mod common;

use common::{Dice, Make, execute, execute_on, shell};
use executor::{Agents, End, JobReport, Options, Outcome, Output, Task};
use policies::catalog::POLICIES;
use policies::{Event, Fleet, JobId, JobSpec, Span, TenantId, Time};
use std::cell::Cell;
use traces::runlog::StepView;

/// Jobs of several sizes, priorities, tenants and lengths that come within a fifth of a second; some fail once or twice.
fn mixed(seed: u64) -> Vec<Task> {
    let mut dice = Dice(seed);
    let mut task = |i: usize| {
        let ms = 2 + dice.below(40);
        let exit = if dice.below(8) == 0 { "exit 3" } else { "exit 0" };
        let spec = JobSpec {
            priority: dice.below(5) as i32,
            tenant: TenantId(dice.below(3) as u32),
            attempts_max: 1 + dice.below(3) as u16,
            estimate: Some(Span(ms as u64 * 1000)),
            ..JobSpec::whole([1, 1, 2, 4][dice.below(4)])
        };
        let submit = Time(i as u64 * 5000);
        Task { submit, spec, ..shell(&format!("job {i}"), 1, &format!("sleep 0.0{ms:02}; {exit}")) }
    };
    (0..40).map(&mut task).collect()
}

#[test]
fn every_policy_runs_real_processes_to_their_ends() {
    for (i, entry) in POLICIES.iter().enumerate() {
        let ran = execute(Make::Named(entry.name), &Fleet::uniform(2, 2), mixed(i as u64), Output::Null);
        assert_eq!((&ran.end, ran.tracker.done), (&End::Quiet, 40), "{}", entry.name);
        assert!(ran.reports.iter().all(|report| report.outcome != Outcome::Unfinished), "{}: {:?}", entry.name, ran.reports);
    }
}

#[test]
fn every_policy_goes_on_when_owners_withdraw_their_jobs() {
    for (i, entry) in POLICIES.iter().enumerate() {
        let mut agents = Agents::new(&Fleet::uniform(2, 2), Options::default()).unwrap();
        let (canceller, mut dice) = (agents.canceller(), Dice(i as u64));
        // Waiting, being started, running, suspended, done, or not submitted yet: whatever it is by then.
        let mut each = |_: StepView<'_>| {
            if dice.below(6) == 0 {
                canceller.withdraw(JobId(dice.below(40) as u32));
            }
        };
        let make = Make::Named(entry.name);
        let ran = execute_on(&mut agents, make, &Fleet::uniform(2, 2), mixed(i as u64), None, &mut each);
        let withdrawn = ran.reports.iter().filter(|report| report.outcome == Outcome::Withdrawn).count() as u64;
        assert_eq!((&ran.end, ran.tracker.withdrawn), (&End::Quiet, withdrawn), "{}", entry.name);
        assert_eq!(ran.tracker.done + withdrawn, 40, "{}: {:?}", entry.name, ran.reports);
        assert!(withdrawn > 0, "{}: nothing was tested", entry.name);
    }
}

#[test]
fn important_jobs_suspend_a_patient_one_again_and_again() {
    const JOBS: usize = 120;
    let folder = tempfile::tempdir().unwrap();
    let end = folder.path().join("end");
    let patient = format!("while [ ! -e {} ]; do sleep 0.004; done", end.display());
    // The next one comes when the last one was long done, however slow this machine is today.
    let (last_step, took) = (Cell::new(Time::ZERO), Cell::new(Span(20_000)));
    let mut due = Time::ZERO;
    let important = |i: usize| {
        let spec = JobSpec { priority: 1, ..JobSpec::whole(1) };
        let script = if i == JOBS { format!("touch {}", end.display()) } else { "exit 0".into() };
        let gap = Span(took.get().0 * 2);
        due = due.max(last_step.get()) + gap;
        Task { submit: due, spec, ..shell(&format!("important {i}"), 1, &script) }
    };
    let mut submits = Vec::new();
    let mut each = |step: StepView<'_>| {
        last_step.set(step.now);
        for event in step.events {
            match event {
                Event::Submit { .. } => submits.push(step.now),
                Event::Finished { job, .. } => took.set(step.now.since(submits[job.index()])),
                _ => {}
            }
        }
    };
    let fleet = Fleet::uniform(1, 1);
    let mut agents = Agents::new(&fleet, Options::default()).unwrap();
    let tasks = [shell("patient", 1, &patient)].into_iter().chain((1..=JOBS).map(important));
    let ran = execute_on(&mut agents, Make::Named("priority"), &fleet, tasks, None, &mut each);
    assert_eq!((ran.end, ran.tracker.done), (End::Quiet, JOBS as u64 + 1));
    let whole = |report: &JobReport| report.outcome == Outcome::Finished && report.starts == 1;
    assert!(ran.reports.iter().all(whole), "{:?}", ran.reports);
    eprintln!("{:?}", ran.counts);
    assert!(ran.counts.stopped >= JOBS as u64 / 4, "{:?}", ran.counts);
}
