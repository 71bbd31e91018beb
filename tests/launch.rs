//! A policy that preempts, on jobs whose device a proxy drives: checkpoints instead of signals, and the same bits.

mod site;

use site::{Site, criu, ended, lines, pocl, python, training};
use std::fs;
use std::path::Path;

/// A long job and shorter ones that come while it runs: the policy takes the device from it for each of them.
fn jobs(python: &Path, folder: &Path, device: &str) -> String {
    let job = |name: &str, steps: u32, submit: &str, estimate: &str| {
        format!(
            "[[job]]\nname = '{name}'\ncommand = ['{}', '{}', '{name}', '{steps}', '--pause', '0.004']\nsubmit = '{submit}'\n\
             estimate = '{estimate}'\ndir = '{}'\ndevice = '{device}'\n",
            python.display(),
            training(),
            folder.display()
        )
    };
    let short = |i: u32| job(&format!("short {i}"), 60, &format!("{}s", 4 + 6 * i), "1s");
    job("long", 1500, "0s", "1h") + &(0..3).map(short).collect::<String>()
}

fn launch(site: &Site, device: &str) -> serde_json::Value {
    let Some(python) = python() else { unreachable!("looked for before") };
    fs::write(site.path("jobs.toml"), jobs(&python, site.folder.path(), device)).unwrap();
    let own = site.orrery(&["devices", "--output", "json"]).output().unwrap();
    let devices: serde_json::Value = serde_json::from_slice(&own.stdout).unwrap();
    let name = devices[0]["device"].as_str().unwrap().to_owned();
    let args = ["launch", "jobs.toml", "--nodes", "1x1", "--policy", "srtf", "--out", "runs", "--output", "json", "--device"];
    let output = site.orrery(&args).arg(name).output().unwrap();
    ended(&output);
    ended(&site.orrery(&["replay", "runs/srtf"]).output().unwrap());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_policy_that_preempts_changes_no_bit() {
    let Some(python) = python().filter(|_| criu()) else { return };
    let Some(site) = pocl() else { return };
    let train = training();
    ended(&site.native(&python, &[&train, "native long", "1500"]));
    ended(&site.native(&python, &[&train, "native short", "60"]));
    let summary = launch(&site, "granted");
    println!("{summary}");
    let text = summary.to_string();
    assert_eq!(lines(&site.path("long")), 1501, "{text}");
    assert_eq!(fs::read(site.path("long")).unwrap(), fs::read(site.path("native long")).unwrap());
    for i in 0..3 {
        assert_eq!(fs::read(site.path(&format!("short {i}"))).unwrap(), fs::read(site.path("native short")).unwrap());
    }
    let preemptions = summary["preemptions"].as_u64().unwrap_or_default();
    assert!(preemptions >= 1, "{text}");
    assert!(site.jobs().is_empty(), "nothing of them is left");
}

/// A job that fails after it was restored has failed with its own code.
#[test]
fn a_restored_program_ends_as_it_does() {
    if !criu() {
        return;
    }
    let Some(site) = pocl() else { return };
    let script = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i >>steps; sleep 0.05; done; exit 7";
    let mut running = site.exec(Path::new("/bin/sh"), &["-c", script]).spawn().unwrap();
    site::wait_for("the first steps", || (lines(&site.path("steps")) > 3).then_some(()));
    ended(&site.orrery(&["checkpoint", &site.job(), "store"]).output().unwrap());
    assert!(running.wait().unwrap().success());
    let restored = site.orrery(&["restore", "store"]).output().unwrap();
    assert_eq!(restored.status.code(), Some(7), "{}", String::from_utf8_lossy(&restored.stderr));
    assert_eq!(lines(&site.path("steps")), 40);
}
