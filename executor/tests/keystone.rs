//! The scheduler that drives the simulator drives real processes, and the record of it replays bit for bit.

mod common;

use common::{Counts, Make, Rotate, alive, assert_none_left, execute, execute_on, mark, marked, shell, signal};
use executor::{Agents, End, Ending, JobList, Options, Outcome, Output, Task};
use policies::{Event, Fleet, JobId, JobSpec, Order, Policy, Time};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use traces::runlog::StepView;

/// Counts aloud to `n`, with a nap between the numbers.
fn counter(i: usize, n: u32) -> Task {
    shell(&format!("counter {i}"), 1, &format!("i=0; while [ $i -lt {n} ]; do i=$((i+1)); echo $i; sleep 0.004; done"))
}

fn rotate(quantum_ms: u64) -> impl Fn() -> Box<dyn Policy> {
    move || Box::new(Rotate::every(quantum_ms))
}

#[test]
fn work_is_kept_over_hundreds_of_preemptions_and_none_is_done_while_suspended() {
    const NUMBERS: u32 = 150;
    let folder = tempfile::tempdir().unwrap();
    let output = Output::Folder(folder.path().join("output"));
    let fleet = Fleet::uniform(1, 2);
    let counted = |job: JobId| std::fs::read_to_string(output.file(job, "out").unwrap()).unwrap_or_default();
    // What each suspended job had counted when it was reported to be stopped.
    let mut suspended: BTreeMap<JobId, usize> = BTreeMap::new();
    let mut compared = 0;
    let mut each = |step: StepView<'_>| {
        for order in step.orders {
            if let Order::Start { job, .. } = order {
                suspended.remove(job);
            }
        }
        for (&job, &length) in &suspended {
            assert_eq!(counted(job).len(), length, "job {} counted while it was suspended", job.0);
            compared += 1;
        }
        for event in step.events {
            let started_again = |job| step.orders.iter().any(|o| matches!(o, Order::Start { job: j, .. } if *j == job));
            if let Event::Stopped { job, .. } = *event
                && !started_again(job)
            {
                suspended.insert(job, counted(job).len());
            }
        }
    };
    let mut agents = Agents::new(&fleet, Options { output: output.clone() }).unwrap();
    let tasks = (0..8).map(|i| counter(i, NUMBERS));
    let ran = execute_on(&mut agents, Make::Custom(&rotate(4)), &fleet, tasks, None, &mut each);
    assert_eq!(ran.end, End::Quiet);
    assert!(ran.counts.stopped >= 200, "{:?}", ran.counts);
    assert!(compared > 0);
    let whole: String = (1..=NUMBERS).map(|i| format!("{i}\n")).collect();
    for (i, report) in ran.reports.iter().enumerate() {
        assert_eq!((report.outcome, report.starts, &report.endings[..]), (Outcome::Finished, 1, &[Ending::Code(0)][..]));
        assert_eq!(report.stops, report.resumes, "{}", report.name);
        assert!(report.stops >= 5, "{report:?}");
        assert_eq!(counted(JobId(i as u32)), whole, "{}", report.name);
    }
    assert_eq!(ran.tracker.preemptions, ran.counts.stopped);
}

#[test]
fn a_job_that_finishes_while_its_preemption_is_in_flight_has_finished() {
    // Orders lag two milliseconds behind the facts, and jobs live for about as long as a turn.
    let make = || -> Box<dyn Policy> { Box::new(Rotate { thinks: Duration::from_millis(2), ..Rotate::every(3) }) };
    let fleet = Fleet::uniform(1, 4);
    let mut seen = Counts::default();
    for batch in 0..20 {
        let tasks = (0..60).map(|i| shell(&format!("short {i}"), 1, &format!("sleep 0.00{}", (i + batch) % 10)));
        let ran = execute(Make::Custom(&make), &fleet, tasks.collect(), Output::Null);
        assert!(ran.reports.iter().all(|report| report.outcome == Outcome::Finished), "{:?}", ran.reports);
        assert_eq!((ran.end, ran.tracker.done), (End::Quiet, 60));
        seen.finished_first += ran.counts.finished_first;
        seen.stopped += ran.counts.stopped;
        if seen.finished_first >= 5 && seen.stopped >= 5 {
            return;
        }
    }
    panic!("hardly any race in 1,200 jobs: {seen:?}");
}

#[test]
fn a_failing_job_uses_up_its_attempts_and_a_missing_program_fails_with_a_reason() {
    let ok = shell("ok", 1, "exit 0");
    let bad = shell("bad", 3, "exit 7");
    let suicide = shell("suicide", 2, "kill -9 $$");
    let spec = JobSpec { attempts_max: 2, ..JobSpec::whole(1) };
    let missing = Task::new("missing", spec, "/no/such/program", []);
    let lost = Task { dir: Some("/no/such/folder".into()), ..shell("lost", 1, "exit 0") };
    let tasks = vec![ok, bad, suicide, missing, lost];
    let ran = execute(Make::Named("fifo"), &Fleet::uniform(1, 1), tasks, Output::Null);
    let endings: Vec<_> = ran.reports.iter().map(|report| (report.outcome, report.endings.clone())).collect();
    let cannot = |program: &str| Ending::CannotStart(format!("{program}: No such file or directory (os error 2)"));
    assert_eq!(endings[0], (Outcome::Finished, vec![Ending::Code(0)]));
    assert_eq!(endings[1], (Outcome::Failed, vec![Ending::Code(7); 3]));
    assert_eq!(endings[2], (Outcome::Failed, vec![Ending::Signal(9); 2]));
    assert_eq!(endings[3], (Outcome::Failed, vec![cannot("/no/such/program"); 2]));
    assert_eq!(endings[4], (Outcome::Failed, vec![cannot("sh")]));
    assert_eq!((ran.end, ran.tracker.done, ran.counts.failed, ran.counts.stillborn), (End::Quiet, 5, 8, 3));
}

#[test]
fn jobs_come_when_their_time_has_come_and_know_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
        [[job]]
        name = "later"
        command = ["sh", "-c", "echo $ORRERY_JOB/$ORRERY_ATTEMPT/$ORRERY_NODE/$ORRERY_ACCELERATORS/$CUDA_VISIBLE_DEVICES/$K"]
        accelerators = 4
        submit = "60ms"
        env = { K = "v" }
        [[job]]
        name = "first"
        command = ["sh", "-c", "echo $ORRERY_JOB/$ORRERY_ACCELERATORS; pwd >&2"]
        dir = "/"
        tenant = "somebody"
    "#;
    let list = JobList::parse(text, Path::new("jobs.toml")).unwrap();
    let output = Output::Folder(folder.path().into());
    let ran = execute(Make::Named("fifo"), &Fleet::uniform(2, 2), list.tasks.clone(), output.clone());
    let said = |job, stream| std::fs::read_to_string(output.file(JobId(job), stream).unwrap()).unwrap();
    assert_eq!((said(0, "out"), said(0, "err")), ("0/0\n".into(), "/\n".into()));
    assert_eq!(said(1, "out"), "1/1/0,1/0,1;0,1/0,1,2,3/v\n");
    assert!(ran.tracker.jobs()[1].submit >= Time(60_000));
}

#[test]
fn what_can_never_start_ends_the_run_as_unfinished() {
    let mut big = shell("big", 1, "exit 0");
    big.spec = JobSpec::whole(3);
    let tasks = vec![big, shell("a", 1, "exit 0")];
    let ran = execute(Make::Named("fifo(skip=true)"), &Fleet::uniform(1, 2), tasks, Output::Null);
    let outcomes: Vec<_> = ran.reports.iter().map(|report| report.outcome).collect();
    assert_eq!((ran.end, &outcomes[..]), (End::Quiet, &[Outcome::Unfinished, Outcome::Finished][..]));
}

#[test]
fn accelerators_that_cannot_be_named_are_refused() {
    let error = Agents::new(&Fleet::pool(100), Options::default()).err().unwrap().to_string();
    assert_eq!(error, "node 0 has 100 accelerators; a node that runs real jobs has at most 64: use several nodes");
}

#[test]
fn a_cancelled_run_leaves_no_process_behind() {
    let mark = mark("cancel");
    let fleet = Fleet::uniform(1, 2);
    // Deaf to polite signals, with a family; two run, three are suspended in turn.
    let stubborn = "trap '' TERM HUP INT; sleep 1000 & sleep 1000 & while :; do sleep 1000; done";
    let tasks = (0..5).map(|i| marked(shell(&format!("stubborn {i}"), 1, stubborn), &mark));
    let mut agents = Agents::new(&fleet, Options::default()).unwrap();
    let canceller = agents.canceller();
    let mut stops = 0;
    let mut seen = 0;
    let ran = execute_on(&mut agents, Make::Custom(&rotate(5)), &fleet, tasks, None, &mut |step| {
        stops += step.events.iter().filter(|event| matches!(event, Event::Stopped { .. })).count();
        if stops >= 20 && seen == 0 {
            seen = alive(&mark).len();
            std::thread::spawn({
                let canceller = canceller.clone();
                move || canceller.cancel()
            });
        }
    });
    assert_eq!(ran.end, End::Cancelled);
    assert!(seen >= 5, "{seen}");
    assert!(ran.reports.iter().all(|report| report.outcome == Outcome::Unfinished));
    assert_none_left(&mark);
}

#[test]
fn the_time_limit_and_the_end_of_a_job_take_the_whole_family_along() {
    let mark = mark("limit");
    let fleet = Fleet::uniform(1, 2);
    let tasks = vec![
        marked(shell("leaves a child", 1, "sleep 1000 & exit 0"), &mark),
        marked(shell("endless", 1, "sleep 1000"), &mark),
    ];
    let mut agents = Agents::new(&fleet, Options::default()).unwrap();
    let limit = Some(Time(1_500_000));
    let ran = execute_on(&mut agents, Make::Named("fifo"), &fleet, tasks, limit, &mut |_| {});
    assert_eq!((ran.end, ran.reports[1].outcome), (End::TimeLimit, Outcome::Unfinished));
    assert_none_left(&mark);
}

/// Not a test: what the next one runs in a process of its own, and kills.
#[test]
#[ignore = "run by another test"]
fn victim() {
    let mark = std::env::var("ORRERY_TEST_VICTIM").expect("set by the other test");
    let tasks = (0..4).map(|i| marked(shell(&format!("orphan {i}"), 1, "sleep 1000 & sleep 1000"), &mark)).collect();
    execute(Make::Custom(&rotate(5)), &Fleet::uniform(1, 2), tasks, Output::Null);
}

#[test]
fn when_the_executor_is_killed_its_jobs_die_too() {
    let mark = mark("orphans");
    let mut executor = std::process::Command::new(std::env::current_exe().unwrap());
    executor.args(["--exact", "victim", "--ignored"]).env("ORRERY_TEST_VICTIM", &mark);
    let mut executor = executor.stdout(std::process::Stdio::null()).spawn().unwrap();
    while alive(&mark).len() < 8 {
        assert!(executor.try_wait().unwrap().is_none(), "ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    executor.kill().unwrap();
    executor.wait().unwrap();
    assert_none_left(&mark);
}

#[test]
fn strangers_that_suspend_and_resume_jobs_do_not_derail_a_run() {
    let mark = mark("meddled");
    let over = AtomicBool::new(false);
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut dice = common::Dice(5);
            while !over.load(Ordering::Relaxed) {
                let jobs = alive(&mark);
                let what = [Signal::STOP, Signal::CONT, Signal::CONT][dice.below(3)];
                if !jobs.is_empty() {
                    signal(jobs[dice.below(jobs.len())], what);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let tasks = (0..6).map(|i| marked(counter(i, 40), &mark)).collect();
        let ran = execute(Make::Custom(&rotate(5)), &Fleet::uniform(1, 2), tasks, Output::Null);
        over.store(true, Ordering::Relaxed);
        ran
    });
    assert_eq!((ran.end, ran.tracker.done), (End::Quiet, 6));
    assert!(ran.reports.iter().all(|report| report.outcome == Outcome::Finished), "{:?}", ran.reports);
}
