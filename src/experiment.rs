//! A scenario made ready to run: fleet, jobs and everything a result must name.

mod arrivals;
mod error;
mod fit;
mod saved;

pub use error::ExperimentError;
pub use saved::{Saved, Saving, build};

use policies::ledger::{Account, Ledger};
use policies::{Fleet, JobId, Placement, Policy, Scheduler, Tiers, catalog, placement};
use sim::{CostModel, Costs, Crashes, End, Limits, Recovery, World};
use std::path::Path;
use std::time::Instant;
use traces::Trace;
use traces::faults::{Change, Disturbance};
use traces::runlog::{self, Header, JobMeta, LogWriter, Observer, Recorder, ServiceInfo, StepView, Tracker};
use traces::scenario::{Estimates, JobRules, NetworkSpec};

/// Steps between two looks at the progress.
const PROGRESS_STEPS: u64 = 4096;

/// What to run, except for the policy.
pub struct Experiment {
    /// Scenario name, or the command that stands for one.
    pub name: String,
    /// Where all random streams come from.
    pub seed: u64,
    /// What jobs run on.
    pub fleet: Fleet,
    /// The jobs; accelerator types are the fleet's.
    pub trace: Trace,
    /// Digest of what the jobs were read or drawn from.
    pub trace_digest: String,
    /// Where gangs go, e.g. `best-fit`.
    pub placement: String,
    /// What policies are told about durations.
    pub estimates: Estimates,
    /// What starting and stopping costs.
    pub costs: CostModel,
    /// Over what jobs move, where the costs are a mechanism's.
    pub network: NetworkSpec,
    /// Attempts that crash.
    pub crashes: Option<Crashes>,
    /// What is owed to whom; with none, no books are kept.
    pub tiers: Tiers,
    /// What the trace does not say of its jobs.
    pub rules: JobRules,
    /// Services whose replicas are among the jobs: jobs of their tenants run until they are withdrawn.
    pub services: Vec<ServiceInfo>,
    /// Nodes that break and are repaired, by time.
    pub changes: Vec<Change>,
    /// What is in the way of work without ending it, by time.
    pub disturbances: Vec<Disturbance>,
    /// What of an attempt's work survives a crash or the loss of its node.
    pub recovery: Recovery,
    /// How many attempts may fail before a job does.
    pub attempts_max: u16,
    /// When to stop, and how closely to watch.
    pub limits: Limits,
}

/// What came of one policy.
pub struct Outcome {
    /// Everything that the result must name.
    pub header: Header,
    /// The results.
    pub tracker: Tracker,
    /// What became of every accelerator and every guarantee; without tiers nobody kept books.
    pub account: Option<Account>,
    /// Digest of all events and orders.
    pub log_digest: String,
    /// Wall time of the simulation proper, seconds.
    pub wall_s: f64,
    /// How it ended.
    pub end: End,
    /// What snapshots took, where they were taken.
    pub saved: Saved,
}

/// The digest of what jobs were read or drawn from, and of the services beside them.
pub fn digest_with(trace_digest: &str, services: &[ServiceInfo]) -> String {
    let mut digest = blake3::Hasher::new();
    digest.update(trace_digest.as_bytes());
    digest.update(&serde_json::to_vec(services).expect("services are plain data"));
    digest.finalize().to_hex().to_string()
}

impl Experiment {
    /// Jobs on machines, and nothing else: best fit, oracle estimates, no costs, no crashes, no faults, no rules, seed 0.
    pub fn new(name: impl Into<String>, fleet: Fleet, trace: Trace) -> Experiment {
        Experiment {
            name: name.into(),
            seed: 0,
            fleet,
            trace_digest: trace.digest(),
            trace,
            placement: "best-fit".into(),
            estimates: Estimates::Oracle,
            costs: CostModel::default(),
            network: NetworkSpec::default(),
            crashes: None,
            tiers: Tiers::best_effort(),
            rules: JobRules::default(),
            services: Vec::new(),
            changes: Vec::new(),
            disturbances: Vec::new(),
            recovery: Recovery::LastStop,
            attempts_max: 1,
            limits: Limits::default(),
        }
    }

    /// Runs a listed policy, e.g. `tiresias` or `fifo(skip=true)`, writing the run log to `log` if there is one. `progress` is
    /// told now and then how many jobs are done.
    ///
    /// # Errors
    /// See [`ExperimentError`].
    pub fn run(&self, policy: &str, log: Option<&Path>, progress: &mut dyn FnMut(u64)) -> Result<Outcome, ExperimentError> {
        let (policy, name) = catalog::by_name(policy, self.seed)?;
        self.run_policy(policy, name, log, progress)
    }

    /// Runs any policy, your own too. Its log names it as given; `orrery replay` knows listed policies only.
    ///
    /// # Errors
    /// See [`ExperimentError`].
    pub fn run_policy(
        &self,
        policy: Box<dyn Policy>,
        name: String,
        log: Option<&Path>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Outcome, ExperimentError> {
        let (header, mut scheduler, mut world) = self.prepare(policy, name)?;
        let meta = |job: JobId| self.meta(job);
        let writer = log.map(|path| LogWriter::create(path, &header)).transpose()?;
        let mut watched = Watched { recorder: self.recorder(writer, &meta), progress };
        let began = Instant::now();
        let end = sim::run(&mut scheduler, &mut world, self.arrivals(0), self.limits, &mut watched);
        self.conclude(header, &scheduler, watched.recorder, end, began.elapsed().as_secs_f64())
    }

    /// All that takes part in a run, before its first step.
    fn prepare(&self, policy: Box<dyn Policy>, name: String) -> Result<(Header, Scheduler, World), ExperimentError> {
        let mut place: Box<dyn Placement> = placement::by_name(&self.placement, self.seed)?;
        let mut header = self.header(name);
        header.placement = placement::full_name(&self.placement)?;
        if place.wants_prior() {
            header.expected = self.trace.demands();
            place.expect(&header.expected);
        }
        let scheduler = Scheduler::new(self.fleet.clone(), policy, place).with_tiers(&self.tiers);
        let mut world = self.world().with_withdrawals(self.withdrawals()).with_ends(self.bad_ends());
        if !self.changes.is_empty() {
            world = world.with_faults(&self.fleet, self.changes.clone());
        }
        if !self.disturbances.is_empty() {
            world = world.with_disturbances(&self.fleet, self.disturbances.clone());
        }
        Ok((header, scheduler, world))
    }

    fn recorder<'a>(&self, writer: Option<LogWriter>, meta: &'a dyn Fn(JobId) -> JobMeta) -> Recorder<'a> {
        let capacity_milli = self.fleet.accelerators() * u64::from(policies::WHOLE_MILLI);
        let mut recorder = Recorder::new(capacity_milli, writer, meta).with_services(&self.services);
        recorder.tracker.expect_jobs(self.trace.jobs.len());
        recorder
    }

    fn conclude(
        &self,
        header: Header,
        scheduler: &Scheduler,
        recorder: Recorder<'_>,
        end: End,
        wall_s: f64,
    ) -> Result<Outcome, ExperimentError> {
        if let End::Broken { step, now, what } = end {
            let (scenario, policy) = (self.name.clone(), header.policy);
            return Err(ExperimentError::Broken { scenario, policy, seed: self.seed, step, now, what });
        }
        let (tracker, log_digest) = recorder.finish()?;
        let books = |ledger: &Ledger| ledger.check().map(|()| ledger.account());
        let account = scheduler.view().ledger().map(books).transpose().map_err(ExperimentError::Books)?;
        Ok(Outcome { header, tracker, account, log_digest, wall_s, end, saved: Saved::default() })
    }

    fn world(&self) -> World {
        let world = |costs| World::new(costs, self.crashes).with_recovery(self.recovery);
        match &self.costs {
            CostModel::Fixed(costs) => world(*costs),
            CostModel::Mechanism(mechanism) => {
                let jobs = self.trace.jobs.iter().map(|job| (&*job.id, job.demand.accelerators));
                world(Costs::default()).with_mechanism(&self.fleet, mechanism, &self.network, jobs)
            }
        }
    }

    fn header(&self, policy: String) -> Header {
        Header {
            version: env!("CARGO_PKG_VERSION").into(),
            scenario: self.name.clone(),
            world: runlog::World::Simulated,
            policy,
            placement: self.placement.clone(),
            estimates: self.estimates.to_string(),
            costs: self.costs.name().into(),
            seed: self.seed,
            trace_digest: self.trace_digest.clone(),
            fleet: self.fleet.clone(),
            tenants: self.trace.tenants.clone(),
            labels: self.trace.labels.clone(),
            services: self.services.clone(),
            epoch_unix_s: self.trace.epoch_unix_s,
            expected: Vec::new(),
            tiers: self.tiers.clone(),
        }
    }

    fn meta(&self, job: JobId) -> JobMeta {
        let job = &self.trace.jobs[job.index()];
        JobMeta { name: job.id.to_string(), duration: job.duration, outcome: job.outcome, label: job.label }
    }
}

/// Passes steps on and shows how far the run is.
struct Watched<'a> {
    recorder: Recorder<'a>,
    progress: &'a mut dyn FnMut(u64),
}

impl Observer for Watched<'_> {
    #[inline]
    fn step(&mut self, step: StepView<'_>) {
        self.recorder.step(step);
        if self.recorder.tracker.steps.is_multiple_of(PROGRESS_STEPS) {
            (self.progress)(self.recorder.tracker.done);
        }
    }
}
