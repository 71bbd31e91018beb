//! Feeds a recorded run into a fresh scheduler and compares what comes out.

use super::{LogDigest, LogError, LogReader, Step};
use policies::spec::SpecError;
use policies::{Order, Scheduler, Time, catalog, placement};
use thiserror::Error;

/// Why a replay could not run or did not agree.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its policy or placement does not exist in this version.
    #[error("the log's header: {0}")]
    Spec(#[from] SpecError),
    /// Orders differ.
    #[error("{0}")]
    Differs(Box<Difference>),
    /// All orders agree, but the file's digest does not belong to its steps.
    #[error("all steps agree, but the log's digest is {written}, and its steps have {computed}: the log was changed")]
    Digest {
        /// As written.
        written: String,
        /// As recomputed.
        computed: String,
    },
}

/// The first step at which a fresh scheduler decided otherwise.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Counts from 0.
    pub step: u64,
    /// When.
    pub now: Time,
    /// What the log says.
    pub recorded: Vec<Order>,
    /// What the fresh scheduler ordered.
    pub replayed: Vec<Order>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "step {} at {}: orders differ", self.step, self.now)?;
        let first = self.recorded.iter().zip(&self.replayed).take_while(|(a, b)| a == b).count();
        writeln!(
            f,
            "  the first {first} orders agree, of {} recorded and {} replayed",
            self.recorded.len(),
            self.replayed.len()
        )?;
        writeln!(f, "  recorded: {:?}", self.recorded.get(first))?;
        write!(f, "  replayed: {:?}", self.replayed.get(first))
    }
}

/// What a successful replay confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Steps compared.
    pub steps: u64,
    /// Orders compared.
    pub orders: u64,
    /// Digest of events and orders, equal to the log's.
    pub digest: String,
}

/// A scheduler as the log's header describes it.
///
/// # Errors
/// If this version has no such policy or placement.
pub fn scheduler_of(reader: &LogReader) -> Result<Scheduler, SpecError> {
    let header = &reader.header;
    let (policy, _) = catalog::by_name(&header.policy, header.seed)?;
    let mut placement = placement::by_name(&header.placement, header.seed)?;
    if placement.wants_prior() {
        placement.expect(&header.expected);
    }
    Ok(Scheduler::new(header.fleet.clone(), policy, placement).with_tiers(&header.tiers))
}

/// Replays a log to its end. `each` sees every step after it was compared.
///
/// # Errors
/// The first step that differs, or why the log cannot be replayed.
pub fn replay(mut reader: LogReader, mut each: impl FnMut(&Step, &Scheduler)) -> Result<Replayed, ReplayError> {
    let mut scheduler = scheduler_of(&reader)?;
    let mut digest = LogDigest::default();
    let (mut steps, mut orders) = (0, 0);
    while let Some(step) = reader.next_step()? {
        for event in &step.events {
            scheduler.handle(step.now, event);
        }
        let replayed = scheduler.decide(step.now).orders;
        if replayed != step.orders {
            let difference = Difference { step: steps, now: step.now, recorded: step.orders, replayed: replayed.to_vec() };
            return Err(ReplayError::Differs(Box::new(difference)));
        }
        digest.step(step.view());
        each(&step, &scheduler);
        steps += 1;
        orders += step.orders.len() as u64;
    }
    let (written, computed) = (reader.digest().unwrap_or_default().to_owned(), digest.finish());
    if written != computed {
        return Err(ReplayError::Digest { written, computed });
    }
    Ok(Replayed { steps, orders, digest: computed })
}
