//! Times the simulation proper over a list of cases; CSV on stdout.
//!
//! usage: `speed [--repeats N] [--csv FILE] [CASE ...]`
//!
//! Columns: case, jobs, pool (accelerators), max_queue, repeats, best_s (wall), best_cpu_s (processor time of the thread),
//! jobs_per_s, jobs_per_cpu_s, preemptions, mean_jct_s, makespan_s, log_digest. `--csv` writes the jobs of `fifo-pool-itp` as
//! `submit,duration,accelerators` for `baseline/fifo_heap.py` and ends.

use benches::{Setup, arrivals, import_or_generate};
use policies::Fleet;
use std::error::Error;
use std::fmt::Write;
use traces::Trace;
use traces::generate::Preset;

const ITP: &str = "itp/raw-traces.tar.gz";
const PHILLY: &str = "philly/philly_merged.csv.gz";
const ITP_POOL: u32 = 1024;
/// "Tens of thousands queue".
const LONG_QUEUE: u64 = 30_000;
const QUEUE: u64 = 10_000;

/// Name, trace, policy, accelerators a node (0: a pool), how many jobs must wait at some time (0: a pool of 1,024).
const CASES: &[(&str, &str, &str, u32, u64)] = &[
    ("fifo-pool-itp", ITP, "fifo", 0, 0),
    ("fifo-best-fit-itp", ITP, "fifo", 8, 0),
    ("fifo-skip-philly", PHILLY, "fifo(skip=true)", 0, LONG_QUEUE),
    ("sjf-philly", PHILLY, "sjf", 0, LONG_QUEUE),
    ("sjf-best-fit-philly", PHILLY, "sjf", 8, LONG_QUEUE),
    ("srtf-philly", PHILLY, "srtf", 0, QUEUE),
    ("srsf-philly", PHILLY, "srsf", 0, QUEUE),
    ("las-philly", PHILLY, "las", 0, QUEUE),
    ("tiresias-philly", PHILLY, "tiresias", 0, QUEUE),
    ("srtf-best-fit-philly", PHILLY, "srtf", 8, QUEUE),
];

fn load(file: &str) -> Result<Trace, Box<dyn Error>> {
    let preset = if file == ITP { Preset::HeliosLike } else { Preset::PhillyLike };
    import_or_generate(file, preset, 100_000)
}

fn setup(accelerators: u32, per_node: u32, policy: &str) -> Setup {
    let fleet = match accelerators.checked_div(per_node) {
        None => Fleet::pool(accelerators),
        Some(nodes) => Fleet::uniform(nodes, per_node),
    };
    Setup { fleet, policy: policy.into(), placement: if per_node == 0 { "pool" } else { "best-fit" }.into() }
}

/// The largest of a row of falling fleet sizes at which that many jobs wait at some time.
fn fleet_for(trace: &Trace, per_node: u32, policy: &str, queue: u64) -> Result<(u32, u64), Box<dyn Error>> {
    let mut accelerators = ITP_POOL;
    loop {
        let jobs = arrivals(trace, accelerators);
        let most = setup(accelerators, per_node, policy).most_waiting(jobs.into_iter())?;
        if most >= queue || accelerators <= 64 {
            return Ok((accelerators, most));
        }
        accelerators = accelerators * 3 / 4 / 8 * 8;
    }
}

fn measure(case: &(&str, &str, &str, u32, u64), repeats: u32) -> Result<(), Box<dyn Error>> {
    let &(name, file, policy, per_node, queue) = case;
    let trace = load(file)?;
    let (accelerators, most) = fleet_for(&trace, per_node, policy, queue)?;
    let jobs = arrivals(&trace, accelerators);
    let setup = setup(accelerators, per_node, policy);
    let (mut wall_s, mut cpu_s, mut last) = (f64::INFINITY, f64::INFINITY, None);
    for _ in 0..repeats.max(1) {
        let run = setup.run(jobs.iter().copied())?;
        (wall_s, cpu_s) = (wall_s.min(run.wall_s), cpu_s.min(run.cpu_s));
        last = Some(run);
    }
    let Some(run) = last else { return Ok(()) };
    let (count, per) = (jobs.len(), |seconds: f64| jobs.len() as f64 / seconds);
    println!(
        "{name},{count},{accelerators},{most},{repeats},{wall_s:.6},{cpu_s:.6},{:.0},{:.0},{},{:.3},{},{}",
        per(wall_s),
        per(cpu_s),
        run.tracker.preemptions,
        run.mean_jct_s(),
        run.tracker.makespan().as_secs_f64(),
        run.log_digest
    );
    Ok(())
}

fn export(path: &str) -> Result<(), Box<dyn Error>> {
    let mut text = String::from("submit,duration,accelerators\n");
    for job in arrivals(&load(ITP)?, ITP_POOL) {
        writeln!(text, "{},{},{}", job.submit.0 as f64 / 1e6, job.duration.0 as f64 / 1e6, job.spec.demand.accelerators)?;
    }
    Ok(std::fs::write(path, text)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut repeats, mut wanted, mut arguments) = (5, Vec::new(), std::env::args().skip(1));
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--csv" => return export(&arguments.next().ok_or("--csv: expected a file")?),
            "--repeats" => repeats = arguments.next().ok_or("--repeats: expected a number")?.parse()?,
            _ => wanted.push(argument),
        }
    }
    if let Some(unknown) = wanted.iter().find(|name| !CASES.iter().any(|case| case.0 == name.as_str())) {
        let names: Vec<_> = CASES.iter().map(|case| case.0).collect();
        return Err(format!("no case {unknown:?}: expected one of {}", names.join(", ")).into());
    }
    println!(
        "case,jobs,accelerators,max_queue,repeats,best_s,best_cpu_s,jobs_per_s,jobs_per_cpu_s,preemptions,mean_jct_s,makespan_s,log_digest"
    );
    CASES
        .iter()
        .filter(|case| wanted.is_empty() || wanted.iter().any(|w| w == case.0))
        .try_for_each(|case| measure(case, repeats))
}
