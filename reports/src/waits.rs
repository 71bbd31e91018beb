//! Why jobs waited, and how tenants fared while something waited.

use crate::lives::{Cause, Life, Move, Phase};
use crate::reasons::Waiting;
use policies::{JobId, Time};

/// How much waiting one kind of reason stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// Times that the policy recorded this reason for a waiting job; for [`Waiting::InLine`], times that a job began to wait
    /// without one.
    pub notes: u64,
    /// Sum of waiting times in microseconds.
    pub job_micros: u128,
    /// Sum of waiting times weighted by the accelerator-thousandths asked for.
    pub milli_micros: u128,
}

impl Wait {
    fn add(&mut self, jobs: u64, milli: u64, micros: u64) {
        self.job_micros += u128::from(jobs) * u128::from(micros);
        self.milli_micros += u128::from(jobs) * u128::from(milli) * u128::from(micros);
    }
}

/// Waiting jobs of one demand about which nothing was noted themselves.
#[derive(Clone, Copy, Debug)]
struct Line {
    jobs: u64,
    /// What each of them asks for.
    milli: u64,
    since: Time,
    /// A waiting job of the same demand that was found not to fit, and why: then none of these fits either.
    misfit: Option<(JobId, Waiting)>,
}

/// Waiting by reason.
///
/// A job waits for the reason last noted for it. Policies note reasons for jobs that they look at. For the others there is one
/// safe conclusion: while a job of the same demand is known not to fit, they do not fit either. All else is [`Waiting::InLine`].
#[derive(Clone, Debug, Default)]
pub struct Waits {
    kinds: [Wait; Waiting::ALL.len()],
    lines: Vec<Line>,
}

impl Waits {
    /// What waiting for that reason adds up to.
    pub fn of(&self, waiting: Waiting) -> Wait {
        self.kinds[waiting.index()]
    }

    pub(crate) fn moved(&mut self, step: &Move<'_>) {
        let was = &step.was;
        let waited = was.phase == Phase::Waiting && step.cause != Cause::Submitted;
        let waits = step.to == Phase::Waiting;
        if waited && was.waiting != Waiting::InLine {
            self.kinds[was.waiting.index()].add(1, was.milli, step.now.since(was.since).0);
        }
        if waits {
            self.kinds[step.waiting.index()].notes += 1;
        }
        let (left, joins) = (waited && was.waiting == Waiting::InLine, waits && step.waiting == Waiting::InLine);
        let line = self.line(step.now, was);
        line.jobs = line.jobs + u64::from(joins) - u64::from(left);
        if waits && matches!(step.waiting, Waiting::NoCapacity | Waiting::Fragmented) {
            line.misfit = Some((step.job, step.waiting));
        } else if line.misfit.is_some_and(|(job, _)| job == step.job) {
            line.misfit = None;
        }
    }

    /// The line of the job's demand, with its time until `now` accounted for.
    fn line(&mut self, now: Time, life: &Life) -> &mut Line {
        let class = life.class as usize;
        if class >= self.lines.len() {
            let new = Line { jobs: 0, milli: life.milli, since: now, misfit: None };
            self.lines.resize(class + 1, new);
        }
        let Waits { kinds, lines } = self;
        let line = &mut lines[class];
        settle(kinds, line, now);
        line
    }

    /// Accounts for everything until `now`, where the run ends.
    pub(crate) fn close(&mut self, lives: &[Life], now: Time) {
        for line in &mut self.lines {
            settle(&mut self.kinds, line, now);
        }
        for life in lives.iter().filter(|life| life.phase == Phase::Waiting && life.waiting != Waiting::InLine) {
            self.kinds[life.waiting.index()].add(1, life.milli, now.since(life.since).0);
        }
    }
}

fn settle(kinds: &mut [Wait], line: &mut Line, now: Time) {
    let waiting = line.misfit.map_or(Waiting::InLine, |(_, waiting)| waiting);
    kinds[waiting.index()].add(line.jobs, line.milli, now.since(line.since).0);
    line.since = now;
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
