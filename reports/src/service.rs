//! Service levels and the whereabouts of accelerator-time, as people cite them.

use crate::stats::ratio;
use policies::FULL_SPEED;
use policies::ledger::{Account, Setback, Spent, TierAccount};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MICROS_PER_HOUR: u128 = 3_600_000_000;

/// What the books of a run come to; see [`policies::ledger`] for what each figure means exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Accelerator-hours by what became of them; they add up to all that there were from the first step to the last.
    pub spent_accelerator_hours: BTreeMap<Spent, f64>,
    /// Useful accelerator-time over all there was, 0 to 1.
    pub goodput: f64,
    /// Useful accelerator-time over what jobs held, 0 to 1: effective training time ratio. `None` if they held nothing.
    pub ettr: Option<f64>,
    /// By tier, best first.
    pub tiers: Vec<TierSummary>,
}

/// What no policy can beat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// Goodput up to the time limit, 0 to 1; `None` where there is no limit.
    pub goodput: Option<f64>,
    /// By tier, the part of job-hours in windows with the guaranteed fraction if every job were alone.
    pub attained: Vec<Option<f64>>,
}

/// What came of one tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierSummary {
    /// Its name.
    pub name: String,
    /// The GPU fraction that was guaranteed in every window, 0 to 1; 0 for best effort.
    pub guarantee: f64,
    /// Length of a window, seconds.
    pub window_s: f64,
    /// Jobs that were submitted.
    pub jobs: u64,
    /// Of these, jobs that are done.
    pub done: u64,
    /// Hours of jobs between submission and the end.
    pub job_hours: f64,
    /// The part of them in windows with at least the guaranteed fraction, 0 to 1; `None` without jobs.
    pub attained: Option<f64>,
    /// GPU fraction over all job-hours, 0 to 1.
    pub fraction: Option<f64>,
    /// The fraction over its life that one job in a hundred does not exceed.
    pub p1_fraction: Option<f64>,
    /// One in ten.
    pub p10_fraction: Option<f64>,
    /// The median.
    pub p50_fraction: Option<f64>,
    /// Windows of jobs below the guarantee.
    pub violations: u64,
    /// Job-hours of these windows, by what took most from them.
    pub violation_job_hours: BTreeMap<Setback, f64>,
    /// The longest time that a job made no progress, hours.
    pub starved_hours: f64,
    /// Windows in which a job was stopped or moved more than [`policies::ledger::STORM_STOPS`] times.
    pub storms: u64,
    /// Useful accelerator-hours.
    pub useful_accelerator_hours: f64,
    /// These at the tier's price.
    pub revenue: f64,
}

impl Service {
    /// Of a run.
    pub fn of(account: &Account) -> Service {
        let hours = |spent: Spent| ratio(account.spent(spent), 1000 * MICROS_PER_HOUR);
        let all: u128 = account.spent.iter().sum();
        let share = |part: u128, whole: u128| if whole == 0 { None } else { Some(part as f64 / whole as f64) };
        let (useful, held) = account.useful_of_held();
        Service {
            spent_accelerator_hours: Spent::ALL.into_iter().map(|spent| (spent, hours(spent))).collect(),
            goodput: share(useful, all).unwrap_or(0.0),
            ettr: share(useful, held),
            tiers: account.tiers.iter().map(TierSummary::of).collect(),
        }
    }

    /// Whether anything was guaranteed to anybody.
    pub fn has_guarantees(&self) -> bool {
        self.tiers.iter().any(|tier| tier.guarantee > 0.0)
    }

    /// All figures in one row: names and values.
    pub(crate) fn flat(&self) -> Vec<(String, String)> {
        let text = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        let mut row = vec![("goodput".into(), self.goodput.to_string()), ("ettr".into(), text(self.ettr))];
        let named = |spent: &Spent| format!("{}_accelerator_hours", key(spent));
        row.extend(self.spent_accelerator_hours.iter().map(|(spent, hours)| (named(spent), hours.to_string())));
        for tier in self.tiers.iter().filter(|_| self.has_guarantees()) {
            let name = tier.name.to_lowercase().replace(' ', "_");
            let cells = [
                ("job_hours", tier.job_hours.to_string()),
                ("attained", text(tier.attained)),
                ("fraction", text(tier.fraction)),
                ("p10_fraction", text(tier.p10_fraction)),
                ("violations", tier.violations.to_string()),
                ("starved_hours", tier.starved_hours.to_string()),
                ("storms", tier.storms.to_string()),
                ("revenue", tier.revenue.to_string()),
            ];
            row.extend(cells.map(|(figure, value)| (format!("{name}_{figure}"), value)));
        }
        row
    }
}

/// As it is written in JSON.
fn key(spent: &Spent) -> String {
    serde_json::to_value(spent).ok().and_then(|v| Some(v.as_str()?.replace('-', "_"))).unwrap_or_default()
}

impl TierSummary {
    fn of(account: &TierAccount) -> TierSummary {
        let part = |ten_thousandths: u16| f64::from(ten_thousandths) / f64::from(FULL_SPEED);
        let of_observed = |amount: u128| (account.observed > 0).then(|| amount as f64 / account.observed as f64);
        let quantile = |per_mille| account.fractions.quantile(per_mille).map(part);
        let hours = |micros: u128| ratio(micros, MICROS_PER_HOUR);
        let broken = Setback::ALL.into_iter().zip(account.broken_time).filter(|(_, time)| *time > 0);
        let useful = ratio(account.useful, 1000 * MICROS_PER_HOUR);
        TierSummary {
            name: account.tier.name.clone(),
            guarantee: part(account.tier.guarantee),
            window_s: account.tier.window.as_secs_f64(),
            jobs: account.jobs,
            done: account.done,
            job_hours: hours(account.observed),
            attained: of_observed(account.attained),
            fraction: of_observed(account.ideal).map(|f| f / f64::from(FULL_SPEED)),
            p1_fraction: quantile(10),
            p10_fraction: quantile(100),
            p50_fraction: quantile(500),
            violations: account.violations(),
            violation_job_hours: broken.map(|(cause, time)| (cause, hours(time))).collect(),
            starved_hours: account.starved.as_secs_f64() / 3600.0,
            storms: account.storms,
            useful_accelerator_hours: useful,
            revenue: useful * f64::from(account.tier.price_milli) / 1000.0,
        }
    }
}
