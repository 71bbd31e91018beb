//! `orrery keep`: takes CRIU's place once a job's processes are made again. CRIU itself would not say how they end.

use crate::Verdict;
use anyhow::{Result, bail};
use clap::Args;
use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};

#[derive(Args)]
pub struct KeepArgs {
    /// The process, which is a child of this one
    pub pid: i32,
}

/// Waits, also for what lost its parents, and ends as the process does: its code, or 128 and the signal that killed it.
pub fn run(args: &KeepArgs) -> Result<Verdict> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_pid() == args.pid => {
                let code = status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal));
                std::process::exit(code.unwrap_or(1));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => bail!("process {} is no child of this one: {error}", args.pid),
        }
    }
}
