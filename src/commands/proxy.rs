//! `orrery proxy`: serves one device's workers. The other commands start it as needed.

use crate::Verdict;
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use proxy::control::{self, Order};
use proxy::turns::{Sharing, Turns};
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
    /// End the one that runs instead; its programs lose the device
    #[arg(long)]
    pub stop: bool,
    #[command(flatten)]
    pub sharing: SharingArgs,
}

/// How the programs on a device share it.
#[derive(Args, Clone, Copy, Default)]
pub struct SharingArgs {
    /// Programs on the device take turns of so many milliseconds, each with the whole memory [default: side by side]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub quantum_ms: Option<u64>,
    /// Give programs no more of the device's memory than this
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub memory_mib: Option<u64>,
}

impl SharingArgs {
    /// What it means.
    pub fn sharing(self) -> Sharing {
        let quantum_us = self.quantum_ms.map(|quantum| quantum.saturating_mul(1000));
        Sharing { quantum_us, memory: self.memory_mib.map(|memory| memory.saturating_mul(1 << 20)) }
    }
}

/// Serves until it is told to stop.
pub fn run(args: &ProxyArgs) -> Result<Verdict> {
    let device = device::find(&args.device).map_err(|sentence| anyhow!(sentence))?;
    let socket = place::socket(&device.name)?;
    if args.stop {
        control::give(&socket, &Order::Stop).with_context(|| format!("no proxy serves {}", device.name))?;
        return Ok(Verdict::Done);
    }
    let linger = args.linger_s.map(Duration::from_secs);
    let turns = Turns::new(args.sharing.sharing(), device.memory);
    let model = model(&device);
    Daemon::run(Box::new(move || device.open()), turns, model, &socket, linger).context("serving the device")?;
    Ok(Verdict::Done)
}

/// What a device is, in words.
pub fn model(device: &device::Listed) -> String {
    format!("{} ({})", device.model, device.kind)
}

/// The command line that starts a device's proxy for a while.
pub fn start_command(device: &str, sharing: SharingArgs) -> Result<Vec<String>> {
    let own = std::env::current_exe()?.to_string_lossy().into_owned();
    let mut command = vec![own, "proxy".into(), "--device".into(), device.into(), "--linger-s".into(), "30".into()];
    for (option, value) in [("--quantum-ms", sharing.quantum_ms), ("--memory-mib", sharing.memory_mib)] {
        command.extend(value.into_iter().flat_map(|value| [option.into(), value.to_string()]));
    }
    Ok(command)
}

/// Checks that a device's proxy, which may have been there before, shares the device as is wanted now.
pub fn agree(device: &str, wanted: SharingArgs) -> Result<()> {
    let sharing = control::give(&place::socket(device)?, &Order::Status)?.sharing;
    let differs = |own: Option<u64>, wanted: Option<u64>| wanted.is_some() && own != wanted;
    let wanted = wanted.sharing();
    if differs(sharing.quantum_us, wanted.quantum_us) || differs(sharing.memory, wanted.memory) {
        bail!(
            "the proxy of {device} runs already, and shares it otherwise ({}); end its jobs and it ends after 30 s",
            describe(sharing)
        );
    }
    Ok(())
}

/// How a device is shared, for people.
pub fn describe(sharing: Sharing) -> String {
    let turns = sharing.quantum_us.map_or("side by side".into(), |us| format!("in turns of {} ms", us as f64 / 1e3));
    sharing.memory.map_or(turns.clone(), |memory| format!("{turns}, {} MiB", memory >> 20))
}
