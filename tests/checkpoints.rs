//! Jobs on proxied OpenCL devices to files and back, at random instants, and from device to device.
//!
//! Needs OpenCL devices and programs that use them. `.ci/run` installs them; what is not there is SKIPPED.

mod site;

use site::{checkpoints, criu, ended, finished, fpga, lines, pocl, python, training, wait_for};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Kernels that wait for one another on a channel, from a binary, natively and through the proxy, and through a checkpoint.
#[test]
fn channels_between_kernels_carry_the_same_numbers() {
    let Some((python, site)) = python().zip(fpga()) else { return };
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/executor/opencl/tests/programs/channels.py");
    ended(&site.native(&python, &[program, "native", "80", "--save-binary", "design"]));
    let args = [program, "proxied", "80", "--binary", "design", "--pause", "0.01"];
    let running = site.exec(&python, &args).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the first rounds", || (lines(&site.path("proxied")) > 5).then_some(()));
    let (again, done) = ("try again", |output: &Output| output.status.success());
    let mut saved = site.orrery(&["checkpoint", &site.job(), "store"]).output().unwrap();
    // Between two launches of the program's nothing ends a kernel that waits.
    for _ in 0..3 {
        if !done(&saved) && String::from_utf8_lossy(&saved.stderr).contains(again) {
            saved = site.orrery(&["checkpoint", &site.job(), "store"]).output().unwrap();
        }
    }
    if criu() {
        ended(&saved);
        finished(running);
        ended(&site.orrery(&["restore", "store"]).output().unwrap());
    } else {
        finished(running);
    }
    assert_eq!(fs::read(site.path("proxied")).unwrap(), fs::read(site.path("native")).unwrap());
}

/// `ORRERY_CHECKPOINTS` says how many a device; the default keeps CI short.
#[test]
fn checkpoints_at_random_instants_change_nothing() {
    let Some(python) = python().filter(|_| criu()) else { return };
    let times = checkpoints();
    for site in [pocl, fpga].into_iter().filter_map(|site| site()) {
        let (train, steps) = (training(), 200 + times * 150);
        ended(&site.native(&python, &[&train, "native", &steps.to_string()]));
        let running = site.exec(&python, &[&train, "proxied", &steps.to_string(), "--pause", "0.004"]).spawn().unwrap();
        site.disturb(running, "proxied", steps, times);
        assert_eq!(fs::read(site.path("proxied")).unwrap(), fs::read(site.path("native")).unwrap(), "{}", site.device);
    }
}

#[test]
fn a_tree_of_processes_is_saved_as_one() {
    let Some(python) = python().filter(|_| criu()) else { return };
    let Some(site) = pocl() else { return };
    let train = training();
    ended(&site.native(&python, &[&train, "native", "700"]));
    let run = |losses: &str| format!("{} {train} {losses} 700 --pause 0.002", python.display());
    let script = format!("{} & {}; wait", run("one"), run("other"));
    let running =
        site.exec(Path::new("/bin/sh"), &["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the first steps", || (lines(&site.path("one")) > 5 && lines(&site.path("other")) > 5).then_some(()));
    ended(&site.orrery(&["checkpoint", &site.job(), "store"]).output().unwrap());
    finished(running);
    // More than once, as often as one likes.
    for _ in 0..2 {
        ended(&site.orrery(&["restore", "store"]).stdout(Stdio::null()).output().unwrap());
        let native = fs::read(site.path("native")).unwrap();
        assert_eq!((fs::read(site.path("one")).unwrap(), fs::read(site.path("other")).unwrap()), (native.clone(), native));
    }
}

#[test]
fn a_job_moves_between_devices_while_it_runs() {
    let Some(python) = python() else { return };
    let Some(mut site) = pocl() else { return };
    site.device = "opencl:0.0";
    let several = |mut command: Command| {
        command.env("POCL_DEVICES", "pthread pthread");
        command
    };
    let train = training();
    ended(&several(site.command(&python)).args([&train, "native", "1500"]).output().unwrap());
    let running = several(site.exec(&python, &[&train, "proxied", "1500", "--pause", "0.001"])).spawn().unwrap();
    wait_for("the first steps", || (lines(&site.path("proxied")) > 5).then_some(()));
    let job = site.job();
    for device in ["opencl:0.1", "opencl:0.0", "opencl:0.1"] {
        let moved = several(site.orrery(&["migrate", &job, "--device", device])).output().unwrap();
        ended(&moved);
        println!("migrate: {}", String::from_utf8_lossy(&moved.stdout).trim());
        let lines_then = lines(&site.path("proxied"));
        wait_for("a step on the other device", || (lines(&site.path("proxied")) > lines_then).then_some(()));
    }
    ended(&site.orrery(&["pause", &job]).output().unwrap());
    let paused = lines(&site.path("proxied"));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(lines(&site.path("proxied")), paused);
    ended(&site.orrery(&["resume", &job]).output().unwrap());
    finished(running);
    assert_eq!(fs::read(site.path("proxied")).unwrap(), fs::read(site.path("native")).unwrap());
}

#[test]
fn a_checkpoint_that_fails_leaves_the_previous_one_and_the_job() {
    let Some(python) = python().filter(|_| criu()) else { return };
    let Some(site) = pocl() else { return };
    let train = training();
    ended(&site.native(&python, &[&train, "native", "1500"]));
    let running = site.exec(&python, &[&train, "proxied", "1500", "--pause", "0.004"]).spawn().unwrap();
    wait_for("the first steps", || (lines(&site.path("proxied")) > 5).then_some(()));
    let job = site.job();
    ended(&site.orrery(&["checkpoint", &job, "store", "--keep"]).output().unwrap());
    // What would have to go there cannot.
    fs::rename(site.path("store/chunks"), site.path("store/kept")).unwrap();
    fs::write(site.path("store/chunks"), "").unwrap();
    let failed = site.orrery(&["checkpoint", &job, "store"]).output().unwrap();
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(said.contains("the previous checkpoint is intact; the job goes on"), "{said}");
    finished(running);
    assert_eq!(fs::read(site.path("proxied")).unwrap(), fs::read(site.path("native")).unwrap());
    fs::remove_file(site.path("store/chunks")).unwrap();
    fs::rename(site.path("store/kept"), site.path("store/chunks")).unwrap();
    ended(&site.orrery(&["restore", "store"]).output().unwrap());
    assert_eq!(fs::read(site.path("proxied")).unwrap(), fs::read(site.path("native")).unwrap());
}

/// Devices of one runtime that are not alike: a job that was on one does not go on on the other, and is told why.
#[test]
fn a_job_goes_on_on_devices_of_its_model_only() {
    let Some(mut site) = pocl().filter(|_| criu()) else { return };
    site.device = "opencl:0.1";
    let several = |mut command: Command| {
        command.env("POCL_DEVICES", "pthread basic");
        command
    };
    let script = "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i >>steps; sleep 0.05; done";
    let running = several(site.exec(Path::new("/bin/sh"), &["-c", script])).spawn().unwrap();
    wait_for("the first steps", || (lines(&site.path("steps")) > 3).then_some(()));
    let job = site.job();
    let refused = |mut command: Command| {
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("the job was on a pthread") && said.contains("this device is a basic"), "{said}");
    };
    refused(several(site.orrery(&["migrate", &job, "--device", "opencl:0.0"])));
    ended(&several(site.orrery(&["checkpoint", &job, "store"])).output().unwrap());
    finished(running);
    refused(several(site.orrery(&["restore", "store", "--device", "opencl:0.0"])));
    ended(&several(site.orrery(&["restore", "store", "--device", "opencl:0.1"])).output().unwrap());
    assert_eq!(lines(&site.path("steps")), 100);
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().unwrap().len() }).sum()
}

/// Two replicas write to one store at the same time, again and again, and one of these commands is killed half-way.
#[test]
fn replicas_share_a_store_and_what_is_equal_is_there_once() {
    let Some(python) = python().filter(|_| criu()) else { return };
    let Some(site) = pocl() else { return };
    let train = training();
    ended(&site.native(&python, &[&train, "native", "1500"]));
    let names = ["one", "other"];
    let running = names.map(|name| {
        let mut command = site.orrery(&["exec", "--device", site.device, "--name", name, "--"]);
        command.arg(&python).args([&train, name, "1500", "--pause", "0.004"]).stderr(Stdio::null()).spawn().unwrap()
    });
    wait_for("both", || names.iter().all(|name| lines(&site.path(name)) > 5).then_some(()));
    let checkpoint = |name: &str, store: &str, more: &[&str]| {
        let mut command = site.orrery(&["checkpoint", name, store]);
        command.args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let costs = |child: Child| -> serde_json::Value {
        let output = child.wait_with_output().unwrap();
        ended(&output);
        println!("{}", String::from_utf8_lossy(&output.stdout).trim());
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let together = |more: &[&str]| names.map(|name| checkpoint(name, "store", more)).map(costs);
    costs(checkpoint("one", "store", &["--keep"]));
    let alone = size(&site.path("store"));
    let second = costs(checkpoint("other", "store", &["--keep"]));
    let bytes = |name: &str| second[name].as_u64().unwrap();
    assert!(bytes("new_bytes") * 10 < bytes("bytes"), "of device memory a replica adds next to nothing: {second}");
    together(&["--keep"]);
    let mut killed = checkpoint("one", "store", &["--keep"]);
    std::thread::sleep(Duration::from_millis(60));
    killed.kill().unwrap();
    killed.wait().unwrap();
    ended(&site.orrery(&["resume", "one"]).output().unwrap());
    together(&[]);
    running.into_iter().for_each(finished);
    let both = size(&site.path("store"));
    println!("one replica {alone} bytes, after four checkpoints of two {both}");
    let mut entries = fs::read_dir(site.path("store")).unwrap().flatten();
    assert!(!entries.any(|entry| entry.path().extension().is_some()), "a spool of the command that was killed");
    // Processes grow as they run, and share little; eight checkpoints side by side would be eight times as much.
    assert!(both * 2 < alone * 5, "{both} bytes for two, {alone} for one");
    let unnamed = site.orrery(&["restore", "store"]).output().unwrap();
    let said = String::from_utf8_lossy(&unnamed.stderr).into_owned();
    assert!(said.contains("name one with --job: one, other"), "{said}");
    let restored = names.map(|name| site.orrery(&["restore", "store", "--job", name]).stdout(Stdio::null()).spawn().unwrap());
    restored.into_iter().for_each(finished);
    let native = fs::read(site.path("native")).unwrap();
    for name in names {
        assert_eq!(fs::read(site.path(name)).unwrap(), native, "{name}");
    }
}
