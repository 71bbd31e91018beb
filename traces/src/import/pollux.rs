//! Pollux (OSDI '21) and Sia (SOSP '23) workloads.
//!
//! | column | unit | use | if missing |
//! |---|---|---|---|
//! | `name` | text | id | bad row |
//! | `time` | seconds from the beginning | submit; not rebased | bad row |
//! | `application` | text | label; joins the durations | bad row |
//! | `num_replicas` | accelerators that the user asked for | demand | bad row |
//! | `batch_size` | number | not used (both systems choose their own) | |
//!
//! **Durations are not in these files**, nor derivable from them: in both simulators a job ends when it has done its work,
//! at a speed that its own profiles give for every placement and batch size. So without durations a workload is refused.
//! `--with FILE` gives them: a CSV with `duration` (seconds) and either `name` (a job) or `application` and, optionally,
//! `num_replicas`; the most particular row that fits a job counts.

use super::builder::{Builder, Draft};
use super::cell::SECOND;
use super::error::{Bad, BadRow, ImportError};
use super::format::{Format, delimiter_of, first_line, key};
use super::layout::{each_row, find, missing_column};
use super::lines::{Column, Lines, Table};
use policies::{Demand, Span};
use rustc_hash::FxHashMap;

const NEEDS: &str = "a Pollux or Sia workload holds no durations (its simulator derives them from profiles); \
     give them with --with FILE, a CSV with the columns duration and name, or duration, application and num_replicas";

/// By name, or by application and number of accelerators (0: any).
type Durations = FxHashMap<(Box<[u8]>, u32), Span>;

pub(crate) fn import(mut table: Table<'_>, to: &mut Builder) -> Result<(), ImportError> {
    let keys: Vec<String> = table.names.iter().map(|name| key(name)).collect();
    let column = |name: &'static str| {
        let names = ["name", "time", "application", "num_replicas"];
        find(&keys, &[name], &[("", SECOND)]).ok_or_else(|| missing_column(&table, Format::Pollux, name, &names))
    };
    let at = [column("name")?, column("time")?, column("application")?, column("num_replicas")?];
    let Some(side) = to.side(&[])? else {
        return Err(ImportError::Needs { file: table.file().into(), format: Format::Pollux, what: NEEDS.into() });
    };
    let known = durations(&side.file, &side.content)?;
    to.notes.push(format!("durations are from {}", side.file));
    each_row(&mut table, to, |row, to| {
        let [name, time, application, replicas] = at.map(|column| row.cell(column));
        let gpus = replicas.count()?;
        if gpus == 0 {
            return Err(replicas.bad("at least one accelerator"));
        }
        let tries = [(name.bytes, 0), (application.bytes, gpus), (application.bytes, 0)];
        let found = tries.into_iter().find_map(|(key, gpus)| known.get(&(key.into(), gpus)));
        let duration = *found.ok_or_else(|| application.bad(format!("an application with a duration in {}", side.file)))?;
        let draft = Draft::new(name, time.offset(SECOND)?, duration, Demand::whole(gpus));
        to.push(Draft { label: application.bytes, ..draft })
    })
}

fn durations(file: &str, content: &[u8]) -> Result<Durations, ImportError> {
    let delimiter = delimiter_of(first_line(content).unwrap_or(b""));
    let mut table = Table::with_header(Lines::new(file, Box::new(content)), delimiter)?;
    let keys: Vec<String> = table.names.iter().map(|name| key(name)).collect();
    let column = |name: &'static str| find(&keys, &[name], &[("", SECOND), ("_s", SECOND)]);
    let need = |found: Option<Column>, what| {
        found.ok_or_else(|| missing_column(&table, Format::Pollux, what, &["duration", "name", "application", "num_replicas"]))
    };
    let duration = need(column("duration"), "the duration")?;
    let subject = need(column("name").or(column("application")), "the job or its application")?;
    let replicas = column("num_replicas").filter(|_| column("name").is_none());
    let mut known = Durations::default();
    while let Some(row) = table.next_row()? {
        let entry = row.check().and_then(|()| {
            let gpus = replicas.map(|column| row.cell(column)).filter(|cell| !cell.is_missing());
            let gpus = gpus.map_or(Ok(0), |cell| cell.count())?;
            Ok((row.get(subject.index).into(), gpus, row.cell(duration).span(SECOND)?))
        });
        let (subject, gpus, span) = entry.map_err(|Bad { column, value, expected }| {
            ImportError::Row(BadRow { file: file.into(), row: row.line, column, value, expected })
        })?;
        known.insert((subject, gpus), span);
    }
    Ok(known)
}
