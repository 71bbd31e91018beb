//! Figures, all in SVG, all of several runs at once.

mod axis;
mod canvas;
mod cdf;
mod fairness;
mod inference;
mod load;
mod reasons;
mod service;
mod sizes;
mod study;
mod trace;

pub(crate) use axis::{grouped, human};
pub(crate) use canvas::escaped;

use crate::analysis::Analysis;
use crate::error::ReportError;
use crate::series::Series;
use crate::stats::Samples;
use crate::summary::{Summary, labels};
use crate::tenants::Tenant;
use crate::waits::Waits;
use canvas::{Ink, ink};
use cdf::Curve;
use inference::{Replicas, replicas};
use service::{Fractions, fractions};
use sizes::{Classes, classes};

pub(crate) use study::draw as draw_study;
pub use trace::trace_svg;

/// Bins that a figure can show.
const BINS: usize = 480;

/// What figures need of a run: a few hundred kilobytes, however many jobs it had. Take it, and the [`Analysis`] can go.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The figures that people cite.
    pub summary: Summary,
    /// A row per tenant.
    pub tenants: Vec<Tenant>,
    label: String,
    epoch_unix_s: Option<i64>,
    series: Series,
    jct: Curve,
    wait: Curve,
    classes: Classes,
    fractions: Vec<Fractions>,
    replicas: Vec<Replicas>,
    waits: Waits,
}

impl Picture {
    /// Of a run that is over. `wall_s`: how long it took by the clock on the wall; 0 where nobody measured.
    pub fn of(analysis: &Analysis, wall_s: f64) -> Picture {
        let done = || analysis.tracker.jobs().iter().filter(|row| row.is_done());
        Picture {
            summary: analysis.summary(wall_s),
            tenants: analysis.tenants(),
            label: analysis.header.policy.clone(),
            epoch_unix_s: analysis.header.epoch_unix_s,
            series: analysis.series.coarser(BINS),
            jct: Curve::of(&Samples::new(done().map(|row| row.jct().0).collect())),
            wait: Curve::of(&Samples::new(done().map(|row| row.wait().0).collect())),
            classes: classes(analysis.tracker.jobs()),
            fractions: analysis.account().as_ref().map(fractions).unwrap_or_default(),
            replicas: replicas(analysis),
            waits: analysis.waits(),
        }
    }

    /// The name that tells the run apart from the others it is shown with.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }
}

/// One figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// File name without extension.
    pub name: &'static str,
    /// Heading.
    pub title: &'static str,
    /// What is seen, in sentences.
    pub caption: String,
    /// The picture.
    pub svg: String,
}

/// Names each run by what tells it apart from the others.
pub(crate) fn relabel(runs: &mut [Picture]) {
    let summaries: Vec<&Summary> = runs.iter().map(|run| &run.summary).collect();
    let names = labels(&summaries);
    for (run, name) in runs.iter_mut().zip(names) {
        run.label = name;
    }
}

/// All figures that have something to show.
///
/// # Errors
/// If the plotting library fails.
pub(crate) fn draw_all(runs: &[Picture]) -> Result<Vec<Figure>, ReportError> {
    let figures = [
        load::draw,
        inference::draw,
        service::draw_spent,
        service::draw_fractions,
        cdf::draw,
        sizes::draw,
        fairness::draw,
        reasons::draw,
    ];
    let drawn: Result<Vec<Option<Figure>>, ReportError> = figures.iter().map(|draw| draw(runs)).collect();
    Ok(drawn?.into_iter().flatten().collect())
}

fn entries(runs: &[Picture]) -> Vec<(String, Ink)> {
    runs.iter().enumerate().map(|(i, run)| (run.label.clone(), ink(i))).collect()
}

/// Statements, one after the other. After six the reader is referred to the table.
fn list(statements: impl Iterator<Item = String>) -> String {
    statements.take(6).collect::<Vec<_>>().join("; ")
}
