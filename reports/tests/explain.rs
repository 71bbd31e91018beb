//! A job's story is what happened to it, and to whom it lost.

mod common;
use common::{Row, Setup};
use policies::Span;
use reports::{Doing, Ending, ExplainError, Explanation, Waiting, explain};
use sim::Crashes;

fn story(setup: &Setup<'_>, rows: &[Row], job: &str) -> Explanation {
    let folder = tempfile::tempdir().unwrap();
    setup.run(folder.path(), rows);
    explain(folder.path(), job).unwrap()
}

/// One node of four: job 1 wants all of it and waits for job 0, while jobs 2 and 3 slip past.
const ROWS: [Row; 5] = [(0, 100, 3, 1), (10, 50, 4, 2), (20, 30, 1, 1), (30, 500, 1, 2), (40, 5, 2, 1)];

#[test]
fn it_says_what_the_job_waited_behind() {
    let told = story(&Setup { policy: "fifo(skip=true)", ..Setup::nodes(1, 4) }, &ROWS, "job-1");
    assert_eq!((told.job.id, told.job.tenant.as_str(), told.gang, told.within.as_str()), (1, "speech", 4, "cluster"));
    assert!(told.done && !told.failed);
    // Job 2 runs 20-50, job 3 waits for it and runs 50-550; job 4 runs beside it.
    assert_eq!((told.waited_s, told.ran_s), (540.0, 50.0));
    let wait = &told.periods[0];
    assert_eq!((wait.doing, wait.from_s, wait.to_s, wait.ending), (Doing::Waiting, 10.0, 550.0, Ending::Ordered));
    let overtaken: Vec<&str> = wait.overtaken.first.iter().map(|job| job.name.as_str()).collect();
    assert_eq!((wait.overtaken.starts, wait.overtaken.accelerators), (3, 4.0));
    assert_eq!(overtaken, ["job-2", "job-3", "job-4"]);
    assert_eq!((wait.reasons[0].at_s, wait.reasons[0].kind), (10.0, Waiting::NoCapacity));
    assert_eq!(wait.reasons[0].text, "too few accelerators free (needs 4, 1 free)");
    let freed: Vec<(&str, f64)> = wait.place[0].freed_by.iter().map(|f| (f.job.name.as_str(), f.job.at_s)).collect();
    assert_eq!(freed[0], ("job-3", 550.0));
    assert_eq!((wait.place[0].node, wait.place[0].accelerators), (0, 4));
    let first = &told.moments[0];
    assert_eq!((first.what, first.at_s, first.free, first.free_nodes), ("it was submitted", 10.0, 1.0, 1));
    assert_eq!((first.holders, first.largest_holders[0].name.as_str()), (1, "job-0"));
    assert_eq!(first.largest_tenants, [("vision".to_owned(), 3.0)]);
    assert_eq!((first.ahead, first.pending, first.room), (0, 0, false));
}

#[test]
fn a_job_in_line_learns_who_is_ahead() {
    let told = story(&Setup::nodes(1, 4), &ROWS, "#3");
    assert_eq!(told.job.name, "job-3");
    let first = &told.moments[0];
    assert_eq!((first.ahead, first.ahead_accelerators), (2, 5.0));
    let ahead: Vec<(u32, Waiting)> = first.first_ahead.iter().map(|(job, waiting)| (job.id, *waiting)).collect();
    assert_eq!(ahead, [(1, Waiting::NoCapacity), (2, Waiting::BehindHead)]);
    assert!(first.room, "one of four is free, and it wants one");
    assert_eq!(told.periods[0].overtaken.starts, 0, "nobody overtakes in a strict queue");
    let twin = [ROWS[0], ROWS[1], (11, 5, 4, 1)];
    let told = story(&Setup { policy: "fifo(skip=true)", ..Setup::nodes(1, 4) }, &twin, "job-2");
    let (same, why) = told.moments[0].same_demand.clone().unwrap();
    assert_eq!((same.name.as_str(), why), ("job-1", Waiting::NoCapacity));
}

#[test]
fn attempts_that_fail_and_start_up_are_periods() {
    let crashes = Some(Crashes { mean: Span::from_secs(300), seed: 2 });
    let setup = Setup { crashes, costs: "restart", ..Setup::pool(2) };
    let told = story(&setup, &[(0, 100_000, 2, 1), (5, 10, 1, 1)], "job-0");
    assert!(told.done && told.failed);
    let shape: Vec<(Doing, Ending)> = told.periods.iter().map(|p| (p.doing, p.ending)).collect();
    assert_eq!(
        shape[..3],
        [(Doing::Waiting, Ending::Ordered), (Doing::Starting, Ending::Started), (Doing::Running, Ending::Failed)]
    );
    assert_eq!(shape.iter().filter(|s| s.1 == Ending::Failed).count(), 3);
    let sum: f64 = told.periods.iter().map(|p| p.to_s - p.from_s).sum();
    assert!((sum - told.waited_s - told.ran_s).abs() < 1e-9);
    assert!(told.periods.windows(2).all(|p| p[0].to_s == p[1].from_s), "no gaps: {shape:?}");
}

#[test]
fn preemption_names_who_it_was_for() {
    let rows = [(0, 1000, 4, 1), (100, 50, 4, 2)];
    let told = story(&Setup { policy: "srtf", costs: "restart", ..Setup::nodes(1, 4) }, &rows, "job-0");
    let shape: Vec<(Doing, f64, Ending)> = told.periods.iter().map(|p| (p.doing, p.from_s, p.ending)).collect();
    assert_eq!(
        shape[2..],
        [
            (Doing::Running, 20.0, Ending::Preempted),
            (Doing::Waiting, 110.0, Ending::Ordered),
            (Doing::Starting, 180.0, Ending::Started),
            (Doing::Running, 200.0, Ending::Finished),
        ]
    );
    let wait = &told.periods[3];
    assert_eq!((wait.overtaken.starts, wait.overtaken.first[0].name.as_str()), (1, "job-1"));
    assert_eq!(wait.place[0].freed_by[0].job.name, "job-1");
    assert!(told.moments.iter().any(|m| m.what == "it was stopped" && m.at_s == 110.0));
    let why = &told.periods[2].reasons[0];
    assert_eq!((why.kind, why.at_s), (Waiting::Preempted, 100.0));
}

#[test]
fn text_and_json_hold_the_story() {
    let told = story(&Setup { policy: "fifo(skip=true)", ..Setup::nodes(1, 4) }, &ROWS, "job-1");
    let text = told.to_string();
    for line in [
        "job-1 (#1 of speech, 4 accelerators), under fifo(skip=true)",
        "submitted 00:00:10, asked for 4 accelerators within one cluster; the policy expected it to run 50 s",
        "waited 9 min in all, ran 50 s; it finished",
        "00:00:10  waited 9 min until it was ordered to start (attempt 1)",
        "    overtaken by 3 starts of later jobs with 4 accelerators, first:",
        "      00:00:20  job-2 (#2 of vision, 1 accelerator)",
        "    on node 0 of cluster: 4 x accelerator, left by",
        "      00:09:10  job-3 (#3 of speech, 1 accelerator), which finished",
        "When it was submitted, 00:00:10:",
        "  1 of 4 accelerators free that it could use, on 1 node, at most 1 on one",
        "    job-0 (#0 of vision, 3 accelerators), since 00:00:00",
    ] {
        assert!(text.contains(&format!("{line}\n")), "missing `{line}` in:\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&told.to_json()).unwrap();
    assert_eq!(json["periods"][0]["overtaken"]["starts"], 3);
    assert_eq!(json["moments"][0]["what"], "it was submitted");
}

#[test]
fn unknown_jobs_get_suggestions() {
    let folder = tempfile::tempdir().unwrap();
    Setup::pool(4).run(folder.path(), &ROWS);
    let error = |job: &str| explain(folder.path(), job).unwrap_err().to_string();
    assert_eq!(
        error("jub-1"),
        "no job `jub-1` among the 5 jobs of the log; did you mean job-1, job-0, job-2?; a job's number in submit order is written #0 to #4"
    );
    assert!(error("#5").contains("no job `#5` among the 5 jobs"));
    assert!(error("something else entirely").ends_with("written #0 to #4"));
    assert!(matches!(explain(&folder.path().join("none"), "x"), Err(ExplainError::Log(_))));
}
