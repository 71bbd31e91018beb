//! Standard Workload Format 2.2 (Parallel Workloads Archive): 18 numbers a line, header comments, -1 for missing.
//! Processors are taken as accelerators. [`crate::export::write_swf`] writes it.
//!
//! | field | unit | use | if missing (-1) |
//! |---|---|---|---|
//! | 1 job number | number | id | bad row |
//! | 2 submit time | seconds from the beginning | submit; not rebased | bad row |
//! | 3 wait time | seconds | recorded start = submit + wait | not recorded |
//! | 4 run time | seconds | duration | left out |
//! | 5 allocated processors | number | accelerators | field 8 |
//! | 6 average CPU time, 7 used memory | | not used | |
//! | 8 requested processors | number | accelerators where field 5 is missing | left out |
//! | 9 requested time | seconds | estimate | none |
//! | 10 requested memory | KB for each processor | not used | |
//! | 11 status | 0 failed, 1 completed, 5 cancelled; 2, 3, 4 partial executions | outcome; 2 to 4 are left out, since field 1 repeats there | unknown |
//! | 12 user, 13 group | number | tenant: the user `uN`, else the group `gN` | nobody |
//! | 14 executable | number | label `appN` | field 15 |
//! | 15 queue | number | label `queueN` where field 14 is missing | none |
//! | 16 partition, 17 preceding job, 18 think time | | not used | |
//!
//! Header comments that are used:
//! `UnixStartTime` (the epoch), `MaxProcs` (else `MaxNodes`; a fleet of one pool of that many, unless a machine list is
//! given). Others (`Version`, `Computer`, `Installation`, `Acknowledge`, `Information`, `Conversion`, `MaxJobs`,
//! `MaxRecords`, `Preemption`, `TimeZone`, `TimeZoneString`, `StartTime`, `EndTime`, `MaxRuntime`, `MaxMemory`,
//! `AllowOveruse`, `Queues`, `Queue`, `Partitions`, `Partition`, `MaxPartitions`, `MaxQueues`, `Note`) are read over;
//! `Computer` and `Installation` are noted.

use super::builder::{Builder, Draft};
use super::cell::{Cell, SECOND, decimal};
use super::error::{Bad, ImportError};
use super::lines::Lines;
use crate::model::Outcome;
use policies::{Demand, Fleet};

const NAMES: [&str; 18] = [
    "1 job number",
    "2 submit time",
    "3 wait time",
    "4 run time",
    "5 allocated processors",
    "6 average CPU time",
    "7 used memory",
    "8 requested processors",
    "9 requested time",
    "10 requested memory",
    "11 status",
    "12 user",
    "13 group",
    "14 executable",
    "15 queue",
    "16 partition",
    "17 preceding job",
    "18 think time",
];

pub(crate) fn import(mut lines: Lines<'_>, to: &mut Builder) -> Result<(), ImportError> {
    let mut max = (None, None);
    while lines.advance()? {
        let text = lines.text.trim_ascii();
        if let Some(comment) = text.strip_prefix(b";") {
            header(comment, &mut max, to);
            continue;
        }
        if let Err(bad) = job(text, to) {
            let line = lines.number;
            to.reject(line, bad)?;
        }
    }
    if let (None, Some(size)) = (&to.fleet, max.0.or(max.1)) {
        to.fleet = Some(Fleet::pool(size));
    }
    Ok(())
}

/// `; Key: value`.
fn header(comment: &[u8], max: &mut (Option<u32>, Option<u32>), to: &mut Builder) {
    let text = String::from_utf8_lossy(comment);
    let Some((key, value)) = text.split_once(':') else { return };
    let (key, value) = (key.trim(), value.trim());
    let size = || value.parse::<u32>().ok().filter(|size| *size > 0);
    match key {
        "UnixStartTime" => to.epoch_unix_s = value.parse().ok().filter(|s| (0..100_000_000_000i64).contains(s)),
        "MaxProcs" => max.0 = size(),
        "MaxNodes" => max.1 = size(),
        "Computer" | "Installation" if !value.is_empty() && to.notes.len() < 8 => {
            to.notes.push(format!("{key}: {}", super::error::shorten(value.as_bytes())));
        }
        _ => {}
    }
}

fn job(text: &[u8], to: &mut Builder) -> Result<(), Bad> {
    let mut fields = [&b""[..]; 18];
    let mut count = 0;
    for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        if let Some(field) = fields.get_mut(count) {
            *field = word;
        }
        count += 1;
    }
    if count != 18 {
        return Err(Bad::new("(row)", text, format!("18 fields, not {count}")));
    }
    for (name, field) in NAMES.iter().zip(fields) {
        if decimal(field, 1).is_none() {
            return Err(Bad::new(name, field, "a number, -1 where missing"));
        }
    }
    let cell = |number: usize| Cell { column: NAMES[number - 1], bytes: fields[number - 1] };
    let given = |number: usize| Some(cell(number)).filter(|cell| cell.bytes[0] != b'-');
    if matches!(fields[10], b"2" | b"3" | b"4") {
        to.leave_out("partial executions (status 2 to 4)");
        return Ok(());
    }
    let submit = cell(2).offset(SECOND)?;
    let minus_one = |number: usize| decimal(fields[number - 1], 1) == Some(-1);
    let processors = given(5).or(given(8));
    let (false, Some(processors)) = (minus_one(4), processors) else {
        to.leave_out("jobs without a recorded run time or number of processors");
        return Ok(());
    };
    let duration = cell(4).span(SECOND)?;
    let accelerators = processors.count()?;
    if accelerators == 0 {
        return Err(processors.bad("at least one processor"));
    }
    let mut start = submit;
    if let Some(wait) = given(3) {
        start.micros += wait.span(SECOND)?.0;
    }
    let named = |prefix: &str, number| given(number).map(|c| [prefix.as_bytes(), c.bytes].concat());
    let tenant = named("u", 12).or_else(|| named("g", 13)).unwrap_or_default();
    let label = named("app", 14).or_else(|| named("queue", 15)).unwrap_or_default();
    let id = given(1).ok_or_else(|| cell(1).bad("a job number, 0 or more"))?;
    to.push(Draft {
        tenant: &tenant,
        label: &label,
        estimate: given(9).map_or(Ok(None), |cell| cell.span(SECOND).map(Some))?,
        outcome: match fields[10] {
            b"0" => Outcome::Failed,
            b"1" => Outcome::Completed,
            b"5" => Outcome::Cancelled,
            _ => Outcome::Unknown,
        },
        start: given(3).map(|_| start),
        ..Draft::new(id, submit, duration, Demand::whole(accelerators))
    })
}
