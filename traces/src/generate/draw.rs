//! The random draws, each from the stream of its purpose.
//!
//! Everything about a job is drawn when its batch begins, so that it depends on the batch and the position in it but not
//! on load, rhythm or gaps: changing those moves the same jobs in time.

use super::model::UserEstimates;
use super::plan::Plan;
use super::stream::{Stream, stream};
use crate::model::Outcome;
use policies::{Span, Time};
use rand::RngExt;
use rand_distr::{Distribution, Exp1};
use std::cmp::Ordering;

/// Round values that users pick wall times from, in minutes.
const ROUND_MINUTES: [u64; 20] =
    [5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 600, 720, 1080, 1440, 2880, 4320, 5760, 7200, 10_080];

/// How far the ranks of jobs that are alike may lie from their batch's.
const ALIKE_SPREAD: f64 = 0.04;

/// Several jobs of one tenant and one size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) jobs: u32,
    pub(crate) class: u32,
    tenant: u32,
    rank: f64,
}

/// A job that waits for its turn to be emitted.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) submit: Time,
    sequence: u64,
    pub(crate) duration: Span,
    pub(crate) estimate: Option<Span>,
    pub(crate) class: u32,
    pub(crate) tenant: u32,
    pub(crate) priority: u32,
    pub(crate) outcome: Outcome,
    pub(crate) tier: u8,
    pub(crate) kind: u8,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.submit, self.sequence).cmp(&(other.submit, other.sequence))
    }
}

/// One stream for each purpose.
#[derive(Clone, Debug)]
pub(crate) struct Draws {
    arrivals: Stream,
    gaps: Stream,
    batches: Stream,
    sizes: Stream,
    tenants: Stream,
    durations: Stream,
    /// Durations within batches: apart, because batches are drawn ahead of their jobs.
    members: Stream,
    outcomes: Stream,
    estimates: Stream,
    tiers: Stream,
    priorities: Stream,
    types: Stream,
    sequence: u64,
}

impl Draws {
    pub(crate) fn new(seed: u64) -> Draws {
        Draws {
            arrivals: stream(seed, "arrivals"),
            gaps: stream(seed, "gaps"),
            batches: stream(seed, "batches"),
            sizes: stream(seed, "sizes"),
            tenants: stream(seed, "tenants"),
            durations: stream(seed, "durations"),
            members: stream(seed, "durations in batches"),
            outcomes: stream(seed, "outcomes"),
            estimates: stream(seed, "user estimates"),
            tiers: stream(seed, "tiers"),
            priorities: stream(seed, "priorities"),
            types: stream(seed, "types"),
            sequence: 0,
        }
    }

    /// Time to the next batch on the clock of a Poisson process of rate 1.
    pub(crate) fn interval(&mut self) -> f64 {
        Exp1.sample(&mut self.arrivals)
    }

    /// Seconds between two jobs of a batch.
    pub(crate) fn gap(&mut self, mean_s: f64) -> f64 {
        let units: f64 = Exp1.sample(&mut self.gaps);
        units * mean_s
    }

    /// A batch of at most `room` jobs.
    pub(crate) fn batch(&mut self, plan: &Plan, room: u64) -> Batch {
        let class = plan.class.draw(&mut self.sizes);
        let jobs = plan.classes[class].batch.draw(&mut self.batches) as u64 + 1;
        Batch {
            jobs: jobs.min(room) as u32,
            class: class as u32,
            tenant: plan.tenant.draw(&mut self.tenants) as u32 + 1,
            rank: open(&mut self.durations),
        }
    }

    /// The duration rank of the job at `position` of a batch.
    pub(crate) fn rank(&mut self, plan: &Plan, batch: &Batch, position: u32) -> f64 {
        if position == 0 {
            return batch.rank;
        }
        let alike = self.members.random::<f64>() < plan.alike;
        let fresh = open(&mut self.members);
        if alike { reflect(batch.rank + (fresh - 0.5) * ALIKE_SPREAD) } else { fresh }
    }

    /// The job at `position` of a batch.
    pub(crate) fn job(&mut self, plan: &Plan, batch: &Batch, position: u32, submit: Time) -> Entry {
        let rank = self.rank(plan, batch, position);
        let duration = plan.duration(batch.class as usize, rank);
        let class = &plan.classes[batch.class as usize];
        let outcome = class.only_outcome().unwrap_or_else(|| class.outcome(rank, self.outcomes.random()));
        self.sequence += 1;
        Entry {
            submit,
            sequence: self.sequence,
            duration,
            estimate: plan.estimates.as_ref().and_then(|model| self.estimate(model, duration)),
            class: batch.class,
            tenant: batch.tenant,
            priority: plan.priority.draw(&mut self.priorities) as u32,
            outcome,
            tier: plan.tier.draw(&mut self.tiers) as u8,
            kind: plan.kind.draw(&mut self.types) as u8,
        }
    }

    fn estimate(&mut self, model: &UserEstimates, duration: Span) -> Option<Span> {
        let [has, largest, used] = [(); 3].map(|()| open(&mut self.estimates));
        let max = model.max.0;
        let wanted = if largest < model.largest { f64::INFINITY } else { duration.as_secs_f64() / used };
        let round = ROUND_MINUTES.iter().map(|minutes| Span::from_secs(minutes * 60));
        let picked = round.into_iter().find(|value| value.as_secs_f64() >= wanted).map_or(max, |value| value.min(max));
        let enough = if picked >= duration { picked } else { Span(duration.0.div_ceil(max.0).saturating_mul(max.0)) };
        (has < model.share).then_some(enough)
    }
}

/// A uniform draw in the open interval (0, 1).
fn open(stream: &mut Stream) -> f64 {
    stream.sample(rand_distr::Open01)
}

/// Folds a rank that left (0, 1) back in, which keeps ranks uniform.
fn reflect(rank: f64) -> f64 {
    let folded = if rank < 0.0 { -rank } else { rank };
    let folded = if folded > 1.0 { 2.0 - folded } else { folded };
    folded.clamp(1e-12, 1.0 - 1e-12)
}
