//! Several runs against what was changed between them.

use super::axis::{Axis, human};
use super::canvas::{Area, Drawn, GREY, Ink, categories, figure, ink, legend, line, panel, row_of, shortened};
use super::{Figure, list};
use crate::error::ReportError;
use crate::summary::Summary;
use plotters::prelude::*;

const LEFT: i32 = 84;
const PANEL: (u32, u32) = (480, 300);

/// One figure of a run.
struct Metric {
    name: String,
    of: Box<dyn Fn(&Summary) -> Option<f64>>,
    /// What no policy can beat.
    bound: Box<dyn Fn(&Summary) -> Option<f64>>,
    /// A length of time, on a log scale; else a part of one.
    time: bool,
}

/// Runs that differ in the swept value alone.
struct Line<'a> {
    name: String,
    runs: Vec<&'a Summary>,
}

/// The figures of a study.
pub(crate) fn draw(runs: &[Summary]) -> Result<Option<Figure>, ReportError> {
    let lines = group(runs);
    let metrics = metrics(runs);
    if lines.is_empty() || metrics.is_empty() {
        return Ok(None);
    }
    let swept = runs.iter().find_map(|run| run.swept.clone());
    let rows = metrics.len().div_ceil(2) as u32;
    let (height, draw): (u32, fn(&Area<'_>, &Metric, &[Line<'_>]) -> Drawn<()>) = match swept {
        Some(_) => (PANEL.1, curves),
        None => (70 + 26 * lines.len() as u32, bars),
    };
    let entries: Vec<(String, Ink)> =
        if swept.is_some() { lines.iter().enumerate().map(|(i, l)| (l.name.clone(), ink(i))).collect() } else { Vec::new() };
    let size = (2 * PANEL.0, rows * height + 40 + 24 * (entries.len() as u32 / 2 + 1));
    let svg = figure("study", "Figures of all runs", size, |root| {
        let body = legend(root, &entries)?;
        for (area, metric) in body.split_evenly((rows as usize, 2)).iter().zip(&metrics) {
            draw(area, metric, &lines)?;
        }
        Ok(())
    })?;
    let against = swept.map_or(String::new(), |key| format!(" against {key}"));
    let found = lines.iter().map(|line| {
        let told = metrics.iter().take(3).filter_map(|metric| {
            let values: Vec<f64> = line.runs.iter().filter_map(|run| (metric.of)(run)).collect();
            let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
            (!values.is_empty()).then(|| format!("{} {}", metric.name, range(low, high, metric.time)))
        });
        format!("{}: {}", line.name, told.collect::<Vec<_>>().join(", "))
    });
    let caption = format!("What came of each variant and policy{against}. Grey: what no policy can beat. {}.", list(found));
    Ok(Some(Figure { name: "study", title: "Comparison", caption, svg }))
}

fn range(low: f64, high: f64, time: bool) -> String {
    let text = |v: f64| if time { human(v) } else { format!("{:.2} %", v * 100.0) };
    if text(low) == text(high) { text(low) } else { format!("{} to {}", text(low), text(high)) }
}

fn group(runs: &[Summary]) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for run in runs {
        let policy = policies::catalog::short_name(&run.policy);
        let name = run.variant.as_ref().map_or(policy.clone(), |variant| format!("{variant}, {policy}"));
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.runs.push(run),
            None => lines.push(Line { name, runs: vec![run] }),
        }
    }
    lines
}

fn metrics(runs: &[Summary]) -> Vec<Metric> {
    let none = || Box::new(|_: &Summary| None) as Box<dyn Fn(&Summary) -> Option<f64>>;
    let mut metrics = vec![
        Metric { name: "allocated".into(), of: Box::new(|s| Some(s.allocation)), bound: none(), time: false },
        Metric {
            name: "useful".into(),
            of: Box::new(|s| s.service.as_ref().map(|service| service.goodput)),
            bound: Box::new(|s| s.bound.as_ref()?.goodput),
            time: false,
        },
    ];
    let promised = runs.iter().filter_map(|run| run.service.as_ref()).find(|service| service.has_guarantees());
    for (i, tier) in promised.iter().flat_map(|service| &service.tiers).enumerate() {
        let guaranteed = tier.guarantee > 0.0;
        let name = if guaranteed {
            format!("{}: job-hours with >= {}", tier.name, tier.guarantee)
        } else {
            format!("{}: GPU fraction", tier.name)
        };
        metrics.push(Metric {
            name,
            of: Box::new(move |s| {
                let tier = s.service.as_ref()?.tiers.get(i)?;
                if guaranteed { tier.attained } else { tier.fraction }
            }),
            bound: if guaranteed { Box::new(move |s| *s.bound.as_ref()?.attained.get(i)?) } else { none() },
            time: false,
        });
    }
    metrics.push(Metric { name: "mean completion time".into(), of: Box::new(|s| s.mean_jct_s), bound: none(), time: true });
    metrics.retain(|metric| runs.iter().any(|run| (metric.of)(run).is_some()));
    metrics
}

impl Metric {
    /// An axis that shows all values, and little else.
    fn axis(&self, lines: &[Line<'_>]) -> Axis {
        let values = || lines.iter().flat_map(|line| &line.runs).filter_map(|run| (self.of)(run));
        if self.time {
            let longest = values().fold(1.0, f64::max);
            return Axis::log_time("", values().fold(longest, f64::min) / 1.3..longest * 1.3);
        }
        let low = values().fold(1.0, f64::min);
        let from = [0.99, 0.95, 0.9, 0.8, 0.6, 0.4, 0.2].into_iter().find(|from| *from < low).unwrap_or(0.0);
        let step = (1.0 - from) / 5.0;
        let digits = if from >= 0.95 { 1 } else { 0 };
        let ticks = (0..=5).map(|i| from + step * f64::from(i)).map(|at| (at, format!("{:.*} %", digits, at * 100.0)));
        Axis { range: from..1.0 + step * 0.1, ticks: ticks.collect(), title: String::new() }
    }

    fn place(&self, axis: &Axis, value: f64) -> f64 {
        if self.time { axis.log(value) } else { value }
    }
}

/// A curve a line over the swept value: where that is no number, over its position.
fn curves(area: &Area<'_>, metric: &Metric, lines: &[Line<'_>]) -> Drawn<()> {
    let longest = lines.iter().max_by_key(|line| line.runs.len()).expect("there are lines");
    let value = |run: &Summary| run.swept_value.clone().unwrap_or_default();
    let named: Vec<String> = longest.runs.iter().map(|run| value(run)).collect();
    let numbers: Option<Vec<f64>> = named.iter().map(|name| name.parse().ok()).collect();
    let at: Vec<f64> = numbers.unwrap_or_else(|| (0..named.len()).map(|i| i as f64).collect());
    let (low, high) = at.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let room = ((high - low) * 0.04).max(1e-3);
    let title = longest.runs.first().and_then(|run| run.swept.clone()).unwrap_or_default();
    let x = Axis { range: low - room..high + room, ticks: at.iter().copied().zip(named.iter().cloned()).collect(), title };
    let y = metric.axis(lines);
    let mut chart = panel(area, &metric.name, &x, &y, LEFT)?;
    let points = |line: &Line<'_>, of: &dyn Fn(&Summary) -> Option<f64>| -> Vec<(f64, f64)> {
        let place = |run: &&Summary| Some((at[named.iter().position(|name| *name == value(run))?], metric.place(&y, of(run)?)));
        line.runs.iter().filter_map(place).collect()
    };
    let bound = points(longest, &*metric.bound);
    chart.draw_series(LineSeries::new(bound, GREY.stroke_width(1)))?;
    for (i, series) in lines.iter().enumerate() {
        let points = points(series, &*metric.of);
        chart.draw_series(points.iter().map(|&point| Circle::new(point, 3, ink(i).colour.filled())))?;
        line(&mut chart, points, ink(i))?;
    }
    Ok(())
}

/// A bar a line.
fn bars(area: &Area<'_>, metric: &Metric, lines: &[Line<'_>]) -> Drawn<()> {
    let names: Vec<String> = lines.iter().map(|line| shortened(&line.name, 24)).collect();
    let (y, room) = categories(&names);
    // Bars are compared by their lengths.
    let x = if metric.time { metric.axis(lines) } else { Axis::share("") };
    let mut chart = panel(area, &metric.name, &x, &y, room)?;
    for (i, line) in lines.iter().enumerate() {
        let Some(value) = line.runs.first().and_then(|run| (metric.of)(run)) else { continue };
        let row = row_of(i, lines.len());
        let bar = Rectangle::new([(x.range.start, row + 0.35), (metric.place(&x, value), row - 0.35)], ink(i).colour.filled());
        chart.draw_series(std::iter::once(bar))?;
    }
    if let Some(bound) = lines.first().and_then(|line| (metric.bound)(line.runs[0])) {
        let at = metric.place(&x, bound);
        let rule = PathElement::new(vec![(at, y.range.start), (at, y.range.end)], GREY.stroke_width(2));
        chart.draw_series(std::iter::once(rule))?;
    }
    Ok(())
}
