//! How well services were served, by hand.

use policies::{Allocation, Attempt, Event, Grant, JobId, JobSpec, NodeId, Order, Span, TenantId, Time};
use reports::InferenceSummary;
use traces::runlog::{Observer, ServiceInfo, StepView, Tracker};

fn start(job: u32, attempt: u32) -> Order {
    let grant = Grant { node: NodeId(0), count: 1, devices: 1 << job, cpu_milli: 0, memory_mib: 0 };
    Order::Start { job: JobId(job), attempt: Attempt(attempt), allocation: Allocation::from_slice(&[grant]) }
}

fn submit(job: u32, tenant: u32) -> Event {
    Event::Submit { job: JobId(job), spec: JobSpec { tenant: TenantId(tenant), ..JobSpec::whole(1) } }
}

fn started(job: u32, attempt: u32) -> Event {
    Event::Started { job: JobId(job), attempt: Attempt(attempt) }
}

fn withdrawn(job: u32) -> Event {
    Event::Withdrawn { job: JobId(job) }
}

#[test]
fn replicas_needed_and_provided_load_and_waits_add_up() {
    let hour = |hours: u64| Span::from_secs(hours * 3600);
    let info = ServiceInfo {
        name: "chat".into(),
        tenant: 2,
        objective: String::new(),
        accelerators: 1,
        start_up: hour(1),
        from: Time::ZERO + hour(1),
        bin: hour(5),
        load_milli: vec![1000, 3000],
    };
    let mut tracker = Tracker::new(8000).with_services(&[info]);
    let mut step = |at: u64, events: &[Event], orders: &[Order]| {
        tracker.step(StepView { now: Time::ZERO + hour(at), events, orders, notes: &[] });
    };
    // A training job is none of the service's business.
    step(0, &[submit(0, 1)], &[start(0, 1)]);
    step(1, &[started(0, 1), submit(1, 2), submit(2, 2)], &[start(1, 1)]);
    step(2, &[started(1, 1)], &[]);
    // Stopped and started again, it has to start up again; the other one never runs.
    step(6, &[Event::Stopped { job: JobId(1), attempt: Attempt(1), progress: hour(4) }], &[]);
    step(7, &[submit(3, 2)], &[start(1, 2), start(3, 1)]);
    step(8, &[started(1, 2), started(3, 1), withdrawn(2)], &[]);
    step(11, &[withdrawn(1), Event::Finished { job: JobId(0), attempt: Attempt(1) }], &[]);
    // Told twice, or of an attempt that is gone, nothing changes.
    step(12, &[withdrawn(1), Event::Stopped { job: JobId(1), attempt: Attempt(2), progress: hour(9) }], &[]);
    assert_eq!((tracker.done, tracker.withdrawn, tracker.used_milli()), (1, 2, 1000));
    let found = InferenceSummary::of(&tracker);
    let [service] = &found[..] else { panic!("{found:?}") };
    // Needed: replica 1 from 1 to 11, 2 from 1 to 8, 3 from 7 on. Answering: 1 from 3 to 6 and from 9 to 11, 3 from 9 on.
    assert_eq!((service.replicas, service.replicas_max, service.never_ran), (3, 3, 1));
    assert_eq!(service.needed_replica_hours, 10.0 + 7.0 + 5.0);
    assert_eq!(service.provided, Some(8.0 / 22.0));
    // One replica's worth from 1 to 6, three from 6 to 11.
    assert_eq!((service.load_replica_hours, service.within_objective), (20.0, Some(7.0 / 20.0)));
    // One hour each, and seven of the one that was given up.
    let seconds = |hours: f64| Some(hours * 3600.0);
    assert_eq!(
        (service.mean_capacity_s, service.p50_capacity_s, service.p99_capacity_s),
        (seconds(3.0), seconds(1.0), seconds(7.0))
    );
}
