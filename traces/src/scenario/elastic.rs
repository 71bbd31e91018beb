//! Which gangs may be resized, and how fast they are then.

use super::ScenarioError;
use super::error::Place;
use super::goodput::Goodput;
use policies::Elastic;
use serde::{Deserialize, Serialize};

/// Which jobs may be resized, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElasticRule {
    /// Gangs of at least so many accelerators. Default: 2.
    #[serde(default = "two")]
    pub from: u32,
    /// The least part of the gang that a job may run on, 0 to 1. Default: 0.25.
    #[serde(default = "quarter")]
    pub down_to: f64,
    /// Accelerators that one replica of the model spans, where they divide the gang. Default: 1.
    #[serde(default = "one")]
    pub shard: u16,
    /// How speed follows size. Default: `"linear"`.
    #[serde(default)]
    pub scaling: Scaling,
    /// Part of the speed that is lost while workers share accelerators, 0 to 1. Default: 0.
    #[serde(default)]
    pub overhead: f64,
}

fn one() -> u16 {
    1
}

fn two() -> u32 {
    2
}

fn quarter() -> f64 {
    0.25
}

/// How speed follows the number of accelerators.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// In proportion.
    #[default]
    Linear,
    /// `{ amdahl = 0.05 }`: that part of the full gang's time does not shrink with more accelerators.
    Amdahl(f64),
    /// `{ table = [0.55, 0.3, 0.16, 0.08] }`: speed on 1/2, 1/4, 1/8 and 1/16 of the gang, as measured.
    Table([f64; 4]),
    /// `{ goodput = { grad = [0.05, 0.002], local = [0.01, 0], network = [0.05, 0], gamma = 1.5, batch = 256 } }`: by the model of
    /// Pollux.
    Goodput(Goodput),
}

impl ElasticRule {
    pub(super) fn check(&self, place: &Place<'_>) -> Result<(), ScenarioError> {
        let part = |field, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(place.invalid(field, value, "a part from 0 to 1")),
        };
        part("jobs.elastic.down_to", self.down_to)?;
        part("jobs.elastic.overhead", self.overhead)?;
        if self.shard == 0 {
            return Err(place.invalid("jobs.elastic.shard", 0, "at least 1"));
        }
        match &self.scaling {
            Scaling::Linear => Ok(()),
            Scaling::Amdahl(serial) => part("jobs.elastic.scaling", *serial),
            Scaling::Table(speeds) => {
                speeds.iter().try_for_each(|&speed| part("jobs.elastic.scaling", speed))?;
                match speeds.is_sorted_by(|a, b| a >= b) {
                    true => Ok(()),
                    false => Err(place.invalid("jobs.elastic.scaling", "speeds that rise", "speeds that fall with the size")),
                }
            }
            Scaling::Goodput(model) => model.check(place),
        }
    }

    /// How a gang of `full` may be resized.
    pub(super) fn of(&self, full: u32) -> Elastic {
        let ten_thousandths = |part: f64| libm::round(part * 10_000.0) as u16;
        let accelerators_min = libm::ceil(f64::from(full) * self.down_to - 1e-9).max(1.0) as u32;
        let shard = if full.is_multiple_of(self.shard.into()) { self.shard } else { 1 };
        let shaped = match &self.scaling {
            Scaling::Linear => Elastic::linear(accelerators_min, 0),
            Scaling::Amdahl(serial) => Elastic::amdahl(accelerators_min, ten_thousandths(*serial)),
            Scaling::Table(speeds) => Elastic { accelerators_min, shard: 1, speed: speeds.map(ten_thousandths) },
            Scaling::Goodput(model) => Elastic { accelerators_min, shard: 1, speed: model.speeds(full).map(ten_thousandths) },
        };
        let kept = 1.0 - self.overhead;
        Elastic { shard, speed: shaped.speed.map(|speed| libm::round(f64::from(speed) * kept) as u16), ..shaped }
    }
}
