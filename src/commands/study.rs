//! `orrery run` of a scenario that stands for several: variants, swept fields.

use super::outputs::{self, ResultFolder};
use super::run::{ask, out_folder, print, run_all, summarize};
use crate::Verdict;
use crate::cli::RunArgs;
use crate::setup;
use anyhow::{Result, bail};
use reports::{Summary, write_study};
use traces::scenario::Point;

/// Runs all of them and compares. What is kept of each run is its figures; `--set` and `--variant` make it again with everything
/// that a single run leaves.
pub fn run(args: &RunArgs, points: Vec<Point>) -> Result<Verdict> {
    if args.snapshot_every.or(args.snapshot_clock).is_some() {
        bail!("--snapshot-every: the scenario stands for {} ones: choose one with --set and --variant", points.len());
    }
    if args.jobs_csv.is_some() {
        bail!("--jobs-csv: the scenario stands for {} ones: choose one with --set and --variant", points.len());
    }
    let mut summaries: Vec<Summary> = Vec::new();
    let mut folder = None;
    let mut question = String::new();
    let count = points.len();
    for (i, point) in points.into_iter().enumerate() {
        let planned = setup::plan(args, Some(point))?;
        outputs::require_distinct(&planned.policies)?;
        if i == 0 {
            folder = out_folder(args, &planned).map(ResultFolder::begin).transpose()?;
            question.clone_from(&planned.question);
        }
        let outcomes = run_all(&planned, None, None, args.threads)?;
        summaries.extend(summarize(&planned, &outcomes)?);
        eprintln!("{} of {count} done", i + 1);
    }
    ask(args.output, &question)?;
    print(args.output, &summaries)?;
    if let Some(folder) = folder {
        write_study(folder.partial(), &summaries, &question, &outputs::command_line())?;
        let path = folder.finish()?;
        eprintln!("results in {0}, figures in {0}/report.html", path.display());
    }
    Ok(Verdict::Done)
}
