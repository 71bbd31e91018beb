//! Nothing outlives the executor.

use rustix::process::Pid;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Reads `+ GROUP` and `- GROUP` until its input ends, which it does when its parent is gone; then kills what is left: those
/// groups, and every process that bears the run's mark (`$1`) in its environment or comes from one that does. Device proxies, which
/// serve others, too, say that they are meant to stay.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
live=' '
while read -r change group; do
    case $change in
        +) live="$live$group " ;;
        -) live="${live%% "$group" *} ${live#* "$group" }" ;;
    esac
done
bear() { echo " $(grep -lsF "$1=" /proc/[0-9]*/environ | tr -cd '0-9\n' | tr '\n' ' ') "; }
find_all() {
    found=$(bear "$1") staying=$(bear ORRERY_STAYS) before=
    while [ "$found" != "$before" ]; do
        before=$found
        for process in /proc/[0-9]*; do
            number=${process#/proc/}
            case "$found$staying" in *" $number "*) continue ;; esac
            { read -r line <"$process/stat"; } 2>/dev/null || continue
            rest=${line##*) } state=${rest%% *} rest=${rest#* } parent=${rest%% *}
            [ "$state" = Z ] && continue
            case $found in *" $parent "*) found="$found$number " ;; esac
        done
    done
}
tries=0
while [ "$tries" -lt 500 ]; do
    # Before the groups die: who is whose child is known only as long as both live.
    find_all "$1"
    for group in $live; do
        kill -KILL "-$group"
    done
    case $found in
        *[0-9]*) ;;
        *) [ "$tries" -gt 0 ] && break ;;
    esac
    for number in $found; do
        kill -KILL "$number"
    done
    live= tries=$((tries + 1))
done
"#;

/// A process that ends every process of the jobs when this process ends, be it by `SIGKILL`: process groups, what left its group,
/// what lost its parents, what changed its environment.
///
/// A parent-death signal would have to be set between fork and exec, would reach the leader of a group alone, and is lost
/// when a program changes its user. Should somebody kill the guard itself, the run goes on without it.
pub(crate) struct Guard {
    shell: Mutex<Child>,
    mark: String,
}

impl Guard {
    pub(crate) fn start() -> io::Result<Guard> {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        // A variable of its own for every run, so that a run within a job bears both marks.
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let mark = format!("ORRERY_RUN_{}_{}_{since}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
        let mut command = Command::new("/bin/sh");
        // A group of its own, so that a Ctrl-C at the terminal is not for it.
        command.args(["-c", SCRIPT, "orrery-guard", &mark]).process_group(0);
        let shell = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Guard { shell: Mutex::new(shell), mark })
    }

    /// Marks a command, and so all that will come from it.
    pub(crate) fn mark(&self, command: &mut Command) {
        command.env(&self.mark, "1");
    }

    /// A group began to live. Call it as soon as its process was made.
    pub(crate) fn watch(&self, group: Pid) {
        self.tell('+', group);
    }

    /// A group is no more. Call it before its leader is waited for: until then nobody else can get its number.
    pub(crate) fn forget(&self, group: Pid) {
        self.tell('-', group);
    }

    fn tell(&self, change: char, group: Pid) {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipe) = &mut shell.stdin {
            // One write, so that lines do not mix. It fails only if the guard was killed.
            let _ = pipe.write_all(format!("{change} {}\n", group.as_raw_nonzero()).as_bytes());
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let shell = self.shell.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(shell.stdin.take());
        let _ = shell.wait();
    }
}
