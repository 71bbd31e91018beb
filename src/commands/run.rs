//! `orrery run`.

use super::outputs::{self, ResultFolder};
use super::{saved, study};
use crate::Verdict;
use crate::cli::{Output, RunArgs};
use crate::progress::Bars;
use crate::setup::{self, Planned};
use anyhow::{Context, Result};
use orrery::experiment::{Outcome, Saving};
use rayon::prelude::*;
use reports::{Summary, jobs_csv, summary_csv, summary_json, summary_table};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Runs every policy that was asked for and tells what came of it.
pub fn run(args: &RunArgs) -> Result<Verdict> {
    if let Some(folder) = &args.resume {
        let Some((args, folder)) = saved::reopen(folder)? else { return Ok(Verdict::Done) };
        let point = setup::points(&args)?.and_then(|points| points.into_iter().next());
        let planned = setup::plan(&args, point)?;
        return carry_out(&args, &planned, Some(folder));
    }
    let point = match setup::points(args)? {
        Some(points) if points.len() > 1 => return study::run(args, points),
        points => points.and_then(|points| points.into_iter().next()),
    };
    let planned = setup::plan(args, point)?;
    outputs::require_distinct(&planned.policies)?;
    let out = out_folder(args, &planned);
    let folder = match saved::saving(args)? {
        Some(_) => Some(saved::begin(out.context("--snapshot-every: give --out DIR, where the snapshots go")?)?),
        None => out.map(ResultFolder::begin).transpose()?,
    };
    carry_out(args, &planned, folder)
}

fn carry_out(args: &RunArgs, planned: &Planned, folder: Option<ResultFolder>) -> Result<Verdict> {
    let saving = saved::saving(args)?;
    let outcomes = run_all(planned, folder.as_ref(), saving.as_ref(), args.threads)?;
    saved::tell(planned, &outcomes);
    let summaries = summarize(planned, &outcomes)?;
    if let Some(path) = &args.jobs_csv {
        write_jobs(path, planned, &outcomes)?;
    }
    ask(args.output, &planned.question)?;
    print(args.output, &summaries)?;
    if let Some(folder) = folder {
        let wall_s: Vec<f64> = outcomes.iter().map(|o| o.wall_s).collect();
        outputs::write(&folder, &planned.policies, &wall_s, &summaries)?;
        let path = folder.finish()?;
        eprintln!("results in {0}, figures in {0}/report.html", path.display());
    }
    Ok(Verdict::Done)
}

/// The figures of runs that belong together.
pub(super) fn summarize(planned: &Planned, outcomes: &[Outcome]) -> Result<Vec<Summary>> {
    let bound = if planned.bound { Some(planned.experiment.bound()?) } else { None };
    let (swept, swept_value) = planned.swept.clone().unzip();
    let summary = |o: &Outcome| Summary {
        variant: Some(planned.variant.clone()).filter(|name| !name.is_empty()),
        swept: swept.clone(),
        swept_value: swept_value.clone(),
        bound: bound.clone(),
        ..Summary::of(&o.header, &o.tracker, o.account.as_ref(), &o.log_digest, o.wall_s)
    };
    Ok(outcomes.iter().map(summary).collect())
}

/// Where results go.
pub(super) fn out_folder(args: &RunArgs, planned: &Planned) -> Option<PathBuf> {
    let default = || planned.from_scenario.then(|| Path::new("runs").join(&planned.experiment.name));
    args.out.clone().or_else(default)
}

/// Policies are independent of each other, so they run side by side; results are in the order in which they were asked for.
pub(super) fn run_all(
    planned: &Planned,
    folder: Option<&ResultFolder>,
    saving: Option<&Saving>,
    threads: Option<usize>,
) -> Result<Vec<Outcome>> {
    let experiment = &planned.experiment;
    let bars = Bars::new();
    let one = |policy: &String| -> Result<Outcome> {
        let log = folder.map(|f| f.for_policy(policy)).transpose()?.map(|f| f.join("run.log"));
        let bar = bars.add(policy, experiment.trace.jobs.len() as u64);
        let progress = &mut |done| bar.set_position(done);
        let outcome = match (log, saving) {
            (Some(log), Some(saving)) => experiment.run_saved(policy, &log, saving, progress)?,
            (log, _) => experiment.run(policy, log.as_deref(), progress)?,
        };
        bar.finish();
        Ok(outcome)
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build()?;
    pool.install(|| planned.policies.par_iter().map(one).collect())
}

/// One file for one policy; for several, the policy's name goes into each file's name.
fn write_jobs(path: &Path, planned: &Planned, outcomes: &[Outcome]) -> Result<()> {
    for (policy, outcome) in planned.policies.iter().zip(outcomes) {
        let path = match outcomes {
            [_] => path.to_owned(),
            _ => {
                let stem = path.file_stem().with_context(|| format!("--jobs-csv {}: no file name", path.display()))?;
                path.with_file_name(format!("{}-{}.csv", stem.to_string_lossy(), outputs::slug(policy)))
            }
        };
        let name = |job: policies::JobId| &*planned.experiment.trace.jobs[job.index()].id;
        jobs_csv(&path, &outcome.header, &outcome.tracker, name)?;
    }
    Ok(())
}

/// Says what the scenario asks, to people.
pub(super) fn ask(output: Output, question: &str) -> Result<()> {
    if output == Output::Table && !question.is_empty() {
        writeln!(std::io::stdout().lock(), "{question}\n")?;
    }
    Ok(())
}

/// Prints summaries in the form that was asked for.
pub fn print(output: Output, summaries: &[Summary]) -> Result<()> {
    let text = match output {
        Output::Table => summary_table(summaries),
        Output::Json => summary_json(summaries),
        Output::Csv => summary_csv(summaries),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    Ok(())
}
