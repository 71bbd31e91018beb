//! Published results of other simulators, to the digit: every row of `scenarios/fidelity/expected.csv`, and the start of every
//! job of the published Helios runs. Needs the public traces in `../shared/traces`; without them it says so.

use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the shared traces, or `None` after saying that it is absent.
fn shared(name: &str) -> Option<PathBuf> {
    let path = root().join("../shared/traces").join(name);
    if !path.exists() {
        println!("SKIPPED: {} not found", path.display());
    }
    path.exists().then_some(path)
}

fn run(scenario: &str, policy: &str, more: &[&str]) -> serde_json::Value {
    let out = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_orrery"))
        .arg("run")
        .arg(root().join("scenarios/fidelity").join(scenario).with_extension("toml"))
        .args(["--policy", policy, "--output", "json", "--out"])
        .arg(out.path().join("result"))
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{scenario}, {policy}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `published` as typed, against `ours` rounded to as many digits.
fn agrees(published: &str, ours: &serde_json::Value) -> bool {
    let digits = published.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    published.is_empty() || ours.as_f64().is_some_and(|ours| format!("{ours:.digits$}") == published)
}

#[test]
fn published_means_to_the_digit() {
    if shared("philly/philly_oct_1000.csv").is_none() {
        return;
    }
    let mut wrong = Vec::new();
    for row in csv::Reader::from_path(root().join("scenarios/fidelity/expected.csv")).unwrap().deserialize() {
        let row: BTreeMap<String, String> = row.unwrap();
        let (scenario, policy) = (&row["scenario"], &row["policy"]);
        let result = run(scenario, policy, &[]);
        for field in ["mean_jct_s", "mean_wait_s", "makespan_s", "preemptions"] {
            if !agrees(&row[field], &result[field]) {
                wrong.push(format!("{scenario}, {policy}: {field} {} instead of {}", result[field], row[field]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn starts(reader: impl std::io::Read) -> BTreeMap<String, f64> {
    let mut reader = csv::Reader::from_reader(reader);
    let rows = reader.deserialize().map(|row| row.unwrap());
    rows.map(|row: BTreeMap<String, String>| (row["job_id"].clone(), row["start_s"].parse().unwrap())).collect()
}

#[test]
fn every_job_of_the_published_helios_runs_starts_when_it_should() {
    for (scenario, policy, published) in [
        ("helios-80", "fifo", "helios/expected/fifo_80gpus_jobs.csv.gz"),
        ("helios-80", "sjf", "helios/expected/sjf_80gpus_jobs.csv.gz"),
        ("helios-448", "fifo", "helios/expected/fifo_448gpus_jobs.csv.gz"),
    ] {
        let Some(path) = shared(published) else { return };
        let published = starts(GzDecoder::new(File::open(path).unwrap()));
        let folder = tempfile::tempdir().unwrap();
        let jobs = folder.path().join("jobs.csv");
        run(scenario, policy, &["--jobs-csv", jobs.to_str().unwrap()]);
        let ours = starts(File::open(jobs).unwrap());
        assert_eq!(ours.len(), published.len(), "{scenario}, {policy}");
        for (job, start) in published {
            assert!((ours[&job] - start).abs() < 0.1, "{scenario}, {policy}: job {job} starts at {}, not {start}", ours[&job]);
        }
    }
}
