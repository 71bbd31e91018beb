//! `orrery exec`: an unmodified program on a proxied accelerator.

use super::proxy::start_command;
use crate::Verdict;
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use proxy::control::Order;
use proxy::device;
use proxy::job::{self, Job};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::ExitStatus;

/// The shared library that programs load as their OpenCL driver.
const DRIVER: &str = "liborrery_opencl.so";

#[derive(Args)]
pub struct ExecArgs {
    /// The device, as `orrery devices` names it, or a part of its model that only it has
    #[arg(long, value_name = "D")]
    pub device: String,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM ARGS")]
    pub program: Vec<String>,
}

/// Runs the program to its end and ends as it did.
pub fn run(args: &ExecArgs) -> Result<Verdict> {
    let device = device::find(&args.device).map_err(|sentence| anyhow!(sentence))?.name;
    let folder = job::prepare(&driver()?).context("preparing the job's folder")?;
    let result = supervise(&device, folder.clone(), &args.program);
    // Whatever happened, nothing of the job stays.
    let _ = proxy::control::give(&proxy::place::socket(&device)?, &Order::Detach(folder.clone()));
    let _ = std::fs::remove_dir_all(&folder);
    end_as(result?)
}

fn supervise(device: &str, folder: PathBuf, program: &[String]) -> Result<ExitStatus> {
    job::order(device, &start_command(device)?, &Order::Attach(folder.clone()))?;
    let (name, args) = program.split_first().context("no program")?;
    let mut command = job::command(&folder, name, args);
    let mut child = command.process_group(0).spawn().with_context(|| format!("starting {name}"))?;
    let job = Job {
        name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        device: device.into(),
        program: program.to_vec(),
        pid: child.id() as i32,
    };
    job.note()?;
    Ok(child.wait()?)
}

/// Ends with the program's exit code, or 128 and the signal that killed it, as shells do.
fn end_as(status: ExitStatus) -> Result<Verdict> {
    match status.code().or(status.signal().map(|signal| 128 + signal)) {
        Some(0) | None => Ok(Verdict::Done),
        Some(code) => std::process::exit(code),
    }
}

/// The driver lies beside this executable: where cargo puts it, or where an installation does.
pub fn driver() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("ORRERY_OPENCL_DRIVER") {
        return Ok(named.into());
    }
    let own = std::env::current_exe()?;
    let beside = own.parent().context("this executable has no folder")?;
    let candidates = [beside.join("deps").join(DRIVER), beside.join(DRIVER), beside.join("../lib/orrery").join(DRIVER)];
    match candidates.iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => bail!(
            "{DRIVER} not found in {} (build it: cargo build --release -p orrery-opencl; then copy it beside the executable)",
            beside.display()
        ),
    }
}
