//! Runs that leave snapshots, and runs that go on from them: `--snapshot-every`, `--snapshot-clock` and `--resume`.

use super::outputs::{ResultFolder, partial_of};
use crate::cli::{Cli, Command, RunArgs};
use crate::setup::Planned;
use anyhow::{Context, Result, bail};
use clap::Parser;
use orrery::experiment::{Outcome, Saved, Saving, build};
use policies::Span;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file that says how a run was started.
pub const COMMAND: &str = "command.json";

/// How a run was started.
#[derive(Serialize, Deserialize)]
struct Started {
    /// Where: paths are relative to this.
    folder: PathBuf,
    /// What was typed after the program's name.
    words: Vec<String>,
}

/// When snapshots are wanted, if they are.
pub fn saving(args: &RunArgs) -> Result<Option<Saving>> {
    if args.snapshot_every.or(args.snapshot_clock).is_none() {
        return Ok(None);
    }
    if args.snapshot_every == Some(Span::ZERO) {
        bail!("--snapshot-every 0: expected some time, e.g. 5d");
    }
    let build = build().context("cannot read this program's own file, by which its snapshots are known")?;
    let clock = args.snapshot_clock.map(|span| Duration::from_micros(span.0));
    Ok(Some(Saving { every: args.snapshot_every, clock, build }))
}

/// Says what snapshots took, for who has to choose how often.
pub fn tell(planned: &Planned, outcomes: &[Outcome]) {
    for (policy, outcome) in planned.policies.iter().zip(outcomes) {
        let Saved { snapshots, bytes, taking_s, .. } = outcome.saved;
        if snapshots > 0 {
            let kib = bytes.div_ceil(1024);
            eprintln!("note: {policy}: {snapshots} snapshots in {taking_s:.2} s, the last of {kib} KiB");
        }
    }
}

/// Begins a result folder that can be gone on with.
pub fn begin(path: PathBuf) -> Result<ResultFolder> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let folder = ResultFolder::begin(path)?;
    let started = Started { folder: std::env::current_dir()?, words: words.clone() };
    let file = folder.partial().join(COMMAND);
    std::fs::write(&file, serde_json::to_vec(&started)?).with_context(|| format!("{}", file.display()))?;
    Ok(folder.kept(words))
}

/// Opens what a stopped run into `path` left, and says how it was started; `None` if it is complete. From here on this program is
/// where that was.
pub fn reopen(path: &Path) -> Result<Option<(RunArgs, ResultFolder)>> {
    let path = std::path::absolute(path)?;
    // The folder as it lies there may be meant.
    let named = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".partial"));
    let path = named.map_or_else(|| path.clone(), |name| path.with_file_name(name));
    let file = partial_of(&path).join(COMMAND);
    let read = std::fs::read(&file);
    if read.is_err() && path.exists() {
        eprintln!("note: {}: nothing to go on with: the run is complete", path.display());
        return Ok(None);
    }
    let nothing = "--resume: no run to go on with: expected the --out of a run with --snapshot-every that was stopped";
    let bytes = read.with_context(|| format!("{nothing}: {}", file.display()))?;
    let started: Started = serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", file.display()))?;
    let words = std::iter::once("orrery".into()).chain(started.words.iter().cloned());
    let Command::Run(mut args) = Cli::try_parse_from(words)?.command else {
        bail!("{}: it is of another command than run", file.display());
    };
    std::env::set_current_dir(&started.folder)
        .with_context(|| format!("{}: the folder in which the run was started", started.folder.display()))?;
    args.out = Some(path.clone());
    Ok(Some((*args, ResultFolder::reopen(path).kept(started.words))))
}
