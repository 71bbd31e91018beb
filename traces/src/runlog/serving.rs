//! Services: how many replicas were needed, and how many there were.

use policies::{Span, Time};
use serde::{Deserialize, Serialize};

/// One inference service of a run. Its replicas are the jobs of a tenant of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceInfo {
    /// Its name.
    pub name: String,
    /// The tenant whose jobs are its replicas.
    pub tenant: u32,
    /// The latency objective that its replicas' throughput is meant for, in words.
    pub objective: String,
    /// Accelerators of a replica.
    pub accelerators: u32,
    /// For how long a replica runs before it answers the first request.
    pub start_up: Span,
    /// When the load begins.
    pub from: Time,
    /// How long each entry of `load_milli` lasts; more than zero.
    pub bin: Span,
    /// The load over time, in thousandths of what one replica serves within the objective.
    pub load_milli: Vec<u32>,
}

/// What became of the replicas of one service.
#[derive(Clone, Debug)]
pub struct ServingRecord {
    /// The service.
    pub info: ServiceInfo,
    /// By how much the number of replicas that are needed changes, in order of time.
    pub needed: Vec<(Time, i32)>,
    /// From when until when replicas answered requests, in order of their ends; without those that still do.
    pub provided: Vec<(Time, Time)>,
    /// From the need for a replica until it ran; of those that never did, until they were not needed any more.
    pub waits: Vec<Span>,
    /// Replicas that were not needed any more before they ran.
    pub never_ran: u64,
}

/// Follows the replicas of all services.
#[derive(Clone, Debug, Default)]
pub struct Serving {
    records: Vec<ServingRecord>,
}

impl Serving {
    pub(super) fn new(services: &[ServiceInfo]) -> Serving {
        let record = |info: &ServiceInfo| ServingRecord {
            info: info.clone(),
            needed: Vec::new(),
            provided: Vec::new(),
            waits: Vec::new(),
            never_ran: 0,
        };
        Serving { records: services.iter().map(record).collect() }
    }

    /// A record per service.
    pub fn records(&self) -> &[ServingRecord] {
        &self.records
    }

    #[inline]
    fn of(&mut self, tenant: u32) -> Option<&mut ServingRecord> {
        // Mostly there are none.
        if self.records.is_empty() { None } else { self.find(tenant) }
    }

    #[inline(never)]
    fn find(&mut self, tenant: u32) -> Option<&mut ServingRecord> {
        self.records.iter_mut().find(|record| record.info.tenant == tenant)
    }

    #[inline]
    pub(super) fn submitted(&mut self, tenant: u32, now: Time) {
        if let Some(record) = self.of(tenant) {
            record.needed.push((now, 1));
        }
    }

    #[inline]
    pub(super) fn first_start(&mut self, tenant: u32, wait: Span) {
        if let Some(record) = self.of(tenant) {
            record.waits.push(wait);
        }
    }

    /// An attempt is over that ran since `from`, if it did.
    #[inline]
    pub(super) fn left(&mut self, tenant: u32, from: Time, now: Time) {
        if let Some(record) = self.of(tenant) {
            record.provided.extend(record.info.served(from, now));
        }
    }

    /// A replica is not needed any more; `waited`: it never ran, and waited for that long.
    pub(super) fn withdrawn(&mut self, tenant: u32, now: Time, waited: Option<Span>) {
        if let Some(record) = self.of(tenant) {
            record.needed.push((now, -1));
            record.waits.extend(waited);
            record.never_ran += u64::from(waited.is_some());
        }
    }
}

impl ServiceInfo {
    /// When a replica that ran since `from` (or did not, at [`Time::MAX`]) until `to` answered requests.
    pub fn served(&self, from: Time, to: Time) -> Option<(Time, Time)> {
        let ready = if from == Time::MAX { Time::MAX } else { from + self.start_up };
        (ready < to).then_some((ready, to))
    }
}
