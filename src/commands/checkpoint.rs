//! `orrery checkpoint`, `restore`, `pause`, `resume`, `migrate`: a running job to files and back, and elsewhere.

use super::exec;
use super::proxy::{SharingArgs, start_command};
use crate::Verdict;
use anyhow::{Context, Result, anyhow};
use clap::Args;
use proxy::checkpoint::{self, Costs};
use proxy::job::Job;
use proxy::restore::{self, Commands};
use proxy::{device, migrate, tree};
use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

#[derive(Args)]
pub struct CheckpointArgs {
    /// The job, as `orrery devices` names it
    pub job: String,
    /// Where to: a folder, file://PATH or s3://BUCKET/PREFIX; it takes many jobs' checkpoints, at the same time and one after the other
    pub store: String,
    /// Let the job go on afterwards
    #[arg(long)]
    pub keep: bool,
}

#[derive(Args)]
pub struct RestoreArgs {
    /// Where checkpoints are: a folder, file://PATH or s3://BUCKET/PREFIX
    pub store: String,
    /// The job, as it was named [default: the only one there]
    #[arg(long, value_name = "NAME")]
    pub job: Option<String>,
    /// Another device of the same type [default: the one that it was on]
    #[arg(long, value_name = "D")]
    pub device: Option<String>,
    #[command(flatten)]
    pub sharing: SharingArgs,
}

#[derive(Args)]
pub struct JobArgs {
    /// The job, as `orrery devices` names it
    pub job: String,
}

#[derive(Args)]
pub struct MigrateArgs {
    /// The job, as `orrery devices` names it
    pub job: String,
    /// Where to
    #[arg(long, value_name = "D")]
    pub device: String,
}

/// Writes a job to a folder and prints what that took.
pub fn save(args: &CheckpointArgs) -> Result<Verdict> {
    let job = Job::find(&args.job)?;
    go_on_when_interrupted(job.pid);
    let costs = checkpoint::save(&job, &args.store, args.keep).context("checkpoint")?;
    print(&costs)
}

/// A command that is told to end half-way must not leave the job standing.
fn go_on_when_interrupted(pid: i32) {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            tree::signal_all(pid, Signal::CONT);
            eprintln!("error: interrupted; the job goes on, and the previous checkpoint, if there is one, is intact");
            std::process::exit(128 + signal);
        }
    });
}

/// Makes a job again and runs it to its end.
pub fn load(args: &RestoreArgs) -> Result<Verdict> {
    let device = args.device.as_deref().map(device::find).transpose().map_err(|sentence| anyhow!(sentence))?;
    let name = device.map(|device| device.name);
    let start = |device: &str| start_command(device, args.sharing).unwrap_or_default();
    let keep = vec![std::env::current_exe()?.to_string_lossy().into_owned(), "keep".into()];
    let restored = restore::load(&args.store, args.job.as_deref(), name.as_deref(), &Commands { proxy: &start, keep })
        .context("restore")?;
    exec::attend(restored.keeper, restored.job.folder()?)
}

/// Stops a job where it is.
pub fn pause(args: &JobArgs) -> Result<Verdict> {
    checkpoint::pause(&Job::find(&args.job)?)?;
    Ok(Verdict::Done)
}

/// Lets it go on.
pub fn resume(args: &JobArgs) -> Result<Verdict> {
    checkpoint::resume(&Job::find(&args.job)?)?;
    Ok(Verdict::Done)
}

/// Moves a job to another device.
pub fn move_on(args: &MigrateArgs) -> Result<Verdict> {
    let device = device::find(&args.device).map_err(|sentence| anyhow!(sentence))?.name;
    let start = |device: &str| start_command(device, SharingArgs::default()).unwrap_or_default();
    print(&migrate::migrate(&mut Job::find(&args.job)?, &device, &start).context("migrate")?)
}

fn print(costs: &Costs) -> Result<Verdict> {
    println!("{}", serde_json::to_string(costs)?);
    Ok(Verdict::Done)
}
