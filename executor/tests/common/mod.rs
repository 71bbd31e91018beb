//! Runs real jobs, records them, and replays the record.
#![allow(dead_code, missing_docs)] // Each test binary uses its part.

use executor::{Agents, End, JobReport, Limits, Options, Output, Task, run};
use policies::queue::made_pending;
use policies::{
    Attempt, Event, Fleet, JobId, JobSpec, Order, Plan, Policy, Scheduler, Span, Tiers, Time, View, catalog, placement,
};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use traces::Outcome;
use traces::runlog::{Header, JobMeta, LogReader, LogWriter, Observer, Recorder, StepView, Tracker, World, replay};

/// No test waits longer than that for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(100);

/// Round robin: whoever ran for a quantum makes room for whoever waits.
pub struct Rotate {
    pub quantum: Span,
    /// How long it thinks, which is how long orders are behind the facts.
    pub thinks: Duration,
    /// Who waits, in the order in which they began to.
    pub queue: VecDeque<JobId>,
}

impl Rotate {
    pub fn every(quantum_ms: u64) -> Rotate {
        Rotate { quantum: Span(quantum_ms * 1000), thinks: Duration::ZERO, queue: VecDeque::new() }
    }

    fn turn_ends(&self, view: &View, job: u32) -> Time {
        view.job(JobId(job)).running_since + self.quantum
    }
}

impl Policy for Rotate {
    fn observe(&mut self, view: &View, event: &Event) {
        self.queue.extend(made_pending(view, event));
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        std::thread::sleep(self.thinks);
        let over: Vec<u32> = plan.active().iter().filter(|&job| self.turn_ends(plan, job) <= plan.now()).collect();
        for (job, &by) in over.into_iter().zip(&self.queue) {
            plan.preempt(JobId(job), Some(by));
        }
        while let Some(&job) = self.queue.front() {
            if !plan.launch(job) {
                break;
            }
            self.queue.pop_front();
        }
    }

    fn next_wakeup(&self, view: &View) -> Option<Time> {
        let first = view.active().iter().map(|job| self.turn_ends(view, job)).min();
        first.filter(|&at| at < Time::MAX && !self.queue.is_empty())
    }
}

/// A policy that both the run and its replay can make.
pub enum Make<'a> {
    Named(&'a str),
    Custom(&'a dyn Fn() -> Box<dyn Policy>),
}

impl Make<'_> {
    fn scheduler(&self, fleet: &Fleet) -> (Scheduler, String) {
        let (policy, name) = match self {
            Make::Named(name) => catalog::by_name(name, 1).unwrap(),
            Make::Custom(make) => (make(), "of this test".into()),
        };
        (Scheduler::new(fleet.clone(), policy, placement::by_name("first-fit", 1).unwrap()), name)
    }
}

pub struct Ran {
    pub end: End,
    pub reports: Vec<JobReport>,
    pub tracker: Tracker,
    pub counts: Counts,
}

/// What a log says happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub stopped: u64,
    /// Attempts that were told to stop and finished.
    pub finished_first: u64,
    /// Attempts that were told to stop and failed.
    pub failed_first: u64,
    /// Attempts that failed without having run: the process had died while it was suspended, or there was none.
    pub stillborn: u64,
    pub failed: u64,
}

struct Watch<'a, 'b> {
    recorder: Recorder<'a>,
    each: &'b mut dyn FnMut(StepView<'_>),
}

impl Observer for Watch<'_, '_> {
    fn step(&mut self, step: StepView<'_>) {
        self.recorder.step(step);
        (self.each)(step);
    }
}

/// Runs `tasks`, with all indexes checked after each step, and replays the log.
pub fn execute(make: Make<'_>, fleet: &Fleet, tasks: Vec<Task>, output: Output) -> Ran {
    let mut agents = Agents::new(fleet, Options { output }).unwrap();
    execute_on(&mut agents, make, fleet, tasks, None, &mut |_| {})
}

pub fn execute_on(
    agents: &mut Agents,
    make: Make<'_>,
    fleet: &Fleet,
    tasks: impl IntoIterator<Item = Task>,
    until: Option<Time>,
    each: &mut dyn FnMut(StepView<'_>),
) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.log");
    let (mut scheduler, policy) = make.scheduler(fleet);
    let writer = LogWriter::create(&path, &header(fleet, policy)).unwrap();
    let meta = |job: JobId| {
        let name = format!("job {}", job.0);
        JobMeta { name, duration: Span::ZERO, outcome: Outcome::Unknown, label: 0 }
    };
    let recorder = Recorder::new(fleet.accelerators() * 1000, Some(writer), &meta);
    let mut watch = Watch { recorder, each };
    // A run that hangs is a failed test, and not one that hangs.
    let until = until.or(Some(Time::from_secs(PATIENCE.as_secs())));
    let end = run(&mut scheduler, agents, tasks, Limits { until, check: true }, &mut watch);
    assert!(!matches!(end, End::Broken { .. }), "{end:?}");
    let (tracker, digest) = watch.recorder.finish().unwrap();
    let confirmed = confirm(&path, &make, fleet);
    assert_eq!(confirmed, digest);
    Ran { end, reports: agents.report().cloned().collect(), tracker, counts: read(&path) }
}

fn header(fleet: &Fleet, policy: String) -> Header {
    Header {
        version: env!("CARGO_PKG_VERSION").into(),
        scenario: "executor test".into(),
        world: World::Real,
        policy,
        placement: "first-fit".into(),
        estimates: "none".into(),
        costs: "real".into(),
        seed: 1,
        trace_digest: String::new(),
        fleet: fleet.clone(),
        tenants: vec![String::new()],
        labels: vec![String::new()],
        services: Vec::new(),
        epoch_unix_s: None,
        expected: Vec::new(),
        tiers: Tiers::none(),
    }
}

/// Feeds the log into a fresh scheduler: the same orders step by step, and the same digest, which is returned.
fn confirm(path: &Path, make: &Make<'_>, fleet: &Fleet) -> String {
    let mut reader = LogReader::open(path).unwrap();
    assert_eq!(reader.header.world, World::Real);
    if let Make::Named(_) = make {
        let checked = replay::replay(reader, |_, scheduler| scheduler.check().unwrap());
        return checked.unwrap_or_else(|error| panic!("{error}")).digest;
    }
    let (mut scheduler, _) = make.scheduler(fleet);
    let mut digest = traces::runlog::LogDigest::default();
    let mut last = Time::ZERO;
    while let Some(step) = reader.next_step().unwrap() {
        assert!(step.now >= last, "time runs backwards");
        last = step.now;
        for event in &step.events {
            scheduler.handle(step.now, event);
        }
        let decision = scheduler.decide(step.now);
        assert_eq!((decision.orders, decision.notes), (&step.orders[..], &step.notes[..]), "at {}", step.now);
        scheduler.check().unwrap();
        digest.step(step.view());
    }
    let digest = digest.finish();
    assert_eq!(reader.digest(), Some(&*digest));
    digest
}

/// Reads a log with a mistrustful eye: every attempt starts once and ends at most once, with what may follow what.
fn read(path: &Path) -> Counts {
    #[derive(Clone, Copy, Default)]
    struct Seen {
        ran: bool,
        told_to_stop: bool,
        over: bool,
    }
    let mut attempts: BTreeMap<(JobId, Attempt), Seen> = BTreeMap::new();
    let mut counts = Counts::default();
    let mut reader = LogReader::open(path).unwrap();
    while let Some(step) = reader.next_step().unwrap() {
        for event in &step.events {
            let (Event::Started { job, attempt }
            | Event::Stopped { job, attempt, .. }
            | Event::Finished { job, attempt }
            | Event::Failed { job, attempt, .. }) = *event
            else {
                continue;
            };
            let seen = attempts.get_mut(&(job, attempt)).expect("was ordered");
            assert!(!seen.over, "{event:?} after the attempt's end");
            match event {
                Event::Started { .. } => assert!(!std::mem::replace(&mut seen.ran, true), "{event:?} twice"),
                Event::Stopped { .. } => assert!(seen.ran && seen.told_to_stop, "{event:?} out of the blue"),
                _ => {}
            }
            seen.over = !matches!(event, Event::Started { .. });
            counts.stopped += u64::from(matches!(event, Event::Stopped { .. }));
            counts.finished_first += u64::from(matches!(event, Event::Finished { .. }) && seen.told_to_stop);
            let failed = matches!(event, Event::Failed { .. });
            counts.failed += u64::from(failed);
            counts.failed_first += u64::from(failed && seen.told_to_stop);
            counts.stillborn += u64::from(failed && !seen.ran);
        }
        for order in &step.orders {
            match *order {
                Order::Start { job, attempt, .. } => {
                    assert!(attempts.insert((job, attempt), Seen::default()).is_none(), "{order:?} twice");
                }
                Order::Preempt { job, attempt } => {
                    let seen = attempts.get_mut(&(job, attempt)).expect("was ordered");
                    assert!(!std::mem::replace(&mut seen.told_to_stop, true), "{order:?} twice");
                }
            }
        }
    }
    counts
}

/// A job that runs a shell script.
pub fn shell(name: &str, attempts_max: u16, script: &str) -> Task {
    let spec = JobSpec { attempts_max, ..JobSpec::whole(1) };
    Task::new(name, spec, "sh", ["-c", script])
}

/// Marks a test's processes, so that they are found again among those of tests that run beside it.
pub fn marked(mut task: Task, mark: &str) -> Task {
    task.env.push(("ORRERY_TEST_MARK".into(), mark.into()));
    task
}

/// A mark that no other run uses.
pub fn mark(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// The living processes that bear a mark, by number.
pub fn alive(mark: &str) -> Vec<Pid> {
    let wanted = format!("ORRERY_TEST_MARK={mark}");
    let bears = |folder: &PathBuf| {
        // Empty for zombies, and unreadable for those that are gone.
        let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
        environment.split(|&b| b == 0).any(|variable| variable == wanted.as_bytes())
    };
    let folders = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(bears);
    let numbers = folders.filter_map(|folder| folder.file_name()?.to_str()?.parse().ok());
    numbers.filter_map(Pid::from_raw).collect()
}

/// Waits until no process bears the mark.
pub fn assert_none_left(mark: &str) {
    let start = Instant::now();
    // A killed process takes a moment to die.
    while !alive(mark).is_empty() {
        assert!(start.elapsed() < PATIENCE, "left behind: {:?}", alive(mark));
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn signal(pid: Pid, signal: Signal) {
    // It may be gone by now.
    let _ = kill_process(pid, signal);
}

/// Numbers from a seed (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % n as u64) as usize
    }
}
