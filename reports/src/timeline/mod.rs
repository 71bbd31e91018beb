//! A run as a Chrome trace, for <https://ui.perfetto.dev> or `chrome://tracing`.
//!
//! Format: "Trace Event Format" (Google, 2016), JSON object form: `B`/`E` pairs, `C` counters, `M` names; times in microseconds.

mod tell;
mod tracks;
mod writer;

use crate::error::ReportError;
use crate::output::write_whole;
use policies::Time;
use std::fmt;
use std::path::Path;
use tell::Teller;
use traces::runlog::LogReader;

/// Events in a file of some 40 MB, which viewers still open.
pub const TIMELINE_EVENTS_MAX: u64 = 300_000;
/// With more accelerators than this a track for each is more than anybody looks at.
const ACCELERATOR_TRACKS_MAX: u64 = 2048;

/// What gets a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracks {
    /// Accelerators of small fleets, nodes of large ones.
    #[default]
    Auto,
    /// Each accelerator, grouped by node. Where accelerators are only counted, or shared, as many tracks as jobs need.
    Accelerators,
    /// Each node, grouped by cluster, with as many tracks as it has jobs at a time.
    Nodes,
}

/// What to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineOptions {
    /// From when; `None`: from the beginning. Jobs that hold accelerators by then begin there.
    pub from: Option<Time>,
    /// Until when; `None`: to the end. Jobs that still hold accelerators end there.
    pub to: Option<Time>,
    /// The window ends early rather than that the file gets more events than about this.
    pub events_max: u64,
    /// What gets a track.
    pub tracks: Tracks,
}

impl Default for TimelineOptions {
    fn default() -> TimelineOptions {
        TimelineOptions { from: None, to: None, events_max: TIMELINE_EVENTS_MAX, tracks: Tracks::Auto }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeline {
    /// Events, names of tracks included.
    pub events: u64,
    /// Tracks of accelerators or nodes.
    pub tracks: u64,
    /// Beginning of the window.
    pub from: Time,
    /// Its end.
    pub to: Time,
    /// Whether it ends there only because there would have been too many events.
    pub cut: bool,
    /// Whether tracks are nodes.
    pub by_node: bool,
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Timeline { events, tracks, from, to, cut, by_node } = self;
        let what = if *by_node { "node" } else { "accelerator" };
        let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
        write!(f, "{events} events on {tracks} {what} tracks, from {from} s to {to} s")?;
        if *cut {
            write!(f, "; the log goes on, but more events would not open in a viewer: choose another window")?;
            write!(f, "{}, or more events", if *by_node { "" } else { ", tracks by node" })?;
        }
        Ok(())
    }
}

/// Writes the timeline of a log to `path`, streaming: memory follows the jobs, not the file.
///
/// Processes are nodes (or clusters), threads accelerators (or places on a node). An attempt is a pair of `B` and `E` on every
/// track that it holds, from the order to start until its accelerators are free, so preemption shows as a gap; inside it,
/// `starting` and `stopping` are shown where they take time. Counters show jobs that wait and accelerators in use.
///
/// # Errors
/// If the log is damaged or the file cannot be written; then nothing is left behind.
pub fn timeline(mut reader: LogReader, path: &Path, options: &TimelineOptions) -> Result<Timeline, ReportError> {
    let by_node = match options.tracks {
        Tracks::Auto => reader.header.fleet.accelerators() > ACCELERATOR_TRACKS_MAX && reader.header.fleet.nodes.len() > 1,
        Tracks::Accelerators => false,
        Tracks::Nodes => true,
    };
    let header = reader.header.clone();
    let mut damaged = None;
    let mut written = None;
    write_whole(path, |out| {
        let mut teller = Teller::begin(out, &header, options, by_node)?;
        loop {
            match reader.next_step() {
                Ok(Some(step)) => {
                    if !teller.step(&step)? {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    damaged = Some(error);
                    return Err(std::io::Error::other("the log is damaged"));
                }
            }
        }
        written = Some(teller.finish()?);
        Ok(())
    })
    .map_err(|error| damaged.map_or(error, ReportError::from))?;
    Ok(written.expect("written without an error"))
}
