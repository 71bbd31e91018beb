//! When running jobs are expected to end: what both kinds of backfilling plan with.

use crate::event::Event;
use crate::ids::{JobId, TypeId};
use crate::job::{Job, Phase};
use crate::spec::{Parameter, Spec, SpecError};
use crate::time::{Span, Time};
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Shared by the policies that need a length for every job.
pub(super) const ASSUME: Parameter =
    Parameter { key: "assume", default: "86400", about: "run time in seconds taken for jobs without an estimate" };

/// The value of [`ASSUME`].
pub(super) fn assumed(spec: &Spec) -> Result<Span, SpecError> {
    let expected = "a positive number of seconds";
    let seconds = spec.get_where("assume", expected, |&s: &f64| s > 0.0 && Span::from_secs_f64(s).is_some())?;
    Ok(Span::from_secs_f64(seconds).expect("checked above").max(Span(1)))
}

/// A job that outlives its estimate is given at least this long.
const GRACE: Span = Span::from_secs(60);

/// Accelerators of one type that a job holds until an expected instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Occupancy {
    pub end: Time,
    pub kind: TypeId,
    pub milli: u64,
}

/// The expected ends of all jobs that hold accelerators, in order.
///
/// A job is expected to run for what its estimate leaves. When it is still there then, it is given as long again as it has
/// run, at least a minute: a correction that is needed only logarithmically often (cf. Tsafrir, Etsion & Feitelson, TPDS '07,
/// section 4.2). An expected end is therefore always in the future.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Expected {
    assume: Span,
    ends: BTreeSet<(Time, JobId)>,
    jobs: BTreeMap<JobId, Occupancy>,
}

impl Expected {
    pub fn new(assume: Span) -> Expected {
        Expected { assume, ..Expected::default() }
    }

    /// How long a job will run if it starts now; at least the smallest span.
    pub fn length(&self, job: &Job) -> Span {
        job.spec.estimate.unwrap_or(self.assume).saturating_sub(job.progress).max(Span(1))
    }

    fn end(&self, view: &View, job: &Job) -> Time {
        let now = view.now();
        let ran = now.since(job.running_since);
        let left = self.length(job).saturating_sub(ran);
        now + if ran < self.length(job) { left } else { ran.max(GRACE) }
    }

    /// Keeps up with an event. Returns what changed: the occupancy before and after.
    pub fn observe(&mut self, view: &View, event: &Event) -> (Option<Occupancy>, Option<Occupancy>) {
        let Some(id) = event.job() else { return (None, None) };
        match event {
            Event::Submit { .. } | Event::Node { .. } => (None, None),
            Event::Started { .. } => {
                let end = self.end(view, view.job(id));
                let old = self.remove(id);
                let new = old.map(|o| self.insert(id, Occupancy { end, ..o }));
                (old, new)
            }
            Event::Stopped { .. } | Event::Finished { .. } | Event::Failed { .. } | Event::Withdrawn { .. } => {
                (self.remove(id), None)
            }
        }
    }

    /// A job was given a place.
    pub fn launched(&mut self, view: &View, id: JobId) -> Occupancy {
        let job = view.job(id);
        debug_assert!(matches!(job.phase, Phase::Assigned | Phase::Starting));
        let kind = view.fleet().node(job.allocation[0].node).kind;
        let end = view.now() + self.length(job);
        self.insert(id, Occupancy { end, kind, milli: job.spec.demand.milli_total() })
    }

    /// Corrects the expectations that time has proved wrong; `changed` is told of each, before and after.
    pub fn correct(&mut self, view: &View, mut changed: impl FnMut(Occupancy, Occupancy)) {
        while let Some(&(_, id)) = self.ends.first().filter(|(end, _)| *end <= view.now()) {
            let old = self.remove(id).expect("both indexes name the same jobs");
            let again = self.end(view, view.job(id)).max(view.now() + GRACE);
            let new = self.insert(id, Occupancy { end: again, ..old });
            changed(old, new);
        }
    }

    /// Occupancies by expected end.
    pub fn iter(&self) -> impl Iterator<Item = &Occupancy> {
        self.ends.iter().map(|(_, id)| &self.jobs[id])
    }

    /// The first expected end.
    pub fn first(&self) -> Option<Time> {
        self.ends.first().map(|&(end, _)| end)
    }

    fn insert(&mut self, id: JobId, occupancy: Occupancy) -> Occupancy {
        self.ends.insert((occupancy.end, id));
        self.jobs.insert(id, occupancy);
        occupancy
    }

    fn remove(&mut self, id: JobId) -> Option<Occupancy> {
        let occupancy = self.jobs.remove(&id)?;
        self.ends.remove(&(occupancy.end, id));
        Some(occupancy)
    }
}
