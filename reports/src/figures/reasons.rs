//! Why jobs waited.

use super::axis::{Axis, grouped};
use super::canvas::{GRID, categories, figure, ink, legend, panel, row_of};
use super::{Figure, Picture, list};
use crate::error::ReportError;
use crate::reasons::Waiting;
use plotters::prelude::*;

const MILLI_MICROS_PER_HOUR: f64 = 3.6e12;

pub(super) fn draw(runs: &[Picture]) -> Result<Option<Figure>, ReportError> {
    let hours = |run: &Picture, waiting: Waiting| run.waits.of(waiting).milli_micros as f64 / MILLI_MICROS_PER_HOUR;
    let total = |waiting: &Waiting| runs.iter().map(|run| hours(run, *waiting)).sum::<f64>();
    let mut shown: Vec<Waiting> = Waiting::ALL.into_iter().filter(|w| total(w) > 0.0).collect();
    if shown.is_empty() {
        return Ok(None);
    }
    shown.sort_by(|a, b| total(b).total_cmp(&total(a)));
    let most = runs.iter().flat_map(|run| shown.iter().map(move |w| hours(run, *w))).fold(0.0, f64::max);
    let x = Axis::count("accelerator-hours waited", most);
    let names: Vec<String> = shown.iter().map(|w| w.words().to_owned()).collect();
    let (y, room) = categories(&names);
    let row_height = 14 + 12 * runs.len() as u32;
    let height = 140 + row_height.max(30) * shown.len() as u32;
    let svg = figure("reasons", "Accelerator-hours that jobs waited, by reason", (960, height), |root| {
        let body = legend(root, &super::entries(runs))?;
        let mut chart = panel(&body, "Why jobs waited", &x, &y, room)?;
        let slot = 0.8 / runs.len() as f64;
        for (r, run) in runs.iter().enumerate() {
            let ink = ink(r);
            let style = ink.colour.mix(if ink.dashed { 0.45 } else { 1.0 }).filled();
            let bar = |(i, waiting): (usize, &Waiting)| {
                let top = row_of(i, shown.len()) + 0.4 - slot * r as f64;
                Rectangle::new([(0.0, top), (hours(run, *waiting), top - slot * 0.85)], style)
            };
            chart.draw_series(shown.iter().enumerate().map(bar))?;
        }
        chart.draw_series(std::iter::once(PathElement::new(vec![(0.0, y.range.start), (0.0, y.range.end)], GRID)))?;
        Ok(())
    })?;
    let found = runs.iter().map(|run| {
        let all: f64 = Waiting::ALL.into_iter().map(|w| hours(run, w)).sum();
        let first = shown.iter().max_by(|a, b| hours(run, **a).total_cmp(&hours(run, **b)));
        let words = first.map_or("", |w| w.words());
        format!("{}: {} accelerator-hours in all, most of it {words}", run.label, grouped(all.round()))
    });
    let caption = format!(
        "Waiting time times accelerators asked for, by the latest reason that the policy recorded for the job. Policies record a reason for the jobs that they look at; a job that asks for the same as one that does not fit does not fit either, and the others are in line. {}.",
        list(found)
    );
    Ok(Some(Figure { name: "reasons", title: "Why jobs waited", caption, svg }))
}
