//! What became of accelerators, and how well jobs of each tier were served.

use super::axis::{Axis, grouped};
use super::canvas::{GRID, Ink, categories, figure, ink, legend, line, panel, row_of, rule, shortened};
use super::{Figure, Picture, list};
use crate::error::ReportError;
use crate::service::Service;
use plotters::prelude::*;
use policies::FULL_SPEED;
use policies::ledger::{Account, Spent};

/// GPU fractions of the jobs of one tier: those that occur, and the share of jobs that have none larger.
#[derive(Clone, Debug)]
pub(crate) struct Fractions {
    tier: String,
    guarantee: f64,
    points: Vec<(f64, f64)>,
}

/// What the figures need of a run's books.
pub(crate) fn fractions(account: &Account) -> Vec<Fractions> {
    let part = |ten_thousandths: u16| f64::from(ten_thousandths) / f64::from(FULL_SPEED);
    let of = |tier: &policies::ledger::TierAccount| {
        let jobs = tier.fractions.jobs().max(1) as f64;
        let points = tier.fractions.cumulative().map(|(fraction, jobs_below)| (part(fraction), jobs_below as f64 / jobs));
        // A pixel is a hundredth of the width at best.
        let mut kept: Vec<(f64, f64)> = Vec::new();
        for point in points {
            match kept.last_mut().filter(|last| (last.0 * 400.0) as u32 == (point.0 * 400.0) as u32) {
                Some(last) => *last = point,
                None => kept.push(point),
            }
        }
        Fractions { tier: tier.tier.name.clone(), guarantee: part(tier.tier.guarantee), points: kept }
    };
    account.tiers.iter().map(of).collect()
}

fn service(run: &Picture) -> Option<&Service> {
    run.summary.service.as_ref()
}

/// A stacked bar a run: accelerator-time by what became of it.
pub(super) fn draw_spent(runs: &[Picture]) -> Result<Option<Figure>, ReportError> {
    let all = |run: &Picture| service(run).map_or(0.0, |s| s.spent_accelerator_hours.values().sum::<f64>());
    let hours = |run: &Picture, spent: Spent| service(run).map_or(0.0, |s| s.spent_accelerator_hours[&spent]);
    if runs.iter().all(|run| all(run) <= 0.0) {
        return Ok(None);
    }
    let shown: Vec<Spent> = Spent::ALL.into_iter().filter(|&spent| runs.iter().any(|run| hours(run, spent) > 0.0)).collect();
    let x = Axis::share("share of all accelerator-time");
    let names: Vec<String> = runs.iter().map(|run| shortened(&run.label, 36)).collect();
    let (y, room) = categories(&names);
    let colour = |spent: Spent| fill(spent);
    let entries: Vec<(String, Ink)> =
        shown.iter().map(|&spent| (spent.words().to_owned(), Ink { colour: colour(spent), dashed: false })).collect();
    let height = 170 + 44 * runs.len() as u32;
    let svg = figure("accelerator-time", "Accelerator-time by what became of it", (960, height), |root| {
        let body = legend(root, &entries)?;
        let mut chart = panel(&body, "What became of accelerator-time", &x, &y, room)?;
        for (r, run) in runs.iter().enumerate().filter(|(_, run)| all(run) > 0.0) {
            let (row, mut from) = (row_of(r, runs.len()), 0.0);
            for &spent in &shown {
                let to = from + hours(run, spent) / all(run);
                let bar = Rectangle::new([(from, row + 0.35), (to, row - 0.35)], colour(spent).filled());
                chart.draw_series(std::iter::once(bar))?;
                from = to;
            }
        }
        chart.draw_series(std::iter::once(PathElement::new(vec![(0.0, y.range.start), (0.0, y.range.end)], GRID)))?;
        Ok(())
    })?;
    let found = runs.iter().filter(|run| all(run) > 0.0).map(|run| {
        let worst = shown.iter().filter(|&&s| s != Spent::Useful).max_by(|a, b| hours(run, **a).total_cmp(&hours(run, **b)));
        let lost = worst.map_or(String::new(), |&s| {
            format!("; the largest loss is \"{}\", {} accelerator-hours", s.words(), grouped(hours(run, s).round()))
        });
        format!("{}: {:.1} % useful{lost}", run.label, 100.0 * hours(run, Spent::Useful) / all(run))
    });
    let caption = format!(
        "All accelerator-time from the first step to the last; the parts add up to it exactly. Work counts as useful when it was kept. {}.",
        list(found)
    );
    Ok(Some(Figure { name: "accelerator-time", title: "Accelerator-time", caption, svg }))
}

/// Useful work is what the eye should find first; free time is pale, losses are strong.
fn fill(spent: Spent) -> RGBColor {
    match spent {
        Spent::Useful => RGBColor(0, 114, 178),
        Spent::Start => RGBColor(86, 180, 233),
        Spent::Restore => RGBColor(230, 159, 0),
        Spent::Checkpoint => RGBColor(213, 94, 0),
        Spent::Redo => RGBColor(204, 121, 167),
        Spent::Splice => RGBColor(0, 158, 115),
        Spent::Failure => RGBColor(0, 0, 0),
        Spent::Fragmentation => RGBColor(120, 120, 120),
        Spent::Queue => RGBColor(175, 175, 175),
        Spent::Idle => RGBColor(222, 222, 222),
    }
}

/// GPU fraction over the lives of jobs, a panel a tier.
pub(super) fn draw_fractions(runs: &[Picture]) -> Result<Option<Figure>, ReportError> {
    let promised = runs.iter().filter_map(service).any(Service::has_guarantees);
    let Some(first) = runs.iter().map(|run| &run.fractions).find(|tiers| promised && !tiers.is_empty()) else {
        return Ok(None);
    };
    let tiers = first.len().min(4);
    let (x, y) = (Axis::share("GPU fraction of a job's life"), Axis::share("share of jobs"));
    let svg = figure("gpu-fractions", "GPU fraction of jobs by tier", (960, 420), |root| {
        let mut body = legend(root, &super::entries(runs))?;
        let width = body.dim_in_pixel().0 as i32 / tiers as i32;
        for (tier, named) in first.iter().enumerate().take(tiers) {
            let (area, rest) = body.split_horizontally(width);
            body = rest;
            let left = if tier == 0 { 74 } else { 52 };
            let y = if tier == 0 { Axis::share(&y.title) } else { Axis::share("") };
            let mut chart = panel(&area, &named.tier, &x, &y, left)?;
            if named.guarantee > 0.0 {
                rule(&mut chart, [(named.guarantee, 0.0), (named.guarantee, 1.0)])?;
            }
            for (r, run) in runs.iter().enumerate() {
                let Some(curve) = run.fractions.get(tier) else { continue };
                let mut steps = vec![(0.0, 0.0)];
                for &(fraction, share) in &curve.points {
                    steps.push((fraction, steps.last().map_or(0.0, |last| last.1)));
                    steps.push((fraction, share));
                }
                line(&mut chart, steps, ink(r))?;
            }
        }
        Ok(())
    })?;
    let found = runs.iter().filter_map(|run| {
        let tiers = service(run)?.tiers.iter().filter(|tier| tier.guarantee > 0.0);
        let kept = tiers.map(|t| format!("{} kept in {:.2} % of job-hours", t.name, 100.0 * t.attained.unwrap_or(0.0)));
        Some(format!("{}: {}", run.label, kept.collect::<Vec<_>>().join(", ")))
    });
    let caption = format!(
        "Share of jobs whose GPU fraction over their life (work done, in time at full speed, over the time from submission to the end) is at most so large; further right is better. Dashed: what the tier is promised in every window. {}.",
        list(found)
    );
    Ok(Some(Figure { name: "gpu-fractions", title: "Service levels", caption, svg }))
}
