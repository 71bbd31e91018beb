//! `orrery exec`: an unmodified program on a proxied accelerator.

use super::proxy::{SharingArgs, agree, model, start_command};
use crate::Verdict;
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use proxy::checkpoint::in_own_session;
use proxy::control::Order;
use proxy::device::{self, Api};
use proxy::job::{self, Job};
use proxy::{binary, facade, tree};
use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};

#[derive(Args)]
pub struct ExecArgs {
    /// The device, as `orrery devices` names it, or a part of its model that only it has
    #[arg(long, value_name = "D")]
    pub device: String,
    #[command(flatten)]
    pub sharing: SharingArgs,
    /// The job's name for other commands [default: one is made up]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM ARGS")]
    pub program: Vec<String>,
}

/// Runs the program to its end and ends as it did.
pub fn run(args: &ExecArgs) -> Result<Verdict> {
    let found = device::find(&args.device).map_err(|sentence| anyhow!(sentence))?;
    let (device, model) = (found.name.clone(), model(&found));
    let api = device::api(&device);
    let name = args.program.first().map_or("", String::as_str);
    if api == Api::Cuda && binary::has_static_cuda_runtime(name) {
        bail!(
            "{name} links the CUDA runtime statically, so its calls cannot be forwarded; build it with `nvcc -cudart shared`"
        );
    }
    let folder = job::prepare(api, &driver(api)?, args.name.as_deref()).context("preparing the job's folder")?;
    match start(&device, model, args.sharing, &folder, &args.program) {
        Ok(child) => attend(child, folder),
        Err(error) => {
            let _ = proxy::control::give(&proxy::place::socket(&device)?, &Order::Detach(folder.clone()));
            let _ = std::fs::remove_dir_all(&folder);
            Err(error)
        }
    }
}

fn start(device: &str, model: String, sharing: SharingArgs, folder: &Path, program: &[String]) -> Result<Child> {
    job::order(
        device,
        &start_command(device, sharing)?,
        &Order::Attach { job: folder.to_owned(), model, keeper: std::process::id() },
    )?;
    agree(device, sharing)?;
    let (name, args) = program.split_first().context("no program")?;
    let mut command = job::command(device::api(device), folder, name, args);
    let child = in_own_session(&mut command).spawn().with_context(|| format!("starting {name}"))?;
    let job = Job {
        name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        device: device.into(),
        program: program.to_vec(),
        pid: child.id() as i32,
        namespace: None,
        keeper: std::process::id(),
    };
    job.note()?;
    Ok(child)
}

/// Waits for a job's process and ends as it did. Nothing of the job stays.
pub fn attend(mut child: Child, folder: PathBuf) -> Result<Verdict> {
    pass_signals_on(&folder);
    let status = child.wait()?;
    let saved = std::fs::read_to_string(folder.join("saved"));
    // It may have moved meanwhile.
    if let Some(job) = folder.file_name().and_then(|name| Job::find(&name.to_string_lossy()).ok()) {
        let _ = proxy::control::give(&proxy::place::socket(&job.device)?, &Order::Detach(folder.clone()));
    }
    let _ = std::fs::remove_dir_all(&folder);
    if let Ok(checkpoint) = saved {
        let name = folder.file_name().unwrap_or_default().display();
        eprintln!("the job was written to {checkpoint}; `orrery restore {checkpoint} --job {name}` continues it");
        return Ok(Verdict::Done);
    }
    end_as(status)
}

/// The job has a session of its own, so what is meant for it arrives here.
fn pass_signals_on(folder: &Path) {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT]) else { return };
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if let (Ok(job), Some(signal)) = (Job::find(&name), Signal::from_named_raw(signal)) {
                tree::signal_all(job.pid, signal);
            }
        }
    });
}

/// Ends with the program's exit code, or 128 and the signal that killed it, as shells do.
fn end_as(status: ExitStatus) -> Result<Verdict> {
    match status.code().or(status.signal().map(|signal| 128 + signal)) {
        Some(0) | None => Ok(Verdict::Done),
        Some(code) => std::process::exit(code),
    }
}

/// The driver lies beside this executable: where cargo puts it, or where an installation does.
pub fn driver(api: Api) -> Result<PathBuf> {
    let (file, package, variable) = match api {
        Api::OpenCl => (job::OPENCL_DRIVER, "orrery-opencl", "ORRERY_OPENCL_DRIVER"),
        Api::Cuda => (facade::LIBRARY, "orrery-cuda", "ORRERY_CUDA_DRIVER"),
    };
    if let Some(named) = std::env::var_os(variable) {
        return Ok(named.into());
    }
    let own = std::env::current_exe()?;
    let beside = own.parent().context("this executable has no folder")?;
    let candidates = [beside.join("deps").join(file), beside.join(file), beside.join("../lib/orrery").join(file)];
    match candidates.iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => bail!(
            "{file} not found in {} (build it: cargo build --release -p {package}; then copy it beside the executable)",
            beside.display()
        ),
    }
}
