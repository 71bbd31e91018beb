//! Replicas of inference services over time: those needed and those that there were.

use super::axis::{Axis, grouped, human};
use super::canvas::{GREY, Ink, figure, legend, line, panel};
use super::{BINS, Figure, Picture, list};
use crate::analysis::Analysis;
use crate::error::ReportError;
use crate::inference::follow;
use policies::Time;

const LEFT: i32 = 84;
/// More services than that would make a page of one figure.
const PANELS: usize = 6;

/// One service over time: means over bins of equal width.
#[derive(Clone, Debug)]
pub(crate) struct Replicas {
    name: String,
    from_s: f64,
    bin_s: f64,
    needed: Vec<f64>,
    provided: Vec<f64>,
}

/// What the figure needs of a run's services.
pub(crate) fn replicas(analysis: &Analysis) -> Vec<Replicas> {
    let tracker = &analysis.tracker;
    tracker
        .serving()
        .records()
        .iter()
        .map(|record| {
            let first = record.needed.first().map_or(Time::ZERO, |&(at, _)| at);
            let last = record.needed.last().map_or(first, |&(at, _)| at).min(tracker.last());
            let width = (last.since(first).0 / BINS as u64).max(1);
            let mut areas = vec![(0.0, 0.0); BINS];
            follow(record, tracker, |stretch| {
                let (mut from, to) = (stretch.from.max(first).0 - first.0, stretch.to.0.saturating_sub(first.0));
                while from < to {
                    let bin = (from / width) as usize;
                    let until = to.min((bin as u64 + 1) * width);
                    let Some(area) = areas.get_mut(bin) else { break };
                    let share = (until - from) as f64 / width as f64;
                    area.0 += stretch.needed as f64 * share;
                    area.1 += stretch.provided as f64 * share;
                    from = until;
                }
            });
            let (needed, provided) = areas.into_iter().unzip();
            Replicas {
                name: record.info.name.clone(),
                from_s: first.as_secs_f64(),
                bin_s: width as f64 / 1e6,
                needed,
                provided,
            }
        })
        .collect()
}

impl Replicas {
    fn points(&self, values: &[f64]) -> Vec<(f64, f64)> {
        let at = |bin: usize| self.from_s + (bin as f64 + 0.5) * self.bin_s;
        values.iter().enumerate().map(|(bin, &value)| (at(bin), value)).collect()
    }
}

/// A panel a service: the replicas needed, and those that answered requests under each policy.
pub(super) fn draw(runs: &[Picture]) -> Result<Option<Figure>, ReportError> {
    let Some(first) = runs.iter().map(|run| &run.replicas).find(|services| !services.is_empty()) else {
        return Ok(None);
    };
    let panels = first.len().min(PANELS);
    let mut entries = vec![("needed".to_owned(), Ink { colour: GREY, dashed: true })];
    entries.extend(super::entries(runs));
    let height = 60 + 260 * panels as u32;
    let svg = figure("inference", "Replicas of inference services over time", (960, height), |root| {
        let mut body = legend(root, &entries)?;
        let each = body.dim_in_pixel().1 as i32 / panels as i32;
        for (service, replicas) in first.iter().take(panels).enumerate() {
            let (area, rest) = body.split_vertically(each);
            body = rest;
            let end_s = replicas.from_s + BINS as f64 * replicas.bin_s;
            let time = Axis::time(replicas.from_s..end_s, runs[0].epoch_unix_s);
            let of_run = runs.iter().filter_map(|run| run.replicas.get(service));
            let highest = of_run.flat_map(|r| r.provided.iter().chain(&r.needed)).copied().fold(0.0, f64::max);
            let mut chart = panel(&area, &replicas.name, &time, &Axis::count("replicas", highest), LEFT)?;
            for (i, run) in runs.iter().enumerate() {
                if let Some(own) = run.replicas.get(service) {
                    line(&mut chart, own.points(&own.provided), super::canvas::ink(i))?;
                }
            }
            line(&mut chart, replicas.points(&replicas.needed), Ink { colour: GREY, dashed: true })?;
        }
        Ok(())
    })?;
    let found = runs.iter().flat_map(|run| run.summary.inference.iter().map(move |service| (run, service)));
    let per_cent = |part: Option<f64>| part.map_or("-".into(), |part| format!("{:.2} %", part * 100.0));
    let found = found.map(|(run, service)| {
        let back = service.p99_capacity_s.map_or("-".into(), human);
        format!(
            "{}: {} had {} of the replica-hours that it needed ({}), {} of its load within the objective, and 99 of 100 replicas within {back}",
            run.label(),
            service.name,
            per_cent(service.provided),
            grouped(service.needed_replica_hours.round()),
            per_cent(service.within_objective),
        )
    });
    let caption = format!(
        "Replicas that each service needed (dashed) and that answered requests; means over {} each. {}.",
        human(first[0].bin_s),
        list(found)
    );
    Ok(Some(Figure { name: "inference", title: "Inference services", caption, svg }))
}
