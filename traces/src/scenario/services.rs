//! Inference services as people write them.

use super::ScenarioError;
use super::error::Place;
use crate::duration::Length;
use crate::import::ImportError;
use crate::model::Trace;
use crate::runlog::ServiceInfo;
use crate::service::{Load, Rhythm, Scaling, Service, Throughput};
use policies::{Demand, Fleet, Level, Span, Time, TypeId, TypeSet};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One `[[service]]`: replicas that come and go with a load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// For people; also the tenant of its replicas, which home rules may name.
    pub name: String,
    /// Tier of its replicas, 0 the best. Default: 0.
    #[serde(default)]
    pub tier: u8,
    /// Accelerators of a replica. Default: 1.
    #[serde(default = "one")]
    pub accelerators: u32,
    /// Accelerator types that it can use. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// How near to each other the accelerators of a replica must be. Default: on one node.
    #[serde(default = "node")]
    pub within: Level,
    /// The latency objective that the throughput was measured at, in words; for reports.
    #[serde(default)]
    pub objective: String,
    /// What one replica sustains within the objective.
    pub throughput: ThroughputSpec,
    /// What the service is asked.
    pub load: LoadSpec,
    /// Replicas are added until they could serve this much more than was asked last, as a part of it. Default: 0.1.
    #[serde(default = "tenth")]
    pub headroom: f64,
    /// At least so many replicas. Default: 1.
    #[serde(default = "one")]
    pub replicas_min: u32,
    /// A replica is given up when it was not needed for so long. Default: five minutes.
    #[serde(default = "five_minutes")]
    pub scale_down_after: Length,
    /// For how long a replica runs before it answers its first request, beside what `[run] costs` says of starting. Default: 0.
    #[serde(default)]
    pub start_up: Length,
    /// When the service begins. Default: at once.
    #[serde(default)]
    pub from: Length,
    /// For how long it goes on. Default: until the last job is submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Length>,
}

/// The least rates at which a replica is busy all the time; see [`Throughput`]. At least one is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThroughputSpec {
    /// Requests a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<f64>,
    /// Tokens of prompts a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<f64>,
    /// Tokens of answers a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated: Option<f64>,
}

/// A load: `file`, `peak` and `trough`, or both; see [`Load`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoadSpec {
    /// Recorded requests (see [`import::requests`](crate::import::requests)), relative to the scenario's folder; repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Most requests a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<f64>,
    /// Fewest requests a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trough: Option<f64>,
    /// From one peak to the next. Default: a day.
    pub period: Length,
    /// When the first peak is. Default: after 14 hours.
    pub peak_at: Length,
    /// Standard deviation of the logarithm of the noise on peak and trough. Default: 0.
    pub noise: f64,
    /// Tokens of a mean request's prompt, where no file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<f64>,
    /// Tokens of a mean request's answer, where no file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated: Option<f64>,
    /// So many times all that. Default: 1.
    pub scale: f64,
    /// The load is measured, and replicas follow it, every so often. Default: a minute.
    pub bin: Length,
}

impl Default for LoadSpec {
    fn default() -> LoadSpec {
        LoadSpec {
            file: None,
            peak: None,
            trough: None,
            period: Length(Span::from_secs(86_400)),
            peak_at: Length(Span::from_secs(14 * 3600)),
            noise: 0.0,
            context: None,
            generated: None,
            scale: 1.0,
            bin: Length(Span::from_secs(60)),
        }
    }
}

fn one() -> u32 {
    1
}

fn node() -> Level {
    Level::Node
}

fn tenth() -> f64 {
    0.1
}

fn five_minutes() -> Length {
    Length(Span::from_secs(300))
}

/// More bins than that are a mistake in `bin` or `lasts`.
const BINS_MAX: u64 = 10_000_000;

/// Adds the replicas of all services to the trace, whose types are the fleet's; `folder` anchors relative files.
///
/// # Errors
/// A file of requests that cannot be used.
pub fn add_services(
    specs: &[ServiceSpec],
    folder: &Path,
    fleet: &Fleet,
    trace: &mut Trace,
    seed: u64,
) -> Result<Vec<ServiceInfo>, ImportError> {
    let until = trace.jobs.last().map_or(Time::ZERO, |job| job.submit);
    specs.iter().map(|spec| spec.service(folder, fleet, until).add_to(trace, seed)).collect()
}

impl ServiceSpec {
    pub(super) fn check(&self, index: usize, place: &Place<'_>, folder: &Path, fleet: &Fleet) -> Result<(), ScenarioError> {
        let field = |name: &str| format!("service[{index}].{name}");
        let above_zero = |name: &str, value: Option<f64>| match value {
            Some(value) if !(value > 0.0 && value.is_finite()) => Err(place.invalid(&field(name), value, "a number above 0")),
            _ => Ok(()),
        };
        if self.name.is_empty() {
            return Err(place.invalid(&field("name"), "empty", "a name"));
        }
        if self.accelerators == 0 {
            return Err(place.invalid(&field("accelerators"), 0, "at least 1"));
        }
        if let Some(unknown) = self.types.iter().find(|name| !fleet.types.contains(name)) {
            let expected = format!("types of the fleet: {}", fleet.types.join(", "));
            return Err(place.invalid(&field("types"), unknown, &expected));
        }
        let ThroughputSpec { requests, context, generated } = self.throughput;
        if [requests, context, generated].iter().all(Option::is_none) {
            return Err(place.invalid(&field("throughput"), "empty", "at least one of requests, context and generated"));
        }
        above_zero("throughput.requests", requests)?;
        above_zero("throughput.context", context)?;
        above_zero("throughput.generated", generated)?;
        if !(0.0..=100.0).contains(&self.headroom) {
            return Err(place.invalid(&field("headroom"), self.headroom, "a part of the load from 0 to 100"));
        }
        let bin = self.load.bin.0;
        let longest = self.lasts.map_or(Span::ZERO, |lasts| lasts.0).0 / bin.0.max(1);
        if bin == Span::ZERO || longest > BINS_MAX {
            return Err(place.invalid(
                &field("load.bin"),
                self.load.bin,
                "a length of time above 0, and fewer than 10,000,000 of them",
            ));
        }
        self.load.check(&self.throughput, &field("load"), place, folder)
    }

    fn service(&self, folder: &Path, fleet: &Fleet, until: Time) -> Service {
        let bit = |name: &String| fleet.types.iter().position(|known| known == name).map(|i| TypeSet::only(TypeId(i as u8)).0);
        let types = match self.types.is_empty() {
            true => TypeSet::ANY,
            false => TypeSet(self.types.iter().filter_map(bit).fold(0, |set, bit| set | bit)),
        };
        let ThroughputSpec { requests, context, generated } = self.throughput;
        let from = Time::ZERO + self.from.0;
        Service {
            name: self.name.clone(),
            tier: self.tier,
            demand: Demand { types, within: self.within, ..Demand::whole(self.accelerators) },
            objective: self.objective.clone(),
            start_up: self.start_up.0,
            from,
            lasts: self.lasts.map_or(until.since(from), |lasts| lasts.0),
            load: self.load.load(folder, Throughput { requests, context, generated }),
            scaling: Scaling {
                headroom_milli: libm::round(self.headroom * 1000.0) as u32,
                replicas_min: self.replicas_min,
                down_after: self.scale_down_after.0,
            },
        }
    }
}

impl LoadSpec {
    fn check(&self, throughput: &ThroughputSpec, field: &str, place: &Place<'_>, folder: &Path) -> Result<(), ScenarioError> {
        let inside = |name: &str| format!("{field}.{name}");
        match &self.file {
            Some(file) => place.require_file(&inside("file"), &folder.join(file))?,
            None => {
                let needs =
                    [("context", throughput.context, self.context), ("generated", throughput.generated, self.generated)];
                if let Some((name, ..)) = needs.iter().find(|(_, rate, tokens)| rate.is_some() && tokens.is_none()) {
                    let expected = "the tokens of a mean request, as the throughput counts them, or a file of requests";
                    return Err(place.invalid(&inside(name), "missing", expected));
                }
            }
        }
        match (self.peak, self.trough) {
            (Some(peak), Some(trough)) if (0.0..=peak).contains(&trough) && peak > 0.0 && peak.is_finite() => {}
            (None, None) if self.file.is_some() => {}
            (None, None) => return Err(place.invalid(field, "empty", "a file of requests, or peak and trough")),
            (peak, trough) => {
                let given = |rate: Option<f64>| rate.map_or("nothing".into(), |rate| rate.to_string());
                let value = format!("from {} to {}", given(trough), given(peak));
                return Err(place.invalid(
                    &inside("peak"),
                    value,
                    "peak and trough, with 0 <= trough <= peak and peak above 0",
                ));
            }
        }
        if !(0.0..=2.0).contains(&self.noise) {
            return Err(place.invalid(&inside("noise"), self.noise, "0 to 2"));
        }
        if self.period.0 == Span::ZERO {
            return Err(place.invalid(&inside("period"), self.period, "a length of time above 0"));
        }
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            return Err(place.invalid(&inside("scale"), self.scale, "a number above 0"));
        }
        let tokens = [("context", self.context), ("generated", self.generated)];
        match tokens.into_iter().find(|(_, tokens)| tokens.is_some_and(|tokens| !(tokens >= 0.0 && tokens.is_finite()))) {
            Some((name, tokens)) => Err(place.invalid(&inside(name), tokens.unwrap_or_default(), "a number of tokens")),
            None => Ok(()),
        }
    }

    fn load(&self, folder: &Path, throughput: Throughput) -> Load {
        let rhythm =
            |(peak, trough)| Rhythm { peak, trough, period: self.period.0, peak_at: self.peak_at.0, noise: self.noise };
        Load {
            throughput,
            file: self.file.as_ref().map(|file| folder.join(file)),
            rhythm: self.peak.zip(self.trough).map(rhythm),
            tokens: (self.context.unwrap_or(0.0), self.generated.unwrap_or(0.0)),
            scale: self.scale,
            bin: self.bin.0,
        }
    }
}
