//! Turns drafts of jobs into a trace: interns names, refuses what cannot be, sorts and rebases.

use super::cell::{Cell, SECOND, When};
use super::error::{Bad, BadRow, ImportError};
use super::side::{Side, beside};
use super::{ImportOptions, OnBadRow};
use crate::model::{Outcome, Trace, TraceJob};
use policies::{Demand, Fleet, Span, Time, TypeId, TypeSet};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::path::PathBuf;
use xxhash_rust::xxh3::xxh3_64;

/// Bad rows beyond this number are counted, not kept.
pub(crate) const SKIPPED_KEPT: usize = 100;

/// Names and their positions.
#[derive(Default)]
pub(crate) struct Interner {
    index: FxHashMap<Box<[u8]>, u32>,
    pub names: Vec<String>,
}

impl Interner {
    /// With `""` at 0.
    fn with_nobody() -> Self {
        let mut interner = Interner::default();
        interner.get(b"");
        interner
    }

    pub(crate) fn get(&mut self, name: &[u8]) -> u32 {
        if let Some(index) = self.index.get(name) {
            return *index;
        }
        let index = self.names.len() as u32;
        self.names.push(String::from_utf8_lossy(name).into_owned());
        self.index.insert(name.into(), index);
        index
    }
}

/// A job as a row tells it.
pub(crate) struct Draft<'a> {
    pub id: Cell<'a>,
    pub submit: When,
    pub duration: Span,
    pub demand: Demand,
    pub tenant: &'a [u8],
    pub priority: i32,
    pub tier: u8,
    pub estimate: Option<Span>,
    pub outcome: Outcome,
    pub start: Option<When>,
    pub label: &'a [u8],
}

impl<'a> Draft<'a> {
    pub(crate) fn new(id: Cell<'a>, submit: When, duration: Span, demand: Demand) -> Draft<'a> {
        let (tenant, label) = (&b""[..], &b""[..]);
        let (priority, tier, estimate, start) = (0, 0, None, None);
        Draft { id, submit, duration, demand, tenant, priority, tier, estimate, outcome: Outcome::Unknown, start, label }
    }
}

/// The jobs of one file or archive member.
#[derive(Default)]
struct Part {
    name: String,
    jobs: Vec<TraceJob>,
    absolute: Option<bool>,
}

/// Collects jobs.
pub(crate) struct Builder {
    on_bad_row: OnBadRow,
    file: String,
    parts: Vec<Part>,
    seen: FxHashMap<u64, u32>,
    tenants: Interner,
    labels: Interner,
    types: Interner,
    pub fleet: Option<Fleet>,
    /// The second file that was named, or the folder in which to look for one.
    with: Option<PathBuf>,
    pub folder: Option<PathBuf>,
    /// Digests of further files that went into the trace.
    pub more_digests: Vec<blake3::Hash>,
    /// Calendar time of relative time 0, where the source tells it.
    pub epoch_unix_s: Option<i64>,
    pub skipped: Vec<BadRow>,
    pub skipped_total: u64,
    pub left_out: BTreeMap<String, u64>,
    pub notes: Vec<String>,
}

impl Builder {
    pub(crate) fn new(options: &ImportOptions, fleet: Option<Fleet>) -> Builder {
        let mut types = Interner::default();
        for name in fleet.iter().flat_map(|fleet| &fleet.types) {
            types.get(name.as_bytes());
        }
        Builder {
            on_bad_row: options.on_bad_row,
            file: String::new(),
            parts: Vec::new(),
            seen: FxHashMap::default(),
            tenants: Interner::with_nobody(),
            labels: Interner::with_nobody(),
            types,
            fleet,
            with: options.with.clone(),
            folder: None,
            more_digests: Vec::new(),
            epoch_unix_s: None,
            skipped: Vec::new(),
            skipped_total: 0,
            left_out: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    /// The jobs that follow are of this file; `name` is what its jobs' tenant is called when several files are merged.
    pub(crate) fn begin_part(&mut self, file: &str, name: &str) {
        self.file = file.into();
        self.seen.clear();
        self.parts.push(Part { name: name.into(), ..Part::default() });
    }

    /// The second file: the one that was named, else one of these names beside the trace or one folder above.
    pub(crate) fn side(&mut self, names: &[&str]) -> Result<Option<Side>, ImportError> {
        let path = self.with.clone().or_else(|| beside(self.folder.as_deref(), names));
        let side = path.map(|path| Side::open(&path)).transpose()?;
        self.more_digests.extend(side.iter().map(Side::digest));
        Ok(side)
    }

    /// Jobs of the current part so far.
    pub(crate) fn jobs(&self) -> usize {
        self.parts.last().map_or(0, |part| part.jobs.len())
    }

    /// The type of that name as a set; everything for an empty name.
    pub(crate) fn types(&mut self, cell: Cell<'_>) -> Result<TypeSet, Bad> {
        let mut set = 0;
        for name in cell.bytes.split(|b| *b == b'|').map(|name| name.trim_ascii()).filter(|name| !name.is_empty()) {
            let id = self.types.get(name);
            if id >= 64 {
                self.types.names.pop();
                self.types.index.remove(name);
                return Err(cell.bad("at most 64 accelerator types in a trace"));
            }
            set |= TypeSet::only(TypeId(id as u8)).0;
        }
        Ok(if set == 0 { TypeSet::ANY } else { TypeSet(set) })
    }

    /// Takes a job, or says why not.
    pub(crate) fn push(&mut self, draft: Draft<'_>) -> Result<(), Bad> {
        let Some(part) = self.parts.last_mut() else {
            return Ok(());
        };
        let id = std::str::from_utf8(draft.id.bytes).map_err(|_| draft.id.bad("an identifier in UTF-8"))?;
        if id.is_empty() {
            return Err(draft.id.bad("an identifier"));
        }
        if *part.absolute.get_or_insert(draft.submit.absolute) != draft.submit.absolute {
            let expected = "all submit times counted from the beginning, or all as calendar times";
            return Err(Bad::new("submit time", format!("{} us", draft.submit.micros).as_bytes(), expected));
        }
        let start = draft.start.filter(|start| start.absolute == draft.submit.absolute);
        if let Some(start) = start.filter(|start| start.micros < draft.submit.micros) {
            let early = Span(draft.submit.micros - start.micros);
            return Err(Bad::new(
                "start time",
                format!("{early} before the submit time").as_bytes(),
                "a start after the submit time",
            ));
        }
        // The set of known ids holds hashes, not copies; a hash that meets a different id is looked at closely.
        let slot = self.seen.entry(xxh3_64(id.as_bytes())).or_insert(part.jobs.len() as u32);
        let clash = part.jobs.get(*slot as usize);
        if clash.is_some_and(|job| *job.id == *id || part.jobs.iter().any(|job| *job.id == *id)) {
            return Err(draft.id.bad("an identifier that no earlier row has"));
        }
        part.jobs.push(TraceJob {
            id: id.into(),
            submit: Time(draft.submit.micros),
            duration: draft.duration,
            demand: draft.demand,
            tenant: self.tenants.get(draft.tenant),
            priority: draft.priority,
            tier: draft.tier,
            estimate: draft.estimate,
            outcome: draft.outcome,
            recorded_start: start.map(|start| Time(start.micros)),
            label: self.labels.get(draft.label),
        });
        Ok(())
    }

    /// Fails with the bad row or counts it, as was asked.
    pub(crate) fn reject(&mut self, row: u64, bad: Bad) -> Result<(), ImportError> {
        let value = super::error::shorten(bad.value.as_bytes());
        let bad = BadRow { file: self.file.clone(), row, column: bad.column, value, expected: bad.expected };
        if self.on_bad_row == OnBadRow::Fail {
            return Err(ImportError::Row(bad));
        }
        self.skipped_total += 1;
        if self.skipped.len() < SKIPPED_KEPT {
            self.skipped.push(bad);
        }
        Ok(())
    }

    /// Counts a row that is in order but is no finished job.
    pub(crate) fn leave_out(&mut self, why: &str) {
        match self.left_out.get_mut(why) {
            Some(count) => *count += 1,
            None => drop(self.left_out.insert(why.into(), 1)),
        }
    }

    /// The trace: parts merged, sorted by submit time (ties in name order of the parts, then row order), calendar times
    /// rebased to the first submit.
    pub(crate) fn finish(mut self, file: &str, format: &str) -> Result<(Trace, Builder), ImportError> {
        self.drop_selections();
        let absolute = self.one_time_base(file)?;
        let mut jobs = self.merge();
        if jobs.is_empty() {
            let reasons: Vec<String> = self.left_out.iter().map(|(why, count)| format!("{count} {why}")).collect();
            let left_out = if reasons.is_empty() { "none".into() } else { reasons.join(", ") };
            return Err(ImportError::Empty { file: file.into(), skipped: self.skipped_total, left_out });
        }
        jobs.sort_by_key(|job| job.submit);
        let mut epoch_unix_s = self.epoch_unix_s;
        if absolute {
            let base_s = jobs[0].submit.0 / SECOND;
            epoch_unix_s = Some(base_s as i64);
            for job in &mut jobs {
                job.submit.0 -= base_s * SECOND;
                job.recorded_start = job.recorded_start.map(|start| Time(start.0.saturating_sub(base_s * SECOND)));
            }
        }
        let trace = Trace {
            jobs,
            tenants: std::mem::take(&mut self.tenants.names),
            types: std::mem::take(&mut self.types.names),
            labels: std::mem::take(&mut self.labels.names),
            epoch_unix_s,
            fleet: self.fleet.take(),
            format: format.into(),
        };
        Ok((trace, self))
    }

    /// A part whose every job is in another, larger part too (a sample shipped beside the whole) would count twice.
    fn drop_selections(&mut self) {
        if self.parts.len() < 2 {
            return;
        }
        let mut larger: FxHashMap<u64, usize> = FxHashMap::default();
        let hash = |job: &TraceJob| xxh3_64(job.id.as_bytes());
        for part in &self.parts {
            for job in &part.jobs {
                let size = larger.entry(hash(job)).or_default();
                *size = part.jobs.len().max(*size);
            }
        }
        let mut parts = std::mem::take(&mut self.parts);
        parts.retain(|part| {
            let whole = part.jobs.is_empty() || part.jobs.iter().any(|job| larger[&hash(job)] <= part.jobs.len());
            if !whole {
                let (name, count) = (&part.name, part.jobs.len() as u64);
                self.left_out.insert(format!("{name}: all its jobs are in other members"), count);
            }
            whole
        });
        self.parts = parts;
    }

    fn one_time_base(&self, file: &str) -> Result<bool, ImportError> {
        let mut known = self.parts.iter().filter_map(|part| Some((part.absolute?, &part.name)));
        let Some((absolute, first)) = known.next() else {
            return Ok(false);
        };
        match known.find(|(other, _)| *other != absolute) {
            None => Ok(absolute),
            Some((_, other)) => {
                let (first, other) = (first.clone(), other.clone());
                Err(ImportError::Mixed { file: file.into(), first, other, what: "how they count time" })
            }
        }
    }

    fn merge(&mut self) -> Vec<TraceJob> {
        let mut parts = std::mem::take(&mut self.parts);
        if parts.len() == 1 {
            return parts.remove(0).jobs;
        }
        parts.sort_by(|a, b| a.name.cmp(&b.name));
        let own = std::mem::replace(&mut self.tenants, Interner::with_nobody());
        let mut jobs = Vec::with_capacity(parts.iter().map(|part| part.jobs.len()).sum());
        for Part { name, jobs: mut more, .. } in parts {
            for job in &mut more {
                job.id = format!("{name}/{}", job.id).into();
                job.tenant = match job.tenant {
                    0 => self.tenants.get(name.as_bytes()),
                    tenant => self.tenants.get(format!("{name}/{}", own.names[tenant as usize]).as_bytes()),
                };
            }
            jobs.append(&mut more);
        }
        jobs
    }
}

/// What a status word means, whichever system wrote it.
pub(crate) fn outcome(word: &[u8]) -> Outcome {
    let word = word.split(u8::is_ascii_whitespace).next().unwrap_or(b"");
    let is = |words: &[&str]| words.iter().any(|w| word.eq_ignore_ascii_case(w.as_bytes()));
    if is(&["pass", "passed", "completed", "complete", "succeeded", "success", "terminated", "finished", "done", "ok"]) {
        Outcome::Completed
    } else if is(&["failed", "fail", "failure", "timeout", "node_fail", "out_of_memory", "boot_fail", "deadline", "error"]) {
        Outcome::Failed
    } else if is(&["killed", "cancelled", "canceled", "cancelled+", "stopped", "revoked"]) {
        Outcome::Cancelled
    } else {
        Outcome::Unknown
    }
}
