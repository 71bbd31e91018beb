//! A digest of everything that went into and came out of a scheduler.

use super::StepView;
use policies::{Event, JobSpec, Level, Order};
use xxhash_rust::xxh3::Xxh3;

/// Bytes that are gathered before they are hashed.
const BUFFER: usize = 2048;

/// XXH3-128 over the steps as 64-bit words: equal digests mean equal events and orders, in the same steps, at the same times.
/// Notes are left out: they explain decisions and are no part of them.
#[derive(Clone)]
pub struct LogDigest {
    hasher: Xxh3,
    buffer: Box<[u8; BUFFER]>,
    filled: usize,
}

impl Default for LogDigest {
    fn default() -> LogDigest {
        LogDigest { hasher: Xxh3::new(), buffer: Box::new([0; BUFFER]), filled: 0 }
    }
}

impl LogDigest {
    #[inline]
    fn words<const N: usize>(&mut self, words: [u64; N]) {
        if self.filled + N * 8 > BUFFER {
            self.flush();
        }
        let free = &mut self.buffer[self.filled..][..N * 8];
        for (to, word) in free.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        self.filled += N * 8;
    }

    #[cold]
    fn flush(&mut self) {
        self.hasher.update(&self.buffer[..self.filled]);
        self.filled = 0;
    }

    /// Adds a step.
    #[inline]
    pub fn step(&mut self, step: StepView<'_>) {
        self.words([step.now.0, (step.events.len() as u64) << 32 | step.orders.len() as u64]);
        for event in step.events {
            self.event(event);
        }
        for order in step.orders {
            self.order(order);
        }
    }

    #[inline]
    fn event(&mut self, event: &Event) {
        let head = |kind: u64, job: u32| kind << 32 | u64::from(job);
        match *event {
            Event::Submit { job, ref spec } => self.submit(head(1, job.0), spec),
            Event::Started { job, attempt } => self.words([head(2, job.0), attempt.0.into()]),
            Event::Stopped { job, attempt, progress } => self.words([head(3, job.0), attempt.0.into(), progress.0]),
            Event::Finished { job, attempt } => self.words([head(4, job.0), attempt.0.into()]),
            Event::Failed { job, attempt, progress, lost } => {
                self.words([head(if lost { 8 } else { 5 }, job.0), attempt.0.into(), progress.0]);
            }
            Event::Withdrawn { job } => self.words([head(10, job.0)]),
            Event::Node { node, state } => self.words([head(9, node.0), state as u64]),
        }
    }

    #[inline]
    fn submit(&mut self, head: u64, spec: &JobSpec) {
        let demand = &spec.demand;
        self.words([
            head,
            u64::from(demand.accelerators) << 32 | u64::from(demand.milli) << 8 | level(demand.within),
            demand.types.0,
            u64::from(demand.cpu_milli) << 32 | u64::from(demand.memory_mib),
            u64::from(spec.tenant.0) << 32 | u64::from(spec.priority as u32),
            u64::from(spec.tier) << 32 | u64::from(spec.attempts_max),
            spec.estimate.map_or(u64::MAX, |estimate| estimate.0),
        ]);
        let elastic = &spec.elastic;
        if !elastic.is_rigid() {
            let speed = elastic.speed.iter().fold(0, |word, &speed| word << 16 | u64::from(speed));
            self.words([u64::from(elastic.accelerators_min) << 32 | u64::from(elastic.shard), speed]);
        }
        if spec.deadline_s > 0 {
            self.words([11 << 32 | u64::from(spec.deadline_s)]);
        }
    }

    #[inline]
    fn order(&mut self, order: &Order) {
        match order {
            Order::Start { job, attempt, allocation } => {
                self.words([6 << 32 | u64::from(job.0), u64::from(attempt.0) << 32 | allocation.len() as u64]);
                for grant in allocation {
                    self.words([u64::from(grant.node.0) << 32 | u64::from(grant.count), grant.devices]);
                }
            }
            Order::Preempt { job, attempt } => self.words([7 << 32 | u64::from(job.0), attempt.0.into()]),
        }
    }

    /// The digest as 32 hexadecimal digits.
    pub fn finish(mut self) -> String {
        self.flush();
        format!("{:032x}", self.hasher.digest128())
    }
}
/// A number below 256 for each level.
fn level(level: Level) -> u64 {
    match level {
        Level::Node => 0,
        Level::Cluster => 1,
        Level::Region => 2,
        Level::Fleet => 3,
        // Fleets have few levels of domains.
        Level::Domain(number) => 4 + u64::from(number.min(251)),
    }
}
