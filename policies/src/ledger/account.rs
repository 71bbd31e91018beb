//! What a ledger comes to: attainment by tier, violations, starvation, storms.

use super::books::{Areas, Spent};
use super::entry::Entry;
use super::window::{Closed, Setback};
use crate::elastic::FULL_SPEED;
use crate::ids::JobId;
use crate::tier::{Tier, Tiers};
use crate::time::{Span, Time};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Violations that are kept of each tier; all are counted.
pub const VIOLATIONS_KEPT: usize = 100;
/// A job that is stopped or moved more often than this within one window is in a storm.
pub const STORM_STOPS: u32 = 4;

/// A job whose guarantee was broken in a window, or in several in a row in the same way.
// In this order, so that the worst are the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Violation {
    /// Work that was missing to the guarantee, in each of the windows, in time at full speed.
    pub missing: Span,
    /// Where the first window begins.
    pub start: Reverse<Time>,
    /// Whose.
    pub job: Reverse<JobId>,
    /// How many windows.
    pub windows: u64,
    /// The GPU fraction in each of them, in ten-thousandths.
    pub fraction: u16,
    /// What took most from it.
    pub cause: Setback,
}

/// The window in which a job was stopped and moved most often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storm {
    /// Times.
    pub stops: u32,
    /// Whose.
    pub job: JobId,
    /// Where the window begins.
    pub start: Time,
}

/// How many jobs had which GPU fraction over their lives, in ten-thousandths; exact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fractions {
    counts: Vec<u64>,
    jobs: u64,
}

impl Fractions {
    fn new() -> Fractions {
        Fractions { counts: vec![0; FULL_SPEED as usize + 1], jobs: 0 }
    }

    fn add(&mut self, fraction: u16) {
        self.counts[usize::from(fraction)] += 1;
        self.jobs += 1;
    }

    /// Jobs in all.
    pub fn jobs(&self) -> u64 {
        self.jobs
    }

    /// The smallest fraction such that at least `per_mille` of all jobs have no larger one (nearest rank); `None` of nothing.
    pub fn quantile(&self, per_mille: u64) -> Option<u16> {
        let rank = (self.jobs * per_mille).div_ceil(1000).max(1);
        let mut so_far = 0;
        let reached = |count: &u64| {
            so_far += count;
            so_far >= rank
        };
        self.counts.iter().position(reached).map(|fraction| fraction as u16)
    }

    /// Fractions that occur and how many jobs have none larger, ascending.
    pub fn cumulative(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let mut so_far = 0;
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(move |(fraction, count)| {
            so_far += count;
            (fraction as u16, so_far)
        })
    }
}

/// What came of one tier.
///
/// Windows are weighted by the time that the job was there for in them, so that what is compared is job-hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierAccount {
    /// What was promised.
    pub tier: Tier,
    /// Jobs that were submitted.
    pub jobs: u64,
    /// Of these, jobs that are done.
    pub done: u64,
    /// Of these, jobs that their owners withdrew.
    pub withdrawn: u64,
    /// Job-time between submission and the end: microseconds.
    pub observed: u128,
    /// Of it, in windows with at least the guaranteed fraction.
    pub attained: u128,
    /// Work in all, in ten-thousandths of a microsecond at full speed.
    pub ideal: u128,
    /// Useful accelerator-time: thousandths times microseconds.
    pub useful: u128,
    /// Windows of jobs.
    pub windows: u64,
    /// Windows below the guarantee, by what took most.
    pub broken: [u64; Setback::COUNT],
    /// Job-time of these windows, likewise: microseconds.
    pub broken_time: [u128; Setback::COUNT],
    /// The worst of them, by what was missing; the worst is the last. At most [`VIOLATIONS_KEPT`].
    pub worst: BTreeSet<Violation>,
    /// GPU fractions of jobs over their lives; of jobs that are not done up to now.
    pub fractions: Fractions,
    /// The longest time that a job was there and made no progress, ever.
    pub starved: Span,
    /// The longest such time that has not ended.
    pub starving: Span,
    /// Windows in which a job was stopped or moved more than [`STORM_STOPS`] times.
    pub storms: u64,
    /// The worst of all, be it a storm or not.
    pub storm: Storm,
}

impl TierAccount {
    fn new(tier: Tier) -> TierAccount {
        TierAccount {
            tier,
            jobs: 0,
            done: 0,
            withdrawn: 0,
            observed: 0,
            attained: 0,
            ideal: 0,
            useful: 0,
            windows: 0,
            broken: [0; Setback::COUNT],
            broken_time: [0; Setback::COUNT],
            worst: BTreeSet::new(),
            fractions: Fractions::new(),
            starved: Span::ZERO,
            starving: Span::ZERO,
            storms: 0,
            storm: Storm::default(),
        }
    }

    /// Windows below the guarantee.
    pub fn violations(&self) -> u64 {
        self.broken.iter().sum()
    }

    pub(super) fn close(&mut self, job: JobId, closed: Closed) {
        let Closed { start, windows, real, ideal, stops, .. } = closed;
        let time = u128::from(windows) * u128::from(real.0);
        // A job that was stopped as a window began may leave nothing in it but its last stop.
        self.windows += if real > Span::ZERO { windows } else { 0 };
        self.observed += time;
        self.ideal += u128::from(windows) * ideal;
        self.storms += u64::from(stops > STORM_STOPS);
        if stops > self.storm.stops {
            self.storm = Storm { stops, job, start };
        }
        let guaranteed = u128::from(real.0) * u128::from(self.tier.guarantee);
        // Progress is reported in whole microseconds: some stops in a window must not break a guarantee that was kept exactly.
        let slack = u128::from(self.tier.window.0 / 100_000_000) * u128::from(FULL_SPEED);
        if ideal + slack >= guaranteed {
            self.attained += time;
        } else {
            self.violated(job, closed, guaranteed - ideal);
        }
    }

    fn violated(&mut self, job: JobId, closed: Closed, missing: u128) {
        let Closed { start, windows, real, ideal, lost, .. } = closed;
        let most = lost.iter().enumerate().max_by_key(|&(i, lost)| (lost, Reverse(i))).map_or(0, |(i, _)| i);
        self.broken[most] += windows;
        self.broken_time[most] += u128::from(windows) * u128::from(real.0);
        self.worst.insert(Violation {
            missing: Span((missing / u128::from(FULL_SPEED)) as u64),
            start: Reverse(start),
            job: Reverse(job),
            windows,
            fraction: (ideal / u128::from(real.0.max(1))) as u16,
            cause: Setback::ALL[most],
        });
        if self.worst.len() > VIOLATIONS_KEPT {
            self.worst.pop_first();
        }
    }

    /// A job is over, its windows but for the last one closed.
    pub(super) fn over(&mut self, now: Time, job: JobId, entry: &mut Entry) {
        entry.window.finish(entry.submit, self.tier.window, &mut |closed| self.close(job, closed));
        self.live(now.since(entry.submit), entry.worth());
        self.starved = self.starved.max(now.since(entry.moved));
    }

    /// A job was there for `real` and did `ideal` in it.
    pub(super) fn live(&mut self, real: Span, ideal: u128) {
        let full = u128::from(FULL_SPEED);
        self.fractions.add(ideal.checked_div(u128::from(real.0)).map_or(full, |fraction| fraction.min(full)) as u16);
    }
}

/// What a ledger comes to at an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// By tier, best first.
    pub tiers: Vec<TierAccount>,
    /// Accelerator-thousandths times microseconds, by [`Spent`]. They add up to `capacity_milli` times the time from `from` to
    /// `to`.
    pub spent: Areas,
    /// Accelerator-thousandths in the fleet.
    pub capacity_milli: u64,
    /// When the first step was.
    pub from: Time,
    /// When the last step was.
    pub to: Time,
}

impl Account {
    pub(super) fn new(tiers: &Tiers) -> Account {
        let tiers = tiers.iter().cloned().map(TierAccount::new).collect();
        Account { tiers, spent: [0; Spent::COUNT], capacity_milli: 0, from: Time::ZERO, to: Time::ZERO }
    }

    /// Accelerator-time of one kind, in thousandths times microseconds.
    pub fn spent(&self, what: Spent) -> u128 {
        self.spent[what as usize]
    }

    /// Useful accelerator-time and all that jobs held, in thousandths times microseconds. Their quotient is the effective
    /// training time ratio of the whole fleet.
    pub fn useful_of_held(&self) -> (u128, u128) {
        let held = Spent::ALL.into_iter().filter(|spent| spent.is_held()).map(|spent| self.spent(spent)).sum();
        (self.spent(Spent::Useful), held)
    }
}
