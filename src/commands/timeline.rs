//! `orrery timeline`.

use crate::Verdict;
use crate::cli::{TimelineArgs, Tracks};
use anyhow::{Result, bail};
use policies::Time;
use reports::{TimelineOptions, timeline};
use traces::runlog::LogReader;

/// Writes the timeline of a log.
pub fn run(args: &TimelineArgs) -> Result<Verdict> {
    let options = TimelineOptions {
        from: args.from.map(|span| Time(span.0)),
        to: args.to.map(|span| Time(span.0)),
        events_max: args.max_events,
        tracks: match args.tracks {
            Tracks::Auto => reports::Tracks::Auto,
            Tracks::Accelerators => reports::Tracks::Accelerators,
            Tracks::Nodes => reports::Tracks::Nodes,
        },
    };
    if let (Some(from), Some(to)) = (options.from, options.to)
        && from >= to
    {
        bail!("--from {from} --to {to}: the window ends before it begins");
    }
    let written = timeline(LogReader::open(&args.log)?, &args.out, &options)?;
    eprintln!("{}: {written}; open it at https://ui.perfetto.dev", args.out.display());
    Ok(Verdict::Done)
}
