//! Microsoft Philly 2017 (ATC '19): the original `cluster_job_log` and the merged CSV.
//!
//! Original (`philly`), a JSON array of jobs; `--machines` takes `cluster_machine_list` (see [`super::machines`]):
//!
//! | key | unit | use | if missing |
//! |---|---|---|---|
//! | `jobid`, or `id` | text | id | bad row |
//! | `submitted_time` | `YYYY-MM-DD HH:MM:SS`, zone not told, taken as UTC | submit, rebased to the first | bad row |
//! | `attempts[].start_time`, `end_time` | same | duration: from the first start to the last end, as all published derivatives count it, so gaps between retries are inside; the first start is recorded | job left out (never started, or still running when the log was taken) |
//! | `attempts[].detail[].gpus` | list | accelerators: those of the first attempt that lists any | `num_gpus`, which derivatives of the log have; else job left out |
//! | `status` | `Pass`, `Killed`, `Failed` | outcome | unknown |
//! | `vc` | text | tenant | nobody |
//! | `user` | text | not used (quotas are by VC) | |
//!
//! Merged (`philly-csv`): `job_id`, `submit_s` (seconds from 2017-08-14T23:27:00; not rebased), `submit_ts` (the same as
//! a date; gives the epoch), `num_gpus`, `duration_s` (seconds, first start to last end), `status` (outcome; `Pass` is
//! inferred by its makers, `Killed_or_Failed` is unknown here), `vc` (tenant; nobody for the fifth without one). `vc_source`,
//! `pass_duration_s`, `user15k` and `node_num15k` are not used.

use super::builder::{Builder, Draft, outcome};
use super::cell::{Cell, When};
use super::error::{Bad, ImportError};
use super::format::Format;
use super::json::{Text, each_element};
use super::layout::{Layout, between, read};
use super::lines::Table;
use policies::Demand;
use serde::Deserialize;
use std::io::BufRead;

const MERGED: Layout = Layout {
    id: &["job_id"],
    submit: &["submit_s", "submit_time"],
    submit_is_offset: true,
    submit_date: &["submit_ts"],
    duration: &["duration"],
    accelerators: &["num_gpus", "num_gpu"],
    tenant: &["vc"],
    outcome: &["status"],
    ..Layout::NONE
};

pub(crate) fn import_csv(table: Table<'_>, to: &mut Builder) -> Result<(), ImportError> {
    read(table, &MERGED, Format::PhillyCsv, to)
}

#[derive(Deserialize)]
struct Job {
    #[serde(alias = "id")]
    jobid: Option<Text>,
    submitted_time: Option<Text>,
    #[serde(default)]
    attempts: Vec<Attempt>,
    num_gpus: Option<u32>,
    status: Option<Text>,
    vc: Option<Text>,
}

#[derive(Deserialize)]
struct Attempt {
    start_time: Option<Text>,
    end_time: Option<Text>,
    #[serde(default)]
    detail: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    gpus: Vec<serde::de::IgnoredAny>,
}

pub(crate) fn import_json(file: &str, reader: Box<dyn BufRead + '_>, to: &mut Builder) -> Result<(), ImportError> {
    let expected = "an array of jobs, each with jobid, submitted_time and attempts";
    each_element(file, reader, expected, |line, job: Result<Job, Bad>| {
        job.and_then(|job| take(&job, to)).or_else(|bad| to.reject(line, bad))
    })
}

fn cell<'a>(column: &'a str, text: &'a Option<Text>) -> Cell<'a> {
    Cell { column, bytes: text.as_ref().map_or(&b""[..], |text| text.0.trim().as_bytes()) }
}

fn take(job: &Job, to: &mut Builder) -> Result<(), Bad> {
    let submit = cell("submitted_time", &job.submitted_time).date()?;
    let Some((start, end)) = run(&job.attempts)? else {
        to.leave_out("jobs without a recorded start and end");
        return Ok(());
    };
    let gpus = |attempt: &Attempt| attempt.detail.iter().map(|d| d.gpus.len() as u32).sum::<u32>();
    let Some(accelerators) = job.attempts.iter().map(gpus).chain(job.num_gpus).find(|gpus| *gpus > 0) else {
        to.leave_out("jobs without a recorded accelerator");
        return Ok(());
    };
    let end_cell = cell("end_time", &job.attempts.last().and_then(|a| a.end_time.clone())).bytes.to_vec();
    let duration = between(start, end).ok_or_else(|| Bad::new("end_time", &end_cell, "an end that is not before the start"))?;
    to.push(Draft {
        tenant: cell("vc", &job.vc).bytes,
        outcome: outcome(cell("status", &job.status).bytes),
        start: Some(start),
        ..Draft::new(cell("jobid", &job.jobid), submit, duration, Demand::whole(accelerators))
    })
}

/// First start and last end; `None` if either is not recorded.
fn run(attempts: &[Attempt]) -> Result<Option<(When, When)>, Bad> {
    let date = |column, text| {
        let cell = cell(column, text);
        if cell.is_missing() { Ok(None) } else { cell.date().map(Some) }
    };
    let start = attempts.first().map_or(Ok(None), |first| date("start_time", &first.start_time))?;
    let end = attempts.last().map_or(Ok(None), |last| date("end_time", &last.end_time))?;
    Ok(start.zip(end))
}
