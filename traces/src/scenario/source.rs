//! Jobs from a trace file: which to keep, and how to change them.

use super::ScenarioError;
use super::error::Place;
use crate::duration::Length;
use crate::import::{Format, ImportOptions, NEVER_ENDS, OnBadRow};
use crate::model::{Trace, TraceJob};
use policies::{Fleet, Time, TypeId, TypeSet};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A trace file and what to make of it. Filters work in the order of the fields; `load` comes last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceSpec {
    /// The file, relative to the scenario's folder.
    pub file: PathBuf,
    /// Format name. Default: found out from the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The second file that some formats need (see [`ImportOptions::with`]), relative to the scenario's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<PathBuf>,
    /// What to do with a row that cannot be used. Default: fail.
    #[serde(default)]
    pub on_bad_row: OnBadRow,
    /// Identifiers of jobs that come behind all others submitted at the same moment, against the order of rows: for a peer
    /// that sorts its input unstably.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub behind: BTreeSet<String>,
    /// Leave out jobs submitted before this; the remaining ones' times start from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Length>,
    /// Leave out jobs submitted at or after this (measured from the trace's own beginning).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Length>,
    /// Leave out jobs with more accelerators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerators_max: Option<u32>,
    /// Leave out jobs with fewer accelerators, e.g. 1 for jobs that need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerators_min: Option<u32>,
    /// Keep at most that many jobs, the first ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The fleet's name for the trace's accelerator types, where they differ: `{ "V100M16" = "v100" }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
    /// Stretch or squeeze the times of submission so that the offered load against the fleet becomes this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
}

/// [`TraceSpec::behind`] names a job that the trace lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("trace.behind: no job `{0}` in the trace; expected the identifiers of its jobs, as text")]
pub struct NoSuchJob(pub String);

impl TraceSpec {
    /// The files it needs, with the fields that name them. A member of an archive (`a.tar.gz#b.csv`) needs the archive.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        let named = [("trace.file", Some(&self.file)), ("trace.with", self.with.as_ref())];
        let archive = |file: &Path| PathBuf::from(file.to_string_lossy().split('#').next().unwrap_or_default());
        named.into_iter().filter_map(move |(field, file)| Some((field, archive(file?))))
    }

    /// How to import the file; `folder` anchors relative paths.
    pub fn options(&self, folder: &Path) -> ImportOptions {
        ImportOptions {
            // Checked when the scenario was read.
            format: self.format.as_deref().and_then(|name| name.parse().ok()),
            on_bad_row: self.on_bad_row,
            with: self.with.as_ref().map(|file| folder.join(file)),
            ..ImportOptions::default()
        }
    }

    pub(super) fn check(&self, place: &Place<'_>) -> Result<(), ScenarioError> {
        if let Some(Err(unknown)) = self.format.as_deref().map(str::parse::<Format>) {
            return Err(place.model("trace", Some("format"), &unknown));
        }
        if let Some(load) = self.load.filter(|load| !(*load > 0.0 && load.is_finite())) {
            return Err(place.invalid("trace.load", load, "more than 0, where 1 asks for all capacity"));
        }
        match (self.from, self.to) {
            (Some(from), Some(to)) if from >= to => {
                Err(place.invalid("trace.to", to, &format!("later than trace.from, which is {from}")))
            }
            _ => Ok(()),
        }
    }

    /// Filters and changes an imported trace, and expresses its types in the fleet's.
    ///
    /// # Errors
    /// `behind` names a job that the trace lacks.
    pub fn apply(&self, mut trace: Trace, fleet: &Fleet) -> Result<Trace, NoSuchJob> {
        self.reorder(&mut trace.jobs)?;
        let from = self.from.map_or(Time::ZERO, |length| Time(length.0.0));
        let to = self.to.map_or(Time::MAX, |length| Time(length.0.0));
        let sizes = self.accelerators_min.unwrap_or(0)..=self.accelerators_max.unwrap_or(u32::MAX);
        trace.jobs.retain(|job| {
            job.submit >= from && (job.submit < to || to == Time::MAX) && sizes.contains(&job.demand.accelerators)
        });
        trace.jobs.truncate(self.limit.unwrap_or(usize::MAX));
        if from > Time::ZERO {
            shift(&mut trace, from);
        }
        for name in &mut trace.types {
            if let Some(renamed) = self.types.get(name) {
                name.clone_from(renamed);
            }
        }
        align_types(&mut trace, fleet);
        if let Some(load) = self.load {
            scale_arrivals(&mut trace.jobs, load, fleet.accelerators());
        }
        Ok(trace)
    }

    /// Puts the jobs of `behind` where they belong.
    fn reorder(&self, jobs: &mut [TraceJob]) -> Result<(), NoSuchJob> {
        if self.behind.is_empty() {
            return Ok(());
        }
        let known: BTreeSet<&str> = jobs.iter().map(|job| &*job.id).collect();
        if let Some(unknown) = self.behind.iter().find(|id| !known.contains(id.as_str())) {
            return Err(NoSuchJob(unknown.clone()));
        }
        jobs.sort_by_key(|job| (job.submit, self.behind.contains(&*job.id)));
        Ok(())
    }
}

/// Makes `from` the trace's beginning.
fn shift(trace: &mut Trace, from: Time) {
    for job in &mut trace.jobs {
        job.submit = Time(job.submit.since(from).0);
        job.recorded_start = job.recorded_start.map(|start| Time(start.since(from).0));
    }
    trace.epoch_unix_s = trace.epoch_unix_s.map(|epoch| epoch + (from.0 / 1_000_000) as i64);
}

/// Scales times of submission; recorded starts lose their meaning.
fn scale_arrivals(jobs: &mut [TraceJob], load: f64, accelerators: u64) {
    let (Some(first), Some(last)) = (jobs.first(), jobs.last()) else { return };
    let (first, span_s) = (first.submit, last.submit.since(first.submit).as_secs_f64());
    let ending = jobs.iter().filter(|job| job.duration < NEVER_ENDS);
    let milli_s: f64 = ending.map(|job| job.demand.milli_total() as f64 * job.duration.as_secs_f64()).sum();
    if span_s == 0.0 || milli_s == 0.0 {
        return;
    }
    let factor = milli_s / 1000.0 / (accelerators as f64 * load) / span_s;
    for job in jobs {
        job.submit = Time((job.submit.since(first).0 as f64 * factor).round() as u64);
        job.recorded_start = None;
    }
}

/// Expresses a trace's accelerator types in the fleet's, by name. A job that accepts any type still does; one that
/// accepts only types which the fleet lacks accepts none, and [`validate`](crate::validate) reports it. A fleet whose
/// only type is the unnamed `accelerator` of pools and `64x8` accepts all: there, types are of no interest.
pub fn align_types(trace: &mut Trace, fleet: &Fleet) {
    if fleet.types == ["accelerator"] {
        trace.jobs.iter_mut().for_each(|job| job.demand.types = TypeSet::ANY);
        trace.types.clone_from(&fleet.types);
        return;
    }
    let position = |name: &String| fleet.types.iter().position(|known| known == name);
    let bits: Vec<u64> =
        trace.types.iter().map(|name| position(name).map_or(0, |i| TypeSet::only(TypeId(i as u8)).0)).collect();
    for job in trace.jobs.iter_mut().filter(|job| job.demand.types != TypeSet::ANY) {
        let wanted = job.demand.types;
        let known = bits.iter().enumerate().filter(|(i, _)| *i < 64 && wanted.contains(TypeId(*i as u8)));
        job.demand.types = TypeSet(known.fold(0, |set, (_, bit)| set | bit));
    }
    trace.types.clone_from(&fleet.types);
}
