//! The run log: what every run writes, simulated or real, and the only thing that reports read.
//!
//! A log is a [`Header`] and then one [`Step`] per decision: the events that went into the scheduler, the orders that came out
//! and the reasons that it noted. It is enough to replay the run ([`replay`](crate::runlog::replay::replay)) and to compute
//! every result ([`Tracker`]).

mod digest;
mod file;
pub mod replay;
mod serving;
mod tracker;

pub use digest::LogDigest;
pub use file::{LogError, LogReader, LogWriter};
pub use serving::{ServiceInfo, Serving, ServingRecord};
pub use tracker::{JobRecord, Tracker, held_milli};

use crate::model::Outcome;
use policies::{Event, Fleet, JobId, Note, Order, Span, Tiers, Time};
use serde::{Deserialize, Serialize};

/// Which world a run happened in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum World {
    /// The simulator.
    Simulated,
    /// The executor: real processes under a real clock.
    Real,
}

/// Everything that a result must name, or it is not a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of Orrery that wrote it.
    pub version: String,
    /// Scenario name, or the command that stood for one.
    pub scenario: String,
    /// Where it happened.
    pub world: World,
    /// Policy with all its parameters.
    pub policy: String,
    /// Placement with all its parameters.
    pub placement: String,
    /// What policies knew of durations.
    pub estimates: String,
    /// Cost preset.
    pub costs: String,
    /// Seed of every random stream.
    pub seed: u64,
    /// Digest of the trace that was read, or of the workload model that was drawn from.
    pub trace_digest: String,
    /// The machines.
    pub fleet: Fleet,
    /// Tenant names by [`policies::TenantId`].
    pub tenants: Vec<String>,
    /// Label names.
    pub labels: Vec<String>,
    /// The services whose replicas are among the jobs.
    pub services: Vec<ServiceInfo>,
    /// Calendar time of [`Time::ZERO`], seconds since 1970, where known.
    pub epoch_unix_s: Option<i64>,
    /// What the placement was told to expect (see [`policies::Placement::expect`]); empty where it did not ask.
    pub expected: Vec<(policies::Demand, u32)>,
    /// What is owed to whom; none if no books were kept.
    pub tiers: Tiers,
}

/// What people want to know of a job and the scheduler does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMeta {
    /// The trace's name for it.
    pub name: String,
    /// Run time had it held all it asked for; zero where nobody knows.
    pub duration: Span,
    /// How it ended where it was recorded.
    pub outcome: Outcome,
    /// Index into [`Header::labels`].
    pub label: u32,
}

/// One step of a run, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub now: Time,
    /// What went in.
    pub events: Vec<Event>,
    /// What came out.
    pub orders: Vec<Order>,
    /// Why jobs wait, where that changed.
    pub notes: Vec<Note>,
    /// One per [`Event::Submit`] in `events`, in order.
    pub metas: Vec<JobMeta>,
}

/// One step of a run, as a driver shows it to whoever records it.
#[derive(Clone, Copy, Debug)]
pub struct StepView<'a> {
    /// When.
    pub now: Time,
    /// What went in.
    pub events: &'a [Event],
    /// What came out.
    pub orders: &'a [Order],
    /// Why jobs wait, where that changed.
    pub notes: &'a [Note],
}

impl Step {
    /// A borrowed form.
    pub fn view(&self) -> StepView<'_> {
        StepView { now: self.now, events: &self.events, orders: &self.orders, notes: &self.notes }
    }
}

/// Watches a run step by step. Drivers call it after every decision.
pub trait Observer {
    /// A step was taken.
    fn step(&mut self, step: StepView<'_>);
}

impl Observer for () {
    fn step(&mut self, _: StepView<'_>) {}
}

/// The usual observer: results, digest and, if wanted, the log file.
pub struct Recorder<'a> {
    /// Results so far.
    pub tracker: Tracker,
    digest: LogDigest,
    writer: Option<LogWriter>,
    meta: &'a dyn Fn(JobId) -> JobMeta,
    error: Option<LogError>,
}

impl<'a> Recorder<'a> {
    /// Records into `writer`, if there is one; `meta` describes jobs for the log.
    pub fn new(capacity_milli: u64, writer: Option<LogWriter>, meta: &'a dyn Fn(JobId) -> JobMeta) -> Recorder<'a> {
        Recorder { tracker: Tracker::new(capacity_milli), digest: LogDigest::default(), writer, meta, error: None }
    }

    /// The same, which also follows the replicas of these services.
    pub fn with_services(mut self, services: &[ServiceInfo]) -> Recorder<'a> {
        self.tracker = self.tracker.with_services(services);
        self
    }

    /// Where the log can be gone on with, and the digest of all before: see [`LogWriter::mark`].
    ///
    /// # Errors
    /// If the log could not be written, now or earlier. Without a log there is no such place.
    pub fn mark(&mut self) -> Result<Option<(u64, String)>, LogError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let bytes = self.writer.as_mut().map(LogWriter::mark).transpose()?;
        Ok(bytes.map(|bytes| (bytes, self.digest())))
    }

    /// The digest of all events and orders so far, as 32 hexadecimal digits.
    pub fn digest(&self) -> String {
        self.digest.clone().finish()
    }

    /// Records into `writer` from here on.
    pub fn write_to(&mut self, writer: LogWriter) {
        self.writer = Some(writer);
    }

    /// Closes the log. Returns the results and the digest of all events and orders as 32 hexadecimal digits.
    ///
    /// # Errors
    /// If the log could not be written, now or earlier.
    pub fn finish(self) -> Result<(Tracker, String), LogError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let digest = self.digest.finish();
        if let Some(writer) = self.writer {
            writer.finish(&digest)?;
        }
        Ok((self.tracker, digest))
    }

    #[inline(never)]
    fn write(&mut self, step: StepView<'_>) {
        if let Some(writer) = &mut self.writer
            && self.error.is_none()
        {
            let submitted = step.events.iter().filter(|e| matches!(e, Event::Submit { .. }));
            let metas = submitted.filter_map(Event::job).map(self.meta).collect();
            self.error = writer.step(step, metas).err();
        }
    }
}

impl Observer for Recorder<'_> {
    /// What [`Tracker`] and [`LogDigest`] do with a step, but each event and order is looked at once.
    #[inline]
    fn step(&mut self, step: StepView<'_>) {
        let (tracker, mut digest) = (&mut self.tracker, self.digest.clone());
        tracker.step_of(&step);
        digest.step_of(&step);
        for event in step.events {
            digest.event(event);
            tracker.event(step.now, event);
        }
        for order in step.orders {
            digest.order(order);
            tracker.order(step.now, order);
        }
        self.digest = digest;
        if self.writer.is_some() {
            self.write(step);
        }
    }
}
