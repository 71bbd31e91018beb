//! The tables that notebooks read.

use crate::analysis::Analysis;
use crate::error::ReportError;
use crate::jobs::{outcome, tenant_name};
use crate::series::Level;
use policies::{JobId, Span, Time};
use std::path::{Path, PathBuf};
use traces::frames::{Column, write_table};
use traces::runlog::JobRecord;

/// Writes the tables `jobs`, `timeseries` and `tenants` into `folder`, which exists: as Parquet with the feature `frames`, as CSV
/// without. Returns their paths.
///
/// # Errors
/// If a table cannot be written; those before it are whole.
pub fn write_tables(folder: &Path, analysis: &Analysis) -> Result<Vec<PathBuf>, ReportError> {
    let tables =
        [("jobs", jobs_table as fn(&Analysis) -> Vec<Column>), ("timeseries", timeseries_table), ("tenants", tenants_table)];
    tables.iter().map(|(name, table)| Ok(write_table(&folder.join(name), &table(analysis))?)).collect()
}

fn at(time: Time) -> f64 {
    if time == Time::MAX { f64::NAN } else { time.as_secs_f64() }
}

/// A row per job, in submit order: `job_id`, `tenant`, `accelerators`, `submit_s`, `start_s` (first start of work), `end_s`,
/// `jct_s`, `wait_s`, `executed_s`, `attempts`, `preemptions`, `failures`, `outcome`. NaN where it did not happen.
pub fn jobs_table(analysis: &Analysis) -> Vec<Column> {
    let jobs = analysis.tracker.jobs();
    let done =
        |span: fn(&JobRecord) -> Span| move |row: &JobRecord| if row.is_done() { span(row).as_secs_f64() } else { f64::NAN };
    vec![
        Column::str("job_id", (0..jobs.len()).map(|i| analysis.name(JobId(i as u32)))),
        Column::str("tenant", jobs.iter().map(|row| tenant_name(&analysis.header, row.tenant))),
        Column::f64("accelerators", jobs.iter().map(|row| f64::from(row.milli) / 1000.0)),
        Column::f64("submit_s", jobs.iter().map(|row| at(row.submit))),
        Column::f64("start_s", jobs.iter().map(|row| at(row.first_start))),
        Column::f64("end_s", jobs.iter().map(|row| at(row.end()))),
        Column::f64("jct_s", jobs.iter().map(done(JobRecord::jct))),
        Column::f64("wait_s", jobs.iter().map(done(JobRecord::wait))),
        Column::f64("executed_s", jobs.iter().map(|row| row.executed.as_secs_f64())),
        Column::u64("attempts", jobs.iter().map(|row| row.attempts.into())),
        Column::u64("preemptions", jobs.iter().map(|row| row.preemptions.into())),
        Column::u64("failures", jobs.iter().map(|row| row.failures.into())),
        Column::str("outcome", jobs.iter().map(|row| outcome(row).to_owned())),
    ]
}

/// A row per bin of equal width (the last may be shorter): `start_s`, `end_s`, and time-weighted means and largest values of
/// accelerators held (`used`), accelerators of jobs that run, accelerators free, jobs holding, jobs pending, and accelerators that
/// pending jobs ask for.
pub fn timeseries_table(analysis: &Analysis) -> Vec<Column> {
    let series = &analysis.series;
    let bins = || 0..series.len();
    let fleet = analysis.header.fleet.accelerators() as f64;
    let mean = |level: Level, unit: f64| move |i: usize| series.mean(i, level) / unit;
    let max = |level: Level, unit: f64| move |i: usize| series.max(i, level) as f64 / unit;
    vec![
        Column::f64("start_s", bins().map(|i| series.span(i).0.as_secs_f64())),
        Column::f64("end_s", bins().map(|i| series.span(i).1.as_secs_f64())),
        Column::f64("used_accelerators_mean", bins().map(mean(Level::UsedMilli, 1000.0))),
        Column::f64("used_accelerators_max", bins().map(max(Level::UsedMilli, 1000.0))),
        Column::f64("running_accelerators_mean", bins().map(mean(Level::RunningMilli, 1000.0))),
        Column::f64("free_accelerators_mean", bins().map(|i| fleet - series.mean(i, Level::UsedMilli) / 1000.0)),
        Column::f64("running_jobs_mean", bins().map(mean(Level::RunningJobs, 1.0))),
        Column::f64("running_jobs_max", bins().map(max(Level::RunningJobs, 1.0))),
        Column::f64("pending_jobs_mean", bins().map(mean(Level::PendingJobs, 1.0))),
        Column::f64("pending_jobs_max", bins().map(max(Level::PendingJobs, 1.0))),
        Column::f64("pending_accelerators_mean", bins().map(mean(Level::PendingMilli, 1000.0))),
        Column::f64("pending_accelerators_max", bins().map(max(Level::PendingMilli, 1000.0))),
    ]
}

/// A row per tenant; the columns are the fields of [`Tenant`](crate::Tenant).
pub fn tenants_table(analysis: &Analysis) -> Vec<Column> {
    let rows = analysis.tenants();
    let some = |value: Option<f64>| value.unwrap_or(f64::NAN);
    vec![
        Column::str("tenant", rows.iter().map(|t| t.name.clone())),
        Column::u64("jobs", rows.iter().map(|t| t.jobs)),
        Column::u64("done", rows.iter().map(|t| t.done)),
        Column::f64("accelerator_hours", rows.iter().map(|t| t.accelerator_hours)),
        Column::f64("mean_jct_s", rows.iter().map(|t| some(t.mean_jct_s))),
        Column::f64("p50_jct_s", rows.iter().map(|t| some(t.p50_jct_s))),
        Column::f64("p90_jct_s", rows.iter().map(|t| some(t.p90_jct_s))),
        Column::f64("mean_wait_s", rows.iter().map(|t| some(t.mean_wait_s))),
        Column::f64("mean_bounded_slowdown", rows.iter().map(|t| some(t.mean_bounded_slowdown))),
        Column::u64("preemptions", rows.iter().map(|t| t.preemptions)),
        Column::f64("share_held", rows.iter().map(|t| t.share_held)),
        Column::f64("share_asked", rows.iter().map(|t| t.share_asked)),
    ]
}
