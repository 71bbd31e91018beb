//! `orrery trace`: traces in, traces out, and what is in them.

use crate::Verdict;
use crate::cli::{Output, TraceCommand};
use crate::setup;
use anyhow::{Context, Result, bail};
use reports::{trace_svg, write_whole};
use serde::Serialize;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use traces::generate::{WorkloadModel, generate};
use traces::scenario::align_types;
use traces::stat::Stat;
use traces::validate::validate;
use traces::{Trace, export};

/// Runs one of the trace commands.
pub fn run(command: &TraceCommand) -> Result<Verdict> {
    match command {
        TraceCommand::Import { file, reading, out } => {
            let imported = setup::read_trace(file, reading)?;
            write(&imported.trace, out)?;
            eprintln!(
                "{}: {} jobs ({}), digest {}",
                out.display(),
                imported.trace.jobs.len(),
                imported.trace.format,
                imported.digest
            );
        }
        TraceCommand::Validate { file, reading, fleet, output } => {
            let mut trace = setup::read_trace(file, reading)?.trace;
            let fleet = setup::fleet_for(fleet, &mut trace)?
                .context("validate needs a fleet: give --pool N, --nodes CxD or --machines FILE")?;
            align_types(&mut trace, &fleet);
            let found = validate(&trace, &fleet);
            print(*output, &found)?;
            return Ok(if found.is_clean() { Verdict::Done } else { Verdict::CheckFailed });
        }
        TraceCommand::Stat { file, reading, fleet, svg, output } => {
            let mut trace = setup::read_trace(file, reading)?.trace;
            let fleet = setup::fleet_for(fleet, &mut trace)?;
            let stat = Stat::of(&trace, fleet.map(|f| f.accelerators()));
            if let Some(path) = svg {
                let svg = trace_svg(&trace, &stat)?;
                write_whole(path, |out| out.write_all(svg.as_bytes()))?;
            }
            print(*output, &stat)?;
        }
        TraceCommand::Generate { preset, accelerators, load, days, seed, out } => {
            let model = WorkloadModel {
                preset: serde_json::from_value(preset.as_str().into()).context("--preset")?,
                accelerators: Some(*accelerators),
                load: Some(*load),
                days: Some(*days),
                ..WorkloadModel::default()
            };
            let trace = generate(&model, *seed)?;
            write(&trace, out)?;
            eprintln!("{}: {} jobs, digest {}", out.display(), trace.jobs.len(), trace.digest());
        }
    }
    Ok(Verdict::Done)
}

/// Prints findings. They are no rows, so CSV is refused.
fn print(output: Output, found: &(impl Serialize + Display)) -> Result<()> {
    let text = match output {
        Output::Table => found.to_string(),
        Output::Json => serde_json::to_string_pretty(found)?,
        Output::Csv => bail!("--output csv: expected table or json, for this is no list of rows"),
    };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
    Ok(())
}

#[cfg(feature = "frames")]
fn write_parquet(trace: &Trace, out: &Path) -> Result<()> {
    Ok(traces::frames::write_trace_parquet(trace, out)?)
}

#[cfg(not(feature = "frames"))]
fn write_parquet(_: &Trace, out: &Path) -> Result<()> {
    bail!("--out {}: this build writes no Parquet: build with the default features, or take .csv or .swf", out.display())
}

/// Writes a trace in the form that the file's ending names.
fn write(trace: &Trace, out: &Path) -> Result<()> {
    match out.extension().and_then(|e| e.to_str()) {
        Some("csv") => write_whole(out, |file| export::write_csv(trace, file))?,
        Some("swf") => {
            let mut left_out = 0;
            write_whole(out, |file| {
                left_out = export::write_swf(trace, file)?;
                Ok(())
            })?;
            if left_out > 0 {
                eprintln!("note: {}: {left_out} jobs hold no accelerators and are left out", out.display());
            }
        }
        Some("parquet") => write_parquet(trace, out)?,
        other => bail!("--out {}: unknown ending {:?}: expected .parquet, .csv or .swf", out.display(), other.unwrap_or("")),
    }
    Ok(())
}
