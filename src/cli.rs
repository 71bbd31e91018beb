//! What can be typed. What it means is in `commands`.

use crate::commands::checkpoint::{CheckpointArgs, JobArgs, MigrateArgs, RestoreArgs};
use crate::commands::exec::ExecArgs;
use crate::commands::keep::KeepArgs;
use crate::commands::proxy::ProxyArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use policies::Span;
use reports::TIMELINE_EVENTS_MAX;
use std::path::PathBuf;
use traces::OnBadRow;
use traces::duration::parse_span;
use traces::import::Format;
use traces::scenario::Estimates;

/// Schedule AI work on fleets of accelerators: simulate, compare, explain, run.
#[derive(Parser)]
#[command(name = "orrery", version = version(), max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// The version, and what is compiled in.
fn version() -> &'static str {
    if cfg!(feature = "frames") {
        concat!(env!("CARGO_PKG_VERSION"), " (+frames: tables as Parquet)")
    } else {
        concat!(env!("CARGO_PKG_VERSION"), " (-frames: tables as CSV)")
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Run a scenario, or a trace in one line, in the simulator
    Run(Box<RunArgs>),
    /// Run real processes on this machine under a policy, from a job list
    Launch(LaunchArgs),
    /// Say why a job waited, and behind what
    Explain(ExplainArgs),
    /// Write a timeline for Perfetto or chrome://tracing: a track per accelerator or node
    Timeline(TimelineArgs),
    /// Feed a run log's events into a fresh scheduler and compare the orders, step by step
    Replay(ReplayArgs),
    /// Import, export, validate, describe and generate traces
    #[command(subcommand)]
    Trace(TraceCommand),
    /// List policies, placements, cost presets and trace formats with their parameters
    Policies(ListArgs),
    /// Run an unmodified program on a proxied accelerator
    Exec(ExecArgs),
    /// List this machine's accelerators, with memory and state
    Devices(ListArgs),
    /// Serve one accelerator's workers (the other commands start this as needed)
    Proxy(ProxyArgs),
    /// Write a running job to files: processes, device state, open files; without --keep nothing of it stays
    Checkpoint(CheckpointArgs),
    /// Make a job again from its last checkpoint and run it to its end
    Restore(RestoreArgs),
    /// Stop a running job where it is
    Pause(JobArgs),
    /// Let a paused job go on
    Resume(JobArgs),
    /// Move a running job to another device of the same type
    Migrate(MigrateArgs),
    /// Wait for a restored process as its parent, and end as it does
    #[command(hide = true)]
    Keep(KeepArgs),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Aligned columns for people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// Comma-separated values with a header line
    Csv,
}

#[derive(Args)]
pub struct ListArgs {
    /// How to print the list
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Args)]
pub struct LaunchArgs {
    /// Job list (TOML): [[job]] with name, command, accelerators, submit, estimate, tenant, priority, attempts, device
    pub jobs: PathBuf,
    /// The device that stands for the next accelerator of the fleet, for jobs with `device = "granted"`; repeat it
    #[arg(long, value_name = "D")]
    pub device: Vec<String>,
    /// C nodes of D accelerators, all of them this machine
    #[arg(long, value_name = "CxD")]
    pub nodes: String,
    /// Policy, e.g. 'fifo' or 'srtf'
    #[arg(long, value_name = "NAME[(KEY=VALUE,...)]", default_value = "fifo")]
    pub policy: String,
    /// Where gangs go
    #[arg(long, value_name = "NAME", default_value = "best-fit")]
    pub placement: String,
    /// Seed of every random stream
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Result folder
    #[arg(long, value_name = "DIR", default_value = "runs/launch")]
    pub out: PathBuf,
    /// How to print the summary
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Args)]
pub struct ExplainArgs {
    /// A run.log, or the folder that holds it
    pub log: PathBuf,
    /// The trace's name for the job, or # and its number in submit order
    pub job: String,
    /// How to print the explanation
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Args)]
pub struct TimelineArgs {
    /// A run.log, or the folder that holds it
    pub log: PathBuf,
    /// Where to
    #[arg(long, value_name = "FILE", default_value = "timeline.json")]
    pub out: PathBuf,
    /// Show from here on, e.g. 36h or 2d [default: the beginning]
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub from: Option<Span>,
    /// Show until here [default: the end]
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub to: Option<Span>,
    /// End the window early rather than write more events than this
    #[arg(long, value_name = "N", default_value_t = TIMELINE_EVENTS_MAX)]
    pub max_events: u64,
    /// What gets a track
    #[arg(long, value_enum, default_value_t)]
    pub tracks: Tracks,
}

/// What gets a track of a timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Tracks {
    /// Accelerators of small fleets, nodes of large ones
    #[default]
    Auto,
    /// Each accelerator
    Accelerators,
    /// Each node
    Nodes,
}

#[derive(Args)]
pub struct ReplayArgs {
    /// A run.log, or the folder that holds it
    pub log: PathBuf,
    /// How to print the finding
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Subcommand)]
pub enum TraceCommand {
    /// Convert a trace; the ending of --out chooses: .parquet (canonical, keeps everything), .csv or .swf
    Import {
        /// Trace file (.gz and .tar.gz too; ARCHIVE#MEMBER takes one member)
        file: PathBuf,
        #[command(flatten)]
        reading: ReadArgs,
        /// Where to
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check a trace against a fleet: jobs that can never fit, demand against capacity over time, idle gaps
    Validate {
        /// Trace file
        file: PathBuf,
        #[command(flatten)]
        reading: ReadArgs,
        #[command(flatten)]
        fleet: FleetArgs,
        /// How to print the findings
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Describe a trace: jobs, accelerator-hours, load, quantiles of duration and size, tenants, hours and days
    Stat {
        /// Trace file
        file: PathBuf,
        #[command(flatten)]
        reading: ReadArgs,
        #[command(flatten)]
        fleet: FleetArgs,
        /// Draw it: durations, sizes, submissions by hour and by day of the week
        #[arg(long, value_name = "FILE.svg")]
        svg: Option<PathBuf>,
        /// How to print the description
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Draw a trace from a workload model
    Generate {
        /// Model: philly-like, helios-like, acme-like, uniform
        #[arg(long, value_name = "NAME", default_value = "philly-like")]
        preset: String,
        /// Accelerators that the load is measured against
        #[arg(long, value_name = "N", default_value_t = 512)]
        accelerators: u64,
        /// Demand over capacity
        #[arg(long, value_name = "X", default_value_t = 0.9)]
        load: f64,
        /// Days of arrivals
        #[arg(long, value_name = "N", default_value_t = 14.0)]
        days: f64,
        /// Seed of every random stream
        #[arg(long, value_name = "N", default_value_t = 0)]
        seed: u64,
        /// Where to: .parquet, .csv or .swf
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// A fleet in a word.
#[derive(Args, Clone, Default)]
pub struct FleetArgs {
    /// N fungible accelerators
    #[arg(long, value_name = "N", conflicts_with = "nodes")]
    pub pool: Option<u32>,
    /// C nodes of D accelerators
    #[arg(long, value_name = "CxD")]
    pub nodes: Option<String>,
}

#[derive(Args)]
pub struct RunArgs {
    /// Scenario file (TOML); or give --trace
    #[arg(required_unless_present_any = ["trace", "resume"], conflicts_with = "trace")]
    pub scenario: Option<PathBuf>,

    #[command(flatten)]
    pub trace: TraceArgs,

    #[command(flatten)]
    pub fleet: FleetArgs,
    /// Policy, e.g. 'fifo' or 'fifo(skip=true)'; repeat to compare. Overrides the scenario's
    #[arg(long = "policy", value_name = "NAME[(KEY=VALUE,...)]")]
    pub policies: Vec<String>,
    /// Where gangs go, e.g. best-fit. Overrides the scenario's [default with --nodes: best-fit]
    #[arg(long, value_name = "NAME")]
    pub placement: Option<String>,
    /// What policies are told about durations: none, oracle, trace or noisy(SIGMA) [default with --trace: oracle]
    #[arg(long, value_name = "SOURCE")]
    pub estimates: Option<Estimates>,
    /// What starting, stopping and moving costs: zero, a preset, or a mechanism's .toml file [default with --trace: zero]
    #[arg(long, value_name = "PRESET|FILE")]
    pub costs: Option<String>,
    /// Seed of every random stream
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Result folder [default with a scenario: runs/NAME; with --trace: none]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Change a field of the scenario, e.g. trace.load=1.3; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "scenario", value_parser = traces::scenario::parse_setting)]
    pub settings: Vec<(String, toml::Value)>,
    /// Of a scenario with variants run only this one
    #[arg(long, value_name = "NAME", requires = "scenario")]
    pub variant: Option<String>,
    /// How to print the summary
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// Also write a row per job (job_id, submit_s, start_s, end_s, wait_s, accelerators, preemptions, ...)
    #[arg(long, value_name = "FILE")]
    pub jobs_csv: Option<PathBuf>,
    /// Recompute every index after every step (slow)
    #[arg(long)]
    pub check: bool,
    /// Policies to run at the same time [default: one per processor]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Snapshot the run before each multiple of so much simulated time, e.g. 5d, for --resume
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub snapshot_every: Option<Span>,
    /// Snapshot the run each time that so much time has passed by the clock on the wall, e.g. 10m
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub snapshot_clock: Option<Span>,
    /// Go on with a run into DIR that was stopped, from its last snapshot, as it was started
    #[arg(long, value_name = "DIR", exclusive = true)]
    pub resume: Option<PathBuf>,
    /// What to do with jobs that can never fit the fleet
    #[arg(long, value_enum, default_value_t)]
    pub misfits: Misfits,
}

/// What to do with jobs that can never run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Misfits {
    /// Refuse to run
    #[default]
    Fail,
    /// Leave them out, and say how many
    Drop,
}

/// A trace file and how to read it.
#[derive(Args, Clone)]
pub struct TraceArgs {
    /// Trace file (.gz and .tar.gz too; ARCHIVE#MEMBER takes one member)
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    #[command(flatten)]
    pub reading: ReadArgs,
}

#[derive(Args, Clone, Default)]
pub struct ReadArgs {
    /// Trace format [default: found out from the content]
    #[arg(long, value_name = "NAME")]
    pub format: Option<Format>,
    /// What to do with rows that cannot be used
    #[arg(long, value_name = "fail|skip", value_parser = parse_on_bad_row, default_value = "fail")]
    pub on_bad_row: OnBadRow,
    /// Machine list of the trace
    #[arg(long, value_name = "FILE")]
    pub machines: Option<PathBuf>,
    /// Second file that some formats need (see `orrery policies`)
    #[arg(long, value_name = "FILE")]
    pub with: Option<PathBuf>,
    /// Leave out jobs with more accelerators
    #[arg(long, value_name = "N")]
    pub max_accelerators: Option<u32>,
    /// Keep the first N jobs
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

fn parse_on_bad_row(text: &str) -> Result<OnBadRow, String> {
    match text {
        "fail" => Ok(OnBadRow::Fail),
        "skip" => Ok(OnBadRow::Skip),
        _ => Err("expected fail or skip".into()),
    }
}
