//! A digest of everything that went into and came out of a scheduler.

use super::StepView;
use policies::{Event, JobSpec, Order};
use xxhash_rust::xxh3::Xxh3;

const BUFFER_WORDS: usize = 1024;

/// XXH3-128 over the steps as 64-bit words: equal digests mean equal events and orders, in the same steps, at the same times.
/// Notes are left out: they explain decisions and are no part of them.
pub struct LogDigest {
    hasher: Xxh3,
    buffer: Vec<u8>,
}

impl Default for LogDigest {
    fn default() -> LogDigest {
        LogDigest { hasher: Xxh3::new(), buffer: Vec::with_capacity(BUFFER_WORDS * 8 + 256) }
    }
}

impl LogDigest {
    #[inline]
    fn word(&mut self, word: u64) {
        self.buffer.extend_from_slice(&word.to_le_bytes());
    }

    /// Adds a step.
    pub fn step(&mut self, step: StepView<'_>) {
        self.word(step.now.0);
        self.word((step.events.len() as u64) << 32 | step.orders.len() as u64);
        for event in step.events {
            self.event(event);
        }
        for order in step.orders {
            self.order(order);
        }
        if self.buffer.len() >= BUFFER_WORDS * 8 {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
    }

    fn event(&mut self, event: &Event) {
        let head = |kind: u64, job: u32| kind << 32 | u64::from(job);
        match *event {
            Event::Submit { job, ref spec } => {
                self.word(head(1, job.0));
                self.spec(spec);
            }
            Event::Started { job, attempt } => {
                self.word(head(2, job.0));
                self.word(attempt.0.into());
            }
            Event::Stopped { job, attempt, progress } => {
                self.word(head(3, job.0));
                self.word(attempt.0.into());
                self.word(progress.0);
            }
            Event::Finished { job, attempt } => {
                self.word(head(4, job.0));
                self.word(attempt.0.into());
            }
            Event::Failed { job, attempt, progress } => {
                self.word(head(5, job.0));
                self.word(attempt.0.into());
                self.word(progress.0);
            }
        }
    }

    fn spec(&mut self, spec: &JobSpec) {
        let demand = &spec.demand;
        self.word(u64::from(demand.accelerators) << 32 | u64::from(demand.milli) << 8 | demand.within as u64);
        self.word(demand.types.0);
        self.word(u64::from(demand.cpu_milli) << 32 | u64::from(demand.memory_mib));
        self.word(u64::from(spec.tenant.0) << 32 | u64::from(spec.priority as u32));
        self.word(u64::from(spec.tier) << 32 | u64::from(spec.attempts_max));
        self.word(spec.estimate.map_or(u64::MAX, |estimate| estimate.0));
    }

    fn order(&mut self, order: &Order) {
        match order {
            Order::Start { job, attempt, allocation } => {
                self.word(6 << 32 | u64::from(job.0));
                self.word(u64::from(attempt.0) << 32 | allocation.len() as u64);
                for grant in allocation {
                    self.word(u64::from(grant.node.0) << 32 | u64::from(grant.count));
                    self.word(grant.devices);
                }
            }
            Order::Preempt { job, attempt } => {
                self.word(7 << 32 | u64::from(job.0));
                self.word(attempt.0.into());
            }
        }
    }

    /// The digest as 32 hexadecimal digits.
    pub fn finish(mut self) -> String {
        self.hasher.update(&self.buffer);
        format!("{:032x}", self.hasher.digest128())
    }
}
