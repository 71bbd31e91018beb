//! The jobs that are measured with.

use policies::{Elastic, JobSpec, TenantId};
use sim::Arrival;
use std::path::PathBuf;
use traces::generate::{Preset, WorkloadModel, generate};
use traces::{ImportOptions, OnBadRow, Trace, TraceJob, import};

/// The real trace under `$ORRERY_TRACES`, else `../shared/traces`; where it is missing, `jobs` jobs of `preset` and a line on
/// stderr that says so.
///
/// # Errors
/// A trace that is there and cannot be read.
pub fn import_or_generate(file: &str, preset: Preset, jobs: u64) -> Result<Trace, Box<dyn std::error::Error>> {
    let folder = std::env::var_os("ORRERY_TRACES").map_or_else(|| PathBuf::from("../shared/traces"), PathBuf::from);
    let path = folder.join(file);
    if path.exists() {
        let options = ImportOptions { on_bad_row: OnBadRow::Skip, ..ImportOptions::default() };
        return Ok(import(&path, &options)?.trace);
    }
    eprintln!("note: {} not found: {jobs} jobs generated from preset {preset} instead", path.display());
    Ok(generate(&WorkloadModel { preset, jobs: Some(jobs), ..WorkloadModel::default() }, 1)?)
}

/// One arrival; policies know the true duration.
pub fn arrival(job: &TraceJob) -> Arrival {
    let spec = JobSpec {
        demand: job.demand,
        tenant: TenantId(job.tenant),
        priority: job.priority,
        tier: job.tier,
        attempts_max: 1,
        estimate: Some(job.duration),
        elastic: Elastic::RIGID,
        deadline_s: 0,
    };
    Arrival { submit: job.submit, spec, duration: job.duration }
}

/// The jobs that ask for at most `accelerators_max`.
pub fn arrivals(trace: &Trace, accelerators_max: u32) -> Vec<Arrival> {
    trace.jobs.iter().filter(|job| job.demand.accelerators <= accelerators_max).map(arrival).collect()
}
