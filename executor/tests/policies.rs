//! Every policy of the catalogue drives real processes, and `replay`, which makes it anew by its name, confirms each order.

mod common;

use common::{Dice, Make, Ran, execute, shell};
use executor::{End, Outcome, Output, Task};
use policies::catalog::POLICIES;
use policies::{Fleet, JobSpec, Span, TenantId, Time};

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
fn important_jobs_suspend_a_patient_one_again_and_again() {
    // How often depends on how fast this machine starts processes; the keystone test has the hundreds.
    let patient = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); sleep 0.004; done";
    let important = |i: usize| {
        let spec = JobSpec { priority: 1, ..JobSpec::whole(1) };
        Task { submit: Time(i as u64 * 12_000), spec, ..shell(&format!("important {i}"), 1, "exit 0") }
    };
    let tasks = [shell("patient", 1, patient)].into_iter().chain((1..=200).map(important)).collect();
    let Ran { end, tracker, counts, reports } = execute(Make::Named("priority"), &Fleet::uniform(1, 1), tasks, Output::Null);
    assert_eq!((end, tracker.done), (End::Quiet, 201));
    assert!(reports.iter().all(|report| report.outcome == Outcome::Finished && report.starts == 1), "{reports:?}");
    assert!(counts.stopped >= 20, "{counts:?}");
    eprintln!("{counts:?}");
}
