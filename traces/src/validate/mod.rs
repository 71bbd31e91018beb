//! Does a trace fit a fleet, and is it in order?
//!
//! Jobs that can never fit, demand against capacity over time, idle gaps, and rows that no honest trace has. The trace's
//! types must be the fleet's: [`align_types`](crate::scenario::align_types) first.

mod demand;
mod fit;

pub use demand::{Gap, Hours, TypeDemand};
pub use fit::{Misfit, Misfits, largest_gang};

use crate::import::NEVER_ENDS;
use crate::model::{Trace, TraceJob};
use crate::text::{aligned, percent, seconds};
use policies::{Fleet, Span};
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Examples of each finding that are kept; all are counted.
const EXAMPLES: usize = 100;
/// Findings of one kind that are printed.
const PRINTED: usize = 5;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Jobs looked at.
    pub jobs: u64,
    /// Accelerators of the fleet.
    pub capacity: u64,
    /// Jobs that the empty fleet cannot hold.
    pub misfits: Misfits,
    /// Demand against capacity: all types together, then each set of types that some job insists on.
    pub demand: Vec<TypeDemand>,
    /// The longest spans in which nothing is asked for, if all jobs ran at once when submitted; longest first.
    pub gaps: Vec<Gap>,
    /// Jobs whose id an earlier job has.
    pub duplicate_ids: Found,
    /// Jobs that were submitted before the one in front of them.
    pub out_of_order: Found,
    /// Jobs that take no time.
    pub zero_durations: Found,
    /// Jobs of which the source tells no end.
    pub endless: Found,
}

/// Jobs with something in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// The ids of the first hundred.
    pub ids: Vec<String>,
}

impl Found {
    fn add(&mut self, job: &TraceJob) {
        self.count += 1;
        if self.ids.len() < EXAMPLES {
            self.ids.push(job.id.to_string());
        }
    }
}

/// Checks a trace against a fleet.
pub fn validate(trace: &Trace, fleet: &Fleet) -> Validation {
    let mut found = Validation {
        jobs: trace.jobs.len() as u64,
        capacity: fleet.accelerators(),
        misfits: fit::misfits(trace, fleet, EXAMPLES),
        ..Validation::default()
    };
    let mut ids: FxHashSet<&str> = FxHashSet::default();
    let mut latest = policies::Time::ZERO;
    for job in &trace.jobs {
        if !ids.insert(&job.id) {
            found.duplicate_ids.add(job);
        }
        if job.submit < latest {
            found.out_of_order.add(job);
        }
        latest = latest.max(job.submit);
        if job.duration == Span::ZERO {
            found.zero_durations.add(job);
        } else if job.duration >= NEVER_ENDS {
            found.endless.add(job);
        }
    }
    (found.demand, found.gaps) = demand::over_time(trace, fleet);
    found
}

impl Validation {
    /// Whether every job can run some day and no row is wrong. Overload, gaps and unknown ends are no errors.
    pub fn is_clean(&self) -> bool {
        let wrong = [&self.duplicate_ids, &self.out_of_order, &self.zero_durations];
        self.misfits.count == 0 && wrong.iter().all(|found| found.count == 0)
    }
}

impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} jobs against {} accelerators", self.jobs, self.capacity)?;
        self.misfits.write(f, PRINTED)?;
        for (what, found) in [
            ("jobs repeat an earlier job's id", &self.duplicate_ids),
            ("jobs are out of submit order", &self.out_of_order),
            ("jobs take no time", &self.zero_durations),
            ("jobs have no known end", &self.endless),
        ] {
            if found.count > 0 {
                let more = if found.count as usize > PRINTED { ", ..." } else { "" };
                let first = found.ids.iter().take(PRINTED).map(String::as_str).collect::<Vec<_>>().join(", ");
                writeln!(f, "{} {what}: {first}{more}", found.count)?;
            }
        }
        if self.is_clean() {
            writeln!(f, "every job can run on this fleet, and all rows are in order")?;
        }
        let heading = ["demand for", "capacity", "mean", "peak hour", "at", "hours above capacity"];
        let rows = self.demand.iter().map(|d| {
            let ratios = [percent(d.mean_ratio), percent(d.peak_ratio)];
            let [mean, peak] = ratios;
            vec![
                d.types.clone(),
                d.capacity.to_string(),
                mean,
                peak,
                seconds(d.peak_hour as f64 * 3600.0),
                d.hours_above.to_string(),
            ]
        });
        let table: Vec<Vec<String>> = std::iter::once(heading.map(str::to_owned).to_vec()).chain(rows).collect();
        writeln!(f, "\n{}", aligned(&table).trim_end())?;
        if !self.gaps.is_empty() {
            writeln!(f, "\nnothing to do, longest first")?;
            for gap in self.gaps.iter().take(PRINTED) {
                writeln!(f, "  {} from {} on", seconds(gap.length_s), seconds(gap.from_s))?;
            }
        }
        Ok(())
    }
}
