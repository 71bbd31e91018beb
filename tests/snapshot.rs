//! Runs that are stopped, by whatever, and gone on with from their snapshots.

use orrery::experiment::{Experiment, Saving};
use orrery::policies::{Fleet, Plan, Policy, Span};
use orrery::traces::generate::{WorkloadModel, generate};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Everything at once: tiers, elastic gangs, services, faults of every kind, and switches that cost what they carry.
const SCENARIO: &str = r#"
seed = 11
[[fleet.region]]
name = "east"
cluster = [{ name = "a", group = [{ count = 4, accelerators = 8 }] }, { name = "b", group = [{ count = 4, accelerators = 4 }] }]
[[fleet.region]]
name = "west"
cluster = [{ name = "c", group = [{ count = 3, accelerators = 8 }] }]
[network]
store_gbps = 40
between_regions_gbps = 10
[workload]
preset = "philly-like"
days = 3
load = 1.1
accelerators_max = 16
duration_max = "12h"
priorities = [{ priority = 0, share = 0.7 }, { priority = 5, share = 0.3 }]
[[service]]
name = "chat"
accelerators = 2
throughput = { requests = 2 }
load = { peak = 12, trough = 2, noise = 0.1 }
start_up = "10s"
[jobs]
tiers = [20, 40, 40]
elastic = { from = 2, down_to = 0.25, overhead = 0.03 }
[[jobs.state]]
profile = "bert-109m"
[[faults.model]]
mtbf = "20d"
repair_median = "2h"
[[faults.event]]
at = "1d"
lasts = "3h"
node = 2
drain = true
[[faults.event]]
at = "30h"
lasts = "2h"
store = "east"
[run]
policies = ["singularity"]
placement = "random"
estimates = "noisy(0.5)"
costs = "singularity-v100"
crashes = "10d"
attempts = 3
"#;

struct Case(tempfile::TempDir);

impl Case {
    fn new() -> Case {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), SCENARIO).unwrap();
        Case(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orrery"));
        command.current_dir(self.0.path()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// Starts `args` and kills it as soon as there are newer snapshots than at the beginning, if it lasts so long.
    fn kill(&self, args: &[&str], out: &str) {
        let newest = || {
            let policies = std::fs::read_dir(self.path(out).with_extension("partial")).into_iter().flatten().flatten();
            policies.filter_map(|entry| entry.path().join("snapshot").metadata().ok()?.modified().ok()).max()
        };
        let before = newest();
        let mut child = self.command(args).spawn().unwrap();
        let began = Instant::now();
        while newest() == before && child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_secs(120), "no snapshot comes");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap(); // SIGKILL: nothing is tidied up.
        child.wait().unwrap();
    }

    /// Refused with exit code 2 and one message that says all of `expected`.
    #[track_caller]
    fn refused(&self, args: &[&str], expected: &[&str]) {
        let output = self.run(args);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        for part in expected {
            assert!(message.contains(part), "{args:?}: expected {part:?} in: {message}");
        }
        assert!(!message.contains("panicked"), "{message}");
    }
}

/// What a run printed or left, but for the time that it took.
fn timeless(json: &[u8]) -> Value {
    let mut runs: Value = serde_json::from_slice(json).expect("JSON and nothing else");
    let each = match &mut runs {
        Value::Array(runs) => &mut runs[..],
        one => std::slice::from_mut(one),
    };
    for run in each {
        assert!(run.as_object_mut().unwrap().remove("wall_s").is_some());
    }
    runs
}

#[track_caller]
fn stdout(output: Output) -> Vec<u8> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.path().is_dir() {
            true => found.extend(files(&entry.path()).into_iter().map(|file| format!("{name}/{file}"))),
            false => found.push(name),
        }
    }
    found.sort();
    found
}

#[test]
fn every_policy_killed_at_once_goes_on_to_the_same_results() {
    let case = Case::new();
    let policies = orrery::policies::catalog::POLICIES.iter().flat_map(|entry| ["--policy", entry.name]);
    let run: Vec<&str> = ["run", "s.toml", "--output", "json"].into_iter().chain(policies).collect();
    let whole = timeless(&stdout(case.run(&[&run[..], &["--out", "whole"]].concat())));
    let saved = [&run[..], &["--out", "pieces", "--snapshot-every", "30m"]].concat();
    case.kill(&saved, "pieces");
    assert!(case.path("pieces.partial/command.json").exists() && !case.path("pieces").exists());
    for _ in 0..4 {
        if case.path("pieces.partial").exists() {
            case.kill(&["run", "--resume", "pieces"], "pieces");
        }
    }
    if case.path("pieces.partial").exists() {
        assert_eq!(timeless(&stdout(case.run(&["run", "--resume", "pieces"]))), whole);
    }
    let left = |out: &str| timeless(&std::fs::read(case.path(out).join("summary.json")).unwrap());
    assert_eq!(left("pieces"), whole);
    assert_eq!(files(&case.path("pieces")), files(&case.path("whole")), "what snapshots leave is gone in the end");
    // The log says the same of every job, and replays.
    for policy in ["singularity", "tiresias"] {
        let jobs = |out: &str| std::fs::read(case.path(&format!("{out}/{policy}/jobs.csv"))).ok();
        assert_eq!(jobs("pieces"), jobs("whole"), "{policy}");
        stdout(case.run(&["replay", &format!("pieces/{policy}")]));
    }
    // The report names the command as it was typed.
    let page = std::fs::read_to_string(case.path("pieces/report.html")).unwrap();
    assert!(page.contains("--snapshot-every 30m") && !page.contains("--resume"));
    let output = case.run(&["run", "--resume", "pieces"]);
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("the run is complete"));
}

#[test]
fn from_another_folder_and_by_the_clock() {
    let case = Case::new();
    stdout(case.run(&["run", "s.toml", "--output", "json", "--out", "whole"]));
    case.kill(&["run", "s.toml", "--output", "json", "--out", "pieces", "--snapshot-clock", "1ms"], "pieces");
    let mut command = case.command(&["run", "--resume", "../pieces.partial"]);
    std::fs::create_dir(case.path("elsewhere")).unwrap();
    let output = command.current_dir(case.path("elsewhere")).output().unwrap();
    // Where it was quicker than the signal, it is complete, and nothing is printed.
    stdout(output);
    let left: Value = timeless(&std::fs::read(case.path("pieces/summary.json")).unwrap());
    assert_eq!(left, timeless(&std::fs::read(case.path("whole/summary.json")).unwrap()));
}

#[test]
fn what_does_not_belong_together_is_refused_and_left_as_it_is() {
    let case = Case::new();
    let whole = timeless(&stdout(case.run(&["run", "s.toml", "--output", "json", "--out", "whole"])));
    case.kill(&["run", "s.toml", "--output", "json", "--out", "pieces", "--snapshot-every", "10m"], "pieces");
    let (snapshot, resume) = (case.path("pieces.partial/singularity/snapshot"), ["run", "--resume", "pieces"]);
    let good = std::fs::read(&snapshot).unwrap();
    for cut in [0, 5, 100, good.len() / 2, good.len() - 1] {
        std::fs::write(&snapshot, &good[..cut]).unwrap();
        case.refused(&resume, &["snapshot: "]);
    }
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 4;
    std::fs::write(&snapshot, &changed).unwrap();
    case.refused(&resume, &["the snapshot is damaged (its checksum does not agree", "run it again"]);
    // An older program, which took it as it should.
    let line = good.iter().position(|&b| b == b'\n').unwrap() + 1;
    let rest = line + good[line..].iter().position(|&b| b == b'\n').unwrap();
    let mut older = [&good[..line], b"0.0.9 0123456789abcdef", &good[rest..good.len() - 32]].concat();
    let sum = blake3::hash(&older);
    older.extend(sum.as_bytes());
    std::fs::write(&snapshot, &older).unwrap();
    case.refused(&resume, &["taken by Orrery 0.0.9 0123456789abcdef, and this is "]);
    std::fs::write(&snapshot, &good).unwrap();
    // Another scenario: its name is the same, and one number is not.
    std::fs::write(case.path("s.toml"), SCENARIO.replace("between_regions_gbps = 10", "between_regions_gbps = 11")).unwrap();
    case.refused(&resume, &["taken of another run", "has changed"]);
    std::fs::write(case.path("s.toml"), SCENARIO).unwrap();
    // A log that is not the one.
    let log = case.path("pieces.partial/singularity/run.partial");
    let written = std::fs::read(&log).unwrap();
    std::fs::write(&log, &written[..written.len() / 3]).unwrap();
    case.refused(&resume, &["run.partial"]);
    std::fs::write(&log, &written).unwrap();
    // Nothing of that did any harm.
    assert_eq!(timeless(&stdout(case.run(&resume))), whole);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let case = Case::new();
    std::fs::write(case.path("t.csv"), "job_id,submit_time,duration,num_gpu\na,0,10,4\n").unwrap();
    let trace = ["run", "--trace", "t.csv", "--pool", "6", "--policy", "fifo", "--snapshot-every", "1d"];
    case.refused(&trace, &["--snapshot-every", "--out DIR"]);
    case.refused(&["run", "--resume", "nowhere"], &["no run to go on with", "nowhere.partial"]);
    case.refused(&["run", "s.toml", "--resume", "nowhere"], &["--resume"]);
    case.refused(&["run", "s.toml", "--snapshot-every", "0s"], &["expected some time"]);
    let study = format!("{SCENARIO}\n[sweep]\nkey = \"workload.load\"\nvalues = [0.5, 0.9]\n");
    std::fs::write(case.path("study.toml"), study).unwrap();
    case.refused(&["run", "study.toml", "--snapshot-every", "1d"], &["--snapshot-every", "2 ones", "--set"]);
}

/// A policy whose author has not thought of snapshots.
#[derive(Default)]
struct Forgetful {
    launched: u32,
}

impl Policy for Forgetful {
    fn decide(&mut self, plan: &mut Plan<'_>) {
        while let Some(job) = plan.first_pending().filter(|job| plan.launch(*job)) {
            self.launched += u32::from(job.0 < u32::MAX);
        }
    }
}

#[test]
fn a_policy_that_does_not_say_how_is_named_before_anything_runs() {
    let model = WorkloadModel { jobs: Some(50), accelerators: Some(32), ..WorkloadModel::default() };
    let mut experiment = Experiment::new("mine", Fleet::uniform(4, 8), generate(&model, 1).unwrap());
    experiment.drop_misfits().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let saving = Saving { every: Some(Span::from_secs(3600)), ..Saving::default() };
    let log = folder.path().join("run.log");
    let refused = experiment.run_policy_saved(Box::new(Forgetful::default()), "forgetful".into(), &log, &saving, &mut |_| {});
    let message = refused.err().expect("it cannot be saved").to_string();
    assert!(message.contains("policy `forgetful`") && message.contains("saved_by_serde!"), "{message}");
    assert_eq!(files(folder.path()), [""; 0]);
    // A listed one can, and goes on from its last snapshot if it is run again.
    let first = experiment.run_saved("gittins", &log, &saving, &mut |_| {}).unwrap();
    assert_eq!(files(folder.path()), ["run.log", "snapshot"]);
    let again = experiment.run_saved("gittins", &log, &saving, &mut |_| {}).unwrap();
    let whole = experiment.run("gittins", None, &mut |_| {}).unwrap();
    for outcome in [first, again] {
        assert_eq!(outcome.log_digest, whole.log_digest);
        assert_eq!((outcome.tracker.jobs(), outcome.account), (whole.tracker.jobs(), whole.account.clone()));
    }
}
