//! Slurm accounting: `sacct -X -P -o JobID,Submit,Start,End,Elapsed,AllocTRES,...`, `|`-separated, columns found by name.
//!
//! | column | unit | use | if missing |
//! |---|---|---|---|
//! | `JobID` (`JobIDRaw`) | text, also array tasks `12_3` and components `12+1` | id; steps (`12.batch`, `12.0`) are left out | refused |
//! | `Submit` | `YYYY-MM-DDTHH:MM:SS`, taken as UTC, or Unix seconds | submit, rebased to the first | bad row |
//! | `Start`, `End` | same; `Unknown`, `None` where not yet | recorded start; duration where no elapsed time is told | left out: never started, or still running |
//! | `ElapsedRaw`, else `Elapsed` | seconds, or `[D-]HH:MM:SS` | duration | end less start |
//! | `AllocTRES`, else `ReqTRES`, else `AllocGRES`, `ReqGRES` | `gres/gpu=8`, `gres/gpu:a100=8`, `gpu:a100:8`, `cpu=64`, `mem=512G` | accelerators, their type as a constraint, processors, memory | processors alone |
//! | `AllocCPUS`, `NCPUS`, `ReqCPUS` | number | processors where no TRES tells | 0 |
//! | `ReqMem` | `512G`, `4000Mn`, `4Gc` | memory where no TRES tells: `c` for each processor, `n` for each node (`NNodes`, `AllocNodes`, `ReqNodes`) | 0 |
//! | `Timelimit` (`TimelimitRaw`: minutes) | `[D-]HH:MM:SS`; `UNLIMITED`, `Partition_Limit` | estimate | none |
//! | `State` | word (`CANCELLED by 0`) | outcome; `RUNNING`, `PENDING` and other unfinished states are left out | unknown |
//! | `Account`, else `User` | text | tenant | nobody |
//! | `QOS`, else `Partition` | text | label | none |
//! | `Priority` | number | priority (larger than 2^31 - 1 is taken as that) | 0 |
//!
//! A suspended job's elapsed time excludes the suspension; `Start` and `End` would include it.

use super::builder::{Builder, Draft, outcome};
use super::cell::{Cell, SECOND, When, decimal};
use super::error::{Bad, ImportError};
use super::format::{Format, key};
use super::layout::{between, each_row, find, missing_column};
use super::lines::{Column, Row, Table};
use policies::{Demand, Span};

struct Found {
    id: Column,
    submit: Column,
    start: Option<Column>,
    end: Option<Column>,
    elapsed: Option<Column>,
    tres: Vec<Column>,
    cpus: Option<Column>,
    memory: Option<Column>,
    nodes: Option<Column>,
    limit: Option<Column>,
    limit_raw: Option<Column>,
    state: Option<Column>,
    tenant: Option<Column>,
    label: Option<Column>,
    priority: Option<Column>,
}

pub(crate) fn import(mut table: Table<'_>, to: &mut Builder) -> Result<(), ImportError> {
    let keys: Vec<String> = table.names.iter().map(|name| key(name)).collect();
    let column = |names: &'static [&'static str]| find(&keys, names, &[("", SECOND)]);
    let need =
        |names: &'static [&'static str], what| column(names).ok_or_else(|| missing_column(&table, Format::Slurm, what, names));
    let at = Found {
        id: need(&["jobid", "jobidraw"], "the job's number")?,
        submit: need(&["submit"], "the submit time")?,
        start: column(&["start"]),
        end: column(&["end"]),
        elapsed: column(&["elapsedraw", "elapsed"]),
        tres: [column(&["alloctres"]), column(&["reqtres"]), column(&["allocgres"]), column(&["reqgres"])]
            .into_iter()
            .flatten()
            .collect(),
        cpus: column(&["alloccpus", "ncpus", "reqcpus"]),
        memory: column(&["reqmem"]),
        nodes: column(&["allocnodes", "nnodes", "reqnodes"]),
        limit: column(&["timelimit"]),
        limit_raw: column(&["timelimitraw"]),
        state: column(&["state"]),
        tenant: column(&["account", "user"]),
        label: column(&["qos", "partition"]),
        priority: column(&["priority"]),
    };
    if at.elapsed.is_none() && (at.start.is_none() || at.end.is_none()) {
        return Err(missing_column(&table, Format::Slurm, "the elapsed time", &["Elapsed", "ElapsedRaw", "Start and End"]));
    }
    each_row(&mut table, to, |row, to| job(row, &at, to))
}

fn job(row: &Row<'_>, at: &Found, to: &mut Builder) -> Result<(), Bad> {
    let cell = |column: Option<Column>| column.map(|column| row.cell(column)).filter(|cell| !cell.is_missing());
    let text = |column| cell(column).map_or(&b""[..], |cell| cell.bytes);
    let id = row.cell(at.id);
    if id.bytes.contains(&b'.') {
        to.leave_out("job steps (use sacct -X to have none)");
        return Ok(());
    }
    let state = text(at.state).split(u8::is_ascii_whitespace).next().unwrap_or(b"");
    let unfinished = [&b"RUNNING"[..], b"PENDING", b"REQUEUED", b"RESIZING", b"SUSPENDED", b"COMPLETING", b"CONFIGURING"];
    if unfinished.contains(&state) {
        to.leave_out("jobs that had not ended");
        return Ok(());
    }
    let submit = row.cell(at.submit).when(SECOND)?;
    let start = cell(at.start).map_or(Ok(None), |cell| cell.when(SECOND).map(Some))?;
    if at.start.is_some() && start.is_none() {
        to.leave_out("jobs that never started");
        return Ok(());
    }
    let Some(duration) = duration(row, at, start)? else {
        to.leave_out("jobs that had not ended");
        return Ok(());
    };
    let demand = demand(row, at, to)?;
    to.push(Draft {
        tenant: text(at.tenant),
        label: text(at.label),
        priority: cell(at.priority).map_or(Ok(0), priority)?,
        estimate: limit(cell(at.limit), cell(at.limit_raw))?,
        outcome: outcome(text(at.state)),
        start,
        ..Draft::new(id, submit, duration, demand)
    })
}

fn duration(row: &Row<'_>, at: &Found, start: Option<When>) -> Result<Option<Span>, Bad> {
    if let Some(elapsed) = at.elapsed.map(|column| row.cell(column)).filter(|cell| !cell.is_missing()) {
        return elapsed.span(SECOND).map(Some);
    }
    let end = at.end.map(|column| row.cell(column)).filter(|cell| !cell.is_missing());
    let (Some(start), Some(end)) = (start, end) else { return Ok(None) };
    let run = between(start, end.when(SECOND)?);
    run.map(Some).ok_or_else(|| end.bad("an end that is not before the start"))
}

fn priority(cell: Cell<'_>) -> Result<i32, Bad> {
    let value = decimal(cell.bytes, 1).ok_or_else(|| cell.bad("a number"))?;
    Ok(value.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
}

fn limit(limit: Option<Cell<'_>>, raw: Option<Cell<'_>>) -> Result<Option<Span>, Bad> {
    let told = |cell: &Cell<'_>| cell.bytes.first().is_some_and(u8::is_ascii_digit);
    match (limit.filter(told), raw.filter(told)) {
        (Some(limit), _) if limit.bytes.contains(&b':') => limit.span(SECOND).map(Some),
        (Some(minutes), _) | (None, Some(minutes)) => minutes.span(60 * SECOND).map(Some),
        (None, None) => Ok(None),
    }
}

/// What the TRES and GRES columns tell, the first that tells anything of accelerators first.
fn demand(row: &Row<'_>, at: &Found, to: &mut Builder) -> Result<Demand, Bad> {
    let mut told = Tres::default();
    for column in &at.tres {
        let cell = row.cell(*column);
        let more = Tres::parse(cell)?;
        if told.gpus == 0 && more.gpus > 0 {
            (told.gpus, told.kind) = (more.gpus, more.kind);
        }
        told.cpu_milli = told.cpu_milli.or(more.cpu_milli);
        told.memory_mib = told.memory_mib.or(more.memory_mib);
    }
    let optional = |column: Option<Column>| column.map(|column| row.cell(column)).filter(|cell| !cell.is_missing());
    let cpus = optional(at.cpus).map_or(Ok(0), |cell| cell.scaled(1000))?;
    let mut demand = Demand::whole(told.gpus);
    demand.cpu_milli = told.cpu_milli.unwrap_or(cpus);
    demand.memory_mib = match (told.memory_mib, optional(at.memory)) {
        (Some(memory), _) => memory,
        (None, Some(cell)) => {
            let nodes = optional(at.nodes).map_or(Ok(1), |cell| cell.count())?;
            requested_memory(cell, u64::from(demand.cpu_milli / 1000), u64::from(nodes))?
        }
        (None, None) => 0,
    };
    if let Some(kind) = told.kind {
        demand.types = to.types(kind)?;
    }
    if demand.accelerators == 0 && demand.cpu_milli == 0 {
        let column = at.tres.first().or(at.cpus.as_ref()).copied().unwrap_or(at.id);
        return Err(row.cell(column).bad("gres/gpu=N, or processors"));
    }
    Ok(demand)
}

#[derive(Default)]
struct Tres<'a> {
    gpus: u32,
    kind: Option<Cell<'a>>,
    cpu_milli: Option<u32>,
    memory_mib: Option<u32>,
}

impl<'a> Tres<'a> {
    /// `billing=8,cpu=8,gres/gpu:a100=2,gres/gpu=2,mem=64G,node=1`, or the older `gpu:a100:2`.
    fn parse(cell: Cell<'a>) -> Result<Tres<'a>, Bad> {
        let mut tres = Tres::default();
        let mut by_type = 0u32;
        for item in cell.bytes.split(|b| *b == b',').map(|item| item.trim_ascii()) {
            let equals = item.iter().position(|b| *b == b'=');
            let (name, value) = match equals {
                Some(at) => (&item[..at], &item[at + 1..]),
                None => old_gres(item),
            };
            let value = Cell { column: cell.column, bytes: value };
            let name = name.strip_prefix(b"gres/").unwrap_or(name);
            match name {
                b"cpu" => tres.cpu_milli = Some(value.scaled(1000)?),
                b"mem" => tres.memory_mib = Some(requested_memory(value, 1, 1)?),
                b"gpu" => tres.gpus = tres.gpus.max(value.count()?),
                _ if name.starts_with(b"gpu:") => {
                    by_type = by_type.saturating_add(value.count()?);
                    tres.kind = Some(Cell { column: cell.column, bytes: &name[4..] });
                }
                _ => {}
            }
        }
        tres.gpus = tres.gpus.max(by_type);
        Ok(tres)
    }
}

/// `gpu:a100:2`, `gpu:2`, `gpu`, each perhaps with a list of sockets in brackets behind.
fn old_gres(item: &[u8]) -> (&[u8], &[u8]) {
    let item = item.split(|b| *b == b'(').next().unwrap_or(item);
    if !item.starts_with(b"gpu") {
        return (item, b"");
    }
    match item.iter().rposition(|b| *b == b':') {
        Some(at) if item[at + 1..].iter().all(u8::is_ascii_digit) => (&item[..at], &item[at + 1..]),
        _ => (item, b"1"),
    }
}

/// MiB of `512G`, `4000M`, `4Gc` (for each processor), `4Gn` (for each node).
fn requested_memory(cell: Cell<'_>, cpus: u64, nodes: u64) -> Result<u32, Bad> {
    let expected = "an amount of memory such as 512G, 4000Mn or 4Gc";
    let (mut text, mut times) = (cell.bytes, 1);
    if let Some(rest) = text.strip_suffix(b"c") {
        (text, times) = (rest, cpus.max(1));
    } else if let Some(rest) = text.strip_suffix(b"n") {
        (text, times) = (rest, nodes.max(1));
    }
    let (digits, unit) = text.split_at(text.iter().position(u8::is_ascii_alphabetic).unwrap_or(text.len()));
    let kib = match unit.to_ascii_uppercase().as_slice() {
        b"K" => 1,
        b"" | b"M" => 1024,
        b"G" => 1 << 20,
        b"T" => 1 << 30,
        _ => return Err(cell.bad(expected)),
    };
    let mib = decimal(digits, kib).filter(|kib| *kib >= 0).map(|kib| kib / 1024 * i128::from(times));
    mib.and_then(|mib| u32::try_from(mib).ok()).ok_or_else(|| cell.bad(expected))
}
