//! The usual figures of a trace: how many, how large, how long, whose, when.

use crate::model::{Outcome, Trace, TraceJob};
use crate::text::{aligned, percent, seconds};
use policies::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Durations from here on mean that the source tells no end.
const ENDLESS_US: u64 = crate::import::NEVER_ENDS.0;
/// Tenants listed by name.
const TENANTS_LISTED: usize = 10;

/// Figures of a trace. Accelerator-hours count fractions of accelerators in proportion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stat {
    /// All jobs.
    pub jobs: u64,
    /// Jobs of which the source tells no end: in no figure about durations, hours or load.
    pub endless_jobs: u64,
    /// What all jobs hold together.
    pub accelerator_hours: f64,
    /// From the first submission to the last, seconds.
    pub span_s: f64,
    /// The capacity that `load` refers to, in accelerators.
    pub capacity: Option<u64>,
    /// Offered load: accelerator-time asked for, over capacity times span. `None` without capacity or span.
    pub load: Option<f64>,
    /// Run times in seconds.
    pub duration_s: Quantiles,
    /// Accelerators asked for.
    pub accelerators: Quantiles,
    /// Seconds between one submission and the next.
    pub gap_s: Quantiles,
    /// Jobs with a requested wall time.
    pub estimated_jobs: u64,
    /// By outcome, in the order completed, failed, cancelled, unknown; those that occur.
    pub outcomes: Vec<Part>,
    /// By accelerators asked for: none, a part of one, 1, 2, 3-4, 5-8, 9-16 and so on; those that occur.
    pub sizes: Vec<Part>,
    /// How many tenants submit.
    pub tenants: u64,
    /// The ten tenants with most accelerator-hours.
    pub top_tenants: Vec<Part>,
    /// Submissions by hour of the day (UTC; of the trace's own days where it has no calendar).
    pub by_hour: [u64; 24],
    /// Submissions by day of the week, Monday first. `None` where the trace has no calendar.
    pub by_weekday: Option<[u64; 7]>,
}

/// Exact quantiles by nearest rank: always a value that occurs. All zero of nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Arithmetic mean.
    pub mean: f64,
    /// The smallest value such that at least half of all values are not larger.
    pub p50: f64,
    /// Nine tenths.
    pub p90: f64,
    /// Ninety-nine hundredths.
    pub p99: f64,
    /// The largest value.
    pub max: f64,
}

/// Some of the jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Which ones.
    pub name: String,
    /// How many.
    pub jobs: u64,
    /// Their share of all jobs.
    pub jobs_share: f64,
    /// What they hold together.
    pub accelerator_hours: f64,
    /// Their share of all accelerator-hours.
    pub hours_share: f64,
}

impl Stat {
    /// The figures of a trace; its load against `capacity` accelerators.
    pub fn of(trace: &Trace, capacity: Option<u64>) -> Stat {
        let mut collector = Collector::new(trace);
        trace.jobs.iter().for_each(|job| collector.add(job));
        collector.finish(capacity)
    }
}

/// Collects figures job by job in submit order, in 20 bytes a job.
#[derive(Clone, Debug)]
pub struct Collector {
    tenants: Vec<String>,
    epoch_unix_s: Option<i64>,
    durations_us: Vec<u64>,
    gaps_us: Vec<u64>,
    accelerators: Vec<u32>,
    first: Option<Time>,
    last: Time,
    endless: u64,
    estimated: u64,
    outcomes: BTreeMap<Outcome, Sum>,
    sizes: BTreeMap<SizeClass, Sum>,
    by_tenant: BTreeMap<u32, Sum>,
    by_hour: [u64; 24],
    by_weekday: [u64; 7],
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    jobs: u64,
    milli_us: u128,
}

impl Sum {
    fn add(&mut self, milli_us: u128) {
        self.jobs += 1;
        self.milli_us += milli_us;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SizeClass {
    None,
    Part,
    /// From more than half of this power of two up to it.
    UpTo(u64),
}

impl SizeClass {
    fn of(job: &TraceJob) -> SizeClass {
        match (job.demand.accelerators, job.demand.milli) {
            (0, _) => SizeClass::None,
            (1, milli) if milli < policies::WHOLE_MILLI => SizeClass::Part,
            (accelerators, _) => SizeClass::UpTo(u64::from(accelerators).next_power_of_two()),
        }
    }

    fn name(self) -> String {
        match self {
            SizeClass::None => "none".into(),
            SizeClass::Part => "part of 1".into(),
            SizeClass::UpTo(n @ (1 | 2)) => n.to_string(),
            SizeClass::UpTo(n) => format!("{}-{n}", n / 2 + 1),
        }
    }
}

impl Collector {
    /// For jobs that index the names of `header`, whose own jobs are not looked at.
    pub fn new(header: &Trace) -> Collector {
        Collector {
            tenants: header.tenants.clone(),
            epoch_unix_s: header.epoch_unix_s,
            durations_us: Vec::new(),
            gaps_us: Vec::new(),
            accelerators: Vec::new(),
            first: None,
            last: Time::ZERO,
            endless: 0,
            estimated: 0,
            outcomes: BTreeMap::new(),
            sizes: BTreeMap::new(),
            by_tenant: BTreeMap::new(),
            by_hour: [0; 24],
            by_weekday: [0; 7],
        }
    }

    /// Counts one more job.
    pub fn add(&mut self, job: &TraceJob) {
        let ends = job.duration.0 < ENDLESS_US;
        let milli_us = if ends { u128::from(job.demand.milli_total()) * u128::from(job.duration.0) } else { 0 };
        if ends {
            self.durations_us.push(job.duration.0);
        } else {
            self.endless += 1;
        }
        self.accelerators.push(job.demand.accelerators);
        self.estimated += u64::from(job.estimate.is_some());
        self.outcomes.entry(job.outcome).or_default().add(milli_us);
        self.sizes.entry(SizeClass::of(job)).or_default().add(milli_us);
        self.by_tenant.entry(job.tenant).or_default().add(milli_us);
        self.arrive(job.submit);
    }

    fn arrive(&mut self, submit: Time) {
        if self.first.is_some() {
            self.gaps_us.push(submit.since(self.last).0);
        }
        self.first.get_or_insert(submit);
        self.last = self.last.max(submit);
        let unix_s = self.epoch_unix_s.unwrap_or(0) + (submit.0 / 1_000_000) as i64;
        self.by_hour[(unix_s.rem_euclid(86_400) / 3600) as usize] += 1;
        // 1970-01-01 was a Thursday.
        self.by_weekday[((unix_s.div_euclid(86_400) + 3).rem_euclid(7)) as usize] += 1;
    }

    /// The figures; load against `capacity` accelerators.
    pub fn finish(self, capacity: Option<u64>) -> Stat {
        let jobs = self.accelerators.len() as u64;
        let milli_us: u128 = self.outcomes.values().map(|sum| sum.milli_us).sum();
        let part = |name: String, sum: &Sum| Part {
            name,
            jobs: sum.jobs,
            jobs_share: sum.jobs as f64 / jobs as f64,
            accelerator_hours: hours(sum.milli_us),
            hours_share: if milli_us == 0 { 0.0 } else { sum.milli_us as f64 / milli_us as f64 },
        };
        let span_s = self.last.since(self.first.unwrap_or(self.last)).as_secs_f64();
        let offered = |capacity: u64| hours(milli_us) * 3600.0 / (capacity as f64 * span_s);
        let mut tenants: Vec<(&u32, &Sum)> = self.by_tenant.iter().collect();
        tenants.sort_by_key(|(id, sum)| (std::cmp::Reverse((sum.milli_us, sum.jobs)), **id));
        Stat {
            jobs,
            endless_jobs: self.endless,
            accelerator_hours: hours(milli_us),
            span_s,
            capacity,
            load: capacity.filter(|c| *c > 0 && span_s > 0.0).map(offered),
            duration_s: quantiles(self.durations_us, 1e-6),
            accelerators: quantiles(self.accelerators.iter().map(|n| u64::from(*n)).collect(), 1.0),
            gap_s: quantiles(self.gaps_us, 1e-6),
            estimated_jobs: self.estimated,
            outcomes: self.outcomes.iter().map(|(outcome, sum)| part(format!("{outcome:?}").to_lowercase(), sum)).collect(),
            sizes: self.sizes.iter().map(|(class, sum)| part(class.name(), sum)).collect(),
            tenants: self.by_tenant.len() as u64,
            top_tenants: tenants
                .iter()
                .take(TENANTS_LISTED)
                .map(|(id, sum)| part(tenant_name(&self.tenants, **id), sum))
                .collect(),
            by_hour: self.by_hour,
            by_weekday: self.epoch_unix_s.map(|_| self.by_weekday),
        }
    }
}

fn tenant_name(names: &[String], id: u32) -> String {
    names.get(id as usize).filter(|name| !name.is_empty()).cloned().unwrap_or_else(|| "(nobody in particular)".into())
}

fn hours(milli_us: u128) -> f64 {
    milli_us as f64 / 3.6e12
}

fn quantiles(mut values: Vec<u64>, unit: f64) -> Quantiles {
    if values.is_empty() {
        return Quantiles::default();
    }
    values.sort_unstable();
    let at = |per_mille: usize| values[(values.len() * per_mille).div_ceil(1000).max(1) - 1] as f64 * unit;
    let sum: u128 = values.iter().map(|v| u128::from(*v)).sum();
    Quantiles { mean: sum as f64 * unit / values.len() as f64, p50: at(500), p90: at(900), p99: at(990), max: at(1000) }
}

impl fmt::Display for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = vec![line("jobs", self.jobs.to_string())];
        if self.endless_jobs > 0 {
            rows.push(line("of them without an end", self.endless_jobs.to_string()));
        }
        rows.push(line("accelerator-hours", format!("{:.1}", self.accelerator_hours)));
        rows.push(line("span", seconds(self.span_s)));
        if let (Some(capacity), Some(load)) = (self.capacity, self.load) {
            rows.push(line("offered load", format!("{load:.3} of {capacity} accelerators")));
        }
        rows.push(line("with a requested wall time", percent(self.estimated_jobs as f64 / self.jobs.max(1) as f64)));
        rows.push(line("tenants", self.tenants.to_string()));
        // Values stand at the left here, under no heading.
        for row in &rows {
            writeln!(f, "{:<28}{}", row[0], row[1])?;
        }
        writeln!(f, "\n{}", aligned(&self.quantile_rows()).trim_end())?;
        for (title, parts) in
            [("outcome", &self.outcomes), ("accelerators", &self.sizes), ("tenant (by accelerator-hours)", &self.top_tenants)]
        {
            writeln!(f, "\n{}", aligned(&part_rows(title, parts)).trim_end())?;
        }
        writeln!(
            f,
            "\n{}",
            aligned(&arrival_rows("submitted in hour", &self.by_hour, |hour| format!("{hour:02}"))).trim_end()
        )?;
        if let Some(days) = &self.by_weekday {
            const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
            writeln!(f, "\n{}", aligned(&arrival_rows("submitted on", days, |day| NAMES[day].into())).trim_end())?;
        }
        Ok(())
    }
}

impl Stat {
    fn quantile_rows(&self) -> Vec<Vec<String>> {
        let row = |name: &str, q: &Quantiles, show: fn(f64) -> String| {
            let cells = [q.mean, q.p50, q.p90, q.p99, q.max].map(show);
            std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>()
        };
        vec![
            ["", "mean", "p50", "p90", "p99", "max"].map(str::to_owned).to_vec(),
            row("duration", &self.duration_s, seconds),
            row("accelerators", &self.accelerators, |n| if n.fract() == 0.0 { n.to_string() } else { format!("{n:.2}") }),
            row("time to the next job", &self.gap_s, seconds),
        ]
    }
}

fn part_rows(title: &str, parts: &[Part]) -> Vec<Vec<String>> {
    let heading = [title, "jobs", "share", "accelerator-hours", "share"].map(str::to_owned).to_vec();
    let row = |part: &Part| {
        let hours = format!("{:.1}", part.accelerator_hours);
        vec![part.name.clone(), part.jobs.to_string(), percent(part.jobs_share), hours, percent(part.hours_share)]
    };
    std::iter::once(heading).chain(parts.iter().map(row)).collect()
}

/// Counts with bars, relative to the largest.
fn arrival_rows(title: &str, counts: &[u64], name: impl Fn(usize) -> String) -> Vec<Vec<String>> {
    let largest = counts.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: u64| format!("{:<30}", "#".repeat((count * 30 / largest) as usize));
    let heading = vec![title.to_owned(), "jobs".to_owned()];
    let rows = counts.iter().enumerate().map(|(i, count)| vec![name(i), count.to_string(), bar(*count)]);
    std::iter::once(heading).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use policies::{Demand, Span};

    fn job(submit_s: u64, accelerators: u32, duration_s: u64, tenant: u32, outcome: Outcome) -> TraceJob {
        TraceJob {
            id: submit_s.to_string().into(),
            submit: Time::from_secs(submit_s),
            duration: Span::from_secs(duration_s),
            demand: Demand::whole(accelerators),
            tenant,
            priority: 0,
            tier: 0,
            estimate: None,
            outcome,
            recorded_start: None,
            label: 0,
        }
    }

    fn trace() -> Trace {
        let mut half = job(7200, 1, 3600, 2, Outcome::Completed);
        half.demand.milli = 500;
        Trace {
            jobs: vec![
                job(0, 8, 3600, 1, Outcome::Completed),
                job(3600, 3, 7200, 2, Outcome::Failed),
                half,
                job(36_000, 1, ENDLESS_US / 1_000_000 + 1, 0, Outcome::Unknown),
            ],
            tenants: vec![String::new(), "a".into(), "b".into()],
            // A Friday, 23:00 UTC.
            epoch_unix_s: Some(1_700_262_000),
            ..Trace::default()
        }
    }

    #[test]
    fn figures_by_hand() {
        let stat = Stat::of(&trace(), Some(10));
        assert_eq!((stat.jobs, stat.endless_jobs, stat.tenants), (4, 1, 3));
        assert_eq!(stat.accelerator_hours, 8.0 + 6.0 + 0.5);
        assert_eq!(stat.span_s, 36_000.0);
        assert_eq!(stat.load, Some(14.5 / 100.0));
        assert_eq!((stat.duration_s.p50, stat.duration_s.p90, stat.duration_s.max), (3600.0, 7200.0, 7200.0));
        assert_eq!(stat.duration_s.mean, 4800.0);
        assert_eq!((stat.accelerators.p50, stat.accelerators.max), (1.0, 8.0));
        assert_eq!((stat.gap_s.p50, stat.gap_s.max), (3600.0, 28_800.0));
        let names: Vec<&str> = stat.sizes.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["part of 1", "1", "3-4", "5-8"]);
        let tenants: Vec<(&str, u64)> = stat.top_tenants.iter().map(|p| (p.name.as_str(), p.jobs)).collect();
        assert_eq!(tenants, [("a", 1), ("b", 2), ("(nobody in particular)", 1)]);
        assert_eq!((stat.by_hour[23], stat.by_hour[0], stat.by_hour[1], stat.by_hour[9]), (1, 1, 1, 1));
        assert_eq!(stat.by_weekday, Some([0, 0, 0, 0, 1, 3, 0]));
    }

    #[test]
    fn an_empty_trace_has_figures_too() {
        let stat = Stat::of(&Trace::default(), Some(8));
        assert_eq!((stat.jobs, stat.load, stat.by_weekday), (0, None, None));
        assert!(!stat.to_string().contains("NaN"), "{stat}");
    }

    #[test]
    fn it_survives_json_and_prints_aligned() {
        let stat = Stat::of(&trace(), Some(10));
        let json = serde_json::to_string(&stat).unwrap();
        assert_eq!(serde_json::from_str::<Stat>(&json).unwrap(), stat);
        let text = stat.to_string();
        assert!(text.contains("offered load                0.145 of 10 accelerators"), "{text}");
        assert!(text.lines().all(|line| line == line.trim_end()));
    }
}
