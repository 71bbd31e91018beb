//! `orrery devices`: the accelerators of this machine, and what runs on them.

use crate::Verdict;
use crate::cli::{ListArgs, Output};
use anyhow::Result;
use proxy::control::{self, Order};
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
}

/// Prints them, and on stderr what is missing.
pub fn run(args: &ListArgs) -> Result<Verdict> {
    let (devices, missing) = device::list();
    let mut rows = Vec::new();
    for device in devices {
        let served = control::give(&place::socket(&device.name)?, &Order::Status);
        let state = match served {
            Ok(report) if report.jobs.is_empty() => "free".to_owned(),
            Ok(report) => format!("{} jobs: {}", report.jobs.len(), report.jobs.join(" ")),
            Err(_) => "free".to_owned(),
        };
        let memory_mib = device.memory >> 20;
        rows.push(Row {
            device: device.name,
            kind: device.kind,
            memory_mib,
            state,
            model: device.model,
            platform: device.platform,
        });
    }
    match args.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&rows)?),
        Output::Csv => {
            let mut writer = csv::Writer::from_writer(std::io::stdout());
            rows.iter().try_for_each(|row| writer.serialize(row))?;
            writer.flush()?;
        }
        Output::Table => {
            println!("{:<14} {:<11} {:>10}  {:<6} MODEL, PLATFORM", "DEVICE", "KIND", "MEMORY", "STATE");
            for row in &rows {
                let memory = format!("{} MiB", row.memory_mib);
                println!("{:<14} {:<11} {memory:>10}  {:<6} {}, {}", row.device, row.kind, row.state, row.model, row.platform);
            }
        }
    }
    for sentence in missing {
        eprintln!("{sentence}");
    }
    Ok(Verdict::Done)
}
