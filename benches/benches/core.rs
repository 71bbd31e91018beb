//! The parts of a step: the event queue and what might replace it, one decision, and the set of waiting jobs.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use policies::{Attempt, Event, Fleet, IdSet, JobId, JobSpec, Order, Scheduler, Span, Time, catalog, placement};
use priority_queue::PriorityQueue;
use radix_heap::RadixHeapMap;
use rustc_hash::FxBuildHasher;
use sim::EventQueue;
use std::cmp::Reverse;
use std::hint::black_box;
use std::time::Duration;

const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// A fixed stream of delays up to about an hour, in microseconds (the multiplier of Knuth's MMIX).
struct Delays(u64);

impl Delays {
    fn draw(&mut self) -> Span {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Span((self.0 >> 32) % 3_600_000_000 + 1)
    }
}

/// The hold model: the queue stays at its size; each turn takes the next event and schedules another after it.
fn event_queues(c: &mut Criterion) {
    let mut group = c.benchmark_group("event queue");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let mut delays = Delays(1);
        let mut queue = EventQueue::default();
        (0..size).for_each(|i| queue.push(Time::ZERO + delays.draw(), i));
        group.bench_function(BenchmarkId::new("sim::EventQueue", size), |b| {
            b.iter(|| {
                let now = queue.next_time();
                let event = queue.pop_until(now).expect("due");
                queue.push(now + delays.draw(), event);
            });
        });

        // Total order: time, then a counter. The item is what is hashed: the event's own number.
        let mut delays = Delays(1);
        let mut queue = PriorityQueue::<u64, Reverse<(Time, u64)>, FxBuildHasher>::with_default_hasher();
        let mut counter = size;
        for i in 0..size {
            queue.push(i, Reverse((Time::ZERO + delays.draw(), i)));
        }
        group.bench_function(BenchmarkId::new("priority-queue", size), |b| {
            b.iter(|| {
                let (event, Reverse((now, _))) = queue.pop().expect("never empty");
                queue.push(event, Reverse((now + delays.draw(), counter)));
                counter += 1;
            });
        });

        let mut delays = Delays(1);
        let mut queue = RadixHeapMap::<Reverse<(u64, u64)>, u64>::new();
        let mut counter = size;
        (0..size).for_each(|i| queue.push(Reverse((delays.draw().0, i)), i));
        group.bench_function(BenchmarkId::new("radix-heap", size), |b| {
            b.iter(|| {
                let (Reverse((now, _)), event) = queue.pop().expect("never empty");
                queue.push(Reverse((now + delays.draw().0, counter)), event);
                counter += 1;
            });
        });
    }
    group.finish();
}

/// Submits one job, starts it and lets it finish: two decisions, on a fleet that is half full with gangs of 1 to 8.
fn decisions(c: &mut Criterion) {
    let mut group = c.benchmark_group("launch and finish");
    let pool = ("pool 1000000".to_owned(), Fleet::pool(1_000_000), "pool");
    let placements = ["first-fit", "best-fit", "worst-fit", "scatter", "packing", "clustering", "random", "fgd"];
    let on = |nodes: u32| placements.map(|place| (format!("{place} {nodes}x8"), Fleet::uniform(nodes, 8), place));
    for (name, fleet, place) in std::iter::once(pool).chain(on(1_250)).chain(on(125_000)) {
        let (policy, _) = catalog::by_name("fifo", 0).expect("listed");
        let accelerators: u32 = fleet.nodes.iter().map(|node| node.accelerators).sum();
        let mut scheduler = Scheduler::new(fleet, policy, placement::by_name(place, 0).expect("listed"));
        let mut next = 0;
        let mut submit = |scheduler: &mut Scheduler, now| {
            let job = JobId(next);
            next += 1;
            scheduler.handle(now, &Event::Submit { job, spec: JobSpec::whole(1 + job.0 % 8) });
            let started = scheduler.decide(now).orders.iter().any(|o| matches!(o, Order::Start { .. }));
            assert!(started, "a half-empty fleet has room");
            scheduler.handle(now, &Event::Started { job, attempt: Attempt(1) });
            job
        };
        let mut now = Time::ZERO;
        for _ in 0..accelerators / 9 {
            submit(&mut scheduler, now);
        }
        group.bench_function(name, |b| {
            b.iter(|| {
                now = now + Span(1);
                let job = submit(&mut scheduler, now);
                scheduler.handle(now, &Event::Finished { job, attempt: Attempt(1) });
                black_box(scheduler.decide(now).orders.len())
            });
        });
    }
    group.finish();
}

fn id_sets(c: &mut Criterion) {
    let mut group = c.benchmark_group("IdSet");
    for size in [1_000u32, 1_000_000] {
        let mut set: IdSet = (0..size).filter(|id| id % 3 == 0).collect();
        let mut delays = Delays(1);
        group.bench_function(BenchmarkId::new("insert and remove", size), |b| {
            b.iter(|| {
                let id = (delays.draw().0 % u64::from(size)) as u32 / 3 * 3 + 1;
                set.insert(id);
                set.remove(id)
            });
        });
        group.bench_function(BenchmarkId::new("next_from", size), |b| {
            b.iter(|| set.next_from((delays.draw().0 % u64::from(size)) as u32));
        });
    }
    group.finish();
}

criterion_group! {
    name = core;
    config = Criterion::default().sample_size(15).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500));
    targets = event_queues, decisions, id_sets
}
criterion_main!(core);
