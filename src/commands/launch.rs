//! `orrery launch`: real processes on this machine under a listed policy.

use super::outputs::{self, ResultFolder};
use crate::Verdict;
use crate::cli::LaunchArgs;
use anyhow::{Context, Result, bail};
use executor::{Agents, End, JobList, Limits, Options, Outcome, Output, Preemption, Saver};
use policies::{JobId, Scheduler, Tiers, catalog, placement};
use reports::Summary;
use std::path::Path;
use std::time::Instant;
use traces::runlog::{Header, LogWriter, Recorder, World};
use traces::scenario::parse_nodes;

/// Runs the job list and tells what came of it; exit code 1 if a job failed.
pub fn run(args: &LaunchArgs) -> Result<Verdict> {
    let mut list = JobList::read(&args.jobs)?;
    let fleet = parse_nodes(&args.nodes)?;
    let (policy, name) = catalog::by_name(&args.policy, args.seed)?;
    let place = placement::by_name(&args.placement, args.seed)?;
    let header = Header {
        version: env!("CARGO_PKG_VERSION").into(),
        scenario: args.jobs.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        world: World::Real,
        policy: name,
        placement: args.placement.clone(),
        estimates: "trace".into(),
        costs: "real".into(),
        seed: args.seed,
        trace_digest: outputs::digest_of(&args.jobs)?,
        fleet: fleet.clone(),
        tenants: list.tenants.clone(),
        labels: Vec::new(),
        services: Vec::new(),
        epoch_unix_s: None,
        expected: Vec::new(),
        tiers: Tiers::best_effort(),
    };
    let folder = ResultFolder::begin(args.out.clone())?;
    let own = folder.for_policy(&args.policy)?;
    for task in list.tasks.iter_mut().filter(|task| task.device.is_some()) {
        task.preemption = Preemption::Save(saver(&own, &args.device)?);
    }
    let mut agents = Agents::new(&fleet, Options { output: Output::Folder(own.join("output")) })?;
    let writer = LogWriter::create(&own.join("run.log"), &header)?;
    let meta = |job: JobId| list.meta(job);
    let mut recorder = Recorder::new(fleet.accelerators() * u64::from(policies::WHOLE_MILLI), Some(writer), &meta);
    let mut scheduler = Scheduler::new(fleet, policy, place).with_tiers(&header.tiers);
    let began = Instant::now();
    let end = executor::run(&mut scheduler, &mut agents, list.tasks.clone(), Limits::default(), &mut recorder);
    let wall_s = began.elapsed().as_secs_f64();
    if let End::Broken { step, now, what } = end {
        bail!("invariant broken: {what} (policy {}, step {step} at {now}): this is a bug", header.policy);
    }
    let (tracker, digest) = recorder.finish()?;
    let account = scheduler.view().ledger().map(|ledger| ledger.account());
    let summaries = [Summary::of(&header, &tracker, account.as_ref(), &digest, wall_s)];
    super::run::print(args.output, &summaries)?;
    let mut verdict = Verdict::Done;
    for job in agents.report().filter(|job| job.outcome != Outcome::Finished) {
        let how = job.endings.last().map_or_else(|| "it never ran".into(), |ending| ending.to_string());
        eprintln!("job `{}` {:?}: {how}", job.name, job.outcome);
        verdict = Verdict::CheckFailed;
    }
    outputs::write(&folder, std::slice::from_ref(&args.policy), &[wall_s], &summaries)?;
    eprintln!("results in {}", folder.finish()?.display());
    Ok(verdict)
}

/// Commands that run a job through a device proxy, and preempt it by a checkpoint.
fn saver(own: &Path, devices: &[String]) -> Result<Saver> {
    proxy::criu::find().context("jobs with a `device` are preempted by checkpoints")?;
    let orrery = std::env::current_exe()?.to_string_lossy().into_owned();
    let folder = std::path::absolute(own)?.join("checkpoints").to_string_lossy().into_owned();
    let name = format!("launch-{}-{{job}}", std::process::id());
    let words = |words: &[&str]| std::iter::once(&*orrery).chain(words.iter().copied()).map(String::from).collect();
    Ok(Saver {
        start: words(&["exec", "--device", "{device}", "--name", &name, "--"]),
        save: words(&["checkpoint", &name, &folder]),
        restore: words(&["restore", &folder, "--job", &name, "--device", "{device}"]),
        devices: devices.to_vec(),
    })
}
