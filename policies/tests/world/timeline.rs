//! `check(policy, input, expected)`: a policy's behaviour in a few lines of text.

use crate::world::{Arrival, Delay, Nature, World};
use policies::{Fleet, JobSpec, Order, Scheduler, Span, TenantId, Time, catalog, placement};

/// Fixed delays.
#[derive(Default)]
struct Fixed {
    start: Span,
    stop: Span,
}

impl Nature for Fixed {
    fn delay(&mut self, what: Delay) -> Span {
        match what {
            Delay::Start => self.start,
            Delay::Stop => self.stop,
            Delay::Report => Span::ZERO,
        }
    }
    fn crash(&mut self, _: Span) -> Option<Span> {
        None
    }
}

/// Runs `policy` on `input` and compares what it ordered with `expected`.
///
/// Input lines are `fleet N` (one node of N) or `fleet CxD` (C nodes of D), `place NAME`, `start S` and `stop S` (delays in
/// seconds), and jobs: `SUBMIT NAME GxD` (G accelerators for D seconds), then in any order `~E` (estimate, else the truth), `~?`
/// (no estimate), `uN` (tenant), `pN` (priority), `wS` (withdrawn S seconds after its
/// submission). What is expected: `NAME@T` for a start and `-NAME@T` for a preemption.
#[track_caller]
pub fn check(policy: &str, input: &str, expected: &str) {
    assert_eq!(run(policy, input), expected.split_whitespace().collect::<Vec<_>>().join(" "), "{policy} on\n{input}");
}

/// What `policy` orders on `input`.
#[track_caller]
pub fn run(policy: &str, input: &str) -> String {
    let (mut fleet, mut place, mut nature) = (Fleet::pool(1), "first-fit", Fixed::default());
    let (mut names, mut arrivals) = (Vec::new(), Vec::new());
    for line in input.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "fleet" => fleet = parse_fleet(words[1]),
            "place" => place = words[1],
            "start" => nature.start = seconds(words[1]),
            "stop" => nature.stop = seconds(words[1]),
            _ => {
                names.push(words[1].to_owned());
                arrivals.push(parse_job(&words));
            }
        }
    }
    let policy = catalog::by_name(policy, 1).unwrap_or_else(|e| panic!("{e}")).0;
    let scheduler = Scheduler::new(fleet, policy, placement::by_name(place, 1).expect("a placement"));
    let mut world = World::new(scheduler, &arrivals, nature);
    let mut said = Vec::new();
    while let Some(step) = world.step() {
        world.scheduler.check().unwrap_or_else(|e| panic!("{} after {}", e, said.join(" ")));
        for order in &step.orders {
            let (sign, job) = match order {
                Order::Start { job, .. } => ("", job),
                Order::Preempt { job, .. } => ("-", job),
            };
            said.push(format!("{sign}{}@{}", names[job.index()], step.now.as_secs_f64()));
        }
        assert!(said.len() < 1000, "no end to it: {}", said.join(" "));
        if world.all_done() {
            break;
        }
    }
    said.join(" ")
}

fn seconds(text: &str) -> Span {
    Span::from_secs(text.parse().unwrap_or_else(|_| panic!("`{text}` is not a number of seconds")))
}

fn parse_fleet(text: &str) -> Fleet {
    match text.split_once('x') {
        Some((nodes, size)) => Fleet::uniform(nodes.parse().expect("nodes"), size.parse().expect("size")),
        None => Fleet::pool(text.parse().expect("accelerators")),
    }
}

fn parse_job(words: &[&str]) -> Arrival {
    let (gang, work) = words[2].split_once('x').expect("GxD");
    let work = seconds(work);
    let mut spec = JobSpec { estimate: Some(work), ..JobSpec::whole(gang.parse().expect("a gang")) };
    let mut patience = None;
    for option in &words[3..] {
        let (kind, value) = option.split_at(1);
        match kind {
            "~" if value == "?" => spec.estimate = None,
            "~" => spec.estimate = Some(seconds(value)),
            "u" => spec.tenant = TenantId(value.parse().expect("a tenant")),
            "p" => spec.priority = value.parse().expect("a priority"),
            "w" => patience = Some(seconds(value)),
            _ => panic!("unknown option {option}"),
        }
    }
    Arrival { submit: Time::ZERO + seconds(words[0]), spec, work, patience }
}
