//! Agents without a scheduler: what orders do, and in which order facts come.

mod common;

use common::{alive, mark, marked, shell, signal};
use executor::{Agents, Options, Outcome};
use policies::{Attempt, Event, Fleet, Grant, JobId, NodeId, Order, Span, Time};
use rustix::process::Signal;

const JOB: JobId = JobId(0);

fn start(attempt: u32) -> Order {
    let grant = Grant { node: NodeId(0), count: 1, devices: 1, cpu_milli: 0, memory_mib: 0 };
    Order::Start { job: JOB, attempt: Attempt(attempt), allocation: [grant].into_iter().collect() }
}

fn preempt(attempt: u32) -> Order {
    Order::Preempt { job: JOB, attempt: Attempt(attempt) }
}

fn agents(script: &str, mark: &str) -> Agents {
    let mut agents = Agents::new(&Fleet::uniform(1, 1), Options::default()).unwrap();
    agents.submit(marked(shell("job", 9, script), mark));
    agents
}

/// What happens until no attempt is under way, or the job runs and `running` is enough. Times are left out.
fn until(agents: &mut Agents, running: bool) -> Vec<Event> {
    let mut events = Vec::new();
    while agents.is_busy() && !(running && matches!(events.last(), Some(Event::Started { .. }))) {
        let limit = Time::from_secs(common::PATIENCE.as_secs());
        let now = agents.wait(limit);
        assert!(now < limit, "nothing came after {events:?}");
        agents.advance(now, &mut events);
    }
    for event in &mut events {
        if let Event::Stopped { progress, .. } = event {
            *progress = Span::ZERO;
        }
    }
    events
}

fn started(attempt: u32) -> Event {
    Event::Started { job: JOB, attempt: Attempt(attempt) }
}

fn stopped(attempt: u32) -> Event {
    Event::Stopped { job: JOB, attempt: Attempt(attempt), progress: Span::ZERO }
}

fn failed(attempt: u32) -> Event {
    Event::Failed { job: JOB, attempt: Attempt(attempt), progress: Span::ZERO, lost: false }
}

#[test]
fn a_job_can_be_told_to_stop_before_it_started() {
    let mut agents = agents("sleep 1000", &mark("early"));
    agents.apply(&[start(1), preempt(1)]);
    assert_eq!(until(&mut agents, false), [started(1), stopped(1)]);
    agents.apply(&[start(2), preempt(2)]);
    assert_eq!(until(&mut agents, false), [started(2), stopped(2)]);
}

#[test]
fn orders_to_an_old_attempt_change_nothing() {
    let mut agents = agents("sleep 0.05", &mark("stale"));
    agents.apply(&[start(1), preempt(1)]);
    until(&mut agents, false);
    agents.apply(&[start(2)]);
    assert_eq!(until(&mut agents, true), [started(2)]);
    agents.apply(&[preempt(1)]);
    assert_eq!(until(&mut agents, false), [Event::Finished { job: JOB, attempt: Attempt(2) }]);
    agents.apply(&[preempt(2)]);
    assert!(!agents.is_busy());
}

#[test]
fn a_suspended_job_that_was_killed_fails_when_it_is_to_go_on_and_then_starts_anew() {
    let mark = mark("asleep");
    let mut agents = agents("sleep 1000", &mark);
    agents.apply(&[start(1), preempt(1)]);
    until(&mut agents, false);
    alive(&mark).into_iter().for_each(|process| signal(process, Signal::KILL));
    common::assert_none_left(&mark);
    // Whether the agents hear of its death before they let it go on, or after: it never runs after it failed.
    agents.apply(&[start(2)]);
    let events = until(&mut agents, false);
    assert!(events == [failed(2)] || events == [started(2), failed(2)], "{events:?}");
    agents.apply(&[start(3)]);
    assert_eq!(until(&mut agents, true), [started(3)]);
    let report = agents.report().next().unwrap();
    assert_eq!((report.starts, report.endings.len()), (2, 1));
    drop(agents);
    common::assert_none_left(&mark);
}

#[test]
fn a_job_that_a_stranger_suspended_can_be_stopped_and_resumed() {
    let mark = mark("stranger");
    let mut agents = agents("sleep 1000", &mark);
    agents.apply(&[start(1)]);
    until(&mut agents, true);
    alive(&mark).into_iter().for_each(|process| signal(process, Signal::STOP));
    // Let the agents hear of it.
    let soon = agents.wait(Time::ZERO) + Span(50_000);
    let mut events = Vec::new();
    agents.advance(Time::ZERO, &mut events);
    let now = agents.wait(soon);
    agents.advance(now, &mut events);
    assert_eq!(events, []);
    agents.apply(&[preempt(1)]);
    assert_eq!(until(&mut agents, false), [stopped(1)]);
    agents.apply(&[start(2)]);
    assert_eq!(until(&mut agents, true), [started(2)]);
}

/// What happens until the agents say that the job was withdrawn.
fn withdraw(agents: &mut Agents) -> Vec<Event> {
    agents.canceller().withdraw(JOB);
    let mut events = Vec::new();
    while !matches!(events.last(), Some(Event::Withdrawn { .. })) {
        let limit = Time::from_secs(common::PATIENCE.as_secs());
        let now = agents.wait(limit);
        assert!(now < limit, "nothing came after {events:?}");
        agents.advance(now, &mut events);
    }
    assert!(!agents.is_busy());
    assert_eq!(agents.report().next().unwrap().outcome, Outcome::Withdrawn);
    events
}

#[test]
fn a_job_is_gone_when_its_owner_withdraws_it_wherever_it_is() {
    let gone = Event::Withdrawn { job: JOB };
    let case = |orders: &[Order], running: bool, expected: &[&[Event]]| {
        let mark = mark(&format!("withdrawn-{}-{running}", orders.len()));
        let mut agents = agents("sleep 1000", &mark);
        agents.apply(orders);
        if running {
            until(&mut agents, orders.len() == 1);
        }
        let events = withdraw(&mut agents);
        assert!(expected.contains(&&events[..]), "{events:?}");
        common::assert_none_left(&mark);
        // An order that crossed with it is void, and so is a second word of its owner.
        agents.apply(&[start(orders.len() as u32 + 1)]);
        agents.canceller().withdraw(JOB);
        let now = agents.wait(Time::ZERO);
        let mut more = Vec::new();
        agents.advance(now, &mut more);
        assert!(more.is_empty() && !agents.is_busy(), "{more:?}");
    };
    case(&[], false, &[std::slice::from_ref(&gone)]);
    // While it is being started it may or may not have been reported to run.
    case(&[start(1)], false, &[std::slice::from_ref(&gone), &[started(1), gone.clone()]]);
    case(&[start(1)], true, &[std::slice::from_ref(&gone)]);
    // Suspended.
    case(&[start(1), preempt(1)], true, &[std::slice::from_ref(&gone)]);
}

#[test]
fn a_job_that_is_done_cannot_be_withdrawn() {
    let mut agents = agents("true", &mark("done"));
    agents.apply(&[start(1)]);
    until(&mut agents, false);
    agents.canceller().withdraw(JOB);
    agents.canceller().withdraw(JobId(7));
    let now = agents.wait(Time::ZERO);
    let mut events = Vec::new();
    agents.advance(now, &mut events);
    assert_eq!((events, agents.report().next().unwrap().outcome), (vec![], Outcome::Finished));
}
