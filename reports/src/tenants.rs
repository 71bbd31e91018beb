//! A row per tenant.

use crate::analysis::Analysis;
use crate::jobs::tenant_name;
use crate::stats::{Samples, ratio};
use crate::summary::bounded_slowdown;
use serde::Serialize;
use std::collections::BTreeMap;
use traces::runlog::JobRecord;

const MILLI_MICROS_PER_HOUR: u128 = 1000 * 3_600_000_000;

/// How one tenant fared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tenant {
    /// Its name, or its number.
    pub name: String,
    /// Jobs that it submitted.
    pub jobs: u64,
    /// Of these, jobs that are done.
    pub done: u64,
    /// Accelerators times hours in which its attempts that are over ran.
    pub accelerator_hours: f64,
    /// Mean time from submission to the end of done jobs, seconds.
    pub mean_jct_s: Option<f64>,
    /// Median of it.
    pub p50_jct_s: Option<f64>,
    /// 90th percentile of it.
    pub p90_jct_s: Option<f64>,
    /// Mean time that done jobs did not run, seconds.
    pub mean_wait_s: Option<f64>,
    /// Mean bounded slowdown of done jobs.
    pub mean_bounded_slowdown: Option<f64>,
    /// Attempts stopped on order.
    pub preemptions: u64,
    /// Its part of all accelerator-time that jobs held while at least one job of anybody waited, 0 to 1.
    pub share_held: f64,
    /// Its part of all accelerator-time that jobs held or waited for in the same time, 0 to 1.
    pub share_asked: f64,
}

impl Analysis {
    /// A row per tenant that submitted anything, by id.
    pub fn tenants(&self) -> Vec<Tenant> {
        let mut by_tenant: BTreeMap<u32, Vec<&JobRecord>> = BTreeMap::new();
        for row in self.tracker.jobs() {
            by_tenant.entry(row.tenant).or_default().push(row);
        }
        let areas: Vec<(u128, u128)> = by_tenant.keys().map(|&t| self.contended_areas(t)).collect();
        let totals = areas.iter().fold((0, 0), |(h, a), &(held, asked)| (h + held, a + asked));
        let share = |part: u128, all: u128| if all == 0 { 0.0 } else { part as f64 / all as f64 };
        let rows = by_tenant.iter().zip(areas);
        rows.map(|((&tenant, jobs), (held, asked))| Tenant {
            share_held: share(held, totals.0),
            share_asked: share(asked, totals.1),
            ..of_jobs(tenant_name(&self.header, tenant), jobs)
        })
        .collect()
    }
}

fn of_jobs(name: String, jobs: &[&JobRecord]) -> Tenant {
    let done: Vec<&JobRecord> = jobs.iter().copied().filter(|row| row.is_done()).collect();
    let jct = Samples::new(done.iter().map(|row| row.jct().0).collect());
    let wait = Samples::new(done.iter().map(|row| row.wait().0).collect());
    let service: u128 = jobs.iter().map(|row| row.service()).sum();
    let slowdown: f64 = done.iter().map(|row| bounded_slowdown(row)).sum();
    Tenant {
        name,
        jobs: jobs.len() as u64,
        done: done.len() as u64,
        accelerator_hours: ratio(service, MILLI_MICROS_PER_HOUR),
        mean_jct_s: jct.mean_s(),
        p50_jct_s: jct.quantile_s(500),
        p90_jct_s: jct.quantile_s(900),
        mean_wait_s: wait.mean_s(),
        mean_bounded_slowdown: (!done.is_empty()).then(|| slowdown / done.len() as f64),
        preemptions: jobs.iter().map(|row| u64::from(row.preemptions)).sum(),
        share_held: 0.0,
        share_asked: 0.0,
    }
}
