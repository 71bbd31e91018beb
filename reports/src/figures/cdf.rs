//! Distributions of completion and waiting times.

use super::axis::{Axis, human};
use super::canvas::{Chart, Drawn, figure, ink, legend, line, panel};
use super::{Figure, Picture, list};
use crate::error::ReportError;
use crate::stats::Samples;

const LEFT: i32 = 74;
const SIZE: (u32, u32) = (960, 420);
/// Points of a curve; more cannot be seen.
const POINTS: usize = 300;

/// A distribution, thinned out for drawing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Curve {
    /// Seconds, and the share of samples that are not larger; ascending.
    pub points: Vec<(f64, f64)>,
}

impl Curve {
    /// Exact at the ranks that are kept; all are kept if there are few.
    pub fn of(samples: &Samples) -> Curve {
        let sorted = samples.sorted();
        let count = sorted.len();
        let kept = count.min(POINTS);
        let mut points: Vec<(f64, f64)> = Vec::with_capacity(kept);
        for i in 0..kept {
            let rank = if kept > 1 { i * (count - 1) / (kept - 1) } else { 0 };
            let value = sorted[rank];
            let share = sorted.partition_point(|v| *v <= value) as f64 / count as f64;
            let seconds = value as f64 / 1e6;
            match points.last_mut().filter(|last| last.0 == seconds) {
                Some(last) => last.1 = share,
                None => points.push((seconds, share)),
            }
        }
        Curve { points }
    }

    fn at_most(&self, seconds: f64) -> f64 {
        self.points.iter().take_while(|(value, _)| *value <= seconds).last().map_or(0.0, |(_, share)| *share)
    }
}

pub(super) fn draw(runs: &[Picture]) -> Result<Option<Figure>, ReportError> {
    let values = |curve: fn(&Picture) -> &Curve| runs.iter().flat_map(move |run| &curve(run).points).map(|(value, _)| *value);
    let jct: fn(&Picture) -> &Curve = |run| &run.jct;
    let wait: fn(&Picture) -> &Curve = |run| &run.wait;
    if values(jct).next().is_none() {
        return Ok(None);
    }
    let axis = |title: &str, curve: fn(&Picture) -> &Curve| {
        let longest = values(curve).fold(0.0, f64::max);
        let shortest = values(curve).filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
        // Below a second only where everything is: a few short samples must not take half of the width.
        let start = if longest > 100.0 { shortest.clamp(1.0, 60.0) } else { shortest.min(longest / 10.0) };
        Axis::log_time(title, if longest > 0.0 { start..longest * 1.1 } else { 1.0..10.0 })
    };
    let (jct_axis, wait_axis) = (axis("completion time (log scale)", jct), axis("waiting time (log scale)", wait));
    let share = Axis::share("share of jobs");
    let svg = figure("times", "Distributions of job completion time and waiting time", SIZE, |root| {
        let body = legend(root, &super::entries(runs))?;
        let (left, right) = body.split_horizontally(body.dim_in_pixel().0 as i32 / 2);
        let mut chart = panel(&left, "Job completion time", &jct_axis, &share, LEFT)?;
        curves(&mut chart, runs, jct, &jct_axis)?;
        let mut chart = panel(&right, "Waiting time", &wait_axis, &share, LEFT)?;
        curves(&mut chart, runs, wait, &wait_axis)
    })?;
    let found = runs.iter().map(|run| {
        let (mean, median) = (run.summary.mean_jct_s.unwrap_or(0.0), run.summary.p50_jct_s.unwrap_or(0.0));
        let at_once = run.wait.at_most(1.0) * 100.0;
        format!(
            "{}: completion {} on average, {} in the median; {at_once:.0} % of jobs waited at most 1 s",
            run.label,
            human(mean),
            human(median)
        )
    });
    let caption = format!(
        "Share of done jobs whose time from submission to the end (left), and whose part of it in which they did not run (right), is at most so long; further left is better. Where a curve meets the left edge, that share waited less than the scale shows. {}.",
        list(found)
    );
    Ok(Some(Figure { name: "times", title: "Completion and waiting times", caption, svg }))
}

fn curves(chart: &mut Chart<'_, '_>, runs: &[Picture], curve: fn(&Picture) -> &Curve, x: &Axis) -> Drawn<()> {
    for (i, run) in runs.iter().enumerate() {
        let mut steps = vec![(x.range.start, 0.0)];
        for &(value, share) in &curve(run).points {
            let before = steps.last().map_or(0.0, |last| last.1);
            steps.push((x.log(value), before));
            steps.push((x.log(value), share));
        }
        steps.push((x.range.end, 1.0));
        line(chart, steps, ink(i))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_exact_where_they_are_drawn() {
        let few = Curve::of(&Samples::new(vec![0, 0, 1_000_000, 3_000_000]));
        assert_eq!(few.points, [(0.0, 0.5), (1.0, 0.75), (3.0, 1.0)]);
        assert_eq!((few.at_most(0.5), few.at_most(1.0), few.at_most(9.0)), (0.5, 0.75, 1.0));
        let many = Curve::of(&Samples::new((1..=100_000).map(|v| v * 1_000_000).collect()));
        assert!(many.points.len() <= POINTS);
        assert!(many.points.iter().all(|(value, share)| (value / 100_000.0 - share).abs() < 1e-12));
        assert_eq!((many.points[0].0, many.points[POINTS - 1].0), (1.0, 100_000.0));
        assert!(Curve::of(&Samples::new(vec![])).points.is_empty());
    }
}
