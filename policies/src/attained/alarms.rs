//! When running jobs reach the bounds of their service.

use crate::ids::JobId;
use crate::time::{MICROS_PER_SECOND, Span, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Jobs that run, by bound and size, in order of [`Alarm::begun`].
type UpstreamJumps = BTreeMap<(u64, u64), BTreeSet<(u64, JobId)>>;

/// When a job reaches its bound if it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Alarm {
    /// When.
    pub at: Time,
    /// Accelerator-thousandths that it holds.
    pub milli: u64,
    /// The bound.
    pub until: u64,
    /// `now` less the time that it has spent running: constant while it runs.
    pub begun: u64,
}

/// Alarms of selected jobs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Alarms {
    at: BTreeSet<(Time, JobId)>,
    /// With Tiresias's own way to find the next time: jobs by bound and size, in order of `begun`.
    upstream: Option<UpstreamJumps>,
    /// Its next time; found at each decision.
    jump: Option<Time>,
}

impl Alarms {
    /// `upstream`: see [`next`](Alarms::next).
    pub fn new(upstream: bool) -> Alarms {
        Alarms { upstream: upstream.then(BTreeMap::new), ..Alarms::default() }
    }

    pub fn set(&mut self, job: JobId, alarm: Alarm) {
        self.at.insert((alarm.at, job));
        if let Some(groups) = &mut self.upstream {
            groups.entry((alarm.until, alarm.milli)).or_default().insert((alarm.begun, job));
        }
    }

    pub fn clear(&mut self, job: JobId, alarm: Alarm) {
        self.at.remove(&(alarm.at, job));
        if let Some(groups) = &mut self.upstream {
            let key = (alarm.until, alarm.milli);
            let group = groups.get_mut(&key).expect("set before it is cleared");
            group.remove(&(alarm.begun, job));
            if group.is_empty() {
                groups.remove(&key);
            }
        }
    }

    /// Jobs that have reached their bounds at `now`, by id. Their alarms stay until they are cleared.
    pub fn due(&self, now: Time) -> Vec<JobId> {
        let mut jobs: Vec<JobId> = self.at.iter().take_while(|(at, _)| *at <= now).map(|&(_, job)| job).collect();
        jobs.sort_unstable();
        jobs
    }

    /// Finds the next time anew, after jobs have begun to run.
    ///
    /// The simulator of Tiresias takes (bound - *seconds* executed) / accelerators, rounded down to a second, for the time that
    /// is left until a job reaches a bound of *accelerator-seconds*; and it does so anew at each event. Being too late for all
    /// gangs that have run a while, and differently so after each event, it must be copied to reproduce its results.
    pub fn refresh(&mut self, now: Time) {
        let Some(groups) = &self.upstream else { return };
        let jump = |(&(until, milli), group): (&(u64, u64), &BTreeSet<(u64, JobId)>)| {
            let executed = now.0.saturating_sub(group.first()?.0);
            let left = until.saturating_sub(executed) / (milli / 1000).max(1);
            let left = left / MICROS_PER_SECOND * MICROS_PER_SECOND;
            Some(now + Span(left.max(1)))
        };
        self.jump = groups.iter().filter_map(jump).min();
    }

    /// When the next job reaches its bound, or when the simulator of Tiresias believes so.
    pub fn next(&self) -> Option<Time> {
        if self.upstream.is_some() { self.jump } else { self.at.first().map(|&(at, _)| at) }
    }
}
