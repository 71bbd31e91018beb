//! Service levels, books and bounds of a run, and scenarios that stand for several.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const SCENARIO: &str = r#"
# Is it worth it?
seed = 3
[fleet]
nodes = "8x8"
[workload]
preset = "philly-like"
days = 2
load = 1.0
duration_max = "12h"
[jobs]
tiers = [20, 40, 40]
elastic = { from = 2 }
[run]
policies = ["fifo(skip=true)", "singularity"]
estimates = "none"
costs = "restart"
until = "arrivals"
bound = true
"#;

const STUDY: &str = r#"
[sweep]
key = "workload.load"
values = [0.8, 1.2]
[[variant]]
name = "dear"
[[variant]]
name = "free"
set = { "run.costs" = "zero" }
policies = ["singularity"]
"#;

fn orrery(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orrery")).current_dir(folder).args(args).output().expect("the binary runs")
}

fn json(folder: &Path, args: &[&str]) -> Vec<Value> {
    let output = orrery(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    match serde_json::from_slice(&output.stdout).expect("JSON") {
        Value::Array(runs) => runs,
        run => vec![run],
    }
}

fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), text).unwrap();
    folder
}

#[test]
fn books_add_up_and_nobody_beats_the_bound() {
    let folder = folder(SCENARIO);
    let runs = json(folder.path(), &["run", "s.toml", "--output", "json", "--check"]);
    assert_eq!(runs.len(), 2);
    for run in &runs {
        let service = &run["service"];
        let spent = service["spent_accelerator_hours"].as_object().unwrap();
        assert_eq!(spent.len(), 10);
        let total: f64 = spent.values().map(|hours| hours.as_f64().unwrap()).sum();
        let useful = spent["useful"].as_f64().unwrap();
        let goodput = service["goodput"].as_f64().unwrap();
        assert!((useful / total - goodput).abs() < 1e-9);
        let bound = run["bound"]["goodput"].as_f64().unwrap();
        assert!(goodput <= bound + 1e-9 && bound <= 1.0, "{goodput} against {bound}");
        let names: Vec<&str> = service["tiers"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Premium", "Standard", "Basic"]);
        // The same total in each: the run ends with the last submission.
        assert!((total - 64.0 * 48.0).abs() < 64.0, "{total}");
    }
    let premium = |run: &Value| run["service"]["tiers"][0]["attained"].as_f64().unwrap();
    assert!(premium(&runs[1]) > premium(&runs[0]), "the tiers make no difference");
    // What the report says, it says from the log alone.
    let written: Value = serde_json::from_slice(&std::fs::read(folder.path().join("runs/s/summary.json")).unwrap()).unwrap();
    assert_eq!(written[1]["service"], runs[1]["service"]);
    let report = std::fs::read_to_string(folder.path().join("runs/s/report.html")).unwrap();
    for part in ["Premium &gt;= 0.95", "What became of accelerator-time", "GPU fraction of a job"] {
        assert!(report.contains(part), "{part} is missing");
    }
    let replayed = orrery(folder.path(), &["replay", "runs/s/singularity"]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
}

#[test]
fn a_study_runs_every_variant_at_every_value() {
    let folder = folder(&format!("{SCENARIO}{STUDY}"));
    let runs = json(folder.path(), &["run", "s.toml", "--output", "json", "--out", "study"]);
    let told = |run: &Value| (run["variant"].clone(), run["swept_value"].clone(), run["costs"].clone());
    let dear = |load: &str| ("dear".into(), load.into(), "restart".into());
    let free = |load: &str| ("free".into(), load.into(), "zero".into());
    let expected = [dear("0.8"), dear("0.8"), dear("1.2"), dear("1.2"), free("0.8"), free("1.2")];
    assert_eq!(runs.iter().map(told).collect::<Vec<_>>(), expected);
    for file in ["report.html", "study.svg", "summary.json", "summary.csv"] {
        assert!(folder.path().join("study").join(file).is_file(), "{file} is missing");
    }
    // One of them alone is the same.
    let settings = ["--variant", "free", "--set", "workload.load=1.2"];
    let alone = json(folder.path(), &[&["run", "s.toml", "--output", "json", "--out", "one"][..], &settings].concat());
    assert_eq!(alone.len(), 1);
    assert_eq!(alone[0]["log_digest"], runs[5]["log_digest"]);
    assert_eq!(alone[0]["scenario"], "s");
    let table = std::fs::read_to_string(folder.path().join("study/summary.csv")).unwrap();
    let header: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    assert!(header.contains(&"premium_attained") && header.contains(&"useful_accelerator_hours"), "{header:?}");
    assert!(table.lines().all(|line| line.split(',').count() >= header.len()));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let folder = folder(&format!("{SCENARIO}{STUDY}"));
    let cases: [(&[&str], &str); 5] = [
        (&["--set", "workload.laod=1"], "laod"),
        (&["--set", "workload.load=-1"], "workload.load=-1"),
        (&["--set", "load"], "KEY=VALUE"),
        (&["--variant", "cheap"], "dear, free"),
        (&["--jobs-csv", "jobs.csv"], "--set"),
    ];
    for (args, expected) in cases {
        let output = orrery(folder.path(), &[&["run", "s.toml"][..], args].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains(expected), "{args:?}: expected {expected:?} in: {message}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
}

#[test]
fn deadlines_are_met_by_those_who_look_at_them() {
    let folder = folder(SCENARIO);
    let policies = r#"run.policies=["fifo(skip=true)", "edf", "edf(preempt=false)", "srtf"]"#;
    let deadline = "jobs.deadline={ share = 0.5, slack = [1.2, 4] }";
    let args = ["run", "s.toml", "--output", "json", "--set", policies, "--set", deadline];
    let with = |extra: &[&str]| {
        let runs = json(folder.path(), &[&args[..], extra].concat());
        runs.iter().map(|run| (run["deadlines"].as_u64(), run["deadlines_met"].as_u64())).collect::<Vec<_>>()
    };
    let runs = with(&["--set", "workload.load=1.2", "--set", r#"run.estimates="oracle""#]);
    let met: Vec<u64> = runs.iter().map(|run| run.1.expect("there are deadlines")).collect();
    assert!(runs.iter().all(|run| run.0 == runs[0].0 && run.0 > Some(100)), "{runs:?}");
    assert!(met[1] > met[2] && met[2] > met[0], "preemption helps, and order does: {runs:?}");
    let table = orrery(folder.path(), &[&args[..2], &args[4..]].concat());
    assert!(String::from_utf8_lossy(&table.stdout).contains("in time"));
    let plain = json(folder.path(), &["run", "s.toml", "--output", "json"]);
    assert!(plain.iter().all(|run| run.get("deadlines").is_none()));
}

#[test]
fn a_goodput_model_says_what_shrinking_costs() {
    let folder = folder(SCENARIO);
    let scaling = |grad: &str| {
        let goodput = format!(
            "jobs.elastic.scaling={{ goodput = {{ grad = {grad}, local = [0.01, 0.002], network = [0.05, 0.002], gamma = 1.6, batch = 256 }} }}"
        );
        // Without turns, which let gangs grow again and so make up for a part of it.
        let policy = r#"run.policies=["singularity(turns=0)"]"#;
        let args = ["run", "s.toml", "--output", "json", "--set", policy, "--set", &goodput, "--set", "workload.load=1.1"];
        json(folder.path(), &args)[0]["mean_jct_s"].as_f64().expect("jobs ended")
    };
    // Jobs whose gradients take no longer for more examples lose nothing on fewer accelerators; the others are later for it.
    let (free, dear) = (scaling("[0.2, 0]"), scaling("[0, 0.01]"));
    assert!(1.2 * free < dear, "{free} {dear}");
}

#[test]
fn gangs_keep_to_their_domains() {
    let folder = folder(SCENARIO);
    let domains = r#"fleet.domains=[{ name = "island", nodes = 4, gangs = true }, { name = "rack", nodes = 8, gangs = true }]"#;
    let run = |within: &str, output: &str| {
        let within = format!("jobs.within={within}");
        let fleet = ["--set", "fleet.nodes=32x2", "--set", domains, "--set", "workload.load=1.2", "--set", &within];
        orrery(folder.path(), &[&["run", "s.toml", "--check", "--output", output], &fleet[..]].concat())
    };
    // --check looks at every gang of every step.
    let mean = |output: Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let runs: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        runs[0]["mean_wait_s"].as_f64().expect("jobs ended")
    };
    let (free, kept) = (mean(run("[]", "json")), mean(run(r#"[{ domain = "island", up_to = 8 }]"#, "json")));
    assert_ne!(free, kept, "no gang had to wait for an island");
    let refused = run(r#"[{ domain = "island", up_to = 64 }]"#, "table");
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("in one island"), "{message}");
    let unknown = run(r#"[{ domain = "rail", up_to = 8 }]"#, "table");
    let message = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(message.contains("jobs.within") && message.contains("island, rack"), "{message}");
}

#[test]
fn jobs_end_as_they_were_recorded_to() {
    let folder = folder(SCENARIO);
    let args = ["run", "s.toml", "--check", "--output", "json", "--set", "run.costs=zero", "--set", "workload.load=0.3"];
    let counts = |extra: &[&str]| {
        let runs = json(folder.path(), &[&args[..], extra].concat());
        let count = |name: &str| runs[0][name].as_u64().expect("a count");
        (count("jobs"), count("done"), count("failed"), count("withdrawn"))
    };
    let (jobs, done, failed, withdrawn) = counts(&["--set", "jobs.recorded_ends=true", "--set", r#"run.until="365d""#]);
    let well = counts(&["--set", r#"run.until="365d""#]);
    assert_eq!(well, (jobs, jobs, 0, 0), "by default all jobs end well");
    assert_eq!(done + withdrawn, jobs);
    // The workload's model is fitted to a fleet where three tenths of jobs are cancelled or fail.
    assert!(failed * 20 > jobs && failed * 3 < jobs, "{failed} of {jobs} failed");
    assert!(withdrawn * 20 > jobs && withdrawn * 2 < jobs, "{withdrawn} of {jobs} were cancelled");
}
