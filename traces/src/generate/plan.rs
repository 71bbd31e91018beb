//! The workload model, checked and made ready to draw from.

use super::cycle::Cycle;
use super::law::Law;
use super::model::{Batches, Durations, OutcomeBand, SizeClass, UserEstimates, WorkloadModel};
use super::presets::{Parameters, Preset};
use super::stream::Stream;
use crate::model::Outcome;
use policies::{Span, TypeId, TypeSet};
use rand::RngExt;

/// Why a workload model cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// A value makes no sense.
    #[error("{field} is {value}: expected {expected}")]
    Invalid {
        /// Path of the field within the model, e.g. `sizes[2].share`.
        field: String,
        /// What it is.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// Too many of `jobs`, `days`, `load`.
    #[error("jobs, days and load are all given, but any two of them determine the third: leave one out")]
    Overdetermined,
    /// More jobs than ids.
    #[error("days and load make more than {} jobs: ask for fewer days or less load", u32::MAX)]
    TooManyJobs,
}

impl ModelError {
    /// The offending field's path within the model, where there is one.
    pub fn field(&self) -> Option<&str> {
        match self {
            ModelError::Invalid { field, .. } => Some(field),
            ModelError::Overdetermined | ModelError::TooManyJobs => None,
        }
    }
}

fn require(ok: bool, field: &str, value: impl ToString, expected: &str) -> Result<(), ModelError> {
    let error = || ModelError::Invalid { field: field.into(), value: value.to_string(), expected: expected.into() };
    if ok { Ok(()) } else { Err(error()) }
}

/// A discrete distribution by inverse transform.
#[derive(Clone, Debug)]
pub(crate) struct Choice(Vec<f64>);

impl Choice {
    /// Over positions, in proportion to `weights`.
    fn new(weights: impl IntoIterator<Item = f64>, field: &str) -> Result<Choice, ModelError> {
        let mut cumulative = Vec::new();
        let mut sum = 0.0;
        for (i, weight) in weights.into_iter().enumerate() {
            let good = weight.is_finite() && weight >= 0.0;
            require(good, &format!("{field}[{i}]"), weight, "a share of at least 0")?;
            sum += weight;
            cumulative.push(sum);
        }
        require(sum > 0.0 && sum.is_finite(), field, "without weight", "shares with a positive, finite sum")?;
        cumulative.iter_mut().for_each(|c| *c /= sum);
        Ok(Choice(cumulative))
    }

    /// The mean position.
    fn mean(&self) -> f64 {
        self.0.iter().map(|c| 1.0 - c).sum()
    }

    /// Draws a position; a choice of one draws nothing.
    #[inline]
    pub(crate) fn draw(&self, stream: &mut Stream) -> usize {
        if self.0.len() == 1 {
            return 0;
        }
        let u: f64 = stream.random();
        let position =
            if self.0.len() <= 16 { self.0.iter().filter(|c| **c <= u).count() } else { self.0.partition_point(|c| *c <= u) };
        position.min(self.0.len() - 1)
    }
}

/// One size class, checked.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub(crate) accelerators: u32,
    /// Jobs of a batch, less one.
    pub(crate) batch: Choice,
    law: Law,
    /// (upper rank, completed, completed or failed), the latter two as shares.
    ends: Vec<(f64, f64, f64)>,
}

impl Class {
    /// The outcome, where all jobs of the class end alike.
    pub(crate) fn only_outcome(&self) -> Option<Outcome> {
        matches!(self.ends[..], [(_, 1.0, _)]).then_some(Outcome::Completed)
    }

    /// How a job ends whose duration has `rank`; `u` in [0, 1) decides.
    pub(crate) fn outcome(&self, rank: f64, u: f64) -> Outcome {
        let &(_, completed, not_cancelled) =
            self.ends.iter().find(|end| rank <= end.0).unwrap_or(&self.ends[self.ends.len() - 1]);
        if u < completed {
            Outcome::Completed
        } else if u < not_cancelled {
            Outcome::Failed
        } else {
            Outcome::Cancelled
        }
    }
}

/// What the generator draws from.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) capacity: u64,
    pub(crate) classes: Vec<Class>,
    pub(crate) class: Choice,
    pub(crate) cycle: Cycle,
    pub(crate) gap_mean_s: f64,
    pub(crate) alike: f64,
    pub(crate) tenant: Choice,
    pub(crate) tier: Choice,
    pub(crate) priority: Choice,
    pub(crate) priorities: Vec<i32>,
    pub(crate) kind: Choice,
    pub(crate) kinds: Vec<TypeSet>,
    pub(crate) estimates: Option<UserEstimates>,
    pub(crate) resolution: Span,
    shortest_s: f64,
    longest_s: f64,
}

impl Plan {
    /// Expected accelerator-seconds a job, where memoryless jobs that come one by one make it certain enough.
    pub(crate) fn expected_work_s(&self) -> Option<f64> {
        let mut sum = 0.0;
        let mut before = 0.0;
        for (class, upper) in self.classes.iter().zip(&self.class.0) {
            let Law::Exponential { mean_s } = class.law else { return None };
            if class.batch.0.len() > 1 || mean_s < 1000.0 * self.shortest_s || mean_s * 100.0 > self.longest_s {
                return None;
            }
            sum += (upper - before) * mean_s * f64::from(class.accelerators);
            before = *upper;
        }
        Some(sum)
    }

    /// How many tenants there are.
    pub(crate) fn tenant_count(&self) -> usize {
        self.tenant.0.len()
    }

    pub(crate) fn new(model: &WorkloadModel) -> Result<Plan, ModelError> {
        let preset = model.preset.parameters();
        let capacity = model.accelerators.unwrap_or(preset.accelerators);
        require(capacity > 0, "accelerators", capacity, "at least 1")?;
        let batches = model.batches.unwrap_or(preset.batches);
        check_batches(&batches)?;
        let (classes, class) = classes(model, &preset, capacity, &batches)?;
        let tenants = model.tenants.unwrap_or(preset.tenants);
        require((1..=1_000_000).contains(&tenants.count), "tenants.count", tenants.count, "1 to 1,000,000")?;
        let (priority, priorities) = priorities(model)?;
        let (kind, kinds) = kinds(model)?;
        let estimates = model.estimates.or(preset.has_estimates.then(UserEstimates::default));
        check_estimates(estimates.as_ref())?;
        let (resolution, shortest_s, longest_s) = limits(model)?;
        Ok(Plan {
            capacity,
            classes,
            class,
            cycle: cycle(model, &preset)?,
            gap_mean_s: batches.gap.0.as_secs_f64(),
            alike: batches.alike,
            tenant: zipf(tenants.count, tenants.exponent, "tenants.exponent")?,
            tier: tiers(model)?,
            priority,
            priorities,
            kind,
            kinds,
            estimates,
            resolution,
            shortest_s,
            longest_s,
        })
    }

    /// The duration at `rank` of a class, within limits and at the model's resolution.
    pub(crate) fn duration(&self, class: usize, rank: f64) -> Span {
        let seconds = self.classes[class].law.at(rank).clamp(self.shortest_s, self.longest_s);
        let step = self.resolution.0;
        let micros = (seconds * 1e6) as u64;
        if step == 1 { Span(micros.max(1)) } else { Span(((micros + step / 2) / step).max(1) * step) }
    }
}

/// The classes within limits, and the choice among them for a *batch*: their shares of jobs over their mean batch.
fn classes(
    model: &WorkloadModel,
    preset: &Parameters,
    capacity: u64,
    batches: &Batches,
) -> Result<(Vec<Class>, Choice), ModelError> {
    let limit = model.accelerators_max.map_or(capacity, u64::from);
    let sizes = model.sizes.as_ref().unwrap_or(&preset.sizes);
    let mut kept = Vec::new();
    let mut shares = Vec::new();
    for (i, size) in sizes.iter().enumerate() {
        require(size.accelerators > 0, &format!("sizes[{i}].accelerators"), 0, "at least 1")?;
        if u64::from(size.accelerators) <= limit {
            let class = one_class(model, preset, size, batches, &format!("sizes[{i}]"))?;
            shares.push(size.share / (class.batch.mean() + 1.0));
            kept.push(class);
        }
    }
    require(!kept.is_empty(), "accelerators_max", limit, "a limit that leaves at least one size class")?;
    Ok((kept, Choice::new(shares, "sizes.share")?))
}

fn one_class(
    model: &WorkloadModel,
    preset: &Parameters,
    size: &SizeClass,
    batches: &Batches,
    field: &str,
) -> Result<Class, ModelError> {
    let alike = preset.sizes.iter().rev().find(|p| p.accelerators <= size.accelerators).unwrap_or(&preset.sizes[0]);
    // A preset's own table yields to what the model says for all classes; a class of the model comes first.
    let own = model.sizes.is_some().then_some(size);
    let durations = own.and_then(|s| s.durations.as_ref()).or(model.durations.as_ref());
    let durations = durations.or(size.durations.as_ref()).or(alike.durations.as_ref());
    let outcomes = own.and_then(|s| s.outcomes.as_ref()).or(model.outcomes.as_ref());
    let outcomes = outcomes.or(size.outcomes.as_ref()).or(alike.outcomes.as_ref());
    Ok(Class {
        accelerators: size.accelerators,
        batch: zipf(
            (batches.accelerators_max / size.accelerators).clamp(1, batches.jobs_max),
            batches.exponent,
            "batches.exponent",
        )?,
        law: law(durations.unwrap_or(&Durations::default()), &format!("{field}.durations"))?,
        ends: ends(outcomes.map_or(&[], Vec::as_slice), &format!("{field}.outcomes"))?,
    })
}

fn law(durations: &Durations, field: &str) -> Result<Law, ModelError> {
    match (&durations.quantiles, durations.median, durations.sigma, durations.mean) {
        (Some(knots), None, None, None) => table(knots, &format!("{field}.quantiles")),
        (None, Some(median), sigma, None) => {
            let sigma = sigma.unwrap_or(f64::NAN);
            require((0.0..=10.0).contains(&sigma), &format!("{field}.sigma"), sigma, "0 to 10, together with median")?;
            require(median.0 > Span::ZERO, &format!("{field}.median"), median, "more than 0s")?;
            Ok(Law::LogNormal { mu: libm::log(median.0.as_secs_f64()), sigma })
        }
        (None, None, None, Some(mean)) => {
            require(mean.0 > Span::ZERO, &format!("{field}.mean"), mean, "more than 0s")?;
            Ok(Law::Exponential { mean_s: mean.0.as_secs_f64() })
        }
        _ => require(false, field, "undecided", "quantiles, or median and sigma, or mean").map(|()| unreachable!()),
    }
}

fn table(knots: &[(f64, crate::duration::Length)], field: &str) -> Result<Law, ModelError> {
    let ends = knots.len() >= 2 && knots[0].0 == 0.0 && knots[knots.len() - 1].0 == 1.0;
    require(ends, field, "incomplete", "(rank, duration) pairs from rank 0 to rank 1")?;
    let ascending = knots.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
    require(ascending, field, "out of order", "ascending ranks with ascending durations")?;
    require(knots[0].1.0 > Span::ZERO, field, "zero at rank 0", "durations of more than 0s")?;
    Ok(Law::Table(knots.iter().map(|(rank, length)| (*rank, libm::log(length.0.as_secs_f64()))).collect()))
}

fn ends(bands: &[OutcomeBand], field: &str) -> Result<Vec<(f64, f64, f64)>, ModelError> {
    let ascending = bands.windows(2).all(|pair| pair[0].up_to < pair[1].up_to);
    let last = bands.last().map_or(0.0, |band| band.up_to);
    require(ascending && last == 1.0 && bands[0].up_to > 0.0, field, last, "bands with ascending up_to that ends at 1")?;
    let mut ends = Vec::with_capacity(bands.len());
    for (i, band) in bands.iter().enumerate() {
        let sum = band.completed + band.failed + band.cancelled;
        let parts = [band.completed, band.failed, band.cancelled];
        let good = parts.iter().all(|p| *p >= 0.0) && sum > 0.0 && sum.is_finite();
        require(good, &format!("{field}[{i}]"), sum, "shares of at least 0 with a positive sum")?;
        ends.push((band.up_to, band.completed / sum, (band.completed + band.failed) / sum));
    }
    Ok(ends)
}

fn check_batches(batches: &Batches) -> Result<(), ModelError> {
    require((1..=10_000).contains(&batches.jobs_max), "batches.jobs_max", batches.jobs_max, "1 to 10,000")?;
    require((0.0..=1.0).contains(&batches.alike), "batches.alike", batches.alike, "a share from 0 to 1")
}

fn check_estimates(estimates: Option<&UserEstimates>) -> Result<(), ModelError> {
    let Some(estimates) = estimates else { return Ok(()) };
    require((0.0..=1.0).contains(&estimates.share), "estimates.share", estimates.share, "a share from 0 to 1")?;
    require((0.0..=1.0).contains(&estimates.largest), "estimates.largest", estimates.largest, "a share from 0 to 1")?;
    require(estimates.max.0 > Span::ZERO, "estimates.max", estimates.max, "more than 0s")
}

fn zipf(count: u32, exponent: f64, field: &str) -> Result<Choice, ModelError> {
    require((0.0..=10.0).contains(&exponent), field, exponent, "an exponent from 0 to 10")?;
    Choice::new((1..=count).map(|k| libm::pow(f64::from(k), -exponent)), field)
}

fn tiers(model: &WorkloadModel) -> Result<Choice, ModelError> {
    let shares = model.tiers.as_deref().unwrap_or(&[1.0]);
    require((1..=256).contains(&shares.len()), "tiers", shares.len(), "the shares of 1 to 256 tiers")?;
    Choice::new(shares.iter().copied(), "tiers")
}

fn priorities(model: &WorkloadModel) -> Result<(Choice, Vec<i32>), ModelError> {
    let Some(shares) = &model.priorities else { return Ok((Choice(vec![1.0]), vec![0])) };
    let choice = Choice::new(shares.iter().map(|p| p.share), "priorities")?;
    Ok((choice, shares.iter().map(|p| p.priority).collect()))
}

fn kinds(model: &WorkloadModel) -> Result<(Choice, Vec<TypeSet>), ModelError> {
    let shares = model.types.as_deref().unwrap_or_default();
    require(shares.len() <= 64, "types", shares.len(), "at most 64 accelerator types")?;
    let insisting: f64 = shares.iter().map(|t| t.share).sum();
    require(insisting <= 1.0 + 1e-9, "types", insisting, "shares of all jobs with a sum of at most 1")?;
    let weights = shares.iter().map(|t| t.share).chain([(1.0 - insisting).max(0.0)]);
    let sets = (0..shares.len()).map(|i| TypeSet::only(TypeId(i as u8))).chain([TypeSet::ANY]);
    Ok((Choice::new(weights, "types")?, sets.collect()))
}

fn cycle(model: &WorkloadModel, preset: &Parameters) -> Result<Cycle, ModelError> {
    let hours = model.hours.as_deref().unwrap_or(&preset.hours);
    let weekdays = model.weekdays.as_deref().unwrap_or(&preset.weekdays);
    require(hours.len() == 24, "hours", hours.len(), "24 rates")?;
    require(weekdays.len() == 7, "weekdays", weekdays.len(), "7 rates, Monday first")?;
    Choice::new(hours.iter().copied(), "hours")?;
    Choice::new(weekdays.iter().copied(), "weekdays")?;
    Ok(Cycle::new(hours, weekdays))
}

/// Resolution, and the shortest and longest duration in seconds.
fn limits(model: &WorkloadModel) -> Result<(Span, f64, f64), ModelError> {
    let fine = if model.preset == Preset::Uniform { Span(1) } else { Span::from_secs(1) };
    let resolution = model.resolution.map_or(fine, |length| length.0);
    require(resolution > Span::ZERO, "resolution", resolution, "more than 0s")?;
    let shortest = model.duration_min.map_or(1.0, |length| length.0.as_secs_f64());
    // A century: durations beyond it are slips of the pen, and sums of them would not fit.
    let longest = model.duration_max.map_or(3.2e9, |length| length.0.as_secs_f64());
    require(longest >= shortest && longest <= 3.2e9, "duration_max", longest, "at least duration_min, at most a century")?;
    Ok((resolution, shortest, longest))
}
