//! Tables whose columns carry one quantity each: a layout says which names to look for, and one loop reads them all.

use super::builder::{Builder, Draft, outcome};
use super::cell::{Cell, SECOND, When};
use super::error::{Bad, ImportError};
use super::format::{Format, key};
use super::lines::{Column, Row, Table};
use policies::{Demand, Level, Span, TypeSet, WHOLE_MILLI};

/// Accepted names of a column, the most telling first, in the spelling of [`key`]; empty: the format has no such column.
pub(crate) type Names = &'static [&'static str];

/// Where a table has what. Time columns may carry their unit as a suffix (`_ms`, `_us`, `_min`, `_h`); seconds else.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub id: Names,
    pub submit: Names,
    /// Submit times are offsets whatever their size.
    pub submit_is_offset: bool,
    /// Microseconds in a unit of the submit column where its name does not say.
    pub submit_unit: u64,
    /// The submit time once more, as a calendar time: tells the epoch of the offsets.
    pub submit_date: Names,
    pub duration: Names,
    pub start: Names,
    pub end: Names,
    pub accelerators: Names,
    /// Gang members, each of which takes `accelerators`.
    pub instances: Names,
    pub milli: Names,
    pub cpus: Names,
    /// Memory in MiB; suffixes `_gb`, `_gib` are understood.
    pub memory: Names,
    pub within: Names,
    pub kind: Names,
    pub tenant: Names,
    pub priority: Names,
    pub tier: Names,
    pub estimate: Names,
    pub outcome: Names,
    pub label: Names,
}

impl Layout {
    pub(crate) const NONE: Layout = Layout {
        id: &[],
        submit: &[],
        submit_is_offset: false,
        submit_unit: SECOND,
        submit_date: &[],
        duration: &[],
        start: &[],
        end: &[],
        accelerators: &[],
        instances: &[],
        milli: &[],
        cpus: &[],
        memory: &[],
        within: &[],
        kind: &[],
        tenant: &[],
        priority: &[],
        tier: &[],
        estimate: &[],
        outcome: &[],
        label: &[],
    };
}

const TIME_UNITS: &[(&str, u64)] = &[
    ("", SECOND),
    ("_s", SECOND),
    ("_sec", SECOND),
    ("_secs", SECOND),
    ("_second", SECOND),
    ("_seconds", SECOND),
    ("_ms", 1_000),
    ("_millis", 1_000),
    ("_us", 1),
    ("_micros", 1),
    ("_min", 60 * SECOND),
    ("_mins", 60 * SECOND),
    ("_minutes", 60 * SECOND),
    ("_h", 3600 * SECOND),
    ("_hours", 3600 * SECOND),
    ("_ts", SECOND),
];
const COUNT_UNITS: &[(&str, u64)] = &[("", 1)];
/// Thousandths of a processor.
const CPU_UNITS: &[(&str, u64)] = &[("_milli", 1), ("", 1000)];
const MEMORY_UNITS: &[(&str, u64)] = &[("_mib", 1), ("_mb", 1), ("", 1), ("_gib", 1024), ("_gb", 1024)];

/// The columns that were found.
struct Found {
    id: Option<Column>,
    submit: Column,
    submit_date: Option<Column>,
    duration: Option<Column>,
    start: Option<Column>,
    end: Option<Column>,
    accelerators: Column,
    instances: Option<Column>,
    milli: Option<Column>,
    cpus: Option<Column>,
    memory: Option<Column>,
    within: Option<Column>,
    kind: Option<Column>,
    tenant: Option<Column>,
    priority: Option<Column>,
    tier: Option<Column>,
    estimate: Option<Column>,
    outcome: Option<Column>,
    label: Option<Column>,
}

/// The first column that has one of these names with one of these suffixes.
pub(crate) fn find(keys: &[String], names: &[&str], units: &[(&str, u64)]) -> Option<Column> {
    let tries = names.iter().flat_map(|name| units.iter().map(move |unit| (name, unit)));
    tries.into_iter().find_map(|(name, (suffix, unit))| {
        let fits = |k: &String| k.strip_prefix(*name).is_some_and(|rest| rest == *suffix);
        keys.iter().position(fits).map(|index| Column { index, unit: *unit })
    })
}

/// The error for a table that lacks a column.
pub(crate) fn missing_column(table: &Table<'_>, format: Format, what: &'static str, names: &[&str]) -> ImportError {
    let (file, header) = (table.file().into(), table.names.join(", "));
    let header = super::error::shorten_to(header.as_bytes(), 400);
    ImportError::Column { file, format, what, names: names.join(", "), header }
}

impl Found {
    fn new(table: &Table<'_>, layout: &Layout, format: Format) -> Result<Found, ImportError> {
        let keys: Vec<String> = table.names.iter().map(|name| key(name)).collect();
        let need = |found: Option<Column>, what: &'static str, names: Names| {
            found.ok_or_else(|| missing_column(table, format, what, names))
        };
        let time = |names| find(&keys, names, TIME_UNITS);
        let plain = |names| find(&keys, names, COUNT_UNITS);
        let mut submit = need(time(layout.submit), "the submit time", layout.submit)?;
        if keys.get(submit.index).is_some_and(|k| layout.submit.contains(&k.as_str())) {
            submit.unit = layout.submit_unit;
        }
        let (duration, start, end) = (time(layout.duration), time(layout.start), time(layout.end));
        if start.is_none() || end.is_none() {
            need(duration, "the duration", layout.duration)?;
        }
        Ok(Found {
            id: plain(layout.id),
            submit,
            submit_date: plain(layout.submit_date),
            duration,
            start,
            end,
            accelerators: need(plain(layout.accelerators), "the number of accelerators", layout.accelerators)?,
            instances: plain(layout.instances),
            milli: plain(layout.milli),
            cpus: find(&keys, layout.cpus, CPU_UNITS),
            memory: find(&keys, layout.memory, MEMORY_UNITS),
            within: plain(layout.within),
            kind: plain(layout.kind),
            tenant: plain(layout.tenant),
            priority: plain(layout.priority),
            tier: plain(layout.tier),
            estimate: time(layout.estimate),
            outcome: plain(layout.outcome),
            label: plain(layout.label),
        })
    }
}

/// Reads all rows of a table with that layout.
pub(crate) fn read(mut table: Table<'_>, layout: &Layout, format: Format, to: &mut Builder) -> Result<(), ImportError> {
    let found = Found::new(&table, layout, format)?;
    each_row(&mut table, to, |row, to| job(row, &found, layout, to))
}

/// Hands every row of the right width to `take`, and what is wrong with any row to the builder.
pub(crate) fn each_row(
    table: &mut Table<'_>,
    to: &mut Builder,
    mut take: impl FnMut(&Row<'_>, &mut Builder) -> Result<(), Bad>,
) -> Result<(), ImportError> {
    while let Some(row) = table.next_row()? {
        if let Err(bad) = row.check().and_then(|()| take(&row, to)) {
            let line = row.line;
            to.reject(line, bad)?;
        }
    }
    Ok(())
}

fn job(row: &Row<'_>, at: &Found, layout: &Layout, to: &mut Builder) -> Result<(), Bad> {
    let cell = |column: Option<Column>| column.map(|column| (row.cell(column), column.unit));
    let text = |column: Option<Column>| {
        let cell = column.map(|column| row.cell(column)).filter(|cell| !cell.is_missing());
        cell.map_or(&b""[..], |cell| cell.bytes)
    };
    let submit = row.cell(at.submit);
    let submit = if layout.submit_is_offset { submit.offset(at.submit.unit)? } else { submit.when(at.submit.unit)? };
    if let (None, Some(column)) = (to.epoch_unix_s, at.submit_date) {
        let date = row.cell(column).date().ok().and_then(|date| date.micros.checked_sub(submit.micros));
        to.epoch_unix_s = date.map(|micros| (micros / SECOND) as i64);
    }
    let start = cell(at.start).map_or(Ok(None), |(start, unit)| start.when_opt(unit))?;
    let duration = duration(row, at, start)?;
    let demand = demand(row, at, to)?;
    let number = to.jobs().to_string();
    let id = at.id.map(|column| row.cell(column)).unwrap_or(Cell { column: "(row)", bytes: number.as_bytes() });
    let tier = at.tier.map_or(Ok(0), |column| row.cell(column).scaled(1))?;
    let tier = u8::try_from(tier).map_err(|_| Bad::new("tier", tier.to_string().as_bytes(), "0 to 255"))?;
    to.push(Draft {
        tenant: text(at.tenant),
        label: text(at.label),
        priority: at.priority.map_or(Ok(0), |column| row.cell(column).signed())?,
        tier,
        estimate: cell(at.estimate).map_or(Ok(None), |(estimate, unit)| estimate.span_opt(unit))?,
        outcome: outcome(text(at.outcome)),
        start,
        ..Draft::new(id, submit, duration, demand)
    })
}

/// The duration column, else end less start.
fn duration(row: &Row<'_>, at: &Found, start: Option<When>) -> Result<Span, Bad> {
    if let Some(column) = at.duration {
        let cell = row.cell(column);
        return if cell.bytes == b"never" { Ok(super::NEVER_ENDS) } else { cell.span(column.unit) };
    }
    let (Some(start_column), Some(end_column)) = (at.start, at.end) else {
        return Err(Bad::new("duration", b"", "a duration"));
    };
    let start = start.ok_or_else(|| row.cell(start_column).bad("a start time"))?;
    let end = row.cell(end_column);
    let expected = "an end that is not before the start";
    between(start, end.when(end_column.unit)?).ok_or_else(|| end.bad(expected))
}

/// The time from `start` to `end`; `None` if the end is earlier or counted otherwise.
pub(crate) fn between(start: When, end: When) -> Option<Span> {
    let same_base = start.absolute == end.absolute;
    end.micros.checked_sub(start.micros).filter(|_| same_base).map(Span)
}

fn demand(row: &Row<'_>, at: &Found, to: &mut Builder) -> Result<Demand, Bad> {
    let instances = at.instances.map_or(Ok(1), |column| row.cell(column).count())?.max(1);
    let number = row.cell(at.accelerators);
    let (each, mut milli) = share(number)?;
    if let Some(share) = at.milli.map(|column| row.cell(column)).filter(|cell| !cell.is_missing()) {
        milli = share_milli(share, each)?.unwrap_or(milli);
    }
    let (times, too_many) = (u64::from(instances), "a total that fits 32 bits");
    let total = |each: u32, cell: Cell<'_>| u32::try_from(u64::from(each) * times).map_err(|_| cell.bad(too_many));
    let scaled = |column: Option<Column>| match column {
        Some(column) => total(row.cell(column).scaled(column.unit)?, row.cell(column)),
        None => Ok(0),
    };
    let demand = Demand {
        accelerators: total(each, number)?,
        milli,
        within: at.within.map_or(Ok(Level::default()), |column| within(row.cell(column)))?,
        types: at.kind.map_or(Ok(TypeSet::ANY), |column| kinds(row.cell(column), to))?,
        cpu_milli: scaled(at.cpus)?,
        memory_mib: scaled(at.memory)?,
    };
    if demand.accelerators == 0 && demand.cpu_milli == 0 {
        return Err(number.bad("at least one accelerator, or processors"));
    }
    Ok(demand)
}

/// Whole accelerators and the share of each, rounded up to thousandths: `0.5` is one at 500, `1.5` two at 750.
pub(crate) fn share(number: Cell<'_>) -> Result<(u32, u16), Bad> {
    let milli = super::cell::decimal(number.bytes, 1000).filter(|m| (0..=i128::from(u32::MAX)).contains(m));
    let milli = milli.ok_or_else(|| number.bad("a number of accelerators, 0 or more"))? as u64;
    let whole = milli.div_ceil(1000);
    let each = if whole == 0 { u64::from(WHOLE_MILLI) } else { milli.div_ceil(whole) };
    Ok((whole as u32, each as u16))
}

/// A share in thousandths; none for jobs without accelerators.
pub(crate) fn share_milli(cell: Cell<'_>, accelerators: u32) -> Result<Option<u16>, Bad> {
    let milli = cell.count()?;
    match u16::try_from(milli) {
        _ if accelerators == 0 => Ok(None),
        Ok(milli @ 1..=WHOLE_MILLI) => Ok(Some(milli)),
        _ => Err(cell.bad("1 to 1000 thousandths of an accelerator")),
    }
}

/// A type or several, joined by `|`; words that name no accelerator mean any.
fn kinds(cell: Cell<'_>, to: &mut Builder) -> Result<TypeSet, Bad> {
    if cell.is_missing() || cell.bytes.eq_ignore_ascii_case(b"any") { Ok(TypeSet::ANY) } else { to.types(cell) }
}

fn within(cell: Cell<'_>) -> Result<Level, Bad> {
    match cell.bytes {
        b"node" => Ok(Level::Node),
        b"" | b"cluster" => Ok(Level::Cluster),
        b"region" => Ok(Level::Region),
        b"fleet" => Ok(Level::Fleet),
        _ => Err(cell.bad("node, cluster, region or fleet")),
    }
}

/// Whether a table with these column keys has all that the layout cannot do without.
pub(crate) fn suffices(keys: &[String], layout: &Layout) -> bool {
    let time = |names| find(keys, names, TIME_UNITS).is_some();
    let span = time(layout.duration) || (time(layout.start) && time(layout.end));
    time(layout.submit) && span && find(keys, layout.accelerators, COUNT_UNITS).is_some()
}
