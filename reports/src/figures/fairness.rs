//! How tenants fared against each other.

use super::axis::{Axis, human};
use super::canvas::{Chart, Drawn, GRID, categories, figure, ink, legend, panel, row_of, rule, shortened};
use super::{Figure, Picture, list};
use crate::error::ReportError;
use crate::tenants::Tenant;
use plotters::prelude::*;
use std::collections::BTreeMap;

/// Tenants that are shown; the rest are small.
const SHOWN: usize = 16;

pub(super) fn draw(runs: &[Picture]) -> Result<Option<Figure>, ReportError> {
    let names = largest(runs);
    if names.len() < 2 {
        return Ok(None);
    }
    let rows = || runs.iter().flat_map(|run| &run.tenants).filter(|tenant| names.contains(&tenant.name));
    let waits = || rows().filter_map(|tenant| tenant.mean_wait_s);
    let longest = waits().fold(1.0, f64::max);
    let shortest = waits().filter(|w| *w > 0.0).fold(longest, f64::min);
    let wait =
        Axis::log_time("mean waiting time (log scale)", shortest.clamp(longest / 1e4, longest / 10.0) / 1.3..longest * 1.3);
    let most = rows().filter_map(received).map(|ratio| ratio.max(1.0 / ratio)).fold(1.0, f64::max);
    let ratio = Axis::log_ratio("share held / share asked for (log scale)", most);
    let shown: Vec<String> = names.iter().map(|name| shortened(if name.is_empty() { "(none)" } else { name }, 22)).collect();
    let (tenants, room) = categories(&shown);
    let nothing =
        Axis { ticks: tenants.positions().into_iter().map(|at| (at, String::new())).collect(), ..categories(&shown).0 };
    let height = 150 + 26 * names.len() as u32;
    let svg = figure("fairness", "Mean waiting time and share of accelerators by tenant", (960, height), |root| {
        let body = legend(root, &super::entries(runs))?;
        let (left, right) = body.split_horizontally((960 + room) / 2);
        let mut chart = panel(&left, "Mean waiting time", &wait, &tenants, room)?;
        dots(&mut chart, runs, &names, &wait, |tenant| tenant.mean_wait_s)?;
        let mut chart = panel(&right, "Share of accelerators while jobs waited", &ratio, &nothing, 16)?;
        rule(&mut chart, [(0.0, -0.5), (0.0, names.len() as f64 - 0.5)])?;
        dots(&mut chart, runs, &names, &ratio, received)
    })?;
    let count = runs.iter().map(|run| run.tenants.len()).max().unwrap_or(0);
    let which = if count > names.len() {
        format!("The {} of {count} tenants that asked for most", names.len())
    } else {
        "All tenants".into()
    };
    let caption = format!(
        "{which}, largest on top. Left: mean waiting time of their done jobs. Right: what part of the accelerator-time in use a tenant held while anybody's job waited, over its part of what all held or waited for; 1 (dashed) is in proportion, less is less than its share. {}.",
        list(runs.iter().filter_map(extremes))
    );
    Ok(Some(Figure { name: "fairness", title: "Fairness between tenants", caption, svg }))
}

/// Share held over share asked for, where both are known.
fn received(tenant: &Tenant) -> Option<f64> {
    (tenant.share_held > 0.0 && tenant.share_asked > 0.0).then(|| tenant.share_held / tenant.share_asked)
}

/// Names of the tenants that asked for most over all runs, largest first.
fn largest(runs: &[Picture]) -> Vec<String> {
    let mut asked: BTreeMap<&str, f64> = BTreeMap::new();
    for tenant in runs.iter().flat_map(|run| &run.tenants) {
        *asked.entry(&tenant.name).or_default() += tenant.accelerator_hours;
    }
    let mut names: Vec<(&str, f64)> = asked.into_iter().collect();
    names.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    names.into_iter().take(SHOWN).map(|(name, _)| name.to_owned()).collect()
}

/// A dot per tenant and run; runs are set apart a little so that none hides another.
fn dots(
    chart: &mut Chart<'_, '_>,
    runs: &[Picture],
    names: &[String],
    x: &Axis,
    value: fn(&Tenant) -> Option<f64>,
) -> Drawn<()> {
    let rows = names.iter().enumerate().map(|(i, _)| row_of(i, names.len()));
    chart.draw_series(rows.map(|y| PathElement::new(vec![(x.range.start, y), (x.range.end, y)], GRID)))?;
    for (r, run) in runs.iter().enumerate() {
        let apart = 0.5 * ((r as f64 + 0.5) / runs.len() as f64 - 0.5);
        let place = |tenant: &Tenant| {
            let row = names.iter().position(|name| *name == tenant.name)?;
            Some((x.log(value(tenant)?), row_of(row, names.len()) - apart))
        };
        let ink = ink(r);
        let style = if ink.dashed { ink.colour.stroke_width(2) } else { ink.colour.filled() };
        chart.draw_series(run.tenants.iter().filter_map(place).map(|at| Circle::new(at, 4, style)))?;
    }
    Ok(())
}

fn extremes(run: &Picture) -> Option<String> {
    let waits = || run.tenants.iter().filter_map(|tenant| tenant.mean_wait_s);
    let (low, high) = (waits().fold(f64::INFINITY, f64::min), waits().fold(0.0, f64::max));
    let jain = run.summary.fairness_jain?;
    Some(format!("{}: mean waits from {} to {}, Jain's index of speed {jain:.3}", run.label, human(low), human(high)))
}
