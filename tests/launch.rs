//! A policy that preempts, on jobs whose device a proxy drives: checkpoints instead of signals, and the same bits.

mod site;

use site::{Site, criu, ended, lines, pocl, python, training};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

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

/// A family of whose members some get away: from the group, the session, their parents, the environment.
fn family(nap: &str) -> String {
    format!(
        "sleep {nap} & setsid sleep {nap} & (setsid sh -c 'sleep {nap} & exit' &) ; \
         env -i setsid sh -c 'sleep {nap} & wait' & sleep {nap}; wait"
    )
}

/// Processes with such a word on their command lines.
fn with_word(word: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(word)).collect()
}

/// However `launch` ends, nothing of its jobs is left: of those that it runs itself, and of those on proxied devices.
#[test]
fn a_killed_launch_leaves_no_process_behind() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    for (signal, proxied) in [("KILL", false), ("TERM", false), ("INT", true), ("KILL", true)] {
        let site = if proxied { pocl().filter(|_| criu()) } else { Some(site::site("none", "/nowhere".into(), None)) };
        let Some(site) = site else { continue };
        let nap = format!("98{:07}.{}", std::process::id(), signal.len() + usize::from(proxied));
        let device = if proxied { "device = 'opencl:0.0'\n" } else { "" };
        let job = |name: &str| format!("[[job]]\nname = '{name}'\ncommand = ['sh', '-c', '''{}''']\n{device}", family(&nap));
        fs::write(site.path("jobs.toml"), job("one") + &job("other")).unwrap();
        let out = folder.path().join(&nap).display().to_string();
        let args = ["launch", "jobs.toml", "--nodes", "1x2", "--policy", "fifo", "--out", &out];
        let mut launch = site.orrery(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Five of each sleep.
        site::wait_for("the families", || {
            (with_word(&nap).iter().filter(|line| line.starts_with("sleep ")).count() >= 10).then_some(())
        });
        ended(&Command::new("kill").args([&format!("-{signal}"), &launch.id().to_string()]).output().unwrap());
        assert!(!launch.wait().unwrap().success());
        site::wait_for("the end of all", || with_word(&nap).is_empty().then_some(()));
        if proxied {
            site::wait_for("their folders to be removed", || site.jobs().is_empty().then_some(()));
        }
    }
}
