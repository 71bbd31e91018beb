//! Gavel (OSDI '20) and Shockwave (NSDI '23) `.trace`: tab-separated, no header; the number of fields tells the version.
//!
//! | fields | order |
//! |---|---|
//! | 6 | job type, command, steps argument, **steps**, **arrival**, **scale factor** |
//! | 7 | job type, command, steps argument, needs data, **steps**, **arrival**, **scale factor** |
//! | 9 | job type, command, steps argument, needs data, **steps**, **scale factor**, **priority weight**, SLO, **arrival** |
//! | 10 | as 9 with a working directory after the command |
//! | 12 | job type, command, working directory, steps argument, needs data, **steps**, **scale factor**, mode, **priority weight**, SLO, **duration**, **arrival** (Shockwave) |
//!
//! | field | unit | use | if missing |
//! |---|---|---|---|
//! | job type | `Model (batch size N)` | label; joins the throughputs | bad row |
//! | steps | number | duration = steps / throughput | bad row |
//! | scale factor | accelerators | demand | bad row |
//! | arrival | seconds from the beginning | submit; not rebased | bad row |
//! | priority weight | number | priority, rounded | 0 |
//! | duration | seconds | duration; then no throughputs are needed | from the steps |
//! | SLO, mode, command, arguments | | not used | |
//!
//! The id is the row's number among the jobs, from 0, as Gavel numbers them. Throughputs (`--with`, or
//! `simulation_throughputs.json`, `.gz`, beside the trace or one folder above) are
//! `{type: {"('job type', scale)": {"null": steps per second}}}`. Durations are those on `v100` (the table's first type if it
//! has none), alone on the machine. The published table ends at 8 accelerators; wider jobs, and scale factors it lacks, run
//! at the rate of the widest entry that is not wider. How many is noted.

use super::builder::{Builder, Draft};
use super::cell::{Cell, SECOND, decimal};
use super::error::{Bad, ImportError};
use super::format::Format;
use super::layout::each_row;
use super::lines::{Column, Lines, Row, Table};
use policies::{Demand, Span};
use std::collections::BTreeMap;

/// Positions of the fields of a version.
#[derive(Clone, Copy)]
struct Version {
    fields: usize,
    steps: usize,
    scale: usize,
    arrival: usize,
    weight: Option<usize>,
    duration: Option<usize>,
}

const fn version(fields: usize, [steps, scale, arrival]: [usize; 3], weight: Option<usize>) -> Version {
    Version { fields, steps, scale, arrival, weight, duration: None }
}

const VERSIONS: [Version; 5] = [
    version(6, [3, 5, 4], None),
    version(7, [4, 6, 5], None),
    version(9, [4, 5, 8], Some(6)),
    version(10, [5, 6, 9], Some(7)),
    Version { duration: Some(10), ..version(12, [5, 6, 11], Some(8)) },
];

fn version_of(fields: usize) -> Option<Version> {
    VERSIONS.into_iter().find(|version| version.fields == fields)
}

/// Whether a line looks like a job of one of these traces.
pub(crate) fn is_gavel(line: &[u8]) -> bool {
    let fields: Vec<&[u8]> = line.split(|b| *b == b'\t').map(|f| f.trim_ascii()).collect();
    let numeric = |index: usize| fields.get(index).is_some_and(|f| decimal(f, 1).is_some());
    version_of(fields.len()).is_some_and(|v| numeric(v.steps) && numeric(v.scale) && numeric(v.arrival))
}

/// Steps a second by job type and number of accelerators.
type Throughputs = BTreeMap<String, BTreeMap<u32, f64>>;

pub(crate) fn import(lines: Lines<'_>, head: &[u8], to: &mut Builder) -> Result<(), ImportError> {
    let first = super::format::first_line(head).unwrap_or(b"");
    let fields = first.split(|b| *b == b'\t').count();
    let version = version_of(fields).ok_or_else(|| ImportError::Document {
        file: lines.file.clone(),
        row: 1,
        message: format!("{fields} tab-separated fields"),
        expected: "6, 7, 9, 10 or 12 fields",
    })?;
    let mut names: Vec<String> = (1..=fields).map(|i| format!("field {i}")).collect();
    let named =
        [("job type", 0), ("total_steps", version.steps), ("scale_factor", version.scale), ("arrival", version.arrival)];
    let optional = [("priority_weight", version.weight), ("duration", version.duration)];
    for (name, index) in named.into_iter().chain(optional.into_iter().filter_map(|(name, at)| Some((name, at?)))) {
        names[index] = name.into();
    }
    let throughputs = if version.duration.is_none() { Some(throughputs(&lines.file, to)?) } else { None };
    let mut table = Table::bare(lines, b'\t', names);
    let mut narrower = 0u64;
    each_row(&mut table, to, |row, to| job(row, version, throughputs.as_ref(), &mut narrower, to))?;
    if narrower > 0 {
        to.notes.push(format!("{narrower} jobs are wider than any throughput known for them and run at that of the widest"));
    }
    Ok(())
}

fn job(row: &Row<'_>, at: Version, throughputs: Option<&Throughputs>, narrower: &mut u64, to: &mut Builder) -> Result<(), Bad> {
    let cell = |index| row.cell(Column { index, unit: SECOND });
    let scale = cell(at.scale).count()?;
    if scale == 0 {
        return Err(cell(at.scale).bad("at least one accelerator"));
    }
    let submit = cell(at.arrival).offset(SECOND)?;
    let duration = match (at.duration, throughputs) {
        (Some(index), _) => cell(index).span(SECOND)?,
        (None, Some(known)) => from_steps(cell(0), cell(at.steps), scale, known, narrower)?,
        (None, None) => return Err(cell(at.steps).bad("a duration")),
    };
    let number = to.jobs().to_string();
    let id = Cell { column: "(row)", bytes: number.as_bytes() };
    let priority = at.weight.map_or(Ok(0), |index| cell(index).signed())?;
    to.push(Draft { label: row.get(0), priority, ..Draft::new(id, submit, duration, Demand::whole(scale)) })
}

fn from_steps(kind: Cell<'_>, steps: Cell<'_>, scale: u32, known: &Throughputs, narrower: &mut u64) -> Result<Span, Bad> {
    let steps_micro = decimal(steps.bytes, SECOND).filter(|s| *s >= 0).ok_or_else(|| steps.bad("a number of steps"))?;
    let name = std::str::from_utf8(kind.bytes).map_err(|_| kind.bad("a job type in UTF-8"))?;
    let rates = known.get(name).and_then(|rates| rates.range(..=scale).next_back());
    let (width, rate) = rates.ok_or_else(|| kind.bad("a job type that the throughput table has"))?;
    *narrower += u64::from(*width < scale);
    let span = Span::from_secs_f64(steps_micro as f64 / 1e6 / rate).filter(|s| i128::from(s.0) <= super::cell::MICROS_MAX);
    span.ok_or_else(|| steps.bad("fewer steps than 1e11 seconds hold"))
}

fn throughputs(file: &str, to: &mut Builder) -> Result<Throughputs, ImportError> {
    let names = ["simulation_throughputs.json", "simulation_throughputs.json.gz"];
    let needs = |what: String| ImportError::Needs { file: file.into(), format: Format::Gavel, what };
    let side = to.side(&names)?.ok_or_else(|| {
        needs("the trace counts steps, not seconds; name a throughput table (simulation_throughputs.json) with --with".into())
    })?;
    let all: BTreeMap<String, BTreeMap<String, serde_json::Value>> = serde_json::from_slice(&side.content)
        .map_err(|error| needs(format!("{} is no throughput table: {error}", side.file)))?;
    let (reference, rates) =
        all.get_key_value("v100").or_else(|| all.first_key_value()).ok_or_else(|| needs(format!("{} is empty", side.file)))?;
    let mut known = Throughputs::new();
    for (pair, with) in rates {
        let alone = with.get("null").and_then(|rate| rate.as_f64()).filter(|rate| rate.is_finite() && *rate > 0.0);
        if let (Some((kind, scale)), Some(rate)) = (kind_and_scale(pair), alone) {
            known.entry(kind.into()).or_default().insert(scale, rate);
        }
    }
    to.notes.push(format!("durations are steps divided by the throughput on {reference} in {}", side.file));
    Ok(known)
}

/// `('ResNet-18 (batch size 16)', 1)`.
fn kind_and_scale(pair: &str) -> Option<(&str, u32)> {
    let inner = pair.strip_prefix("('")?.strip_suffix(')')?;
    let (kind, scale) = inner.rsplit_once("', ")?;
    Some((kind, scale.parse().ok()?))
}
