//! Scenarios: a question with its answer's ingredients, in a TOML file.
//!
//! ```toml
//! # Does preemption pay on a busy fleet?
//! seed = 1
//!
//! [fleet]
//! nodes = "64x8"
//!
//! [workload]
//! preset = "philly-like"
//! days = 14
//! load = 0.95
//!
//! [run]
//! policies = ["fifo", "tiresias"]
//! ```

mod elastic;
mod error;
mod estimates;
mod faults;
mod fleet;
mod goodput;
mod homes;
mod jobs;
mod network;
mod services;
mod source;
mod states;
mod study;
mod tiers;
mod until;

pub use elastic::{ElasticRule, Scaling};
pub use error::ScenarioError;
pub use estimates::{BadEstimates, Estimates};
pub use faults::{DomainSpec, EventSpec, FaultSpec, ModelSpec, RecoverySpec, UnitSpec};
pub use fleet::{BadNodes, ClusterSpec, FleetError, FleetSpec, NodeGroup, RegionSpec, parse_nodes};
pub use goodput::Goodput;
pub use homes::{HomeError, HomeRule, Kind, settle};
pub use jobs::{DeadlineRule, JobRules, WithinRule};
pub use network::{Bandwidths, NetworkSpec, RegionLinks};
pub use services::{LoadSpec, ServiceSpec, ThroughputSpec, add_services};
pub use source::{NoSuchJob, TraceSpec, align_types};
pub use states::StateRule;
pub use study::{Point, SweepSpec, VariantSpec, parse_setting};
pub use tiers::TierSpec;
pub use until::Until;

use crate::duration::Length;
use crate::generate::WorkloadModel;
use error::Place;
use policies::{Fleet, Tiers};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One scenario: what runs on what, under which policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// For reports. Default: the file's name without its ending.
    #[serde(default)]
    pub name: String,
    /// What it asks: the first paragraph of the comment at the top of the file.
    #[serde(skip_deserializing, default)]
    pub question: String,
    /// Where all random streams come from. Default: 0.
    #[serde(default)]
    pub seed: u64,
    /// What jobs run on.
    pub fleet: FleetSpec,
    /// Jobs from a file. Exactly one of `trace` and `workload` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceSpec>,
    /// Jobs from a model. Exactly one of `trace` and `workload` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadModel>,
    /// How to run.
    #[serde(default)]
    pub run: RunSpec,
    /// What the trace does not say of its jobs: tiers, elasticity.
    #[serde(default)]
    pub jobs: JobRules,
    /// Over what jobs move.
    #[serde(default)]
    pub network: NetworkSpec,
    /// What is owed to whom, the best tier first. Default: Premium, Standard and Basic if `[jobs] tiers` is given, else nothing.
    #[serde(default, rename = "tier", skip_serializing_if = "Vec::is_empty")]
    pub tier_table: Vec<TierSpec>,
    /// Inference services, beside the jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service: Vec<ServiceSpec>,
    /// Which clusters jobs may run in. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub home: Vec<HomeRule>,
    /// What breaks.
    #[serde(default)]
    pub faults: FaultSpec,
    /// Run it once for each value of a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepSpec>,
    /// Run it with these changes. Default: once, as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variant: Vec<VariantSpec>,
    /// The folder that relative paths start from: the scenario file's.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// How to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSpec {
    /// Policies, one run each: `"fifo"`, `"tiresias(limits=[3250,7200])"`.
    pub policies: Vec<String>,
    /// Where gangs go: `"best-fit"`, `"first-fit"`...
    pub placement: String,
    /// What policies are told about durations: `"none"`, `"oracle"`, `"trace"` or `"noisy(0.5)"`.
    pub estimates: Estimates,
    /// What starting, stopping, saving and moving cost: `"zero"`, a preset's name, or a mechanism's `.toml` file relative to the
    /// scenario's folder.
    pub costs: String,
    /// Mean running time between crashes of one job; a crashed attempt runs again from its last stop. Default: none crash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crashes: Option<Length>,
    /// How many attempts may fail before a job does. Default: 1.
    pub attempts: u16,
    /// Whether to compute what no policy can beat, and show it beside the results.
    pub bound: bool,
    /// Stop at this simulated time, or with the last submission. Default: when all jobs are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
}

impl Default for RunSpec {
    fn default() -> Self {
        RunSpec {
            policies: vec!["fifo".into()],
            placement: "best-fit".into(),
            estimates: Estimates::default(),
            costs: "zero".into(),
            crashes: None,
            attempts: 1,
            bound: false,
            until: None,
        }
    }
}

/// Where a scenario's jobs come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Jobs<'a> {
    /// Draw them: [`generate`](crate::generate::generate()) with this model, completed from the fleet, and the seed.
    Generate(Box<WorkloadModel>),
    /// Import this file, then let [`TraceSpec::apply`] work on what it gives.
    Import(PathBuf, &'a TraceSpec),
}

impl Scenario {
    /// Reads a scenario file.
    pub fn load(path: impl AsRef<Path>) -> Result<Scenario, ScenarioError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        Scenario::parse(&text, path)
    }

    /// Reads a scenario from text; `path` names it in messages and anchors relative paths.
    pub fn parse(text: &str, path: &Path) -> Result<Scenario, ScenarioError> {
        let place = Place { path, text };
        let mut scenario: Scenario = place.read()?;
        if scenario.name.is_empty() {
            scenario.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        }
        scenario.folder = path.parent().unwrap_or(Path::new("")).to_owned();
        scenario.question = question(text);
        scenario.check(&place)?;
        Ok(scenario)
    }

    fn check(&self, place: &Place<'_>) -> Result<(), ScenarioError> {
        match (&self.trace, &self.workload) {
            (Some(_), Some(_)) => {
                return Err(place.invalid("workload", "given together with [trace]", "only one of [trace] and [workload]"));
            }
            (None, None) => {
                return Err(place.invalid("", "without jobs", "[trace] with a file, or [workload] with a preset"));
            }
            (Some(trace), None) => {
                trace.check(place)?;
                for (field, file) in trace.files() {
                    place.require_file(field, &self.folder.join(file))?;
                }
            }
            (None, Some(_)) => {}
        }
        if let Some(file) = &self.fleet.file {
            place.require_file("fleet.file", &self.folder.join(file))?;
        }
        let fleet = self.fleet.build(&self.folder).map_err(|error| place.model("fleet", error.field(), &error))?;
        if let Some(model) = &self.workload {
            crate::generate::check(&for_fleet(model, &fleet))
                .map_err(|error| place.model("workload", error.field(), &error))?;
        }
        self.jobs.check(place, &fleet)?;
        self.service.iter().enumerate().try_for_each(|(index, spec)| spec.check(index, place, &self.folder, &fleet))?;
        self.home.iter().enumerate().try_for_each(|(index, rule)| rule.check(index, place, &fleet))?;
        study::check(self, place)?;
        self.network.check(place, &fleet)?;
        tiers::check(&self.tier_table, place)?;
        let tiers = self.tiers().len();
        if self.jobs.tiers.len() > tiers {
            let shares = format!("{} shares", self.jobs.tiers.len());
            return Err(place.invalid("jobs.tiers", shares, &format!("one for each of the {tiers} tiers")));
        }
        self.faults.check(place, &self.folder, &fleet)?;
        if self.run.policies.is_empty() {
            return Err(place.invalid("run.policies", "empty", "at least one policy, e.g. [\"fifo\"]"));
        }
        Ok(())
    }

    /// Builds the fleet.
    pub fn fleet(&self) -> Result<Fleet, ScenarioError> {
        self.fleet.build(&self.folder).map_err(ScenarioError::Fleet)
    }

    /// What is owed to whom. Where nobody asks for tiers it is one that owes nothing, so that books are kept all the same.
    pub fn tiers(&self) -> Tiers {
        if self.tier_table.is_empty() && self.jobs.tiers.is_empty() {
            return Tiers::best_effort();
        }
        tiers::table(&self.tier_table)
    }

    /// Where the jobs come from. A model without a capacity of its own gets the fleet's, and leaves out jobs that the
    /// fleet can never hold.
    pub fn source(&self, fleet: &Fleet) -> Jobs<'_> {
        match (&self.trace, &self.workload) {
            (Some(trace), _) => Jobs::Import(self.folder.join(&trace.file), trace),
            (None, model) => Jobs::Generate(Box::new(for_fleet(&model.clone().unwrap_or_default(), fleet))),
        }
    }
}

fn for_fleet(model: &WorkloadModel, fleet: &Fleet) -> WorkloadModel {
    let mut model = model.clone();
    model.accelerators.get_or_insert(fleet.accelerators());
    model.accelerators_max.get_or_insert(crate::validate::largest_gang(fleet));
    model
}

/// The first paragraph of the comment at the top, without its marks.
fn question(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.trim_start().strip_prefix('#')).map(str::trim);
    lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
