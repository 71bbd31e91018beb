//! Alibaba openb 2023 (published with FGD, ATC '23): pods, with the node list as `--machines` (see [`super::machines`]).
//!
//! | column | unit | use | if missing |
//! |---|---|---|---|
//! | `name` | text | id | bad row |
//! | `cpu_milli` | thousandths of a processor | host demand | 0 |
//! | `memory_mib` | MiB | host demand | 0 |
//! | `num_gpu` | number, 0 to 8 | accelerators, all on one node; 0 makes a job that needs processors only | bad row |
//! | `gpu_milli` | thousandths of each accelerator | share | 1000 |
//! | `gpu_spec` | types joined by `\|` | acceptable types | any |
//! | `qos` | `LS`, `Guaranteed`, `Burstable`, `BE` | label; tier 0, 0, 1, 2 | tier 0 |
//! | `pod_phase` | word | outcome (`Running` and `Pending` are unknown) | unknown |
//! | `creation_time` | seconds from the beginning | submit; not rebased | all at 0, in row order, see below |
//! | `scheduled_time` | same | recorded start | not recorded; the pod waited until it was deleted |
//! | `deletion_time` | same | duration: from `scheduled_time` (else from `creation_time`) | as without times |
//!
//! The resampled variants such as `multigpu20` carry no times: FGD's experiments place pods one after the other and never
//! end them. Their jobs are all submitted at 0, in row order, and last [`super::NEVER_ENDS`].

use super::NEVER_ENDS;
use super::builder::{Builder, Draft, outcome};
use super::cell::{SECOND, When};
use super::error::{Bad, ImportError};
use super::format::{Format, key};
use super::layout::{between, each_row, find, missing_column, share_milli};
use super::lines::{Column, Row, Table};
use policies::{Demand, Level, WHOLE_MILLI};

struct Found {
    name: Column,
    gpus: Column,
    cpus: Option<Column>,
    memory: Option<Column>,
    milli: Option<Column>,
    spec: Option<Column>,
    qos: Option<Column>,
    phase: Option<Column>,
    creation: Option<Column>,
    scheduled: Option<Column>,
    deletion: Option<Column>,
}

pub(crate) fn import(mut table: Table<'_>, to: &mut Builder) -> Result<(), ImportError> {
    let keys: Vec<String> = table.names.iter().map(|name| key(name)).collect();
    let column = |name: &'static str| find(&keys, &[name], &[("", SECOND)]);
    let need = |name: &'static str, what| {
        column(name).ok_or_else(|| missing_column(&table, Format::Openb, what, &["name", "num_gpu"]))
    };
    let at = Found {
        name: need("name", "the pod's name")?,
        gpus: need("num_gpu", "the number of accelerators")?,
        cpus: column("cpu_milli"),
        memory: column("memory_mib"),
        milli: column("gpu_milli"),
        spec: column("gpu_spec"),
        qos: column("qos"),
        phase: column("pod_phase"),
        creation: column("creation_time"),
        scheduled: column("scheduled_time"),
        deletion: column("deletion_time"),
    };
    if at.creation.is_none() || at.deletion.is_none() {
        to.notes.push("the pods carry no times: all are submitted at 0, in row order, and never end".into());
    }
    each_row(&mut table, to, |row, to| pod(row, &at, to))
}

fn pod(row: &Row<'_>, at: &Found, to: &mut Builder) -> Result<(), Bad> {
    let text = |column: Option<Column>| column.map_or(&b""[..], |column| row.get(column.index));
    let number = |column: Option<Column>| column.map_or(Ok(0), |column| row.cell(column).scaled(1));
    let accelerators = row.cell(at.gpus).count()?;
    let share = at.milli.map(|column| row.cell(column)).filter(|cell| !cell.is_missing());
    let share = share.map_or(Ok(None), |cell| share_milli(cell, accelerators))?;
    let demand = Demand {
        accelerators,
        milli: share.unwrap_or(WHOLE_MILLI),
        within: Level::Node,
        types: at.spec.map(|column| row.cell(column)).map_or(Ok(policies::TypeSet::ANY), |cell| to.types(cell))?,
        cpu_milli: number(at.cpus)?,
        memory_mib: number(at.memory)?,
    };
    if accelerators == 0 && demand.cpu_milli == 0 {
        return Err(row.cell(at.gpus).bad("at least one accelerator, or processors"));
    }
    let (mut submit, mut duration, mut start) = (When { micros: 0, absolute: false }, NEVER_ENDS, None);
    if let (Some(creation), Some(deletion)) = (at.creation, at.deletion) {
        submit = row.cell(creation).offset(SECOND)?;
        let scheduled = at.scheduled.map(|column| row.cell(column)).filter(|cell| !cell.is_missing());
        start = scheduled.map_or(Ok(None), |cell| cell.offset(SECOND).map(Some))?;
        let end = row.cell(deletion);
        let run = between(start.unwrap_or(submit), end.offset(SECOND)?);
        duration = run.ok_or_else(|| end.bad("a deletion after the pod was scheduled"))?;
    }
    let qos = text(at.qos);
    let tier = match qos {
        b"Burstable" => 1,
        b"BE" => 2,
        _ => 0,
    };
    to.push(Draft {
        label: qos,
        tier,
        outcome: outcome(text(at.phase)),
        start,
        ..Draft::new(row.cell(at.name), submit, duration, demand)
    })
}
