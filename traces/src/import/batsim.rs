//! Batsim workloads (JSON): `jobs` that use `profiles`. Resources are taken as accelerators.
//!
//! | key | unit | use | if missing |
//! |---|---|---|---|
//! | `jobs[].id` | text or number | id | bad row |
//! | `jobs[].subtime` | seconds from the beginning | submit; not rebased | bad row |
//! | `jobs[].res` | number | accelerators | bad row |
//! | `jobs[].walltime` | seconds; -1 is none | estimate; a longer run is cut there, as Batsim does, and ends as failed | none |
//! | `jobs[].profile` | name | joins the profiles; label | bad row |
//! | `profiles.*.type` `delay`, `DelayProfile` | | duration = `delay`, seconds | |
//! | `composed`, `sequence`, `SequentialCompositionProfile` | | duration = sum over `seq`, `repeat` times | |
//! | `parallel*`, `msg_par*`, `ptask*`, `ParallelTask*` | operations, bytes | their length depends on Batsim's platform: duration = `runtime`, seconds, where the profile carries it, else `walltime` (noted) | bad row without either |
//! | `profiles.*.ret` | return code | outcome: 0 completed, else failed | completed |
//! | `nb_res` | number | a fleet of one pool of that many | no fleet |
//!
//! Profiles of other kinds (SMPI replays, data staging) are treated like parallel ones.

use super::builder::{Builder, Draft};
use super::cell::{Cell, SECOND};
use super::error::{Bad, ImportError};
use super::json::{Elements, Text, document, typed};
use crate::model::Outcome;
use policies::{Demand, Fleet, Span};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::cell::Cell as Shared;
use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;
use std::marker::PhantomData;

#[derive(Deserialize)]
struct Job {
    id: Text,
    subtime: Text,
    res: Text,
    profile: Text,
    walltime: Option<Text>,
}

#[derive(Deserialize)]
struct Profile {
    #[serde(rename = "type", default)]
    kind: String,
    delay: Option<Text>,
    runtime: Option<Text>,
    #[serde(default)]
    seq: Vec<Text>,
    repeat: Option<Text>,
    #[serde(default)]
    ret: i64,
}

#[derive(Default)]
struct Workload {
    /// With their lines.
    jobs: Vec<(u64, Value)>,
    profiles: BTreeMap<String, Profile>,
    resources: Option<u64>,
}

struct Keys<'c, 'w> {
    line: &'c Shared<u64>,
    stopped: &'c Shared<Option<ImportError>>,
    into: &'w mut Workload,
}

impl<'de> Visitor<'de> for Keys<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a workload with jobs and profiles")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "jobs" => {
                    let jobs = &mut self.into.jobs;
                    let take = |line, job: Value| {
                        jobs.push((line, job));
                        Ok(())
                    };
                    map.next_value_seed(Elements { line: self.line, take, stopped: self.stopped, of: PhantomData })?;
                }
                "profiles" => self.into.profiles = map.next_value()?,
                "nb_res" => self.into.resources = map.next_value::<Value>()?.as_u64(),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Keys<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

pub(crate) fn import(file: &str, reader: Box<dyn BufRead + '_>, to: &mut Builder) -> Result<(), ImportError> {
    let mut workload = Workload::default();
    let expected = "an object with jobs (id, subtime, res, profile) and profiles (type, ...)";
    document(file, reader, expected, |parser, line, stopped| Keys { line, stopped, into: &mut workload }.deserialize(parser))?;
    if let (None, Some(size @ 1..=4_294_967_295)) = (&to.fleet, workload.resources) {
        to.fleet = Some(Fleet::pool(size as u32));
    }
    let mut by_walltime = 0u64;
    let mut lengths = Lengths { profiles: &workload.profiles, known: BTreeMap::new() };
    for (line, job) in workload.jobs {
        let taken = typed(job).and_then(|job| take(&job, &mut lengths, &mut by_walltime, to));
        taken.or_else(|bad| to.reject(line, bad))?;
    }
    if by_walltime > 0 {
        to.notes.push(format!("{by_walltime} jobs have profiles whose length depends on a platform; they last their walltime"));
    }
    Ok(())
}

fn take(job: &Job, lengths: &mut Lengths<'_>, by_walltime: &mut u64, to: &mut Builder) -> Result<(), Bad> {
    let cell = |column, text: &'_ Text| -> (&'static str, Vec<u8>) { (column, text.0.trim().as_bytes().to_vec()) };
    let own = [cell("id", &job.id), cell("subtime", &job.subtime), cell("res", &job.res), cell("profile", &job.profile)];
    let [id, subtime, res, profile] = [0, 1, 2, 3].map(|i| Cell { column: own[i].0, bytes: &own[i].1 });
    let accelerators = res.count()?;
    if accelerators == 0 {
        return Err(res.bad("at least one resource"));
    }
    let submit = subtime.offset(SECOND)?;
    let walltime = match &job.walltime {
        Some(text) if !text.0.is_empty() && !text.0.starts_with('-') => {
            Some(Cell { column: "walltime", bytes: text.0.as_bytes() }.span(SECOND)?)
        }
        _ => None,
    };
    let length = lengths.of(&job.profile.0, 0).map_err(|expected| profile.bad(expected))?;
    *by_walltime += u64::from(length.is_none() && walltime.is_some());
    let expected = "a profile of known length (delay, or with runtime), or a walltime";
    let full = length.or(walltime).ok_or_else(|| profile.bad(expected))?;
    let duration = walltime.map_or(full, |limit| full.min(limit));
    let well = duration == full && lengths.profiles.get(&job.profile.0).is_some_and(|profile| profile.ret == 0);
    to.push(Draft {
        label: profile.bytes,
        estimate: walltime,
        outcome: if well { Outcome::Completed } else { Outcome::Failed },
        ..Draft::new(id, submit, duration, Demand::whole(accelerators))
    })
}

/// How long profiles run, each worked out once: `None` if that depends on the platform.
struct Lengths<'p> {
    profiles: &'p BTreeMap<String, Profile>,
    known: BTreeMap<&'p str, Result<Option<Span>, &'static str>>,
}

impl<'p> Lengths<'p> {
    fn of(&mut self, name: &str, depth: u32) -> Result<Option<Span>, &'static str> {
        let (name, profile) = self.profiles.get_key_value(name).ok_or("a profile of this workload")?;
        if let Some(known) = self.known.get(name.as_str()) {
            return *known;
        }
        self.known.insert(name, Err("a sequence that does not contain itself"));
        let length = self.length(profile, depth);
        self.known.insert(name, length);
        length
    }

    fn length(&mut self, profile: &'p Profile, depth: u32) -> Result<Option<Span>, &'static str> {
        let seconds = |text: &Text| Cell { column: "", bytes: text.0.trim().as_bytes() }.span(SECOND).ok();
        if profile.kind.to_ascii_lowercase().starts_with("delay") {
            let delay = profile.delay.as_ref().and_then(seconds);
            return delay.map(Some).ok_or("a delay profile with a delay of 0 to 1e11 seconds");
        }
        if profile.seq.is_empty() {
            return Ok(profile.runtime.as_ref().and_then(seconds));
        }
        if depth >= 64 {
            return Err("a sequence that is nested at most 64 deep");
        }
        let repeat = profile.repeat.as_ref().map_or(Ok(1), |text| text.0.parse::<u64>());
        let repeat = repeat.map_err(|_| "a sequence with a whole number as repeat")?;
        let mut once = Some(Span::ZERO);
        for name in &profile.seq {
            once = once.zip(self.of(&name.0, depth + 1)?).map(|(sum, part)| sum + part);
        }
        match once.map(|once| Span(once.0.saturating_mul(repeat))) {
            Some(span) if i128::from(span.0) > super::cell::MICROS_MAX => Err("a sequence of at most 1e11 seconds"),
            whole => Ok(whole),
        }
    }
}
