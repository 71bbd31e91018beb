//! One pass over a run for everything that is drawn or tabulated.

use crate::error::ReportError;
use crate::lives::{Cause, Lives, Move, Phase};
use crate::names::Names;
use crate::series::{LEVELS, Level, Series};
use crate::summary::Summary;
use crate::waits::{Shares, Waits};
use policies::ledger::Account;
use policies::{JobId, Ledger, Time};
use traces::runlog::{Header, JobMeta, LogReader, Observer, StepView, Tracker, held_milli};

/// What happened in a run: results per job, levels over time, why jobs waited. Made from a log by [`read`](Analysis::read), or
/// live, as the [`Observer`] of a driver.
///
/// Memory is about 130 bytes a job; everything else is bounded.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// What was run.
    pub header: Header,
    /// A row per job and the usual integrals.
    pub tracker: Tracker,
    /// Use and queue over time.
    pub series: Series,
    ledger: Option<Box<Ledger>>,
    log_digest: String,
    names: Names,
    lives: Lives,
    levels: [u64; LEVELS],
    last: Time,
    waits: Waits,
    shares: Shares,
}

impl Analysis {
    /// Of a run that has yet to begin.
    pub fn new(header: Header) -> Analysis {
        let ledger = (!header.tiers.is_empty()).then(|| Box::new(Ledger::new(&header.fleet, &header.tiers)));
        Analysis {
            tracker: Tracker::new(header.fleet.accelerators() * 1000).with_services(&header.services),
            header,
            series: Series::default(),
            ledger,
            log_digest: String::new(),
            names: Names::default(),
            lives: Lives::default(),
            levels: [0; LEVELS],
            last: Time::ZERO,
            waits: Waits::default(),
            shares: Shares::default(),
        }
    }

    /// Reads a log to its end.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read(mut reader: LogReader) -> Result<Analysis, ReportError> {
        let mut analysis = Analysis::new(reader.header.clone());
        while let Some(step) = reader.next_step()? {
            analysis.step(step.view());
            step.metas.iter().for_each(|meta| analysis.describe(meta));
        }
        analysis.set_log_digest(reader.digest().unwrap_or_default());
        Ok(analysis)
    }

    /// Names the next job that has no name yet. Drivers that observe live call it once a job, in order of ids, if they want
    /// names in tables.
    pub fn describe(&mut self, meta: &JobMeta) {
        self.names.push(&meta.name);
    }

    /// The digest of the log, where the analysis did not read it itself.
    pub fn set_log_digest(&mut self, digest: &str) {
        digest.clone_into(&mut self.log_digest);
    }

    /// The digest of the log; empty until known.
    pub fn log_digest(&self) -> &str {
        &self.log_digest
    }

    /// The summary of the run so far. `wall_s`: how long it took by the clock on the wall; 0 where nobody measured.
    pub fn summary(&self, wall_s: f64) -> Summary {
        Summary::of(&self.header, &self.tracker, self.account().as_ref(), &self.log_digest, wall_s)
    }

    /// What the books come to so far, if the run kept any.
    pub fn account(&self) -> Option<Account> {
        self.ledger.as_ref().map(|ledger| ledger.account())
    }

    /// The trace's name for a job, or its number.
    pub fn name(&self, job: JobId) -> String {
        self.names.get(job).map_or_else(|| format!("#{}", job.0), str::to_owned)
    }

    /// Why jobs waited. Stretches that had not ended by the last step are cut there.
    pub fn waits(&self) -> Waits {
        let mut waits = self.waits.clone();
        waits.close(self.lives.rows(), self.last);
        waits
    }

    /// Accelerator-thousandths times microseconds that a tenant held, and that it held or waited for, while at least one job
    /// of anybody waited.
    pub fn contended_areas(&self, tenant: u32) -> (u128, u128) {
        self.shares.areas(tenant)
    }

    fn moved(levels: &mut [u64; LEVELS], waits: &mut Waits, shares: &mut Shares, step: &Move<'_>) {
        waits.moved(step);
        if step.cause == Cause::Noted {
            return;
        }
        let wanted = step.was.milli;
        // Told at the order to start, what is held is known of the step after it.
        let milli = step.allocation.map_or(step.was.held_milli, |allocation| held_milli(wanted, allocation));
        let holds = |phase| matches!(phase, Phase::Starting | Phase::Running);
        let mut change = |level: Level, before: bool, after: bool, by: u64| {
            let level = &mut levels[level as usize];
            *level = *level + u64::from(after) * by - u64::from(before) * by;
        };
        // Before its submission a job was nowhere.
        let was = |phase| step.cause != Cause::Submitted && step.was.phase == phase;
        let held = was(Phase::Starting) || was(Phase::Running);
        change(Level::UsedMilli, held, holds(step.to), milli);
        change(Level::RunningJobs, held, holds(step.to), 1);
        change(Level::RunningMilli, was(Phase::Running), step.to == Phase::Running, milli);
        change(Level::PendingJobs, was(Phase::Waiting), step.to == Phase::Waiting, 1);
        change(Level::PendingMilli, was(Phase::Waiting), step.to == Phase::Waiting, wanted);
        let difference = |before: bool, after: bool, by: u64| (i64::from(after) - i64::from(before)) * by as i64;
        let held = difference(held, holds(step.to), milli);
        let wanted = difference(was(Phase::Waiting), step.to == Phase::Waiting, wanted);
        if held != 0 || wanted != 0 {
            shares.change(step.was.tenant, held, wanted);
        }
    }
}

impl Observer for Analysis {
    fn step(&mut self, step: StepView<'_>) {
        if self.levels[Level::PendingJobs as usize] > 0 {
            self.shares.pass(step.now.since(self.last).0);
        }
        self.series.advance(step.now, &self.levels);
        self.last = step.now;
        self.tracker.step(step);
        if let Some(ledger) = &mut self.ledger {
            ledger.step(step.now, step.events, step.orders, step.notes);
        }
        let Analysis { lives, levels, waits, shares, .. } = self;
        lives.step(step, |moved| Analysis::moved(levels, waits, shares, &moved));
    }
}
