//! Bad input gets one clear message with place and remedy, exit code 2, and no half-written result.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn orrery(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orrery")).current_dir(folder).args(args).output().expect("the binary runs")
}

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Case {
        Case { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Refused with exit code 2 and a message that holds all of `expected`; nothing is printed or left behind.
    #[track_caller]
    fn refused(&self, args: &[&str], expected: &[&str]) {
        let before = self.files();
        let output = orrery(self.folder.path(), args);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(output.stdout.is_empty(), "{args:?} printed {}", String::from_utf8_lossy(&output.stdout));
        for part in expected {
            assert!(message.contains(part), "{args:?}: expected {part:?} in: {message}");
        }
        assert!(!message.contains("panicked"), "{message}");
        assert_eq!(self.files(), before, "{args:?} left files behind");
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    }

    /// `orrery run` on a trace of these rows under a header.
    #[track_caller]
    fn rows_refused(&self, rows: &str, expected: &[&str]) {
        self.file("trace.csv", format!("job_id,submit_time,duration,num_gpu\n{rows}"));
        self.refused(&["run", "--trace", "trace.csv", "--pool", "8", "--policy", "fifo", "--out", "result"], expected);
    }
}

const GOOD: &str = "[fleet]\npool = 8\n[workload]\njobs = 10\n";

#[test]
fn rows_that_cannot_be_jobs() {
    let case = Case::new();
    case.rows_refused("a,0,-5,1\n", &["trace.csv", "2", "duration", "-5"]);
    case.rows_refused("a,0,NaN,1\n", &["trace.csv", "2", "duration", "NaN"]);
    case.rows_refused("a,0,5,0\n", &["trace.csv", "2", "num_gpu", "0"]);
    case.rows_refused("a,0,5,1\na,1,5,1\n", &["trace.csv", "3", "job_id", "a"]);
    case.rows_refused("a,x,5,1\n", &["trace.csv", "2", "submit_time", "x", "--on-bad-row skip"]);
    case.rows_refused("a,0,5\n", &["trace.csv", "2"]);
    case.rows_refused("a,0,1e300,1\n", &["trace.csv", "2", "duration"]);
    case.rows_refused("", &["trace.csv", "no job"]);
}

#[test]
fn a_job_larger_than_the_fleet_is_named() {
    let case = Case::new();
    case.rows_refused("a,0,5,1\nbig,1,5,9\n", &["1 of 2 jobs", "`big`", "9 accelerators", "--misfits drop"]);
}

#[test]
fn files_that_are_no_traces() {
    let case = Case::new();
    let run = |file| ["run", "--trace", file, "--pool", "8", "--policy", "fifo"];
    case.refused(&run("missing.csv"), &["missing.csv"]);
    case.file("empty.csv", "");
    case.refused(&run("empty.csv"), &["empty.csv: it is empty"]);
    // A cause is said once, after what it is the cause of.
    case.refused(&run("."), &["error: .: cannot open: it is a directory; check the path\n"]);
    case.file("noise.csv", [0xff, 0xfe, 0x00, 0x17, 0x80]);
    case.refused(&run("noise.csv"), &["noise.csv"]);
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    zipped.write_all(b"job_id,submit_time,duration,num_gpu\n").unwrap();
    (0..5000).for_each(|i| writeln!(zipped, "{i},{i},{},1", i * 7919 % 1000 + 1).unwrap());
    let zipped = zipped.finish().unwrap();
    case.file("cut.csv.gz", &zipped[..zipped.len() / 2]);
    case.refused(&run("cut.csv.gz"), &["cut.csv.gz"]);
}

#[test]
fn unsorted_rows_are_sorted() {
    let case = Case::new();
    case.file("trace.csv", "job_id,submit_time,duration,num_gpu\nlate,10,5,8\nearly,0,20,8\n");
    let args = ["run", "--trace", "trace.csv", "--pool", "8", "--policy", "fifo", "--output", "json"];
    let output = orrery(case.folder.path(), &args);
    assert!(output.status.success());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((json["mean_jct_s"].as_f64(), json["makespan_s"].as_f64()), (Some(17.5), Some(25.0)));
}

#[test]
fn names_that_do_not_exist() {
    let case = Case::new();
    case.file("trace.csv", "job_id,submit_time,duration,num_gpu\na,0,5,1\n");
    let run = |more: &[&'static str]| [&["run", "--trace", "trace.csv", "--pool", "8"][..], more].concat();
    case.refused(&run(&["--policy", "fifi"]), &["unknown policy `fifi`", "fifo", "sjf"]);
    case.refused(&run(&["--policy", "fifo(skop=true)"]), &["no parameter `skop`", "skip"]);
    case.refused(&run(&["--policy", "fifo(skip=maybe)"]), &["skip=maybe", "true or false"]);
    case.refused(&run(&["--policy", "fifo", "--placement", "tetris"]), &["unknown placement `tetris`", "best-fit"]);
    case.refused(&run(&["--policy", "fifo", "--costs", "free"]), &["unknown costs `free`", "zero"]);
    case.refused(&run(&["--policy", "fifo", "--format", "xls"]), &["xls", "philly"]);
    case.refused(&run(&["--policy", "fifo", "--estimates", "noisy(x)"]), &["noisy", "oracle"]);
    case.refused(&run(&["--policy", "fifo", "--policy", "fifo"]), &["given twice"]);
    case.refused(&["run", "--trace", "trace.csv", "--pool", "0", "--policy", "fifo"], &["--pool 0"]);
    case.refused(&["run", "--trace", "trace.csv", "--nodes", "8", "--policy", "fifo"], &["8", "x"]);
    case.refused(&["run", "--trace", "trace.csv", "--pool", "8"], &["--policy"]);
}

#[test]
fn scenarios_that_do_not_hold() {
    let case = Case::new();
    let refused = |text: &str, expected: &[&str]| {
        case.file("s.toml", text);
        case.refused(&["run", "s.toml"], expected);
    };
    case.refused(&["run", "none.toml"], &["none.toml"]);
    refused(&format!("{GOOD}sped = 1\n"), &["s.toml", "5", "sped", "days"]);
    refused("[fleet]\npool = 8\n", &["s.toml", "[trace]", "[workload]"]);
    refused("[fleet]\npool = 0\n[workload]\njobs = 10\n", &["s.toml", "fleet", "no accelerator"]);
    refused("[fleet]\npool = 8\n[trace]\nfile = \"gone.csv\"\n", &["s.toml", "gone.csv"]);
    refused(&format!("{GOOD}load = -1.0\n"), &["s.toml", "load"]);
    refused(&format!("{GOOD}[run]\npolicies = [\"fofo\"]\n"), &["unknown policy `fofo`", "fifo"]);
    refused("[fleet\n", &["s.toml", "1"]);
}

#[test]
fn an_existing_folder_that_is_no_result_is_not_touched() {
    let case = Case::new();
    case.file("s.toml", GOOD);
    std::fs::create_dir(case.folder.path().join("precious")).unwrap();
    std::fs::write(case.folder.path().join("precious/thesis.txt"), "years").unwrap();
    case.refused(&["run", "s.toml", "--out", "precious"], &["precious", "--out"]);
    assert!(case.folder.path().join("precious/thesis.txt").exists());
}

#[test]
fn logs_that_are_no_logs() {
    let case = Case::new();
    case.refused(&["replay", "none.log"], &["none.log"]);
    case.file("text.log", "hello\n");
    case.refused(&["replay", "text.log"], &["text.log", "not a run log"]);
    case.file("s.toml", GOOD);
    assert!(orrery(case.folder.path(), &["run", "s.toml"]).status.success());
    let log = case.folder.path().join("runs/s/fifo/run.log");
    let bytes = std::fs::read(log).unwrap();
    case.file("cut.log", &bytes[..bytes.len() / 2]);
    case.refused(&["replay", "cut.log"], &["cut.log", "damaged"]);
}
