//! A job's processes, as one.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// How long stopping may take: a process in a disk wait stops when that is over.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// What `/proc` tells of a process.
struct Process {
    parent: i32,
    state: char,
    session: i32,
}

fn processes() -> BTreeMap<i32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

fn parse(stat: &str) -> Option<Process> {
    // The name is in parentheses and may hold any character, those among them.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    Some(Process { parent, state, session })
}

/// The processes that come from `root`, itself first: its children and theirs, and those of its session that lost their parent.
pub fn members(root: i32) -> Vec<i32> {
    let all = processes();
    let descends = |pid: i32| {
        let mut at = pid;
        while let Some(process) = all.get(&at) {
            if at == root || process.session == root {
                return true;
            }
            at = process.parent;
        }
        false
    };
    let mut found: Vec<i32> =
        all.iter().filter(|(pid, process)| process.state != 'Z' && descends(**pid)).map(|(pid, _)| *pid).collect();
    found.sort_by_key(|pid| (*pid != root, *pid));
    found
}

/// The processes that have this variable with this value.
pub(crate) fn bearing(variable: &str) -> Vec<i32> {
    let bears = |pid: &i32| {
        // Empty for those that are dead already.
        let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|own| own == variable.as_bytes())
    };
    processes().into_keys().filter(bears).collect()
}

/// Stops all of them, and returns when every one of their threads stands still: who was forked meanwhile, too.
///
/// # Errors
/// One does not stop.
pub fn stop(root: i32) -> io::Result<Vec<i32>> {
    let began = Instant::now();
    let mut before = Vec::new();
    loop {
        let now = members(root);
        for generation in generations(root, &now) {
            generation.iter().for_each(|pid| signal(*pid, Signal::STOP));
            // A parent is told that its children stopped. It must have taken that in before it stops itself: CRIU cannot work on
            // a stopped process with a signal on the way.
            if generation != [root] && before != now {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        // Twice the same, all of them stopped: then nobody was left to fork.
        if now == before && now.iter().all(|pid| stands_still(*pid)) {
            return if now.is_empty() { Err(io::Error::other("the job has ended")) } else { Ok(now) };
        }
        if began.elapsed() > STOP_TIMEOUT {
            signal_all(root, Signal::CONT);
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("processes of {root} do not stop: {now:?}")));
        }
        before = now;
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// The processes by how far they are from the root, the farthest first.
fn generations(root: i32, pids: &[i32]) -> Vec<Vec<i32>> {
    let all = processes();
    let depth = |pid: i32| {
        let parents = std::iter::successors(Some(pid), |at| all.get(at).map(|process| process.parent));
        parents.take_while(|at| *at != root && *at > 1).count()
    };
    let mut by_depth: BTreeMap<usize, Vec<i32>> = BTreeMap::new();
    for pid in pids {
        by_depth.entry(depth(*pid)).or_default().push(*pid);
    }
    by_depth.into_values().rev().collect()
}

fn stands_still(pid: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let stats = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    stats.filter_map(|stat| parse(&stat)).all(|thread| matches!(thread.state, 'T' | 't' | 'Z' | 'X'))
}

/// Sends a signal to all of them.
pub fn signal_all(root: i32, which: Signal) {
    for pid in members(root) {
        signal(pid, which);
    }
}

pub(crate) fn signal(pid: i32, which: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, which);
    }
}

/// The host's number of the process that a namespace under `init` calls `inner`.
pub fn in_namespace(init: i32, inner: i32) -> Option<i32> {
    members(init).into_iter().find(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let mut numbers = line.split_whitespace();
        numbers.clone().count() > 1 && numbers.next_back() == Some(&inner.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Does not outlive a test that fails.
    struct Shell(std::process::Child);

    impl Drop for Shell {
        fn drop(&mut self) {
            signal_all(self.0.id() as i32, Signal::KILL);
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_tree_that_forks_all_the_time_stands_still() {
        let shell = Shell(Command::new("/bin/sh").args(["-c", "while :; do /bin/true; done"]).spawn().unwrap());
        let root = shell.0.id() as i32;
        std::thread::sleep(Duration::from_millis(50));
        let stopped = stop(root).unwrap();
        assert_eq!(stopped[0], root);
        std::thread::sleep(Duration::from_millis(20));
        assert!(stopped.iter().all(|pid| stands_still(*pid)));
        assert_eq!(members(root), stopped);
    }
}
