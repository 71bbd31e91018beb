//! Why jobs waited, and how tenants fared while something waited.

use crate::lives::{Life, Phase};
use crate::reasons::Waiting;
use policies::Time;

/// How much waiting one kind of reason stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// Times that a job began to wait for this reason and did for a while.
    pub times: u64,
    /// Sum of waiting times in microseconds.
    pub job_micros: u128,
    /// Sum of waiting times weighted by the accelerator-thousandths asked for.
    pub milli_micros: u128,
}

/// Waiting by reason.
#[derive(Clone, Debug, Default)]
pub struct Waits([Wait; Waiting::ALL.len()]);

impl Waits {
    /// What waiting for that reason adds up to.
    pub fn of(&self, waiting: Waiting) -> Wait {
        self.0[waiting.index()]
    }

    /// A stretch of waiting ended at `now`.
    pub(crate) fn close(&mut self, was: &Life, now: Time) {
        let span = now.since(was.since).0;
        if was.phase != Phase::Waiting || span == 0 {
            return;
        }
        let wait = &mut self.0[was.waiting.index()];
        wait.times += 1;
        wait.job_micros += u128::from(span);
        wait.milli_micros += u128::from(span) * u128::from(was.milli);
    }
}

/// What a tenant held and wanted, integrated over the time in which at least one job of anybody waited: outside that time
/// everybody has all they want, and shares say nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    held_milli: u64,
    wanted_milli: u64,
    held_area: u128,
    wanted_area: u128,
    since: u64,
}

/// [`Share`]s of all tenants, by id. A change costs O(1): each tenant is brought up to date when its levels change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares {
    /// Contended time so far, microseconds.
    clock: u64,
    tenants: Vec<Share>,
}

impl Shares {
    /// Contended time passed.
    pub fn pass(&mut self, micros: u64) {
        self.clock += micros;
    }

    /// A tenant's levels change by so much.
    pub fn change(&mut self, tenant: u32, held: i64, wanted: i64) {
        let index = tenant as usize;
        if index >= self.tenants.len() {
            self.tenants.resize(index + 1, Share::default());
        }
        let share = &mut self.tenants[index];
        share.settle(self.clock);
        share.held_milli = share.held_milli.wrapping_add_signed(held);
        share.wanted_milli = share.wanted_milli.wrapping_add_signed(wanted);
    }

    /// Accelerator-thousandths times microseconds that the tenant held, and that it held or waited for, in contended time.
    pub fn areas(&self, tenant: u32) -> (u128, u128) {
        let Some(mut share) = self.tenants.get(tenant as usize).copied() else { return (0, 0) };
        share.settle(self.clock);
        (share.held_area, share.held_area + share.wanted_area)
    }
}

impl Share {
    fn settle(&mut self, clock: u64) {
        let passed = u128::from(clock - self.since);
        self.held_area += u128::from(self.held_milli) * passed;
        self.wanted_area += u128::from(self.wanted_milli) * passed;
        self.since = clock;
    }
}
