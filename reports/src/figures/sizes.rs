//! Completion times by job size.

use super::axis::{Axis, human};
use super::canvas::{Drawn, GREY, Ink, figure, ink, legend, panel};
use super::{Figure, Picture, list};
use crate::error::ReportError;
use crate::stats::Samples;
use plotters::prelude::*;
use traces::runlog::JobRecord;

const LEFT: i32 = 74;
const SIZE: (u32, u32) = (960, 440);
/// Upper bounds of the classes in accelerator-thousandths, and their names.
const CLASSES: [(u32, &str); 11] = [
    (999, "< 1"),
    (1_000, "1"),
    (2_000, "2"),
    (4_000, "3-4"),
    (8_000, "5-8"),
    (16_000, "9-16"),
    (32_000, "17-32"),
    (64_000, "33-64"),
    (128_000, "65-128"),
    (512_000, "129-512"),
    (u32::MAX, "> 512"),
];

/// Completion times of done jobs of one size class, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Class {
    pub jobs: usize,
    pub mean: f64,
    /// 10th, 25th, 50th, 75th and 90th percentile.
    pub quantiles: [f64; 5],
}

/// One per entry of [`CLASSES`]; `None` where no job is done.
pub(crate) type Classes = [Option<Class>; CLASSES.len()];

pub(crate) fn classes(jobs: &[JobRecord]) -> Classes {
    let mut samples: [Vec<u64>; CLASSES.len()] = Default::default();
    for row in jobs.iter().filter(|row| row.is_done()) {
        samples[class_of(row.milli)].push(row.jct().0);
    }
    samples.map(|values| {
        let samples = Samples::new(values);
        let jobs = samples.sorted().len();
        let quantiles = [100, 250, 500, 750, 900].map(|q| samples.quantile_s(q).unwrap_or(0.0));
        samples.mean_s().map(|mean| Class { jobs, mean, quantiles })
    })
}

fn class_of(milli: u32) -> usize {
    // A job of two and a half accelerators belongs to 3-4.
    CLASSES.iter().position(|(up_to, _)| milli <= *up_to).unwrap_or(CLASSES.len() - 1)
}

pub(super) fn draw(runs: &[Picture]) -> Result<Option<Figure>, ReportError> {
    let shown: Vec<usize> = (0..CLASSES.len()).filter(|&c| runs.iter().any(|run| run.classes[c].is_some())).collect();
    if shown.is_empty() {
        return Ok(None);
    }
    let all = || runs.iter().flat_map(|run| run.classes.iter().flatten());
    let longest = all().map(|class| class.quantiles[4].max(class.mean)).fold(0.0, f64::max);
    let shortest = all().map(|class| class.quantiles[0]).filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
    let times = Axis::log_time("completion time (log scale)", shortest.min(longest) / 1.3..longest * 1.3);
    let jobs_in = |c: usize| runs.iter().filter_map(|run| run.classes[c]).map(|class| class.jobs).max().unwrap_or(0);
    let name = |(at, &c): (usize, &usize)| (at as f64, CLASSES[c].1.to_owned());
    let sizes = Axis {
        range: -0.5..shown.len() as f64 - 0.5,
        ticks: shown.iter().enumerate().map(name).collect(),
        title: "accelerators that the job asked for".into(),
    };
    let svg = figure("sizes", "Job completion time by job size", SIZE, |root| {
        let body = legend(root, &super::entries(runs))?;
        let mut chart = panel(&body, "Job completion time by job size", &sizes, &times, LEFT)?;
        let slot = 0.8 / runs.len() as f64;
        for (i, run) in runs.iter().enumerate() {
            for (at, &c) in shown.iter().enumerate() {
                let Some(class) = run.classes[c] else { continue };
                let middle = at as f64 - 0.4 + slot * (i as f64 + 0.5);
                chart.draw_series(boxes(class, middle, slot.min(0.3) * 0.4, &times, ink(i)))?;
                let mean = std::iter::once((middle, times.log(class.mean)));
                chart.draw_series(mean.map(|at| Circle::new(at, 3, WHITE.filled())))?;
                chart.draw_series(std::iter::once(Circle::new((middle, times.log(class.mean)), 3, GREY.stroke_width(1))))?;
            }
        }
        Drawn::Ok(())
    })?;
    let counts = shown.iter().map(|&c| format!("{}: {}", CLASSES[c].1, super::axis::grouped(jobs_in(c) as f64)));
    let caption = format!(
        "Boxes span the middle half of the done jobs of a class, whiskers the 10th to the 90th percentile; the bar is the median, the ring the mean. Done jobs in each class: {}. {}.",
        counts.collect::<Vec<_>>().join(", "),
        list(runs.iter().filter_map(|run| longest_class(run, &shown)))
    );
    Ok(Some(Figure { name: "sizes", title: "Completion time by job size", caption, svg }))
}

/// Box, whiskers and median of one class.
fn boxes<'b>(class: Class, middle: f64, half: f64, y: &Axis, ink: Ink) -> Vec<DynElement<'static, SVGBackend<'b>, (f64, f64)>> {
    let [low, first, median, third, high] = class.quantiles.map(|value| y.log(value));
    let (left, right) = (middle - half, middle + half);
    let style = ink.colour.stroke_width(2);
    vec![
        PathElement::new(vec![(middle, low), (middle, first)], style).into_dyn(),
        PathElement::new(vec![(middle, third), (middle, high)], style).into_dyn(),
        Rectangle::new([(left, first), (right, third)], ink.colour.mix(if ink.dashed { 0.2 } else { 0.55 }).filled())
            .into_dyn(),
        Rectangle::new([(left, first), (right, third)], style).into_dyn(),
        PathElement::new(vec![(left, median), (right, median)], BLACK.stroke_width(3)).into_dyn(),
    ]
}

fn longest_class(run: &Picture, shown: &[usize]) -> Option<String> {
    let class = |&c: &usize| Some((CLASSES[c].1, run.classes[c]?.quantiles[2]));
    let (name, median) = shown.iter().filter_map(class).max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(format!("Under {} the median job of {name} accelerators took longest, {}", run.label, human(median)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_meet_without_gaps() {
        let name = |milli| CLASSES[class_of(milli)].1;
        assert_eq!(
            [250, 1000, 1500, 2000, 2500, 8000, 8001, 512_000, u32::MAX].map(name),
            ["< 1", "1", "2", "2", "3-4", "5-8", "9-16", "129-512", "> 512"]
        );
    }
}
