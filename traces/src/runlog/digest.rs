//! A digest of everything that went into and came out of a scheduler.

use super::StepView;
use policies::{Event, JobSpec, Level, Order};

/// Any numbers with about as many ones as zeros: the first digits of pi.
const SEEDS: [u64; 4] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89];

/// Equal digests mean equal events and orders, in the same steps, at the same times. Notes are left out: they explain decisions
/// and are no part of them.
///
/// Each pair of 64-bit words goes into the 128 bits of state by one multiplication: both words are added to it bit by bit, and so
/// are the halves of the product of the sums. This is the mixing step of wyhash (Wang Yi) in the form that loses nothing, not even
/// where a factor is zero. It finds what differs by accident; it is no defence against a forger.
#[derive(Clone, Debug)]
pub struct LogDigest {
    state: [u64; 2],
}

impl Default for LogDigest {
    fn default() -> LogDigest {
        LogDigest { state: [SEEDS[0], SEEDS[1]] }
    }
}

impl LogDigest {
    #[inline(always)]
    fn pair(&mut self, first: u64, second: u64) {
        let [a, b] = [self.state[0] ^ first, self.state[1] ^ second];
        let product = u128::from(a) * u128::from(b);
        self.state = [a ^ product as u64, b ^ (product >> 64) as u64];
    }

    /// Adds a step.
    #[inline]
    pub fn step(&mut self, step: StepView<'_>) {
        // In registers until the step is over.
        let mut digest = self.clone();
        digest.step_of(&step);
        for event in step.events {
            digest.event(event);
        }
        for order in step.orders {
            digest.order(order);
        }
        *self = digest;
    }

    /// Begins a step.
    #[inline(always)]
    pub(super) fn step_of(&mut self, step: &StepView<'_>) {
        self.pair(step.now.0, (step.events.len() as u64) << 32 | step.orders.len() as u64);
    }

    #[inline(always)]
    pub(super) fn event(&mut self, event: &Event) {
        let head = |kind: u64, job: u32| kind << 32 | u64::from(job);
        match *event {
            Event::Submit { job, ref spec } => self.submit(head(1, job.0), spec),
            Event::Started { job, attempt } => self.pair(head(2, job.0), attempt.0.into()),
            Event::Stopped { job, attempt, progress } => {
                self.pair(head(3, job.0), attempt.0.into());
                self.pair(progress.0, 0);
            }
            Event::Finished { job, attempt } => self.pair(head(4, job.0), attempt.0.into()),
            Event::Failed { job, attempt, progress, lost } => {
                self.pair(head(if lost { 8 } else { 5 }, job.0), attempt.0.into());
                self.pair(progress.0, 0);
            }
            Event::Withdrawn { job } => self.pair(head(10, job.0), 0),
            Event::Node { node, state } => self.pair(head(9, node.0), state as u64),
        }
    }

    #[inline(always)]
    fn submit(&mut self, head: u64, spec: &JobSpec) {
        let (demand, elastic) = (&spec.demand, &spec.elastic);
        let estimated = u64::from(spec.estimate.is_some()) << 40;
        let rigid = u64::from(elastic.is_rigid()) << 41;
        let hurried = u64::from(spec.deadline_s > 0) << 42;
        self.pair(
            head | estimated | rigid | hurried | u64::from(spec.attempts_max) << 48,
            u64::from(demand.accelerators) << 32
                | u64::from(demand.milli) << 16
                | u64::from(spec.tier) << 8
                | level(demand.within),
        );
        self.pair(demand.types.0, u64::from(demand.cpu_milli) << 32 | u64::from(demand.memory_mib));
        self.pair(
            u64::from(spec.tenant.0) << 32 | u64::from(spec.priority as u32),
            spec.estimate.map_or(0, |estimate| estimate.0),
        );
        if !elastic.is_rigid() {
            let speed = elastic.speed.iter().fold(0, |word, &speed| word << 16 | u64::from(speed));
            self.pair(u64::from(elastic.accelerators_min) << 32 | u64::from(elastic.shard), speed);
        }
        if spec.deadline_s > 0 {
            self.pair(u64::from(spec.deadline_s), 0);
        }
    }

    #[inline(always)]
    pub(super) fn order(&mut self, order: &Order) {
        match order {
            Order::Start { job, attempt, allocation } => {
                self.pair(6 << 32 | u64::from(job.0), u64::from(attempt.0) << 32 | allocation.len() as u64);
                for grant in allocation {
                    self.pair(u64::from(grant.node.0) << 32 | u64::from(grant.count), grant.devices);
                }
            }
            Order::Preempt { job, attempt } => self.pair(7 << 32 | u64::from(job.0), attempt.0.into()),
        }
    }

    /// The digest as 32 hexadecimal digits.
    pub fn finish(mut self) -> String {
        // So that every bit of the state has a part in every digit.
        for _ in 0..3 {
            self.pair(SEEDS[2], SEEDS[3]);
        }
        format!("{:016x}{:016x}", self.state[0], self.state[1])
    }
}

/// A number below 256 for each level.
#[inline]
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

#[cfg(test)]
mod tests {
    use super::*;
    use policies::{Allocation, Attempt, Elastic, Grant, JobId, NodeId, Span, TenantId, Time, TypeId, TypeSet};
    use std::collections::BTreeSet;

    fn digest(steps: &[(u64, Vec<Event>, Vec<Order>)]) -> String {
        let mut digest = LogDigest::default();
        for (now, events, orders) in steps {
            digest.step(StepView { now: Time(*now), events, orders, notes: &[] });
        }
        digest.finish()
    }

    fn of_event(event: Event) -> String {
        digest(&[(1, vec![event], Vec::new())])
    }

    #[test]
    fn any_field_of_a_submission_changes_it() {
        let plain = JobSpec::whole(8);
        let mut specs = vec![plain; 17];
        specs[1].demand.accelerators = 9;
        specs[2].demand.milli = 999;
        specs[3].demand.within = policies::Level::Fleet;
        specs[4].demand.types = TypeSet::only(TypeId(63));
        specs[5].demand.cpu_milli = 1;
        specs[6].demand.memory_mib = 1;
        specs[7].tenant = TenantId(1 << 31);
        specs[8].priority = -1;
        specs[9].tier = 255;
        specs[10].attempts_max = u16::MAX;
        specs[11].estimate = Some(Span::ZERO);
        specs[12].estimate = Some(Span::MAX);
        specs[13].elastic = Elastic::linear(1, 0);
        specs[14].elastic = Elastic { shard: 2, ..Elastic::linear(1, 0) };
        specs[15].deadline_s = 1;
        specs[16].demand.within = Level::Domain(0);
        let mut digests: BTreeSet<_> = specs.iter().map(|&spec| of_event(Event::Submit { job: JobId(0), spec })).collect();
        digests.insert(of_event(Event::Submit { job: JobId(1 << 31), spec: plain }));
        assert_eq!(digests.len(), specs.len() + 1);
    }

    #[test]
    fn kinds_attempts_steps_and_order_change_it() {
        let (job, attempt, progress) = (JobId(3), Attempt(2), Span(5));
        let grant = |count| Grant { node: NodeId(1), count, devices: 3, cpu_milli: 0, memory_mib: 0 };
        let start = |grants: &[Grant]| Order::Start { job, attempt, allocation: Allocation::from_slice(grants) };
        let (started, finished) = (Event::Started { job, attempt }, Event::Finished { job, attempt });
        let one = |event: Event| vec![(1, vec![event], Vec::new())];
        let runs = [
            one(started.clone()),
            one(finished.clone()),
            one(Event::Started { job, attempt: Attempt(3) }),
            one(Event::Stopped { job, attempt, progress }),
            one(Event::Stopped { job, attempt: Attempt(1 << 31), progress }),
            one(Event::Stopped { job, attempt, progress: Span(6) }),
            one(Event::Failed { job, attempt, progress, lost: false }),
            one(Event::Failed { job, attempt, progress, lost: true }),
            one(Event::Withdrawn { job }),
            one(Event::Node { node: NodeId(3), state: policies::NodeState::Up }),
            one(Event::Node { node: NodeId(3), state: policies::NodeState::Down }),
            vec![(2, vec![started.clone()], Vec::new())],
            vec![(1, vec![started.clone(), finished.clone()], Vec::new())],
            vec![(1, vec![finished.clone(), started.clone()], Vec::new())],
            vec![(1, vec![started], Vec::new()), (1, vec![finished], Vec::new())],
            vec![(1, Vec::new(), vec![start(&[grant(1)])])],
            vec![(1, Vec::new(), vec![start(&[grant(2)])])],
            vec![(1, Vec::new(), vec![start(&[grant(1), grant(1)])])],
            vec![(1, Vec::new(), vec![Order::Preempt { job, attempt }])],
            Vec::new(),
        ];
        let digests: BTreeSet<_> = runs.iter().map(|run| digest(run)).collect();
        assert_eq!(digests.len(), runs.len());
    }
}
