//! The ledger on timelines worked out by hand.

use policies::ledger::{Account, Ledger, STORM_STOPS, Setback, Spent};
use policies::{
    Allocation, Attempt, Demand, Elastic, Event, Fleet, Grant, JobId, JobSpec, NodeId, NodeState, Note, Order, Reason, Span,
    Tier, Tiers, Time, TypeSet,
};

const SECOND: u128 = 1_000_000;

/// One tier with a guarantee, in windows of 100 s.
fn tiers(guarantee: u16) -> Tiers {
    let tier = Tiers::default().iter().next().expect("a tier").clone();
    Tiers::new(vec![Tier { guarantee, window: Span::from_secs(100), ..tier }])
}

/// What is told to a ledger, second by second.
struct Story {
    ledger: Ledger,
    attempts: Vec<u32>,
}

impl Story {
    fn new(fleet: &Fleet, tiers: &Tiers) -> Story {
        Story { ledger: Ledger::new(fleet, tiers), attempts: Vec::new() }
    }

    fn tell(&mut self, at: u64, events: &[Event], orders: &[Order], notes: &[Note]) {
        self.ledger.step(Time::from_secs(at), events, orders, notes);
        self.ledger.check().unwrap_or_else(|e| panic!("at {at}: {e}"));
    }

    fn submit(&mut self, at: u64, spec: JobSpec) {
        let job = JobId(self.attempts.len() as u32);
        self.attempts.push(0);
        self.tell(at, &[Event::Submit { job, spec }], &[], &[]);
    }

    /// Orders a start on so many accelerators of each node.
    fn start(&mut self, at: u64, job: u32, place: &[(u32, u32)]) {
        let grant = |&(node, count)| Grant { node: NodeId(node), count, devices: 0, cpu_milli: 0, memory_mib: 0 };
        let allocation: Allocation = place.iter().map(grant).collect();
        self.attempts[job as usize] += 1;
        let attempt = Attempt(self.attempts[job as usize]);
        self.tell(at, &[], &[Order::Start { job: JobId(job), attempt, allocation }], &[]);
    }

    fn now(&self, job: u32) -> (JobId, Attempt) {
        (JobId(job), Attempt(self.attempts[job as usize]))
    }

    fn started(&mut self, at: u64, job: u32) {
        let (job, attempt) = self.now(job);
        self.tell(at, &[Event::Started { job, attempt }], &[], &[]);
    }

    fn stop(&mut self, at: u64, job: u32, reason: Reason) {
        let (job, attempt) = self.now(job);
        self.tell(at, &[], &[Order::Preempt { job, attempt }], &[Note { job, reason }]);
    }

    fn stopped(&mut self, at: u64, job: u32, progress: u64) {
        let (job, attempt) = self.now(job);
        self.tell(at, &[Event::Stopped { job, attempt, progress: Span::from_secs(progress) }], &[], &[]);
    }

    fn failed(&mut self, at: u64, job: u32, progress: u64, lost: bool) {
        let (job, attempt) = self.now(job);
        self.tell(at, &[Event::Failed { job, attempt, progress: Span::from_secs(progress), lost }], &[], &[]);
    }

    fn finished(&mut self, at: u64, job: u32) {
        let (job, attempt) = self.now(job);
        self.tell(at, &[Event::Finished { job, attempt }], &[], &[]);
    }

    fn node(&mut self, at: u64, node: u32, state: NodeState) {
        self.tell(at, &[Event::Node { node: NodeId(node), state }], &[], &[]);
    }
}

/// Accelerator-seconds by kind, where there are any.
fn spent(account: &Account) -> Vec<(Spent, f64)> {
    let seconds = |spent| (spent, account.spent(spent) as f64 / 1e9);
    Spent::ALL.into_iter().map(seconds).filter(|(_, seconds)| *seconds > 0.0).collect()
}

#[test]
fn a_job_that_moves_shrinks_and_fails() {
    let mut story = Story::new(&Fleet::uniform(1, 8), &tiers(9500));
    let spec = JobSpec { elastic: Elastic::linear(2, 400), attempts_max: 3, ..JobSpec::whole(8) };
    story.submit(0, spec);
    story.start(0, 0, &[(0, 8)]);
    story.started(10, 0);
    story.stop(60, 0, Reason::Moving { accelerators: 4 });
    // The last five seconds were spent on saving.
    story.stopped(65, 0, 50);
    story.start(65, 0, &[(0, 4)]);
    story.started(85, 0);
    // A hundred seconds at 48 per cent are lost.
    story.failed(185, 0, 50, false);
    story.start(185, 0, &[(0, 8)]);
    story.started(185, 0);
    let standing = story.ledger.standing(JobId(0), Time::from_secs(195)).expect("it lives");
    assert_eq!((standing.real, standing.work), (Span::from_secs(95), 10 * 10_000 * SECOND));
    assert_eq!((standing.life, standing.life_work), (Span::from_secs(195), 60 * 10_000 * SECOND));
    story.finished(245, 0);
    let account = story.ledger.account();
    let expected = [
        (Spent::Useful, 880.0),
        (Spent::Start, 80.0),
        (Spent::Restore, 80.0),
        (Spent::Checkpoint, 40.0),
        (Spent::Redo, 384.0),
        (Spent::Splice, 16.0),
        (Spent::Idle, 480.0),
    ];
    assert_eq!(spent(&account), expected);
    let tier = &account.tiers[0];
    assert_eq!((tier.jobs, tier.done, tier.windows, tier.violations()), (1, 1, 3, 2));
    assert_eq!((tier.observed, tier.attained), (245 * SECOND, 45 * SECOND));
    assert_eq!(tier.ideal, 110 * 10_000 * SECOND);
    let told: Vec<_> = tier.worst.iter().map(|v| (v.start.0.0 / 1_000_000, v.fraction, v.cause, v.missing)).collect();
    // 35 s of starting, saving and restoring outweigh 7.8 s of sharing and 7.2 s of lost work.
    let (first, second) = ((0, 5000, Setback::Moving, 45), (100, 1500, Setback::Shrunk, 80));
    assert_eq!(told, [first, second].map(|(at, fraction, cause, s)| (at, fraction, cause, Span::from_secs(s))));
    assert_eq!(tier.fractions.quantile(500), Some(4489), "110 of 245");
    assert_eq!(tier.starved, Span::from_secs(125), "from 60 to 185 nothing was done that lasted");
}

#[test]
fn free_accelerators_are_told_apart_by_what_waits() {
    let mut fleet = Fleet::uniform(2, 4);
    let (kind, cluster) = (fleet.add_type("other"), policies::ClusterId(0));
    fleet.add_nodes(cluster, kind, 1, 4);
    let mut story = Story::new(&fleet, &Tiers::default());
    story.submit(0, JobSpec::whole(6));
    story.start(0, 0, &[(0, 4), (1, 2)]);
    story.started(0, 0);
    // Nobody waits: 2 + 4 idle for 10 s.
    story.submit(10, JobSpec::whole(4));
    // It would fit on the other type: 4 fragmented, 2 queued for, for 10 s.
    story.node(20, 2, NodeState::Draining);
    // 4 closed, 2 queued for, for 10 s.
    story.submit(
        30,
        JobSpec { demand: Demand { types: TypeSet::only(policies::TypeId(0)), ..Demand::whole(2) }, ..JobSpec::whole(2) },
    );
    // 4 closed, 2 fragmented, for 10 s.
    story.node(40, 2, NodeState::Down);
    story.node(50, 2, NodeState::Up);
    // Of the other type 4 are free for the one of 4, for 5 s.
    story.start(55, 1, &[(2, 4)]);
    story.started(60, 1);
    story.failed(70, 1, 0, true);
    story.node(70, 2, NodeState::Down);
    story.finished(80, 0);
    let expected = [
        (Spent::Useful, 480.0),
        (Spent::Start, 20.0),
        (Spent::Redo, 40.0),
        (Spent::Failure, 40.0 * 3.0 + 40.0),
        (Spent::Fragmentation, 40.0 + 20.0 + 20.0 + 30.0 + 10.0 + 20.0 + 20.0),
        (Spent::Queue, 40.0),
        (Spent::Idle, 60.0),
    ];
    assert_eq!(spent(&story.ledger.account()), expected);
}

#[test]
fn work_that_falls_back_is_credited_once() {
    let mut story = Story::new(&Fleet::pool(100), &tiers(5000));
    story.submit(0, JobSpec { attempts_max: 9, ..JobSpec::whole(100) });
    let mut run = |from: u64, to: u64, progress: u64| {
        story.start(from, 0, &[(0, 100)]);
        story.started(from, 0);
        story.failed(to, 0, progress, true);
        let account = story.ledger.account();
        (account.tiers[0].ideal / (10_000 * SECOND), account.spent(Spent::Redo) / (100_000 * SECOND))
    };
    assert_eq!(run(0, 50, 50), (50, 0));
    assert_eq!(run(50, 60, 20), (50, 10), "30 more are to be done again");
    assert_eq!(run(60, 100, 60), (60, 40), "of 40 the first 30 were");
    assert_eq!(run(100, 150, 80), (80, 70), "30 of 50 were lost");
    let account = story.ledger.account();
    // 50, nothing in 60 to 90, 10: the first window keeps its promise of 50 in 100.
    assert_eq!((account.tiers[0].attained, account.tiers[0].observed), (100 * SECOND, 150 * SECOND));
    assert_eq!(account.tiers[0].broken[Setback::NodeLost as usize], 1);
    assert_eq!(account.tiers[0].starved, Span::from_secs(40));
}

#[test]
fn a_year_in_line_is_one_entry() {
    let mut story = Story::new(&Fleet::pool(8), &Tiers::default());
    story.submit(0, JobSpec::whole(16));
    let year = 365 * 24 * 3600;
    let note = Note { job: JobId(0), reason: Reason::NoCapacity { needed_milli: 16_000, free_milli: 8000 } };
    story.tell(1800, &[], &[], &[note]);
    story.tell(year, &[], &[], &[]);
    let tier = &story.ledger.account().tiers[0];
    assert_eq!((tier.windows, tier.violations()), (year / 3600, year / 3600));
    assert_eq!(tier.broken[Setback::TooFew as usize], year / 3600, "a tie goes to what the fleet lacks");
    let told: Vec<_> = tier.worst.iter().map(|v| (v.start.0.0 / 3_600_000_000, v.windows)).collect();
    assert_eq!(told, [(1, year / 3600 - 1), (0, 1)]);
    assert_eq!((tier.starving, tier.starved), (Span::from_secs(year), Span::from_secs(year)));
    assert_eq!(spent(&story.ledger.account()), [(Spent::Queue, 8.0 * year as f64)]);
}

#[test]
fn storms_are_counted_by_window() {
    let mut story = Story::new(&Fleet::pool(8), &tiers(0));
    story.submit(0, JobSpec::whole(8));
    for i in 0..=u64::from(STORM_STOPS) {
        story.start(10 * i, 0, &[(0, 8)]);
        story.started(10 * i, 0);
        story.stop(10 * i + 5, 0, Reason::Preempted { by: None });
        story.stopped(10 * i + 5, 0, 5 * (i + 1));
    }
    story.tell(150, &[], &[], &[]);
    let tier = &story.ledger.account().tiers[0];
    assert_eq!((tier.storms, tier.storm.stops, tier.storm.start), (1, STORM_STOPS + 1, Time::ZERO));
    assert_eq!((tier.observed, tier.attained), (150 * SECOND, 150 * SECOND), "nothing was promised");
}

#[test]
fn a_size_that_just_meets_its_guarantee_meets_it_however_often_it_moves() {
    let mut story = Story::new(&Fleet::pool(8), &tiers(5000));
    story.submit(0, JobSpec { elastic: Elastic::linear(1, 0), ..JobSpec::whole(8) });
    for i in 0..20 {
        story.start(10 * i, 0, &[(0, 4)]);
        story.started(10 * i, 0);
        story.stop(10 * i + 10, 0, Reason::Moving { accelerators: 4 });
        story.stopped(10 * i + 10, 0, 5 * (i + 1));
    }
    let tier = &story.ledger.account().tiers[0];
    assert_eq!((tier.violations(), tier.attained, tier.windows), (0, 200 * SECOND, 2));
}
