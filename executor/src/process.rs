//! One job's process group: started, signalled, watched and buried.

use crate::guard::Guard;
use policies::JobId;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use serde::Serialize;
use std::fmt;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

/// Watching a process takes next to no stack.
const WATCHER_STACK_BYTES: usize = 64 << 10;

/// How a process ended, or why there was none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It exited with this code; 0 is success.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// It could not be started, for this reason.
    CannotStart(String),
    /// Somebody else waited for it, so nobody knows; the system's words.
    Lost(String),
}

impl Ending {
    /// Whether the job is done.
    pub fn is_success(&self) -> bool {
        *self == Ending::Code(0)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Code(code) => write!(f, "exit code {code}"),
            Ending::Signal(signal) => write!(f, "killed by signal {signal}"),
            Ending::CannotStart(why) => write!(f, "cannot start: {why}"),
            Ending::Lost(why) => write!(f, "its exit code is lost: {why}"),
        }
    }
}

/// What happens to a process, as its watcher tells it.
#[derive(Debug)]
pub(crate) enum Fact {
    /// It runs its program.
    Spawned(Process),
    /// It goes on after a suspension.
    Resumed,
    /// The kernel suspended it.
    Stopped,
    /// The kernel let it go on.
    Continued,
    /// It is a zombie: its number stays its own until [`Process::bury`].
    Exited,
    /// The attempt is over, and no process is left.
    Ended(Ending),
    /// The command that writes the job to files has ended: whether it did that.
    Saved(bool),
    /// The job's owner does not want it any more.
    Withdrawn,
    /// Somebody wants the whole run to stop.
    Cancelled,
}

/// A child process that leads a process group and was not waited for yet.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
}

impl Process {
    /// Sets out to suspend the leader; [`Fact::Stopped`] says when it is, and is the time to [`hold`](Process::hold) the rest.
    ///
    /// The leader goes first because one that waits in `vfork` for its child to become another program cannot stop before that
    /// happened: were the child suspended with it, both would hang there. Nothing comes of it if the program changed its user:
    /// it works on, and is reported when it ends.
    pub(crate) fn stop(&self) {
        let _ = kill_process(self.group, Signal::STOP);
    }

    /// Suspends every process of the group.
    pub(crate) fn hold(&self) {
        let _ = kill_process_group(self.group, Signal::STOP);
    }

    /// Lets every process of the group go on.
    pub(crate) fn go_on(&self) {
        let _ = kill_process_group(self.group, Signal::CONT);
    }

    /// Kills every process of the group.
    ///
    /// # Errors
    /// If the program changed its user, or somebody else waited for it.
    pub(crate) fn kill(&self) -> io::Result<()> {
        Ok(kill_process_group(self.group, Signal::KILL)?)
    }

    /// Kills what is left of the group and waits for the leader, which has exited.
    pub(crate) fn bury(mut self, guard: &Guard) -> Ending {
        // The leader is a zombie, so the group's number is still taken and nobody else is hit.
        let _ = self.kill();
        guard.forget(self.group);
        match self.child.wait() {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Ending::Code(code),
                (None, signal) => Ending::Signal(signal.unwrap_or_default()),
            },
            Err(error) => Ending::Lost(error.to_string()),
        }
    }
}

/// Starts `command` in a process group of its own, on a thread of its own, and tells `facts` what becomes of it.
pub(crate) fn spawn(job: JobId, mut command: Command, guard: Arc<Guard>, facts: Sender<(JobId, Fact)>) {
    let cannot = |error: io::Error, command: &Command| {
        Fact::Ended(Ending::CannotStart(format!("{}: {error}", command.get_program().display())))
    };
    let to_loop = facts.clone();
    let watch = move || {
        // A loop that is gone has killed the process, or its guard will.
        let tell = |fact| facts.send((job, fact)).is_ok();
        guard.mark(&mut command);
        match command.process_group(0).spawn() {
            Err(error) => tell(cannot(error, &command)),
            Ok(child) => {
                let group = Pid::from_child(&child);
                guard.watch(group);
                drop((command, guard)); // The one holds the job's output files.
                tell(Fact::Spawned(Process { child, group })) && watch(group, tell)
            }
        }
    };
    let thread = thread::Builder::new().name(format!("job {}", job.0)).stack_size(WATCHER_STACK_BYTES);
    if let Err(error) = thread.spawn(watch) {
        let why = format!("no thread to watch it: {error}");
        let _ = to_loop.send((job, Fact::Ended(Ending::CannotStart(why))));
    }
}

/// Reports every change of a child's state until it exited, and leaves it to be buried.
fn watch(pid: Pid, tell: impl Fn(Fact) -> bool) -> bool {
    const STATES: WaitIdOptions = WaitIdOptions::STOPPED.union(WaitIdOptions::CONTINUED);
    let wait = |options| {
        loop {
            match waitid(WaitId::Pid(pid), options) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        }
    };
    loop {
        // First look, then take: taking an exit would free the number while the loop may still send signals to it.
        match wait(STATES | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(Some(seen)) if seen.stopped() || seen.continued() => {}
            Ok(None) => continue,
            Ok(Some(_)) | Err(_) => return tell(Fact::Exited),
        }
        let told = match wait(STATES | WaitIdOptions::NOHANG) {
            Ok(Some(taken)) if taken.stopped() => tell(Fact::Stopped),
            Ok(Some(_)) => tell(Fact::Continued),
            Ok(None) | Err(_) => true,
        };
        if !told {
            return false;
        }
    }
}
