//! What a run prints and leaves behind.

use std::path::Path;
use std::process::{Command, Output};

fn orrery(folder: &Path, args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_orrery")).current_dir(folder).args(args).output().expect("the binary runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).expect("stdout is JSON and nothing else")
}

/// A small busy fleet that makes every policy decide something.
const SCENARIO: &str = r#"
seed = 7
[fleet]
nodes = "4x8"
[workload]
preset = "philly-like"
jobs = 400
load = 1.1
accelerators_max = 16
priorities = [{ priority = 0, share = 0.7 }, { priority = 5, share = 0.3 }]
[run]
costs = "restart"
"#;

fn scenario() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("busy.toml"), SCENARIO).unwrap();
    folder
}

fn all_policies() -> Vec<&'static str> {
    orrery::policies::catalog::POLICIES.iter().map(|entry| entry.name).collect()
}

/// `--policy` for each of them.
fn chosen(policies: &[&'static str]) -> Vec<&'static str> {
    policies.iter().flat_map(|name| ["--policy", name]).collect()
}

#[test]
fn every_policy_gives_the_same_digest_again_and_on_any_number_of_threads() {
    let folder = scenario();
    let policies = all_policies();
    let run = |threads: &'static str| {
        let args = [&["run", "busy.toml", "--output", "json", "--threads", threads][..], &chosen(&policies)].concat();
        let runs = json(&orrery(folder.path(), &args));
        let digests = runs.as_array().unwrap().iter().map(|r| r["log_digest"].as_str().unwrap().to_owned());
        digests.collect::<Vec<_>>()
    };
    let first = run("1");
    assert_eq!(first.len(), policies.len());
    assert_eq!(first, run("4"));
    let other = ["run", "busy.toml", "--policy", "fifo", "--seed", "8", "--output", "json"];
    assert_ne!(json(&orrery(folder.path(), &other))["log_digest"], first[0].as_str());
}

#[test]
fn every_policy_passes_the_checks_and_replays() {
    let folder = scenario();
    let policies = all_policies();
    orrery(folder.path(), &[&["run", "busy.toml", "--check"][..], &chosen(&policies)].concat());
    for policy in policies {
        let output = orrery(folder.path(), &["replay", &format!("runs/busy/{policy}"), "--output", "json"]);
        assert_eq!(json(&output)["agrees"], true, "{policy}");
    }
}

#[test]
fn a_log_that_was_changed_is_found_out() {
    let folder = scenario();
    orrery(folder.path(), &["run", "busy.toml", "--policy", "sjf"]);
    // The same log under another policy's name: the first step that differs is named, and the exit code is 1.
    let log = folder.path().join("runs/busy/sjf/run.log");
    let mut reader = orrery::traces::runlog::LogReader::open(&log).unwrap();
    let mut header = reader.header.clone();
    header.policy = "fifo".into();
    let forged = folder.path().join("forged.log");
    let mut writer = orrery::traces::runlog::LogWriter::create(&forged, &header).unwrap();
    while let Some(step) = reader.next_step().unwrap() {
        writer.step(step.view(), step.metas.clone()).unwrap();
    }
    writer.finish(reader.digest().unwrap()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_orrery")).arg("replay").arg(&forged).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("differs") && text.contains("step "), "{text}");
}

#[test]
fn the_one_line_form_prints_the_promised_fields() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), "job_id,submit_time,duration,num_gpu\na,0,10,4\nb,1,10,4\nc,2,4,2\n").unwrap();
    let args = ["run", "--trace", "t.csv", "--pool", "6", "--policy", "fifo", "--output", "json", "--jobs-csv", "jobs.csv"];
    let result = json(&orrery(folder.path(), &args));
    for field in ["jobs", "events", "decisions", "wall_s", "policy", "seed", "trace_digest", "log_digest", "p99_jct_s"] {
        assert!(!result[field].is_null(), "{field} is missing in {result}");
    }
    assert_eq!(result["mean_jct_s"].as_f64(), Some((10.0 + 19.0 + 12.0) / 3.0));
    assert_eq!(result["mean_wait_s"].as_f64(), Some((0.0 + 9.0 + 8.0) / 3.0));
    assert_eq!((result["makespan_s"].as_f64(), result["preemptions"].as_u64()), (Some(20.0), Some(0)));
    let used = 10.0 * 4.0 + 10.0 * 4.0 + 4.0 * 2.0;
    assert_eq!(result["allocation"].as_f64(), Some(used / (6.0 * 20.0)));
    let rows = std::fs::read_to_string(folder.path().join("jobs.csv")).unwrap();
    let lines: Vec<_> = rows.lines().collect();
    assert!(lines[0].starts_with("job_id,submit_s,start_s,end_s,wait_s,accelerators,preemptions"));
    assert!(lines[2].starts_with("b,1,10,20,9,4,0"), "{}", lines[2]);
    assert!(!folder.path().join("runs").exists(), "the one-line form leaves a result only where --out says");
}

#[test]
fn the_result_folder_holds_everything_and_replaces_an_earlier_one() {
    let folder = scenario();
    for _ in 0..2 {
        orrery(folder.path(), &["run", "busy.toml", "--policy", "fifo", "--policy", "easy"]);
    }
    let result = folder.path().join("runs/busy");
    let tables = if cfg!(feature = "frames") { "parquet" } else { "csv" };
    for file in ["summary.json", "report.html", "load.svg", "fifo/run.log"] {
        assert!(result.join(file).metadata().is_ok_and(|m| m.len() > 0), "{file}");
    }
    for table in ["jobs", "timeseries", "tenants"] {
        assert!(result.join("easy").join(table).with_extension(tables).exists(), "{table}");
    }
    let page = std::fs::read_to_string(result.join("report.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("http://") | page.contains("www.w3.org"), "self-contained");
    assert!(std::fs::read_dir(folder.path().join("runs")).unwrap().count() == 1, "no partial folder stays");
}

#[test]
fn every_placement_runs_and_replays() {
    let folder = scenario();
    let names = orrery::policies::placement::PLACEMENTS.iter().map(|entry| entry.name.to_owned());
    for placement in names.chain(["fgd(prior=true)".into()]).filter(|name| name != "pool") {
        orrery(folder.path(), &["run", "busy.toml", "--policy", "sjf", "--placement", &placement, "--check"]);
        let output = orrery(folder.path(), &["replay", "runs/busy/sjf", "--output", "json"]);
        assert_eq!(json(&output)["agrees"], true, "{placement}");
    }
}
