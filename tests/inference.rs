//! Services beside training, from the scenario to the report.

use std::path::Path;
use std::process::{Command, Output};

fn orrery(folder: &Path, args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_orrery")).current_dir(folder).args(args).output().expect("the binary runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

const SCENARIO: &str = r#"
seed = 3
[[fleet.cluster]]
name = "training"
group = [{ count = 4, accelerators = 8 }]
[[fleet.cluster]]
name = "inference"
group = [{ count = 4, accelerators = 8 }]
[workload]
preset = "philly-like"
days = 2
load = 1.1
accelerators = 32
accelerators_max = 16
duration_max = "12h"
[[service]]
name = "chat"
accelerators = 2
throughput = { requests = 2 }
load = { peak = 20, trough = 3, noise = 0.1 }
start_up = "10s"
[jobs]
tiers = [0, 40, 60]
elastic = { from = 2, down_to = 0.25 }
[run]
policies = ["singularity"]
estimates = "none"
costs = "restart"
[[variant]]
name = "separate"
set = { home = [{ kind = "inference", clusters = ["inference"] }, { clusters = ["training"] }] }
[[variant]]
name = "loaned"
set = { home = [{ kind = "inference", clusters = ["inference"] }] }
"#;

#[test]
fn idle_capacity_of_inference_is_lent_to_training_and_given_back_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("loans.toml"), SCENARIO).unwrap();
    let output = orrery(folder.path(), &["run", "loans.toml", "--output", "json", "--check", "--out", "result"]);
    let runs: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let [separate, loaned] = runs.as_array().unwrap().as_slice() else { panic!("two runs") };
    let number = |run: &serde_json::Value, key: &str| run[key].as_f64().unwrap_or_else(|| panic!("{key} of {run}"));
    // The same jobs and replicas in both; replicas have no completion time and do not fail.
    for run in [separate, loaned] {
        assert!(number(run, "withdrawn") > 50.0 && number(run, "failed") == 0.0 && number(run, "unfinished") == 0.0);
        assert_eq!(number(run, "done") + number(run, "withdrawn"), number(run, "jobs"));
        assert_eq!(number(&run["inference"][0], "replicas"), number(run, "withdrawn"));
    }
    let better = number(separate, "mean_wait_s") / number(loaned, "mean_wait_s");
    assert!(better > 1.5, "queueing is only {better} times better");
    assert!(number(loaned, "mean_jct_s") < number(separate, "mean_jct_s"));
    let service = |run: &serde_json::Value, key: &str| number(&run["inference"][0], key);
    let provided = ["provided", "within_objective"].map(|key| (service(separate, key), service(loaned, key)));
    assert!(provided.iter().all(|(apart, lent)| *apart > 0.9 && lent > &(apart - 0.01)), "{provided:?}");
    // Alone a replica starts within 20 s; who lent its place stops within 10.
    assert_eq!((service(separate, "p99_capacity_s"), service(loaned, "max_capacity_s")), (20.0, 30.0));
}

#[test]
fn replicas_are_in_logs_tables_and_explanations() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("loans.toml"), SCENARIO).unwrap();
    let args = ["run", "loans.toml", "--variant", "loaned", "--out", "result", "--jobs-csv", "jobs.csv"];
    let table = String::from_utf8(orrery(folder.path(), &args).stdout).unwrap();
    assert!(table.contains("replica-hours") && table.contains("withdrawn"), "{table}");
    let jobs = std::fs::read_to_string(folder.path().join("jobs.csv")).unwrap();
    let replica = jobs.lines().find(|line| line.starts_with("chat/1,")).expect("the first replica");
    assert!(replica.ends_with(",withdrawn"), "{replica}");
    let find = |name: &str| {
        let mut found = Vec::new();
        let mut folders = vec![folder.path().join("result")];
        while let Some(inside) = folders.pop() {
            for entry in std::fs::read_dir(inside).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else if entry.ends_with(name) {
                    found.push(entry);
                }
            }
        }
        found.pop().unwrap_or_else(|| panic!("no {name} in the result"))
    };
    let log = find("run.log");
    let log = log.to_str().unwrap();
    orrery(folder.path(), &["replay", log]);
    let story = String::from_utf8(orrery(folder.path(), &["explain", log, "chat/1"]).stdout).unwrap();
    assert!(story.contains("its owner withdrew it"), "{story}");
    let report = std::fs::read_to_string(find("report.html")).unwrap();
    assert!(report.contains("Replicas of inference services over time"));
}
