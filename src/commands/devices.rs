//! `orrery devices`: the accelerators of this machine, and what runs on them.

use super::proxy::describe;
use crate::Verdict;
use crate::cli::{ListArgs, Output};
use anyhow::Result;
use proxy::control::{self, Order};
use proxy::turns::Switching;
use proxy::{device, place};
use serde::Serialize;

#[derive(Serialize)]
struct Row {
    device: String,
    kind: &'static str,
    memory_mib: u64,
    state: String,
    model: String,
    platform: String,
    sharing: String,
    switching: Option<Switching>,
}

/// What taking turns came to, for people.
fn account(sums: &Switching) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let each = sums.move_s * 1e3 / sums.switches.max(1) as f64;
    format!(
        "{} switches, {each:.1} ms each, {:.1} % of the time; moved {:.1} MiB out and {:.1} MiB in, {:.1} MiB were equal",
        sums.switches,
        100.0 * sums.move_s / sums.turn_s.max(1e-9),
        mib(sums.out_bytes),
        mib(sums.in_bytes),
        mib(sums.equal_bytes),
    )
}

/// Prints them, and on stderr what is missing.
pub fn run(args: &ListArgs) -> Result<Verdict> {
    let (devices, missing) = device::list();
    let mut rows = Vec::new();
    for device in devices {
        let served = control::give(&place::socket(&device.name)?, &Order::Status);
        let report = served.unwrap_or_default();
        let state = match &report.jobs[..] {
            [] => "free".to_owned(),
            jobs => format!("{} jobs: {}", jobs.len(), jobs.join(" ")),
        };
        let memory_mib = device.memory >> 20;
        rows.push(Row {
            device: device.name,
            kind: device.kind,
            memory_mib,
            state,
            model: device.model,
            platform: device.platform,
            sharing: describe(report.sharing),
            switching: report.switching,
        });
    }
    match args.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&rows)?),
        Output::Csv => {
            let mut writer = csv::Writer::from_writer(std::io::stdout());
            let names = ["device", "kind", "memory_mib", "state", "model", "platform", "sharing", "switches", "move_s"];
            writer.write_record(names)?;
            for row in &rows {
                let sums = row.switching.unwrap_or_default();
                let Row { device, kind, memory_mib, state, model, platform, sharing, .. } = row;
                writer.serialize((device, kind, memory_mib, state, model, platform, sharing, sums.switches, sums.move_s))?;
            }
            writer.flush()?;
        }
        Output::Table => {
            println!("{:<14} {:<11} {:>10}  {:<6} MODEL, PLATFORM", "DEVICE", "KIND", "MEMORY", "STATE");
            for row in &rows {
                let memory = format!("{} MiB", row.memory_mib);
                println!("{:<14} {:<11} {memory:>10}  {:<6} {}, {}", row.device, row.kind, row.state, row.model, row.platform);
                if let Some(switching) = &row.switching {
                    println!("    {}: {}", row.sharing, account(switching));
                }
            }
        }
    }
    for sentence in missing {
        eprintln!("{sentence}");
    }
    Ok(Verdict::Done)
}
