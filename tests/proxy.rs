//! Unmodified programs on proxied accelerators: what they report and compute, on their own and by turns, and deaths.
//!
//! Needs OpenCL devices and programs that use them. `.ci/run` installs them; what is not there is SKIPPED.

mod site;

use site::{Site, ended, finished, fpga, lines, pocl, python, training, transfers, wait_for};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Lines of clinfo that cannot be the same: what needs the program's own memory is reported as not there.
const DIFFERENT: [&str; 11] = [
    "Extensions",
    "cl_pocl_content_size",
    "cl_khr_command_buffer",
    "ommand buffer",
    "buffer sharing",
    "system sharing",
    "Atomics  ",
    "Out-of-order execution                        No",
    "Profiling                                     No",
    "Run native kernels",
    "USM",
];

#[test]
fn clinfo_reports_the_device_as_it_is() {
    if Command::new("clinfo").arg("--version").output().is_err() {
        return println!("SKIPPED: clinfo not found (apt-get install clinfo)");
    }
    for site in [pocl, fpga].into_iter().filter_map(|site| site()) {
        let report = |output: Output| {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let kept = text.lines().filter(|line| !DIFFERENT.iter().any(|part| line.contains(part)));
            kept.map(str::to_owned).collect::<Vec<String>>()
        };
        let native = report(site.native(Path::new("clinfo"), &[]));
        let proxied = site.exec(Path::new("clinfo"), &[]).output().unwrap();
        ended(&proxied);
        assert!(native.len() > 100);
        let proxied = report(proxied);
        let differing: Vec<_> = native.iter().zip(&proxied).filter(|(native, proxied)| native != proxied).take(5).collect();
        assert!(differing.is_empty() && native.len() == proxied.len(), "{}: {differing:#?}", site.device);
    }
}

#[test]
fn training_comes_to_the_same_bits() {
    let Some(python) = python() else { return };
    for site in [pocl, fpga].into_iter().filter_map(|site| site()) {
        let train = training();
        ended(&site.native(&python, &[&train, "native", "200"]));
        ended(&site.exec(&python, &[&train, "proxied", "200"]).output().unwrap());
        assert_eq!(lines(&site.path("native")), 201);
        assert_eq!(fs::read(site.path("proxied")).unwrap(), fs::read(site.path("native")).unwrap(), "{}", site.device);
        assert!(site.jobs().is_empty());
    }
}

#[test]
fn two_jobs_share_a_device_and_do_not_meet() {
    let Some(python) = python() else { return };
    let Some(site) = pocl() else { return };
    let train = training();
    ended(&site.native(&python, &[&train, "native", "300"]));
    let start = |losses: &str| site.exec(&python, &[&train, losses, "300"]).spawn().unwrap();
    let (one, other) = (start("one"), start("other"));
    finished(one);
    finished(other);
    let native = fs::read(site.path("native")).unwrap();
    assert_eq!((fs::read(site.path("one")).unwrap(), fs::read(site.path("other")).unwrap()), (native.clone(), native));
}

/// What programs take for granted, with one queue and with several. Of the FPGA emulator itself it does not hold.
#[test]
fn a_blocking_write_is_done_when_it_returns() {
    let Some(python) = python() else { return };
    for site in [pocl, fpga].into_iter().filter_map(|site| site()) {
        ended(&site.exec(&python, &[&transfers(), "order"]).output().unwrap());
    }
}

/// Reads and maps, the data checked, longer than what is on the way at a time. The figures are printed, not judged: machines differ.
#[test]
fn long_transfers_come_whole() {
    let Some(python) = python() else { return };
    let Some(site) = pocl() else { return };
    let output = site.exec(&python, &[&transfers(), "speed", "300"]).output().unwrap();
    ended(&output);
    println!("{}", String::from_utf8_lossy(&output.stdout));
    ended(&site.exec(&python, &[&transfers(), "shared"]).output().unwrap());
}

/// Two replicas by turns on a device that holds one of them: the same bits, and what is equal is not moved.
#[test]
fn replicas_share_a_device_that_holds_one_of_them() {
    let Some(python) = python() else { return };
    let moved = |site: Site, shuffles: [&str; 2]| {
        let args = |losses: &'static str, shuffle| [losses, "600", "--dataset", "8", "--shuffle", shuffle];
        let train = training();
        for (native, shuffle) in ["native one", "native other"].into_iter().zip(shuffles) {
            ended(&site.native(&python, &[&[train.as_str()][..], &args(native, shuffle)].concat()));
        }
        let start = |losses, shuffle| {
            let mut command = site.orrery(&["exec", "--device", site.device, "--quantum-ms", "50", "--memory-mib", "5", "--"]);
            command.arg(&python).arg(&train).args(args(losses, shuffle)).spawn().unwrap()
        };
        let (one, other) = (start("one", shuffles[0]), start("other", shuffles[1]));
        finished(one);
        finished(other);
        for (native, proxied) in [("native one", "one"), ("native other", "other")] {
            assert_eq!(fs::read(site.path(proxied)).unwrap(), fs::read(site.path(native)).unwrap(), "{}", site.device);
        }
        let listed = site.orrery(&["devices", "--output", "json"]).output().unwrap();
        let rows: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
        let sums = rows.as_array().unwrap().iter().find_map(|row| row["switching"].as_object().cloned()).unwrap();
        println!("{}, order of data {shuffles:?}: {}", site.device, serde_json::to_string(&sums).unwrap());
        let number = |name: &str| sums[name].as_f64().unwrap();
        assert!(number("switches") >= 4.0 && number("move_s") < number("turn_s"));
        (number("out_bytes") + number("in_bytes")) / number("switches")
    };
    for device in [pocl, fpga] {
        let Some(equal) = device().map(|site| moved(site, ["1", "1"])) else { continue };
        let Some(different) = device().map(|site| moved(site, ["1", "2"])) else { continue };
        assert!(equal < 0.5 * different, "bytes a switch: {equal} with equal buffers, {different} without");
    }
}

/// As FPGAs need it: the program never sees source.
#[test]
fn training_from_a_binary_comes_to_the_same_bits() {
    let Some(python) = python() else { return };
    for site in [pocl, fpga].into_iter().filter_map(|site| site()) {
        let train = training();
        ended(&site.native(&python, &[&train, "source", "50", "--save-binary", "kernels"]));
        ended(&site.native(&python, &[&train, "native", "50", "--binary", "kernels"]));
        ended(&site.exec(&python, &[&train, "proxied", "50", "--binary", "kernels"]).output().unwrap());
        assert_eq!(fs::read(site.path("proxied")).unwrap(), fs::read(site.path("native")).unwrap(), "{}", site.device);
    }
}

/// pyopencl's own tests, from its source package: the same outcomes, but that shared virtual memory is not there.
#[test]
fn pyopencls_own_tests_come_out_as_natively() {
    let Some(python) = python() else { return };
    let Some(tests) = std::env::var_os("ORRERY_PYOPENCL_TESTS").map(PathBuf::from).filter(|folder| folder.exists()) else {
        return println!("SKIPPED: pyopencl's tests not found (name their folder in ORRERY_PYOPENCL_TESTS, see .ci/run)");
    };
    let Some(site) = pocl() else { return };
    let files = std::env::var("ORRERY_PYOPENCL_FILES").unwrap_or_else(|_| "test_wrapper.py test_enqueue_copy.py".into());
    let mut args = vec!["-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-k", "not svm"];
    args.extend(files.split(' '));
    let outcomes = |mut command: Command| {
        let output = command.current_dir(&tests).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let kinds = ["PASSED", "FAILED", "ERROR", "SKIPPED", "XFAIL"];
        let kept = text.lines().filter(|line| kinds.iter().any(|kind| line.starts_with(kind)));
        let mut kept: Vec<String> = kept.map(|line| line.split(" - ").next().unwrap_or_default().to_owned()).collect();
        kept.sort();
        kept
    };
    let mut native = site.command(&python);
    native.args(&args);
    let (native, proxied) = (outcomes(native), outcomes(site.exec(&python, &args)));
    let only = |a: &[String], b: &[String]| a.iter().filter(|line| !b.contains(line)).cloned().collect::<Vec<String>>();
    println!("{} outcomes", native.len());
    assert!(native.len() > 40, "{native:?}");
    assert_eq!((only(&native, &proxied), only(&proxied, &native)), (vec![], vec![]), "native only, proxied only");
}

#[test]
fn a_killed_proxy_is_a_lost_device_and_a_killed_worker_leaves_nothing() {
    let Some(python) = python() else { return };
    let Some(site) = pocl() else { return };
    let train = training();
    let start = || {
        let mut command = site.exec(&python, &[&train, "proxied", "100000"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for("the first steps", || (lines(&site.path("proxied")) > 5).then_some(()));
        child
    };
    let child = start();
    let job: proxy::job::Job =
        serde_json::from_slice(&fs::read(site.path("runtime/jobs").join(site.job()).join("job.json")).unwrap()).unwrap();
    ended(&Command::new("kill").args(["-KILL", &job.pid.to_string()]).output().unwrap());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(137));
    let socket = site.path("runtime").join(format!("{}.socket", job.device));
    let status = proxy::control::give(&socket, &proxy::control::Order::Status).unwrap();
    assert_eq!((status.jobs.len(), status.workers), (0, 0));
    fs::remove_file(site.path("proxied")).unwrap();

    let child = start();
    ended(&Command::new("kill").args(["-KILL", &site.proxy_pid().to_string()]).output().unwrap());
    let began = Instant::now();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("the device is lost"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(10), "it hung");
}

#[test]
fn what_is_missing_is_said_in_a_sentence() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_orrery"));
    command.env("ORRERY_OPENCL_LIBRARY", "/nowhere.so").env("ORRERY_RUNTIME_FOLDER", folder.path().join("runtime"));
    let output = command.args(["exec", "--device", "any", "--", "true"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("OpenCL not found (install"), "{said}");
}

/// A device's name is its place in a list, which depends on the drivers that are found: another one of that name is not taken for it.
#[test]
fn a_proxy_of_another_device_of_that_name_is_not_taken() {
    let Some(mut site) = pocl() else { return };
    site.device = "opencl:0.0";
    let on = |devices: &str, script: &str| {
        let mut command = site.exec(Path::new("/bin/sh"), &["-c", script]);
        command.env("POCL_DEVICES", devices).stderr(Stdio::piped());
        command
    };
    let running = on("pthread", "while [ ! -e stop ]; do sleep 0.02; done").spawn().unwrap();
    site.job();
    let other = on("basic", "true").output().unwrap();
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(2), "{said}");
    assert!(said.contains("serves a pthread") && said.contains("not a basic"), "{said}");
    assert_eq!(site.jobs().len(), 1, "nothing of the other is left");
    fs::write(site.path("stop"), "").unwrap();
    finished(running);
}
