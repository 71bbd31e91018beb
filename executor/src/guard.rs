//! Nothing outlives the executor.

use rustix::process::Pid;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Reads `+ GROUP` and `- GROUP` until its input ends, which it does when its parent is gone; then kills what is left.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
live=' '
while read -r change group; do
    case $change in
        +) live="$live$group " ;;
        -) live="${live%% "$group" *} ${live#* "$group" }" ;;
    esac
done
for group in $live; do
    kill -KILL "-$group"
done
"#;

/// A process that kills the process groups of jobs when this process ends without having done so, be it by `SIGKILL`.
///
/// A parent-death signal would have to be set between fork and exec, would reach the leader of a group alone, and is lost
/// when a program changes its user. Should somebody kill the guard itself, the run goes on without it.
pub(crate) struct Guard {
    shell: Mutex<Child>,
}

impl Guard {
    pub(crate) fn start() -> io::Result<Guard> {
        let mut command = Command::new("/bin/sh");
        // A group of its own, so that a Ctrl-C at the terminal is not for it.
        command.args(["-c", SCRIPT, "orrery-guard"]).process_group(0);
        let shell = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Guard { shell: Mutex::new(shell) })
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
