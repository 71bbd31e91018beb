//! Best-fit on a million accelerators: 125,000 nodes of 8 and, by default, 10 million jobs that are drawn as they arrive. JSON.
//!
//! usage: `planet [JOBS] [POLICY]`

use benches::{Setup, cases::arrival};
use policies::Fleet;
use std::error::Error;
use traces::generate::{Generator, Preset, WorkloadModel};

const NODES: u32 = 125_000;
const PER_NODE: u32 = 8;
const LOAD: f64 = 0.9;

/// The most memory that this process ever held, in MiB; Linux only.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let jobs: u64 = arguments.next().map_or(Ok(10_000_000), |text| text.parse())?;
    let policy = arguments.next().unwrap_or_else(|| "fifo".into());
    let model = WorkloadModel {
        preset: Preset::Uniform,
        jobs: Some(jobs),
        load: Some(LOAD),
        accelerators: Some(u64::from(NODES) * u64::from(PER_NODE)),
        one_node_max: Some(PER_NODE),
        ..WorkloadModel::default()
    };
    let stream = Generator::new(&model, 1)?.map(|job| arrival(&job));
    let setup = Setup { fleet: Fleet::uniform(NODES, PER_NODE), policy: policy.clone(), placement: "best-fit".into() };
    let run = setup.run(stream)?;
    let report = serde_json::json!({
        "nodes": NODES, "accelerators": NODES * PER_NODE, "policy": policy, "placement": "best-fit", "offered_load": LOAD,
        "jobs": jobs, "done": run.tracker.done, "seconds": run.wall_s, "cpu_seconds": run.cpu_s,
        "jobs_per_s": jobs as f64 / run.wall_s, "jobs_per_cpu_s": jobs as f64 / run.cpu_s, "peak_rss_mib": peak_mib(),
        "allocation": run.tracker.allocation(), "mean_jct_s": run.mean_jct_s(), "log_digest": run.log_digest,
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
