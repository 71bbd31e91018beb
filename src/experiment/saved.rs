//! Runs that are snapshotted now and then, and gone on with from their last snapshot.
//!
//! A snapshot lies beside the run log and is small: what is under way, not what is over. What is over, results and digest, is made
//! again from the log up to the mark that the snapshot names; nothing is decided twice.
//!
//! # Cost
//! About 420 bytes on disk for each job that waits or runs, fleet and books included: three days of `scenarios/evidence/planet.toml`
//! under `singularity` (135,539 jobs on 200,160 accelerators) end with 18,992 live jobs and a snapshot of 7.9 MB; half a day ends with
//! one of 1.0 MB. Snapshots every three hours, 24 of up to 7.9 MB, took 0.4 s of CPU time each on average, in a build for development.
//! Going on reads the log once, without deciding anything.

use super::{Experiment, ExperimentError, Outcome, Watched};
use policies::snapshot::{from_bytes, to_bytes};
use policies::{JobId, Policy, Scheduler, Span, Time, catalog};
use sim::{Driver, Stop, Stretch, World};
use std::path::Path;
use std::time::{Duration, Instant};
use traces::runlog::{Header, LogReader, LogWriter, Observer, Recorder};
use traces::snapshot::{Snapshot, Taker};

/// Steps between two looks at the clock on the wall.
const CLOCK_STEPS: u64 = 1 << 10;

/// When snapshots are taken; with neither, none is.
#[derive(Clone, Debug, Default)]
pub struct Saving {
    /// Before each multiple of so much simulated time.
    pub every: Option<Span>,
    /// Whenever so much time has passed by the clock on the wall.
    pub clock: Option<Duration>,
    /// Names this program: who goes on with a snapshot must have the same; see [`build`].
    pub build: String,
}

/// What snapshots took in a run, since it was last gone on with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Saved {
    /// How many were taken.
    pub snapshots: u32,
    /// Bytes of the last one.
    pub bytes: u64,
    /// Taking them all, seconds.
    pub taking_s: f64,
    /// Going on from one, with the log before it, seconds.
    pub loading_s: f64,
}

/// A name of this very program, made of its bytes.
///
/// # Errors
/// If its file cannot be read.
pub fn build() -> std::io::Result<String> {
    let digest = blake3::hash(&std::fs::read(std::env::current_exe()?)?);
    Ok(digest.to_hex()[..16].to_owned())
}

impl Saving {
    /// The first instant of simulated time after `now` at which a snapshot is due.
    fn due_after(&self, now: Time) -> Time {
        let due = |every: Span| if now.0 > Time::MAX.0 - every.0 { Time::MAX } else { now.next_multiple(every) };
        self.every.map_or(Time::MAX, |every| due(every.max(Span(1))))
    }
}

impl Experiment {
    /// Like [`run`](Experiment::run), taking snapshots beside the log as `saving` says, and going on from the one that is there, if one
    /// is. Log digest and results are those of a run without any, but for the wall time.
    ///
    /// # Errors
    /// See [`ExperimentError`]; also if the policy or the placement cannot be saved, or the snapshot is damaged or of something
    /// else.
    pub fn run_saved(
        &self,
        policy: &str,
        log: &Path,
        saving: &Saving,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Outcome, ExperimentError> {
        let (policy, name) = catalog::by_name(policy, self.seed)?;
        self.run_policy_saved(policy, name, log, saving, progress)
    }

    /// The same with any policy.
    ///
    /// # Errors
    /// As [`run_saved`](Experiment::run_saved).
    pub fn run_policy_saved(
        &self,
        policy: Box<dyn Policy>,
        name: String,
        log: &Path,
        saving: &Saving,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Outcome, ExperimentError> {
        let (header, scheduler, world) = self.prepare(policy, name)?;
        let meta = |job: JobId| self.meta(job);
        let watched = Watched { recorder: self.recorder(None, &meta), progress };
        let driver = Driver::default();
        let taker = Taker { build: format!("{} {}", header.version, saving.build), run: self.digest(&header) };
        let (saved, next) = (Saved::default(), Time::ZERO);
        let mut run = Run { header, scheduler, world, driver, watched, wall_s: 0.0, next, saved };
        // What cannot be saved is better known now than in a day.
        run.states()?;
        let path = log.with_file_name("snapshot");
        let loading = Instant::now();
        match Snapshot::read(&path, &taker)? {
            Some(snapshot) => run.load(log, snapshot)?,
            None => run.watched.recorder.write_to(LogWriter::create(log, &run.header)?),
        }
        run.saved.loading_s = loading.elapsed().as_secs_f64();
        let mut due = saving.due_after(run.next);
        let (mut began, mut saved) = (Instant::now(), Instant::now());
        let end = loop {
            let steps = if saving.clock.is_some() { CLOCK_STEPS } else { u64::MAX };
            let arrivals = self.arrivals(run.scheduler.view().submitted() as usize);
            let through = if due == Time::MAX { due } else { Time(due.0 - 1) };
            let what = (self.limits, Stretch { through, steps });
            match run.driver.run(&mut run.scheduler, &mut run.world, arrivals, what, &mut run.watched) {
                Stop::Over(end) => break end,
                Stop::Before(next) => run.next = next,
            }
            if run.next >= due || saving.clock.is_some_and(|clock| saved.elapsed() >= clock) {
                run.wall_s += began.elapsed().as_secs_f64();
                run.save(&path, &taker)?;
                due = saving.due_after(run.next);
                (began, saved) = (Instant::now(), Instant::now());
            }
        };
        let (wall_s, saved) = (run.wall_s + began.elapsed().as_secs_f64(), run.saved);
        let outcome = self.conclude(run.header, &run.scheduler, run.watched.recorder, end, wall_s)?;
        Ok(Outcome { saved, ..outcome })
    }

    /// A digest of all that a run's course depends on.
    fn digest(&self, header: &Header) -> String {
        let mut digest = blake3::Hasher::new();
        let mut add = |bytes: Result<Vec<u8>, _>| {
            digest.update(&bytes.expect("plain data"));
        };
        add(to_bytes(header));
        for (job, arrival) in self.trace.jobs.iter().zip(self.arrivals(0)) {
            add(to_bytes(&(&job.id, arrival.submit, arrival.spec, arrival.duration)));
        }
        add(to_bytes(&self.withdrawals()));
        let Experiment { costs, network, crashes, changes, disturbances, recovery, limits, .. } = self;
        add(Ok(
            format!("{costs:?} {network:?} {crashes:?} {changes:?} {disturbances:?} {recovery:?} {:?}", limits.until).into()
        ));
        digest.finalize().to_hex().to_string()
    }
}

/// A run under way.
struct Run<'a> {
    header: Header,
    scheduler: Scheduler,
    world: World,
    driver: Driver,
    watched: Watched<'a>,
    wall_s: f64,
    /// When the next step is, after a stretch.
    next: Time,
    saved: Saved,
}

impl Run<'_> {
    fn states(&self) -> Result<Vec<Vec<u8>>, ExperimentError> {
        let driver = to_bytes(&self.driver).map_err(ExperimentError::World)?;
        let scheduler = self.scheduler.save().map_err(|source| self.refused(source))?;
        Ok(vec![driver, scheduler, self.world.save().map_err(ExperimentError::World)?])
    }

    fn refused(&self, source: policies::snapshot::SchedulerStateError) -> ExperimentError {
        let (policy, placement) = (self.header.policy.clone(), self.header.placement.clone());
        ExperimentError::State { policy, placement, source }
    }

    fn save(&mut self, path: &Path, taker: &Taker) -> Result<(), ExperimentError> {
        let began = Instant::now();
        let parts = self.states()?;
        let recorder = &mut self.watched.recorder;
        let Some((log_bytes, log_digest)) = recorder.mark()? else { return Ok(()) };
        let (next, steps, wall_s) = (self.next, recorder.tracker.steps, self.wall_s);
        self.saved.bytes = Snapshot { next, steps, log_bytes, log_digest, wall_s, parts }.write(path, taker)?;
        self.saved.snapshots += 1;
        self.saved.taking_s += began.elapsed().as_secs_f64();
        Ok(())
    }

    /// Becomes the run that the snapshot was taken of. The log is touched last, when all is known to be well.
    fn load(&mut self, log: &Path, snapshot: Snapshot) -> Result<(), ExperimentError> {
        let part = |i: usize| snapshot.parts.get(i).map_or(&[][..], |part| part);
        self.driver = from_bytes(part(0)).map_err(ExperimentError::World)?;
        self.scheduler.load(part(1)).map_err(|source| self.refused(source))?;
        self.world.load(part(2)).map_err(ExperimentError::World)?;
        self.relive(log, &snapshot)?;
        self.watched.recorder.write_to(LogWriter::resume(log, snapshot.log_bytes)?);
        (self.wall_s, self.next) = (snapshot.wall_s, snapshot.next);
        Ok(())
    }

    /// Makes results and digest of what is over, from the log.
    fn relive(&mut self, log: &Path, snapshot: &Snapshot) -> Result<(), ExperimentError> {
        let other = || ExperimentError::OtherLog { path: log.into() };
        let mut reader = LogReader::prefix(log, snapshot.log_bytes)?;
        if reader.header != self.header {
            return Err(other());
        }
        let recorder: &mut Recorder<'_> = &mut self.watched.recorder;
        for _ in 0..snapshot.steps {
            recorder.step(reader.next_step()?.ok_or_else(other)?.view());
        }
        if recorder.digest() == snapshot.log_digest { Ok(()) } else { Err(other()) }
    }
}
