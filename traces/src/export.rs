//! Traces out: Standard Workload Format and plain CSV. What they cannot hold is said here; the Parquet form of
//! [`crate::frames`] holds everything.

use crate::import::NEVER_ENDS;
use crate::model::{Outcome, Trace, TraceJob};
use policies::{Level, Span, TypeSet, WHOLE_MILLI};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Writes Standard Workload Format 2.2 (see [`crate::import::swf`] for the fields) and returns how many jobs were left out
/// because they hold no accelerators.
///
/// Accelerators become processors; a share of one becomes a whole one (a note in the header says so). Times that are no
/// whole seconds keep their fraction. Job numbers are the ids where all are numbers, else 1, 2, ...; users and executables
/// are numbers too, whose names stand in the header. Not kept: priorities, tiers, types, localities, host demands.
///
/// # Errors
/// Those of `out`.
pub fn write_swf(trace: &Trace, mut out: impl Write) -> io::Result<u64> {
    swf_header(trace, &mut out)?;
    let ids_are_numbers = trace.jobs.iter().all(|job| is_number(&job.id));
    let (mut number, mut left_out) = (0u64, 0);
    for job in &trace.jobs {
        if job.demand.accelerators == 0 {
            left_out += 1;
            continue;
        }
        number += 1;
        let id = if ids_are_numbers { job.id.to_string() } else { number.to_string() };
        let wait = job.recorded_start.map_or("-1".into(), |start| seconds(start.since(job.submit)));
        let run = if job.duration >= NEVER_ENDS { "-1".into() } else { seconds(job.duration) };
        let estimate = job.estimate.map_or("-1".into(), seconds);
        let status = match job.outcome {
            Outcome::Failed => 0,
            Outcome::Completed => 1,
            Outcome::Cancelled => 5,
            Outcome::Unknown => -1,
        };
        let (user, group) = person(trace, job);
        let (app, queue) = program(trace, job);
        let submit = seconds(Span(job.submit.0));
        let gpus = job.demand.accelerators;
        writeln!(
            out,
            "{id} {submit} {wait} {run} {gpus} -1 -1 {gpus} {estimate} -1 {status} {user} {group} {app} {queue} -1 -1 -1"
        )?;
    }
    out.flush()?;
    Ok(left_out)
}

fn swf_header(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "; Version: 2.2")?;
    writeln!(out, "; Computer: accelerators of a {} trace", line(&trace.format))?;
    writeln!(out, "; Conversion: orrery")?;
    writeln!(out, "; MaxJobs: {}", trace.jobs.len())?;
    writeln!(out, "; MaxRecords: {}", trace.jobs.len())?;
    if let Some(epoch) = trace.epoch_unix_s {
        writeln!(out, "; UnixStartTime: {epoch}")?;
        writeln!(out, "; TimeZoneString: UTC")?;
    }
    if let Some(fleet) = &trace.fleet {
        writeln!(out, "; MaxNodes: {}", fleet.nodes.len())?;
        writeln!(out, "; MaxProcs: {}", fleet.accelerators())?;
    }
    writeln!(out, "; Note: processors are accelerators")?;
    if trace.jobs.iter().any(|job| job.demand.milli != WHOLE_MILLI) {
        writeln!(out, "; Note: shares of an accelerator are written as whole ones")?;
    }
    for (index, name) in trace.tenants.iter().enumerate().skip(1).filter(|(_, name)| numbered(name, &["u", "g"]).is_none()) {
        writeln!(out, "; Note: user {index} is {}", line(name))?;
    }
    for (index, name) in trace.labels.iter().enumerate().skip(1).filter(|(_, name)| numbered(name, &["app", "queue"]).is_none())
    {
        writeln!(out, "; Note: executable {index} is {}", line(name))?;
    }
    Ok(())
}

/// Text that stays on its line.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn is_number(text: &str) -> bool {
    (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// `u12` is user 12: which prefix, and the number.
fn numbered<'a>(name: &'a str, prefixes: &[&'static str]) -> Option<(&'static str, &'a str)> {
    prefixes.iter().find_map(|prefix| name.strip_prefix(prefix).filter(|n| is_number(n)).map(|n| (*prefix, n)))
}

/// User and group. Names that came from this format become its numbers again, if all tenants did.
fn person(trace: &Trace, job: &TraceJob) -> (String, String) {
    two_numbers(&trace.tenants, job.tenant, &["u", "g"])
}

/// Executable and queue.
fn program(trace: &Trace, job: &TraceJob) -> (String, String) {
    two_numbers(&trace.labels, job.label, &["app", "queue"])
}

fn two_numbers(names: &[String], index: u32, prefixes: &[&'static str; 2]) -> (String, String) {
    let none = || String::from("-1");
    let all = names.iter().skip(1).all(|name| numbered(name, prefixes).is_some());
    match names.get(index as usize).and_then(|name| numbered(name, prefixes)).filter(|_| all) {
        _ if index == 0 => (none(), none()),
        Some((prefix, number)) if prefix == prefixes[0] => (number.into(), none()),
        Some((_, number)) => (none(), number.into()),
        None => (index.to_string(), none()),
    }
}

/// Exact seconds: `5`, `0.25`.
fn seconds(span: Span) -> String {
    let (whole, micros) = (span.0 / 1_000_000, span.0 % 1_000_000);
    let mut text = whole.to_string();
    if micros > 0 {
        let _ = write!(text, ".{micros:06}");
        text.truncate(text.trim_end_matches('0').len());
    }
    text
}

/// The columns of [`write_csv`].
const COLUMNS: [&str; 16] = [
    "job_id",
    "submit_time",
    "duration",
    "num_gpu",
    "gpu_milli",
    "cpu_milli",
    "memory_mib",
    "within",
    "gpu_type",
    "tenant",
    "priority",
    "tier",
    "estimate",
    "status",
    "start_time",
    "label",
];

/// Writes a plain CSV (see [`crate::import::plain`]), times in exact seconds from the trace's beginning. Not kept: the
/// epoch, the fleet, and the name of the format. Jobs that never end have the duration `never`.
///
/// # Errors
/// Those of `out`.
pub fn write_csv(trace: &Trace, out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    let name = |names: &[String], index: u32| names.get(index as usize).cloned().unwrap_or_default();
    for job in &trace.jobs {
        let demand = &job.demand;
        let within = match demand.within {
            Level::Node => "node",
            // No trace knows the domains of a fleet.
            Level::Cluster | Level::Domain(_) => "cluster",
            Level::Region => "region",
            Level::Fleet => "fleet",
        };
        let status = match job.outcome {
            Outcome::Completed => "completed",
            Outcome::Failed => "failed",
            Outcome::Cancelled => "cancelled",
            Outcome::Unknown => "unknown",
        };
        csv.write_record([
            job.id.to_string(),
            seconds(Span(job.submit.0)),
            if job.duration >= NEVER_ENDS { "never".into() } else { seconds(job.duration) },
            demand.accelerators.to_string(),
            demand.milli.to_string(),
            demand.cpu_milli.to_string(),
            demand.memory_mib.to_string(),
            within.into(),
            types(demand.types, &trace.types),
            name(&trace.tenants, job.tenant),
            job.priority.to_string(),
            job.tier.to_string(),
            job.estimate.map_or(String::new(), seconds),
            status.into(),
            job.recorded_start.map_or(String::new(), |start| seconds(Span(start.0))),
            name(&trace.labels, job.label),
        ])?;
    }
    csv.flush()
}

fn types(set: TypeSet, names: &[String]) -> String {
    if set == TypeSet::ANY {
        return String::new();
    }
    let chosen = names.iter().take(64).enumerate().filter(|(index, _)| set.0 >> index & 1 == 1);
    chosen.map(|(_, name)| name.as_str()).collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{ImportOptions, import_bytes};

    fn read(text: &[u8]) -> Trace {
        import_bytes("t", text, &ImportOptions::default()).unwrap_or_else(|error| panic!("{error}")).trace
    }

    #[test]
    fn csv_comes_back_as_it_was() {
        let text = b"job_id,submit,duration,gpus,gpu_milli,cpus,memory,within,gpu_type,user,priority,tier,walltime,state,start,label\n\
            a,0.25,10,1,250,4,64,node,T4|V100,\"x, y\",-3,2,99.5,failed,7,m\nb,1,0.000001,8,,,,region,,,,,,,,\nc,1,never,0,,2,,,T4,,,,,killed,,\n";
        let first = read(text);
        let mut csv = Vec::new();
        write_csv(&first, &mut csv).unwrap();
        assert_eq!(read(&csv), first);
        assert_eq!(first.jobs[2].duration, NEVER_ENDS);
    }

    #[test]
    fn swf_comes_back_as_it_was() {
        let text = b"; Version: 2.2\n; UnixStartTime: 1577836800\n; MaxProcs: 16\n\
            7 0 5 100 4 -1 -1 4 200 -1 1 3 -1 2 -1 -1 -1 -1\n9 2.5 -1 50 2 -1 -1 2 -1 -1 5 -1 7 -1 1 -1 -1 -1\n";
        let first = read(text);
        let mut swf = Vec::new();
        assert_eq!(write_swf(&first, &mut swf).unwrap(), 0);
        let second = read(&swf);
        assert_eq!((&second.jobs, &second.tenants, &second.labels), (&first.jobs, &first.tenants, &first.labels));
        assert_eq!((second.epoch_unix_s, second.fleet.unwrap().accelerators()), (first.epoch_unix_s, 16));
    }

    #[test]
    fn swf_names_what_it_numbers() {
        let trace = read(b"id,submit,duration,gpus,cpus,user,model\nx,0,1,0.5,1,ann,bert\ny,0,1,0,4,bob,bert\n");
        let mut swf = Vec::new();
        assert_eq!(write_swf(&trace, &mut swf).unwrap(), 1, "a job without accelerators");
        let text = String::from_utf8(swf).unwrap();
        assert!(text.contains("; Note: user 1 is ann\n") && text.contains("; Note: executable 1 is bert\n"), "{text}");
        assert!(text.ends_with("\n1 0 -1 1 1 -1 -1 1 -1 -1 -1 1 -1 1 -1 -1 -1 -1\n"), "{text}");
    }
}
