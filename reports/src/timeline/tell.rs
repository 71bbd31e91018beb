//! From steps to events.

use super::tracks::{Track, TrackMap};
use super::writer::{EventWriter, Slice};
use super::{Timeline, TimelineOptions};
use crate::jobs::tenant_name;
use crate::lives::{Cause, Lives, Move, Phase};
use crate::names::Names;
use policies::{JobId, Order, Time};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use traces::runlog::{Header, Step};

/// Samples of counters before they are taken half as often.
const SAMPLES: u64 = 10_000;

/// An attempt that holds accelerators.
struct Held {
    tracks: Vec<Track>,
    attempt: u32,
    milli: u64,
    tenant: u32,
    /// The slice inside the attempt's, if there is one, and whether it was written: one that takes no time is not.
    phase: Option<(&'static str, bool)>,
}

/// Writes a timeline while it reads a log.
pub(super) struct Teller<'a, W: Write> {
    out: EventWriter<W>,
    header: &'a Header,
    options: TimelineOptions,
    by_node: bool,
    lives: Lives,
    names: Names,
    tracks: TrackMap,
    processes: BTreeSet<u32>,
    held: BTreeMap<JobId, Held>,
    /// Jobs that entered a phase at this instant.
    fresh: Vec<JobId>,
    /// Tracks that are held, and slices inside them: each will take one more event.
    open: u64,
    used_milli: u64,
    pending: u64,
    counters: Counters,
    now: Time,
    /// Events of this instant and later are written.
    showing: bool,
    cut: bool,
}

/// When counters were last written, and how often they are.
#[derive(Default)]
struct Counters {
    written: Option<(u64, u64)>,
    at: u64,
    gap: u64,
    samples: u64,
}

impl<'a, W: Write> Teller<'a, W> {
    pub fn begin(out: W, header: &'a Header, options: &TimelineOptions, by_node: bool) -> io::Result<Teller<'a, W>> {
        Ok(Teller {
            out: EventWriter::begin(out)?,
            header,
            options: *options,
            by_node,
            lives: Lives::default(),
            names: Names::default(),
            tracks: TrackMap::new(by_node),
            processes: BTreeSet::new(),
            held: BTreeMap::new(),
            fresh: Vec::new(),
            open: 0,
            used_milli: 0,
            pending: 0,
            counters: Counters::default(),
            now: Time::ZERO,
            showing: false,
            cut: false,
        })
    }

    /// Takes a step. Returns whether the next one is wanted.
    pub fn step(&mut self, step: &Step) -> io::Result<bool> {
        if self.options.to.is_some_and(|to| step.now > to) {
            self.now = self.options.to.unwrap_or(self.now).max(self.now);
            return Ok(false);
        }
        if step.now > self.now {
            self.write_phases()?;
        }
        if !self.showing && step.now >= self.from() {
            self.show()?;
        }
        self.now = step.now;
        step.metas.iter().for_each(|meta| self.names.push(&meta.name));
        let mut lives = std::mem::take(&mut self.lives);
        let mut result = Ok(());
        lives.step(step.view(), |moved| {
            if result.is_ok() {
                result = self.moved(&moved);
            }
        });
        self.lives = lives;
        result?;
        for order in &step.orders {
            if let Order::Preempt { job, .. } = order {
                self.phase(*job, Some("stopping"))?;
            }
        }
        self.count(false)?;
        self.cut = self.showing && self.out.events + self.open >= self.options.events_max;
        Ok(!self.cut)
    }

    fn from(&self) -> Time {
        self.options.from.unwrap_or(Time::ZERO)
    }

    /// The window begins: what is held is shown from here on.
    fn show(&mut self) -> io::Result<()> {
        self.showing = true;
        self.now = self.from().max(self.now);
        let jobs: Vec<JobId> = self.held.keys().copied().collect();
        for job in jobs {
            self.open_slices(job)?;
        }
        self.count(true)
    }

    fn moved(&mut self, moved: &Move<'_>) -> io::Result<()> {
        let waited = moved.was.phase == Phase::Waiting && moved.cause != Cause::Submitted;
        self.pending = self.pending + u64::from(moved.to == Phase::Waiting) - u64::from(waited);
        match (moved.cause, moved.allocation) {
            (Cause::Ordered, Some(allocation)) => {
                let tracks = self.tracks.take(allocation);
                self.open += tracks.len() as u64;
                self.used_milli += moved.was.milli;
                let (milli, tenant, attempt) = (moved.was.milli, moved.was.tenant, moved.was.attempt + 1);
                self.held.insert(moved.job, Held { tracks, attempt, milli, tenant, phase: None });
                self.open_slices(moved.job)?;
                self.phase(moved.job, Some("starting"))
            }
            (Cause::Started, _) => {
                let stopping = self.held.get(&moved.job).is_some_and(|held| matches!(held.phase, Some(("stopping", _))));
                if stopping { Ok(()) } else { self.phase(moved.job, None) }
            }
            (Cause::Stopped | Cause::Failed | Cause::Lost | Cause::Finished | Cause::Withdrawn, _) => self.leave(moved.job),
            _ => Ok(()),
        }
    }

    fn open_slices(&mut self, job: JobId) -> io::Result<()> {
        let Some(Held { tracks, attempt, milli, tenant, phase }) = self.held.get(&job).filter(|_| self.showing) else {
            return Ok(());
        };
        let name = self.names.get(job).filter(|name| !name.is_empty());
        let name = name.map_or_else(|| format!("#{}", job.0), str::to_owned);
        let (tenant, accelerators) = (tenant_name(self.header, *tenant), *milli as f64 / 1000.0);
        let slice = Slice { name: &name, job: job.0, attempt: *attempt, tenant: &tenant, accelerators };
        if phase.is_some() {
            self.fresh.push(job);
        }
        for track in tracks.clone() {
            let (pid, tid) = self.place(track)?;
            self.out.open(self.now.0, pid, tid, &slice)?;
        }
        Ok(())
    }

    /// The numbers of a track, named when first used.
    fn place(&mut self, track: Track) -> io::Result<(u32, u32)> {
        let fleet = &self.header.fleet;
        let pid = self.tracks.pid(track, fleet);
        let (tid, new) = self.tracks.tid(track);
        if new {
            let (process, thread, order) = self.tracks.names(track, fleet);
            if self.processes.insert(pid) {
                self.out.process(pid, &process)?;
            }
            self.out.thread(pid, tid, &thread, order)?;
        }
        Ok((pid, tid))
    }

    /// Closes the slice inside an attempt's, and enters another phase.
    fn phase(&mut self, job: JobId, phase: Option<&'static str>) -> io::Result<()> {
        let Some(held) = self.held.get_mut(&job) else { return Ok(()) };
        let was = std::mem::replace(&mut held.phase, phase.map(|name| (name, false)));
        if phase.is_some() {
            self.fresh.push(job);
        }
        if matches!(was, Some((_, true))) {
            let tracks = held.tracks.clone();
            self.open -= tracks.len() as u64;
            for track in tracks {
                let (pid, tid) = self.place(track)?;
                self.out.close(self.now.0, pid, tid)?;
            }
        }
        Ok(())
    }

    /// Opens the slices of phases that outlast the instant in which they began.
    fn write_phases(&mut self) -> io::Result<()> {
        for job in std::mem::take(&mut self.fresh) {
            let Some(Held { tracks, phase: Some((name, written @ false)), .. }) = self.held.get_mut(&job) else { continue };
            if !self.showing {
                continue;
            }
            *written = true;
            let (name, tracks) = (*name, tracks.clone());
            self.open += tracks.len() as u64;
            for track in tracks {
                let (pid, tid) = self.place(track)?;
                self.out.open_phase(self.now.0, pid, tid, name)?;
            }
        }
        Ok(())
    }

    fn leave(&mut self, job: JobId) -> io::Result<()> {
        self.phase(job, None)?;
        let Some(held) = self.held.remove(&job) else { return Ok(()) };
        self.open -= held.tracks.len() as u64;
        self.used_milli -= held.milli;
        for track in held.tracks {
            self.tracks.give_back(track);
            if self.showing {
                let (pid, tid) = self.place(track)?;
                self.out.close(self.now.0, pid, tid)?;
            }
        }
        Ok(())
    }

    /// Writes the counters, if they changed and were not written just now.
    fn count(&mut self, always: bool) -> io::Result<()> {
        let Teller { counters, now, .. } = self;
        let values = (self.pending, self.used_milli);
        let due = counters.written.is_none() || now.0 >= counters.at.saturating_add(counters.gap);
        if !self.showing || counters.written == Some(values) || !(always || due) {
            return Ok(());
        }
        let before = counters.written.replace(values);
        counters.at = now.0;
        counters.samples += 1;
        if counters.samples.is_multiple_of(SAMPLES) {
            counters.gap = (counters.gap * 2).max(1 << 20);
        }
        if before.is_none_or(|(pending, _)| pending != values.0) {
            self.out.counter(now.0, "jobs waiting", values.0 as f64)?;
        }
        if before.is_none_or(|(_, used)| used != values.1) {
            self.out.counter(now.0, "accelerators in use", values.1 as f64 / 1000.0)?;
        }
        Ok(())
    }

    /// Ends every slice that is open, and the file.
    pub fn finish(mut self) -> io::Result<Timeline> {
        if !self.showing {
            self.show()?;
        }
        self.count(true)?;
        let jobs: Vec<JobId> = self.held.keys().copied().collect();
        for job in jobs {
            self.leave(job)?;
        }
        let (from, to, tracks, header) = (self.from(), self.now, self.tracks.len(), self.header);
        let mut timeline = Timeline { events: self.out.events, tracks, from, to, cut: self.cut, by_node: self.by_node };
        let about = json!({
            "scenario": header.scenario, "policy": header.policy, "placement": header.placement, "seed": header.seed,
            "version": header.version, "trace_digest": header.trace_digest, "epoch_unix_s": header.epoch_unix_s,
            "window": timeline.to_string(), "cut": self.cut,
        });
        timeline.events = self.out.finish(&about)?;
        Ok(timeline)
    }
}
