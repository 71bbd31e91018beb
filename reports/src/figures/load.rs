//! Allocation and queue over time.

use super::axis::{Axis, grouped, human};
use super::canvas::{Drawn, figure, ink, legend, line, panel, rule};
use super::{Figure, Picture, list};
use crate::error::ReportError;
use crate::series::{Level, Series};

const LEFT: i32 = 84;
const SIZE: (u32, u32) = (960, 600);

pub(super) fn draw(runs: &[Picture]) -> Result<Option<Figure>, ReportError> {
    let shown = || runs.iter().map(|run| &run.series).filter(|series| !series.is_empty());
    let (Some(from), Some(to)) = (shown().map(Series::origin).min(), shown().map(Series::end).max()) else {
        return Ok(None);
    };
    let time = Axis::time(from.as_secs_f64()..to.as_secs_f64(), runs[0].epoch_unix_s);
    let highest = |level: Level| {
        let of = |series: &Series| (0..series.len()).map(|i| series.mean(i, level)).fold(0.0, f64::max);
        shown().map(of).fold(0.0, f64::max)
    };
    let fleet = runs.iter().map(|run| run.summary.accelerators).max().unwrap_or(0) as f64;
    let used = Axis::count("accelerators", fleet.max(highest(Level::UsedMilli) / 1000.0));
    let pending = Axis::count("jobs", highest(Level::PendingJobs));
    let svg = figure("load", "Accelerators held by jobs and jobs waiting, over time", SIZE, |root| {
        let body = legend(root, &super::entries(runs))?;
        let (upper, lower) = body.split_vertically(body.dim_in_pixel().1 as i32 / 2);
        let mut chart = panel(&upper, "Accelerators held by jobs", &time, &used, LEFT)?;
        rule(&mut chart, [(time.range.start, fleet), (time.range.end, fleet)])?;
        lines(&mut chart, runs, Level::UsedMilli, 1000.0)?;
        let mut chart = panel(&lower, "Jobs waiting", &time, &pending, LEFT)?;
        lines(&mut chart, runs, Level::PendingJobs, 1.0)
    })?;
    Ok(Some(Figure { name: "load", title: "Allocation and queue over time", caption: caption(runs), svg }))
}

fn lines(chart: &mut super::canvas::Chart<'_, '_>, runs: &[Picture], level: Level, unit: f64) -> Drawn<()> {
    for (i, run) in runs.iter().enumerate() {
        let series = &run.series;
        let middle = |bin: usize| {
            let (from, to) = series.span(bin);
            (from.as_secs_f64() + to.as_secs_f64()) / 2.0
        };
        line(chart, (0..series.len()).map(|bin| (middle(bin), series.mean(bin, level) / unit)).collect(), ink(i))?;
    }
    Ok(())
}

fn caption(runs: &[Picture]) -> String {
    let first = &runs[0].series;
    let width = first.span(0).1.since(first.span(0).0).as_secs_f64();
    let found = runs.iter().map(|run| {
        let most = (0..run.series.len()).map(|i| run.series.max(i, Level::PendingJobs)).max().unwrap_or(0);
        let held = run.summary.allocation * 100.0;
        format!("{} held {held:.1} % of the fleet on average and had at most {} jobs waiting", run.label, grouped(most as f64))
    });
    format!(
        "Top: accelerators that jobs hold; the dashed line is the fleet. Bottom: jobs that hold none. Time-weighted means over {} each. {}.",
        human(width),
        list(found)
    )
}
