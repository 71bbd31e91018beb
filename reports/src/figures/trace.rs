//! What a trace asks for, in four panels.

use super::axis::Axis;
use super::canvas::{Area, Drawn, categories, figure, ink, legend, line, panel, row_of};
use super::cdf::Curve;
use crate::error::ReportError;
use crate::stats::Samples;
use plotters::prelude::*;
use traces::import::NEVER_ENDS;
use traces::stat::{Part, Stat};
use traces::{Outcome, Trace};

const SIZE: (u32, u32) = (1100, 860);
const LEFT: i32 = 74;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Draws a trace as SVG: durations by how the jobs ended, jobs and accelerator-hours by size, submissions by hour and by day of the
/// week (where the trace has a calendar).
///
/// # Errors
/// If it cannot be drawn.
pub fn trace_svg(trace: &Trace, stat: &Stat) -> Result<String, ReportError> {
    figure("trace", "What a trace asks for: durations, sizes, and when jobs are submitted", SIZE, |root| {
        let (top, bottom) = root.split_vertically(SIZE.1 as i32 / 2);
        let (left, right) = top.split_horizontally(SIZE.0 as i32 / 2);
        durations(&left, trace)?;
        sizes(&right, &stat.sizes)?;
        let (left, right) = bottom.split_horizontally(SIZE.0 as i32 / 2);
        let hours: Vec<_> = stat.by_hour.iter().enumerate().map(|(hour, jobs)| (format!("{hour}"), *jobs)).collect();
        columns(&left, "Submissions by hour of the day (UTC)", &hours, 3)?;
        let Some(by_weekday) = stat.by_weekday else { return Ok(()) };
        let days: Vec<_> = DAYS.iter().zip(by_weekday).map(|(day, jobs)| ((*day).to_owned(), jobs)).collect();
        columns(&right, "Submissions by day of the week", &days, 1)
    })
}

/// A curve for each way to end that occurs.
fn durations(area: &Area<'_>, trace: &Trace) -> Drawn<()> {
    let ends = [
        (Outcome::Completed, "completed"),
        (Outcome::Failed, "failed"),
        (Outcome::Cancelled, "cancelled"),
        (Outcome::Unknown, "unknown"),
    ];
    let curve = |outcome: Outcome| {
        let jobs = trace.jobs.iter().filter(|job| job.outcome == outcome && job.duration < NEVER_ENDS);
        Curve::of(&Samples::new(jobs.map(|job| job.duration.0).collect()))
    };
    let all = ends.map(|(outcome, name)| (name, curve(outcome)));
    let curves: Vec<_> = all.iter().filter(|(_, curve)| !curve.points.is_empty()).collect();
    let longest = curves.iter().filter_map(|(_, curve)| curve.points.last()).fold(0.0, |most: f64, point| most.max(point.0));
    let entries: Vec<_> = curves.iter().enumerate().map(|(i, (name, _))| ((*name).to_owned(), ink(i))).collect();
    let body = legend(area, &entries)?;
    let x = Axis::log_time("duration (log scale)", 1.0..longest.max(10.0) * 1.1);
    let mut chart = panel(&body, "Duration by how the job ended", &x, &Axis::share("share of jobs"), LEFT)?;
    for (i, (_, curve)) in curves.iter().enumerate() {
        let mut steps = vec![(x.range.start, 0.0)];
        for &(seconds, share) in &curve.points {
            let (at, before) = (x.log(seconds).max(x.range.start), steps[steps.len() - 1].1);
            steps.extend([(at, before), (at, share)]);
        }
        steps.push((x.range.end, 1.0));
        line(&mut chart, steps, ink(i))?;
    }
    Ok(())
}

/// Two bars for each class of sizes: its share of jobs and its share of accelerator-hours.
fn sizes(area: &Area<'_>, classes: &[Part]) -> Drawn<()> {
    let body = legend(area, &[("jobs".into(), ink(0)), ("accelerator-hours".into(), ink(1))])?;
    let names: Vec<String> = classes.iter().map(|class| class.name.clone()).collect();
    let (y, room) = categories(&names);
    let mut chart = panel(&body, "Accelerators asked for", &Axis::share("share"), &y, room.max(LEFT))?;
    for (side, share) in [(0, (|class| class.jobs_share) as fn(&Part) -> f64), (1, |class| class.hours_share)] {
        let bar = |(i, class): (usize, &Part)| {
            let top = row_of(i, classes.len()) + 0.4 - 0.4 * f64::from(side);
            Rectangle::new([(0.0, top), (share(class), top - 0.36)], ink(side as usize).colour.filled())
        };
        chart.draw_series(classes.iter().enumerate().map(bar))?;
    }
    Ok(())
}

/// A column for each name, every `nth` of which is written.
fn columns(area: &Area<'_>, heading: &str, bars: &[(String, u64)], nth: usize) -> Drawn<()> {
    let most = bars.iter().map(|(_, jobs)| *jobs).max().unwrap_or(0) as f64;
    let ticks = bars.iter().enumerate().step_by(nth).map(|(i, (name, _))| (i as f64, name.clone())).collect();
    let x = Axis { range: -0.6..bars.len() as f64 - 0.4, ticks, title: String::new() };
    let mut chart = panel(area, heading, &x, &Axis::count("jobs", most), LEFT)?;
    let bar = |(i, (_, jobs)): (usize, &(String, u64))| {
        Rectangle::new([(i as f64 - 0.4, 0.0), (i as f64 + 0.4, *jobs as f64)], ink(0).colour.filled())
    };
    chart.draw_series(bars.iter().enumerate().map(bar))?;
    Ok(())
}
