//! Alibaba Lingjun 2023 (Crux, SIGCOMM '24): the reduced jobs CSV, and the original `job.csv` with `worker.csv`.
//!
//! Reduced (`lingjun`):
//!
//! | column | unit | use | if missing |
//! |---|---|---|---|
//! | `job id` | text | id | row number |
//! | `arrival time (sec)` | seconds from the beginning, at one-minute resolution | submit; not rebased | bad row |
//! | `size` | number | accelerators | bad row |
//! | `duration (sec)` | seconds, at one-minute resolution; 0 is kept | duration | bad row |
//! | `topology`, `shape` | | not used (one value; equal to `size`) | |
//!
//! Original `job.csv` (`lingjun-jobs`); demands are in `worker.csv` (`--with`, or beside it); `topo.csv` is a machine list
//! (see [`super::machines`]):
//!
//! | column | unit | use | if missing |
//! |---|---|---|---|
//! | `job_name` | text | id; joins the workers | bad row |
//! | `gmt_job_submitted` | `YYYY/M/D HH:MM`, zone not told, taken as UTC | submit, rebased to the first | bad row |
//! | `gmt_job_running` | same | recorded start | left out |
//! | `gmt_job_finished`, else `gmt_job_stopped` | same | duration, from the start | left out |
//! | `status` | word | outcome | unknown |
//! | `model` | text | label | none |
//! | `workspace_name`, else `namespace` | text | tenant | nobody |
//! | `priority` | number | priority | 0 |
//! | workers' `RES` | JSON: `nvidia.com/gpu`, `cpu`, `memory` (`1600Gi`) | demand, summed over the job's workers | left out |

use super::builder::{Builder, Draft, outcome};
use super::cell::{Cell, SECOND, decimal};
use super::error::{Bad, ImportError};
use super::format::{Format, key};
use super::layout::{Layout, between, each_row, find, missing_column, read};
use super::lines::{Column, Lines, Row, Table};
use policies::Demand;
use rustc_hash::FxHashMap;

const REDUCED: Layout = Layout {
    id: &["job_id"],
    submit: &["arrival_time"],
    submit_is_offset: true,
    duration: &["duration"],
    accelerators: &["size"],
    ..Layout::NONE
};

pub(crate) fn import(table: Table<'_>, to: &mut Builder) -> Result<(), ImportError> {
    read(table, &REDUCED, Format::Lingjun, to)
}

#[derive(Clone, Copy, Default)]
struct Resources {
    accelerators: u64,
    cpu_milli: u64,
    memory_mib: u64,
}

type Workers = FxHashMap<Box<[u8]>, Resources>;

struct Found {
    name: Column,
    submitted: Column,
    running: Option<Column>,
    finished: Option<Column>,
    stopped: Option<Column>,
    status: Option<Column>,
    model: Option<Column>,
    tenant: Option<Column>,
    priority: Option<Column>,
}

pub(crate) fn import_jobs(mut table: Table<'_>, to: &mut Builder) -> Result<(), ImportError> {
    let file = table.file().to_string();
    let Some(side) = to.side(&["worker.csv", "worker.csv.gz"])? else {
        let what = "job.csv tells no demand; name its worker.csv with --with, or put it beside it".into();
        return Err(ImportError::Needs { file, format: Format::LingjunJobs, what });
    };
    let workers = workers(&side.file, &side.content)?;
    to.notes.push(format!("demands are from {}", side.file));
    let keys: Vec<String> = table.names.iter().map(|name| key(name)).collect();
    let column = |names| find(&keys, names, &[("", SECOND)]);
    let need = |names, what| column(names).ok_or_else(|| missing_column(&table, Format::LingjunJobs, what, names));
    let at = Found {
        name: need(&["job_name"], "the job's name")?,
        submitted: need(&["gmt_job_submitted"], "the submit time")?,
        running: column(&["gmt_job_running"]),
        finished: column(&["gmt_job_finished"]),
        stopped: column(&["gmt_job_stopped"]),
        status: column(&["status"]),
        model: column(&["model"]),
        tenant: column(&["workspace_name", "namespace"]),
        priority: column(&["priority"]),
    };
    each_row(&mut table, to, |row, to| job(row, &at, &workers, to))
}

fn job(row: &Row<'_>, at: &Found, workers: &Workers, to: &mut Builder) -> Result<(), Bad> {
    let cell = |column: Option<Column>| column.map(|column| row.cell(column)).filter(|cell| !cell.is_missing());
    let text = |column| cell(column).map_or(&b""[..], |cell| cell.bytes);
    let submit = row.cell(at.submitted).date()?;
    let (Some(running), Some(end)) = (cell(at.running), cell(at.finished).or(cell(at.stopped))) else {
        to.leave_out("jobs without a recorded start and end");
        return Ok(());
    };
    let start = running.date()?;
    let duration = between(start, end.date()?).ok_or_else(|| end.bad("an end that is not before the start"))?;
    let name = row.cell(at.name);
    let Some(held) = workers.get(name.bytes).filter(|held| held.accelerators > 0 || held.cpu_milli > 0) else {
        to.leave_out("jobs without a recorded demand");
        return Ok(());
    };
    let fits = |value: u64| u32::try_from(value).map_err(|_| name.bad("workers whose demand fits 32 bits"));
    let mut demand = Demand::whole(fits(held.accelerators)?);
    demand.cpu_milli = fits(held.cpu_milli)?;
    demand.memory_mib = fits(held.memory_mib)?;
    to.push(Draft {
        tenant: text(at.tenant),
        label: text(at.model),
        outcome: outcome(text(at.status)),
        priority: cell(at.priority).map_or(Ok(0), |cell| cell.signed())?,
        start: Some(start),
        ..Draft::new(name, submit, duration, demand)
    })
}

/// Demands by job.
fn workers(file: &str, content: &[u8]) -> Result<Workers, ImportError> {
    let mut table = Table::with_header(Lines::new(file, Box::new(content)), b',')?;
    let keys: Vec<String> = table.names.iter().map(|name| key(name)).collect();
    let column = |names| {
        let found = find(&keys, names, &[("", 1)]);
        found.ok_or_else(|| missing_column(&table, Format::LingjunJobs, "a worker's job and resources", names))
    };
    let (name, res) = (column(&["job_name"])?, column(&["res"])?);
    let mut workers = Workers::default();
    while let Some(row) = table.next_row()? {
        if let (Ok(()), Some(more)) = (row.check(), resources(row.cell(res))) {
            let held = workers.entry(row.get(name.index).into()).or_default();
            held.accelerators = held.accelerators.saturating_add(more.accelerators);
            held.cpu_milli = held.cpu_milli.saturating_add(more.cpu_milli);
            held.memory_mib = held.memory_mib.saturating_add(more.memory_mib);
        }
    }
    Ok(workers)
}

/// `{"cpu": "96", "memory": "1600Gi", "nvidia.com/gpu": "8"}`; single quotes are taken too. `None` if it is nothing such.
fn resources(cell: Cell<'_>) -> Option<Resources> {
    let text = std::str::from_utf8(cell.bytes).ok()?.replace('\'', "\"");
    let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).ok()?;
    let quantity = |name: &str, scale: u64| {
        let text = map.get(name).map(|v| v.as_str().map_or_else(|| v.to_string(), String::from)).unwrap_or_default();
        let (digits, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
        // In binary units for memory (to MiB); a bare number of bytes is not in this trace.
        let scale = match unit {
            "m" => scale / 1000,
            "Ki" => return decimal(digits.as_bytes(), 1).map(|v| v as u64 / 1024),
            "Gi" => 1024,
            "Ti" => 1024 * 1024,
            _ => scale,
        };
        decimal(digits.as_bytes(), scale).filter(|v| *v >= 0).map(|v| v as u64)
    };
    Some(Resources {
        accelerators: quantity("nvidia.com/gpu", 1).unwrap_or(0),
        cpu_milli: quantity("cpu", 1000).unwrap_or(0),
        memory_mib: quantity("memory", 1).unwrap_or(0),
    })
}
