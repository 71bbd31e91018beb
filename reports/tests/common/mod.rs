//! A small vocabulary for tests: jobs in rows, a fleet, a policy; out comes a log.
#![allow(dead_code)] // Each test file uses its part.

use policies::{Fleet, JobId, JobSpec, Scheduler, Span, TenantId, Tiers, Time, catalog, placement};
use sim::{Arrival, Costs, Crashes, Limits, World, run};
use std::path::{Path, PathBuf};
use traces::model::Outcome;
use traces::runlog::{Header, JobMeta, LogReader, LogWriter, Recorder, Tracker};

/// submit s, duration s, accelerators, tenant.
pub type Row = (u64, u64, u32, u32);

/// What to run.
pub struct Setup<'a> {
    pub fleet: Fleet,
    pub policy: &'a str,
    pub placement: &'a str,
    pub costs: &'a str,
    pub crashes: Option<Crashes>,
    pub until: Option<Time>,
}

impl Setup<'_> {
    pub fn pool(accelerators: u32) -> Setup<'static> {
        Setup { fleet: Fleet::pool(accelerators), placement: "pool", ..Setup::nodes(1, 1) }
    }

    pub fn nodes(nodes: u32, accelerators: u32) -> Setup<'static> {
        Setup {
            fleet: Fleet::uniform(nodes, accelerators),
            policy: "fifo",
            placement: "first-fit",
            costs: "zero",
            crashes: None,
            until: None,
        }
    }

    pub fn header(&self) -> Header {
        Header {
            version: "0.0.0-test".into(),
            scenario: "test".into(),
            world: traces::runlog::World::Simulated,
            policy: catalog::by_name(self.policy, 1).unwrap().1,
            placement: self.placement.into(),
            estimates: "oracle".into(),
            costs: self.costs.into(),
            seed: 1,
            trace_digest: "trace".into(),
            fleet: self.fleet.clone(),
            tenants: vec!["".into(), "vision".into(), "speech".into()],
            labels: vec!["".into()],
            services: Vec::new(),
            epoch_unix_s: None,
            expected: Vec::new(),
            tiers: Tiers::none(),
        }
    }

    /// Runs `rows` and writes `run.log` into `folder`.
    pub fn run(&self, folder: &Path, rows: &[Row]) -> (Tracker, String, PathBuf) {
        let path = folder.join("run.log");
        let writer = LogWriter::create(&path, &self.header()).unwrap();
        let meta = |id: JobId| JobMeta {
            name: format!("job-{}", id.0),
            duration: Span::from_secs(rows[id.index()].1),
            outcome: Outcome::Completed,
            label: 0,
        };
        let mut recorder = Recorder::new(self.fleet.accelerators() * 1000, Some(writer), &meta);
        let placement = placement::by_name(self.placement, 1).unwrap();
        let mut scheduler = Scheduler::new(self.fleet.clone(), catalog::by_name(self.policy, 1).unwrap().0, placement);
        let mut world = World::new(Costs::by_name(self.costs).unwrap(), self.crashes);
        let limits = Limits { until: self.until, check: true };
        run(&mut scheduler, &mut world, rows.iter().map(arrival), limits, &mut recorder);
        let (tracker, digest) = recorder.finish().unwrap();
        (tracker, digest, path)
    }

    /// Runs `rows` and opens the log.
    pub fn log(&self, folder: &Path, rows: &[Row]) -> LogReader {
        LogReader::open(&self.run(folder, rows).2).unwrap()
    }
}

fn arrival(&(submit, duration, accelerators, tenant): &Row) -> Arrival {
    let duration = Span::from_secs(duration);
    let spec = JobSpec { estimate: Some(duration), attempts_max: 3, tenant: TenantId(tenant), ..JobSpec::whole(accelerators) };
    Arrival { submit: Time::from_secs(submit), spec, duration }
}
