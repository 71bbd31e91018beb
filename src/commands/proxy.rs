//! `orrery proxy`: serves one device's workers. The other commands start it as needed.

use crate::Verdict;
use anyhow::{Context, Result, anyhow};
use clap::Args;
use proxy::{Daemon, device, place};
use std::time::Duration;

#[derive(Args)]
pub struct ProxyArgs {
    /// The device, as `orrery devices` names it
    #[arg(long, value_name = "D")]
    pub device: String,
    /// End after so many seconds without a job [default: never]
    #[arg(long, value_name = "S")]
    pub linger_s: Option<u64>,
}

/// Serves until it is told to stop.
pub fn run(args: &ProxyArgs) -> Result<Verdict> {
    let device = device::find(&args.device).map_err(|sentence| anyhow!(sentence))?;
    let socket = place::socket(&device.name)?;
    let linger = args.linger_s.map(Duration::from_secs);
    Daemon::run(Box::new(move || device.open()), &socket, linger).context("serving the device")?;
    Ok(Verdict::Done)
}

/// The command line that starts a device's proxy for a while.
pub fn start_command(device: &str) -> Result<Vec<String>> {
    let own = std::env::current_exe()?.to_string_lossy().into_owned();
    Ok(vec![own, "proxy".into(), "--device".into(), device.into(), "--linger-s".into(), "30".into()])
}
