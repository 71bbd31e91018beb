//! Makes a report of run logs: `cargo run -p orrery-reports --example report -- OUT LOG...`

use reports::{Analysis, Picture, summary_table, write_report};
use std::error::Error;
use std::path::Path;
use traces::runlog::LogReader;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, logs @ ..] = arguments.as_slice() else { return Err("expected OUT LOG...".into()) };
    let read = |log: &String| Ok(Picture::of(&Analysis::read(LogReader::open(Path::new(log))?)?, 0.0));
    let runs: Vec<Picture> = logs.iter().map(read).collect::<Result<_, Box<dyn Error>>>()?;
    print!("{}", summary_table(&runs.iter().map(|run| run.summary.clone()).collect::<Vec<_>>()));
    std::fs::create_dir_all(out)?;
    println!("{}", write_report(Path::new(out), &runs, &format!("report {}", arguments.join(" ")))?.display());
    Ok(())
}
