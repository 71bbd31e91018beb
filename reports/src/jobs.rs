//! The per-job table as CSV.

use crate::error::ReportError;
use crate::output::{Accelerators, Seconds, write_whole};
use policies::JobId;
use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use traces::runlog::{Header, JobRecord, Tracker};

const COLUMNS: &str =
    "job_id,submit_s,start_s,end_s,wait_s,accelerators,preemptions,tenant,attempts,failures,executed_s,outcome";

/// How a job ended in a run: `finished`, `failed` (it used up its attempts), `withdrawn` (by its owner) or `unfinished`.
pub(crate) fn outcome(row: &JobRecord) -> &'static str {
    match (row.is_done(), row.is_failed()) {
        (false, _) if row.is_withdrawn() => "withdrawn",
        (false, _) => "unfinished",
        (true, true) => "failed",
        (true, false) => "finished",
    }
}

/// The name of a tenant, or its number where the header does not name it.
pub(crate) fn tenant_name(header: &Header, tenant: u32) -> String {
    header.tenants.get(tenant as usize).cloned().unwrap_or_else(|| tenant.to_string())
}

/// Writes a row per job, in submit order, to `path`.
///
/// Columns: `job_id` (from `name`), `submit_s`, `start_s` (first start of work), `end_s`, `wait_s` (not running between
/// submission and end), `accelerators`, `preemptions`, `tenant`, `attempts`, `failures`, `executed_s`, `outcome` (`finished`,
/// `failed`, `withdrawn`, `unfinished`; who was withdrawn has an end, but no wait). Times are seconds from the run's beginning, as the shortest exact decimals; what did not happen is
/// left empty.
///
/// # Errors
/// If the file cannot be written; then nothing is left behind.
pub fn jobs_csv<S: AsRef<str>>(
    path: &Path,
    header: &Header,
    tracker: &Tracker,
    name: impl Fn(JobId) -> S,
) -> Result<(), ReportError> {
    let tenants: Vec<Cow<str>> = header.tenants.iter().map(|tenant| quoted(tenant)).collect();
    write_whole(path, |out| {
        writeln!(out, "{COLUMNS}")?;
        for (id, row) in tracker.jobs().iter().enumerate() {
            let nameless = || Cow::Owned(row.tenant.to_string());
            let tenant = tenants.get(row.tenant as usize).cloned().unwrap_or_else(nameless);
            write_row(out, &quoted(name(JobId(id as u32)).as_ref()), row, &tenant)?;
        }
        Ok(())
    })
}

fn write_row(out: &mut dyn Write, name: &str, row: &JobRecord, tenant: &str) -> io::Result<()> {
    write!(out, "{name},{},", Seconds::from(row.submit))?;
    if row.first_start != policies::Time::MAX {
        write!(out, "{}", Seconds::from(row.first_start))?;
    }
    if row.is_done() {
        write!(out, ",{},{}", Seconds::from(row.end()), Seconds::from(row.wait()))?;
    } else if row.is_withdrawn() {
        write!(out, ",{},", Seconds::from(row.end()))?;
    } else {
        write!(out, ",,")?;
    }
    writeln!(
        out,
        ",{},{},{tenant},{},{},{},{}",
        Accelerators(row.milli.into()),
        row.preemptions,
        row.attempts,
        row.failures,
        Seconds::from(row.executed),
        outcome(row)
    )
}

/// A CSV field, quoted where RFC 4180 asks for it.
fn quoted(field: &str) -> Cow<'_, str> {
    let special = field.contains([',', '"', '\n', '\r']);
    if special { Cow::Owned(format!("\"{}\"", field.replace('"', "\"\""))) } else { Cow::Borrowed(field) }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn fields_are_quoted_only_where_they_must_be() {
        assert_eq!(quoted("job-1"), "job-1");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
