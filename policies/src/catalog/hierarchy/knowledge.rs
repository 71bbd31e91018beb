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

/// What is known of the accelerators of one type in a part.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Known {
    /// As last reported.
    kind: Kind,
    /// Of jobs that were sent there since, by tier.
    booked: [u64; TIERS],
}

/// The last report of each part, and what was sent there since.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Knowledge {
    /// By part, then by type: choosing reads them in this order.
    known: Vec<Known>,
    kinds: usize,
    /// In the order in which they cease to matter.
    bookings: VecDeque<(Time, Booking)>,
    /// Where an empty part would hold a class of jobs, for classes that were asked for.
    #[serde(skip)]
    able: Vec<Option<Vec<Seat>>>,
}

impl Knowledge {
    pub fn new(parts: &[Part]) -> Knowledge {
        let reports: Vec<Report> = parts.iter().map(Part::report).collect();
        let kinds = reports.first().map_or(0, Vec::len);
        let known = reports.into_iter().flatten().map(|kind| Known { kind, booked: [0; TIERS] }).collect();
        Knowledge { known, kinds, ..Knowledge::default() }
    }

    fn known(&self, seat: Seat) -> &Known {
        &self.known[seat.part * self.kinds + seat.kind.index()]
    }

    fn booked(&mut self, seat: Seat) -> &mut [u64; TIERS] {
        &mut self.known[seat.part * self.kinds + seat.kind.index()].booked
    }

    /// What of a type is up in a part.
    pub fn open(&self, seat: Seat) -> u64 {
        self.known(seat).kind.open
    }

    pub fn hear(&mut self, part: usize, report: Report) {
        let known = &mut self.known[part * self.kinds..][..self.kinds];
        known.iter_mut().zip(report).for_each(|(known, kind)| known.kind = kind);
    }

    /// Counts a job with a part until reports show it, from `until` on.
    pub fn book(&mut self, job: &Job, seat: Seat, until: Time) {
        let booking = Booking { seat, milli: job.spec.demand.milli_total(), tier: tier_of(job) };
        self.booked(seat)[booking.tier] += booking.milli;
        self.bookings.push_back((until, booking));
    }

    /// Forgets what reports show by now.
    pub fn expire(&mut self, now: Time) {
        while let Some((_, booking)) = self.bookings.pop_front_if(|(until, _)| *until <= now) {
            self.booked(booking.seat)[booking.tier] -= booking.milli;
        }
    }

    /// The best part for a job other than `not`, if any could ever hold it: where it fits best, and of these where least is asked
    /// for.
    pub fn choose(&mut self, parts: &mut [Part], job: &Job, not: Option<usize>) -> Option<(Seat, Fit)> {
        if self.able.len() <= job.class.index() {
            self.able.resize(job.class.index() + 1, None);
        }
        self.able[job.class.index()].get_or_insert_with(|| seats(parts, &job.spec.demand));
        let able = self.able[job.class.index()].as_ref().expect("just made");
        let others = able.iter().filter(|seat| Some(seat.part) != not);
        others.map(|&seat| (self.rank(seat, job), seat)).min_by_key(|(rank, _)| *rank).map(|((fit, _), seat)| (seat, fit))
    }

    /// By type, the most that any part has, as far as known.
    pub fn limits(&self) -> Vec<Limits> {
        let mut limits = vec![Limits::default(); self.kinds];
        for (at, Known { kind, booked }) in self.known.iter().enumerate() {
            let limit = &mut limits[at % self.kinds];
            limit.free = limit.free.max(kind.free.saturating_sub(booked.iter().sum()));
            (limit.widest, limit.whole) = (limit.widest.max(kind.widest), limit.whole.max(kind.whole));
            let mut asked = 0;
            for ((wanted, booked), room) in kind.wanted.iter().zip(booked).zip(&mut limit.room) {
                asked += wanted + booked;
                *room = (*room).max(kind.open.saturating_sub(asked));
            }
        }
        limits
    }

    /// How a job would do there, and how much is asked for of what there is, in thousandths, if it went there: of all tiers where
    /// it fits at once, else of those that it cannot take from.
    pub fn rank(&self, seat: Seat, job: &Job) -> (Fit, u64) {
        let Known { kind, booked } = self.known(seat);
        let demand = &job.spec.demand;
        let needed = demand.milli_total();
        let asked = |tiers: usize| (0..tiers).map(|tier| kind.wanted[tier] + booked[tier]).sum::<u64>();
        let free = kind.free.saturating_sub(booked.iter().sum());
        let tiers = tier_of(job) + 1;
        let (fit, tiers) = match asked(tiers) + needed {
            _ if free >= needed && has_shape(kind.widest, kind.whole, demand) => (Fit::Now, TIERS),
            all if all <= kind.open => (Fit::ByRight, tiers),
            _ => (Fit::Later, tiers),
        };
        (fit, (asked(tiers) + needed).saturating_mul(1000) / kind.open.max(1))
    }
}

/// Where such a gang would fit if nobody else were there and everything were up.
fn seats(parts: &mut [Part], demand: &Demand) -> Vec<Seat> {
    let able = parts.iter_mut().enumerate().filter_map(|(part, entry)| entry.could_hold(demand).then_some((part, &*entry)));
    let seats = able.flat_map(|(part, entry)| entry.kinds.iter().map(move |&kind| Seat { part, kind }));
    seats.filter(|seat| demand.types.contains(seat.kind)).collect()
}

/// Whether what is free there holds the gang in one piece, as far as a report tells.
fn has_shape(widest: u32, whole: u64, demand: &Demand) -> bool {
    let size = u64::from(demand.accelerators);
    demand.milli < WHOLE_MILLI
        || size <= u64::from(widest)
        || demand.within != Level::Node && (size <= whole || demand.within > Level::Cluster)
}

/// What no part has more of than this. Nobody who needs more has to be compared with every part.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    free: u64,
    widest: u32,
    whole: u64,
    /// What this tier and better ones leave.
    room: [u64; TIERS],
}

impl Limits {
    /// Whether a job could [fit](Fit) somewhere now or, if that counts, by right.
    pub fn may_fit(limits: &[Limits], job: &Job, by_right: bool) -> bool {
        let demand = &job.spec.demand;
        let needed = demand.milli_total();
        let fits = |limit: &Limits| {
            limit.free >= needed && has_shape(limit.widest, limit.whole, demand)
                || by_right && limit.room[tier_of(job)] >= needed
        };
        (0..).zip(limits).any(|(kind, limit)| demand.types.contains(TypeId(kind)) && fits(limit))
    }
}
