//! What the level above knows of its parts.

use super::part::Part;
use crate::ids::TypeId;
use crate::job::{Demand, Job, Level, WHOLE_MILLI};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Tiers that are told apart in reports: the fourth stands for all that follow.
pub(super) const TIERS: usize = 4;

pub(super) fn tier_of(job: &Job) -> usize {
    usize::from(job.spec.tier).min(TIERS - 1)
}

/// A part, and the accelerators in it that a job is counted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seat {
    pub part: usize,
    pub kind: TypeId,
}

/// The accelerators of one type in a part, in thousandths but where counts are named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kind {
    /// On nodes that are up.
    pub open: u64,
    /// Free to plan with.
    pub free: u64,
    /// The most accelerators that are free on one node.
    pub widest: u32,
    /// The most accelerators on wholly free nodes of one kind in one cluster.
    pub whole: u64,
    /// What its jobs ask for, waiting or not, by tier.
    pub wanted: [u64; TIERS],
}

/// The state of a part, by type.
pub(super) type Report = Vec<Kind>;

/// How well a job would do in a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// It fits into what is free.
    Now,
    /// Its tier and better ones leave room for it.
    ByRight,
    /// It would have to wait for its like.
    Later,
}

/// A job that was sent to a part whose reports do not show it yet.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Booking {
    seat: Seat,
    milli: u64,
    tier: usize,
}

/// The last report of each part, and what was sent there since.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Knowledge {
    reports: Vec<Report>,
    /// In the order in which they cease to matter.
    bookings: VecDeque<(Time, Booking)>,
    /// Their sums, by part and type.
    booked: Vec<Vec<[u64; TIERS]>>,
}

impl Knowledge {
    pub fn new(parts: &[Part]) -> Knowledge {
        let reports: Vec<Report> = parts.iter().map(Part::report).collect();
        let booked = reports.iter().map(|report| vec![[0; TIERS]; report.len()]).collect();
        Knowledge { reports, bookings: VecDeque::new(), booked }
    }

    /// What of a type is up in a part.
    pub fn open(&self, seat: Seat) -> u64 {
        self.reports[seat.part][seat.kind.index()].open
    }

    pub fn hear(&mut self, part: usize, report: Report) {
        self.reports[part] = report;
    }

    /// Counts a job with a part until reports show it, from `until` on.
    pub fn book(&mut self, job: &Job, seat: Seat, until: Time) {
        let booking = Booking { seat, milli: job.spec.demand.milli_total(), tier: tier_of(job) };
        self.booked[seat.part][seat.kind.index()][booking.tier] += booking.milli;
        self.bookings.push_back((until, booking));
    }

    /// Forgets what reports show by now.
    pub fn expire(&mut self, now: Time) {
        while let Some((_, booking)) = self.bookings.pop_front_if(|(until, _)| *until <= now) {
            self.booked[booking.seat.part][booking.seat.kind.index()][booking.tier] -= booking.milli;
        }
    }

    /// The best part for a job other than `not`, if any could ever hold it: where it fits best, and of these where least is asked
    /// for.
    pub fn choose(&self, parts: &mut [Part], job: &Job, not: Option<usize>) -> Option<(Seat, Fit)> {
        let mut best: Option<((Fit, u64), Seat)> = None;
        for (part, entry) in parts.iter_mut().enumerate().filter(|(part, _)| Some(*part) != not) {
            if !entry.could_hold(job.class, &job.spec.demand) {
                continue;
            }
            for kind in entry.kinds.iter().copied().filter(|&kind| job.spec.demand.types.contains(kind)) {
                let seat = Seat { part, kind };
                let rank = self.rank(seat, job);
                if best.as_ref().is_none_or(|(other, _)| rank < *other) {
                    best = Some((rank, seat));
                }
            }
        }
        best.map(|((fit, _), seat)| (seat, fit))
    }

    /// How a job would do there, and how much is asked for of what there is, in thousandths, if it went there: of all tiers where
    /// it fits at once, else of those that it cannot take from.
    pub fn rank(&self, seat: Seat, job: &Job) -> (Fit, u64) {
        let kind = &self.reports[seat.part][seat.kind.index()];
        let booked = &self.booked[seat.part][seat.kind.index()];
        let demand = &job.spec.demand;
        let needed = demand.milli_total();
        let asked = |tiers: usize| (0..tiers).map(|tier| kind.wanted[tier] + booked[tier]).sum::<u64>();
        let free = kind.free.saturating_sub(booked.iter().sum());
        let tiers = tier_of(job) + 1;
        let (fit, tiers) = match asked(tiers) + needed {
            _ if free >= needed && has_shape(kind, demand) => (Fit::Now, TIERS),
            all if all <= kind.open => (Fit::ByRight, tiers),
            _ => (Fit::Later, tiers),
        };
        (fit, (asked(tiers) + needed).saturating_mul(1000) / kind.open.max(1))
    }
}

/// Whether what is free there holds the gang in one piece, as far as a report tells.
fn has_shape(kind: &Kind, demand: &Demand) -> bool {
    let size = u64::from(demand.accelerators);
    demand.milli < WHOLE_MILLI
        || size <= u64::from(kind.widest)
        || demand.within != Level::Node && (size <= kind.whole || demand.within > Level::Cluster)
}
