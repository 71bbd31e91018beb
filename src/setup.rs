//! From what was typed to an experiment.

use crate::cli::{FleetArgs, Misfits, ReadArgs, RunArgs};
use anyhow::{Context, Result, bail};
use orrery::experiment::{self, Experiment};
use policies::{Fleet, Tiers, Time};
use sim::mechanism::PresetError;
use sim::{CostModel, Limits, Recovery};
use std::path::{Path, PathBuf};
use traces::scenario::{
    Estimates, Jobs, Kind, Point, RecoverySpec, Scenario, ScenarioError, StateRule, add_services, align_types, parse_nodes,
    settle,
};
use traces::{ImportOptions, Imported, OnBadRow, Trace, TraceJob, generate, import};

/// An experiment and the policies to run.
pub struct Planned {
    pub experiment: Experiment,
    pub policies: Vec<String>,
    /// What the scenario asks.
    pub question: String,
    /// Whether it came from a scenario file.
    pub from_scenario: bool,
    /// Whether bounds are wanted.
    pub bound: bool,
    /// Which of the scenario's variants it is; empty if it has none.
    pub variant: String,
    /// The field that is swept and its value.
    pub swept: Option<(String, String)>,
}

/// All that a scenario file stands for; `None` for a bare trace.
pub fn points(args: &RunArgs) -> Result<Option<Vec<Point>>> {
    let read = |path: &PathBuf| Scenario::points(path, &args.settings, args.variant.as_deref());
    Ok(args.scenario.as_ref().map(read).transpose()?)
}

/// Reads whatever the arguments name; `point` is what of the scenario is meant.
pub fn plan(args: &RunArgs, point: Option<Point>) -> Result<Planned> {
    let mut planned = match (&args.scenario, point) {
        (Some(path), Some(point)) => from_scenario(path, point, args)?,
        _ => from_trace(args)?,
    };
    let experiment = &mut planned.experiment;
    // Names are checked before anything is made or run.
    for policy in &planned.policies {
        policies::catalog::by_name(policy, experiment.seed)?;
    }
    experiment.limits.check = args.check;
    if experiment.trace.jobs.is_empty() {
        bail!("no job is left to run: the filters leave out all");
    }
    match args.misfits {
        Misfits::Fail => experiment.require_fit()?,
        Misfits::Drop => {
            let dropped = experiment.drop_misfits()?;
            if dropped > 0 {
                eprintln!("note: {dropped} jobs that can never fit the fleet are left out");
            }
        }
    }
    Ok(planned)
}

fn from_scenario(path: &Path, point: Point, args: &RunArgs) -> Result<Planned> {
    let Point { variant, swept, scenario } = point;
    let seed = args.seed.unwrap_or(scenario.seed);
    let mut fleet = scenario.fleet()?;
    let (mut trace, mut trace_digest) = match scenario.source(&fleet) {
        Jobs::Generate(model) => {
            let mut trace = generate::generate(&model, seed).with_context(|| format!("{}", path.display()))?;
            let digest = trace.digest();
            align_types(&mut trace, &fleet);
            (trace, digest)
        }
        Jobs::Import(file, spec) => {
            let imported = import_reporting(&file, &spec.options(&scenario.folder))?;
            let trace = spec.apply(imported.trace, &fleet).with_context(|| format!("{}", path.display()))?;
            (trace, imported.digest)
        }
    };
    let services = add_services(&scenario.service, &scenario.folder, &fleet, &mut trace, seed)?;
    if !services.is_empty() {
        trace_digest = experiment::digest_with(&trace_digest, &services);
    }
    let kind = |job: &TraceJob| match services.iter().any(|service| service.tenant == job.tenant) {
        true => Kind::Inference,
        false => Kind::Training,
    };
    scenario.jobs.keep_together(&mut trace, &fleet);
    settle(&scenario.home, &mut fleet, &mut trace, kind).with_context(|| format!("{}", path.display()))?;
    let run = &scenario.run;
    let last = trace.jobs.last().map_or(Time::ZERO, |job| job.submit);
    // A trace that tells tiers apart wants them told apart.
    let told = scenario.tier_table.is_empty() && trace.jobs.iter().any(|job| job.tier > 0);
    let tiers = if told { Tiers::default() } else { scenario.tiers() };
    let until = faults_until(&trace);
    let changes = scenario.faults.changes(&scenario.folder, &fleet, until, seed)?;
    let disturbances = scenario.faults.disturbances(&fleet, until, seed);
    let experiment = Experiment {
        name: scenario.name.clone(),
        seed,
        fleet,
        trace,
        trace_digest,
        placement: args.placement.clone().unwrap_or_else(|| run.placement.clone()),
        estimates: args.estimates.unwrap_or(run.estimates),
        costs: match &args.costs {
            // Paths that are typed are relative to where they are typed.
            Some(costs) => cost_model(costs, Path::new(""), &scenario.jobs.state, path)?,
            None => cost_model(&run.costs, &scenario.folder, &scenario.jobs.state, path)?,
        },
        network: scenario.network.clone(),
        crashes: run.crashes.map(|mean| sim::Crashes { mean: mean.0, seed }),
        tiers,
        rules: scenario.jobs.clone(),
        services,
        changes,
        disturbances,
        recovery: match scenario.faults.recovery {
            RecoverySpec::LastStop => Recovery::LastStop,
            RecoverySpec::Periodic(every) => Recovery::Periodic(every.0),
            RecoverySpec::JustInTime(lost) => Recovery::JustInTime(lost.0),
        },
        attempts_max: run.attempts,
        limits: Limits { until: run.until.map(|until| until.time(last)), check: false },
    };
    let policies = if args.policies.is_empty() { run.policies.clone() } else { args.policies.clone() };
    let (question, bound) = (scenario.question.clone(), run.bound);
    Ok(Planned { experiment, policies, question, from_scenario: true, bound, variant, swept })
}

/// What starting, stopping, saving and moving costs, and what jobs carry by the scenario's rules.
fn cost_model(name: &str, folder: &Path, states: &[StateRule], scenario: &Path) -> Result<CostModel> {
    Ok(match CostModel::by_name(name, folder)? {
        CostModel::Mechanism(mechanism) => {
            let mechanism = mechanism.with_states(states, &scenario.display().to_string()).map_err(|error| match error {
                PresetError::Rule { rule, source, .. } => {
                    let field = format!("jobs.state[{rule}].profile");
                    anyhow::Error::from(ScenarioError::refused(scenario, &field, source.to_string()))
                }
                other => other.into(),
            })?;
            CostModel::Mechanism(Box::new(mechanism))
        }
        fixed => fixed,
    })
}

/// Faults are drawn for twice the time over which jobs arrive: longer than a run lasts on a fleet that can do the work.
fn faults_until(trace: &Trace) -> Time {
    Time(trace.jobs.last().map_or(0, |job| job.submit.0.saturating_mul(2).max(MICROS_PER_DAY)))
}

const MICROS_PER_DAY: u64 = 86_400_000_000;

fn from_trace(args: &RunArgs) -> Result<Planned> {
    let path = args.trace.trace.as_ref().context("give a scenario file or --trace")?;
    if args.policies.is_empty() {
        bail!("give --policy NAME; `orrery policies` lists them");
    }
    let imported = read_trace(path, &args.trace.reading)?;
    let mut trace = imported.trace;
    let fleet = fleet_for(&args.fleet, &mut trace)?
        .context("the trace lists no machines: give --pool N, --nodes CxD or --machines FILE")?;
    align_types(&mut trace, &fleet);
    let placement =
        args.placement.clone().unwrap_or_else(|| if args.fleet.pool.is_some() { "pool" } else { "best-fit" }.into());
    let name = path.file_name().map_or_else(|| "trace".into(), |name| name.to_string_lossy().into_owned());
    // Books cost about as much as the simulation: whoever wants only the row of figures need not wait for them.
    let books = args.out.is_some() || args.check;
    let experiment = Experiment {
        tiers: if books { Tiers::best_effort() } else { Tiers::none() },
        seed: args.seed.unwrap_or(0),
        trace_digest: imported.digest,
        placement,
        estimates: args.estimates.unwrap_or(Estimates::Oracle),
        costs: CostModel::by_name(args.costs.as_deref().unwrap_or("zero"), Path::new(""))?,
        ..Experiment::new(name, fleet, trace)
    };
    Ok(Planned {
        experiment,
        policies: args.policies.clone(),
        question: String::new(),
        from_scenario: false,
        bound: false,
        variant: String::new(),
        swept: None,
    })
}

/// The fleet that was asked for, else the trace's own.
pub fn fleet_for(args: &FleetArgs, trace: &mut Trace) -> Result<Option<Fleet>> {
    Ok(match (args.pool, &args.nodes) {
        (Some(0), _) => bail!("--pool 0: expected at least one accelerator"),
        (Some(pool), _) => Some(Fleet::pool(pool)),
        (None, Some(nodes)) => Some(parse_nodes(nodes)?),
        (None, None) => trace.fleet.take(),
    })
}

/// Imports a trace with the filters of the command line.
pub fn read_trace(path: &Path, args: &ReadArgs) -> Result<Imported> {
    let options = ImportOptions {
        format: args.format,
        on_bad_row: args.on_bad_row,
        machines: args.machines.clone(),
        with: args.with.clone(),
    };
    let mut imported = import_reporting(path, &options)?;
    let max = args.max_accelerators.unwrap_or(u32::MAX);
    imported.trace.jobs.retain(|job| job.demand.accelerators <= max);
    imported.trace.jobs.truncate(args.limit.unwrap_or(usize::MAX));
    Ok(imported)
}

/// Imports a trace and says on stderr what was not taken from it.
fn import_reporting(path: &Path, options: &ImportOptions) -> Result<Imported> {
    let imported = import(path, options)?;
    if imported.skipped_total > 0 {
        debug_assert_eq!(options.on_bad_row, OnBadRow::Skip);
        eprintln!("note: {}: {} bad rows skipped, the first: {}", path.display(), imported.skipped_total, imported.skipped[0]);
    }
    for (reason, rows) in &imported.left_out {
        eprintln!("note: {}: {rows} rows left out: {reason}", path.display());
    }
    for note in &imported.notes {
        eprintln!("note: {}: {note}", path.display());
    }
    Ok(imported)
}
