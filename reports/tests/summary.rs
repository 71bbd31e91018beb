//! Summaries and the per-job table say what happened.

mod common;
use common::Setup;
use policies::{JobId, Span, Time};
use reports::{Summary, jobs_csv, labels, summary_csv, summary_json, summary_table};
use sim::Crashes;

/// Four accelerators: the second job waits 9 s for the first, the third waits behind it.
const ROWS: [common::Row; 3] = [(0, 10, 3, 1), (1, 20, 4, 2), (2, 1, 1, 1)];

fn summary() -> Summary {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::pool(4);
    let (tracker, digest, _) = setup.run(folder.path(), &ROWS);
    Summary::of(&setup.header(), &tracker, None, &digest, 0.25)
}

#[test]
fn figures_are_exact() {
    let s = summary();
    // Ends at 10, 30 and 31; JCT 10, 29, 29; waits 0, 9, 28.
    assert_eq!((s.jobs, s.done, s.unfinished, s.failed, s.tenants), (3, 3, 0, 0, 2));
    assert_eq!(s.mean_jct_s, Some(68.0 / 3.0));
    assert_eq!((s.p50_jct_s, s.p99_jct_s), (Some(29.0), Some(29.0)));
    assert_eq!((s.mean_wait_s, s.p50_wait_s, s.p90_wait_s), (Some(37.0 / 3.0), Some(9.0), Some(28.0)));
    assert_eq!(s.makespan_s, 31.0);
    assert_eq!(s.allocation, (30.0 + 80.0 + 1.0) / (4.0 * 31.0));
    assert_eq!(s.accelerator_hours, 111.0 / 3600.0);
    // Slowdowns 10/10, 29/20 and 29/max(1, tau = 10).
    assert_eq!(s.mean_bounded_slowdown, Some((1.0 + 1.45 + 2.9) / 3.0));
    // Tenant 1 ran 31 accelerator-seconds in 59, tenant 2 80 in 116.
    let (a, b): (f64, f64) = (31.0 / 59.0, 80.0 / 116.0);
    assert_eq!(s.fairness_jain, Some((a + b) * (a + b) / (2.0 * (a * a + b * b))));
}

#[test]
fn a_run_that_was_cut_off_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup { until: Some(Time::from_secs(5)), ..Setup::pool(4) };
    let (tracker, digest, _) = setup.run(folder.path(), &ROWS);
    let s = Summary::of(&setup.header(), &tracker, None, &digest, 0.0);
    assert_eq!((s.jobs, s.done, s.unfinished), (3, 0, 3));
    assert_eq!((s.mean_jct_s, s.p50_wait_s, s.mean_bounded_slowdown, s.fairness_jain), (None, None, None, None));
    assert!(summary_json(std::slice::from_ref(&s)).contains("\"mean_jct_s\": null"));
    assert!(summary_table(&[s]).contains("unfinished"));
}

#[test]
fn json_reads_back_and_csv_has_a_cell_per_field() {
    let s = summary();
    let json = summary_json(std::slice::from_ref(&s));
    assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), s);
    let two: Vec<Summary> = serde_json::from_str(&summary_json(&[s.clone(), s.clone()])).unwrap();
    assert_eq!(two.len(), 2);
    let table = summary_csv(&[s.clone(), s]);
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let position = reader.headers().unwrap().iter().position(|h| h == "makespan_s").unwrap();
    let cells: Vec<String> = reader.records().map(|r| r.unwrap()[position].to_owned()).collect();
    assert_eq!(cells, ["31.0", "31.0"]);
}

#[test]
fn the_table_has_a_row_per_run_and_names_what_differs() {
    let a = summary();
    let b = Summary { seed: 2, ..a.clone() };
    let c = Summary { policy: "sjf".into(), ..a.clone() };
    assert_eq!(labels(&[&a, &b, &c]), ["fifo, seed 1", "fifo, seed 2", "sjf"], "only what is ambiguous gets longer");
    let table = summary_table(&[a.clone(), b, c]);
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].starts_with("policy") && rows[0].contains("mean JCT s"), "{table}");
    assert!(rows[2].starts_with("fifo, seed 1") && rows[2].contains("22.667"), "{table}");
    assert!(rows[0].len() == rows[2].len(), "{table}");
    assert!(table.contains(&a.log_digest) && !table.contains("preempted"), "{table}");
}

#[test]
fn the_job_table_is_exact_and_quotes_names() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup { until: Some(Time::from_secs(15)), costs: "safa", ..Setup::pool(4) };
    let (tracker, _, _) = setup.run(folder.path(), &ROWS);
    let path = folder.path().join("jobs.csv");
    jobs_csv(&path, &setup.header(), &tracker, |id: JobId| format!("job,{}", id.0)).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let expected = "\
job_id,submit_s,start_s,end_s,wait_s,accelerators,preemptions,tenant,attempts,failures,executed_s,outcome
\"job,0\",0,2,14.5,2,3,0,vision,1,0,12.5,finished
\"job,1\",1,,,,4,0,speech,1,0,0,unfinished
\"job,2\",2,,,,1,0,vision,0,0,0,unfinished
";
    assert_eq!(text, expected);
}

#[test]
fn jobs_that_use_up_their_attempts_failed() {
    let folder = tempfile::tempdir().unwrap();
    let crashes = Some(Crashes { mean: Span::from_secs(10), seed: 3 });
    let setup = Setup { crashes, ..Setup::pool(4) };
    let (tracker, digest, _) = setup.run(folder.path(), &[(0, 1_000_000, 1, 1), (0, 1, 1, 1)]);
    let s = Summary::of(&setup.header(), &tracker, None, &digest, 0.0);
    assert_eq!((s.done, s.failed, s.failures), (2, 1, 3));
}
