//! What a trace does not say of its jobs: tiers and elasticity, by rule.

use super::ScenarioError;
use super::error::Place;
use super::goodput::Goodput;
use super::states::StateRule;
use crate::generate::Keyed;
use crate::model::TraceJob;
use policies::Elastic;
use serde::{Deserialize, Serialize};

/// Rules for jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobRules {
    /// Shares of the tiers, best first, in any unit: each job's tier is drawn by a hash of its id, which depends on neither
    /// seed nor policy. Default: as the trace says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<f64>,
    /// Whether a better tier is a higher priority too, for policies that know priorities and no tiers. Default: no, priorities are
    /// as the trace says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub priority_by_tier: bool,
    /// Which jobs may be resized, and how. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elastic: Option<ElasticRule>,
    /// Which jobs have deadlines. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DeadlineRule>,
    /// What jobs have to carry when they are stopped, moved and saved. Default: as the costs say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<StateRule>,
}

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

/// Deadlines, drawn by a hash of the job's id: its duration times a slack after its submission (as in Gu et al., "ElasticFlow",
/// ASPLOS '23, section 6.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadlineRule {
    /// The part of jobs that have one, 0 to 1. Default: 1.
    #[serde(default = "all")]
    pub share: f64,
    /// The least and the largest slack, each as likely as any between them. Default: `[0.5, 1.5]`.
    #[serde(default = "elasticflow")]
    pub slack: [f64; 2],
}

fn all() -> f64 {
    1.0
}

fn elasticflow() -> [f64; 2] {
    [0.5, 1.5]
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

impl JobRules {
    pub(super) fn check(&self, place: &Place<'_>) -> Result<(), ScenarioError> {
        let bad = |share: &&f64| !(share.is_finite() && **share >= 0.0);
        if let Some(share) = self.tiers.iter().find(bad) {
            return Err(place.invalid("jobs.tiers", share, "shares of at least 0, e.g. [20, 40, 40]"));
        }
        if !self.tiers.is_empty() && (self.tiers.iter().sum::<f64>() <= 0.0 || self.tiers.len() > 255) {
            return Err(place.invalid("jobs.tiers", "no share above 0", "1 to 255 shares, at least one above 0"));
        }
        StateRule::check(&self.state, place)?;
        if let Some(rule) = &self.deadline {
            rule.check(place)?;
        }
        let Some(rule) = &self.elastic else { return Ok(()) };
        let part = |field, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(place.invalid(field, value, "a part from 0 to 1")),
        };
        part("jobs.elastic.down_to", rule.down_to)?;
        part("jobs.elastic.overhead", rule.overhead)?;
        if rule.shard == 0 {
            return Err(place.invalid("jobs.elastic.shard", 0, "at least 1"));
        }
        match &rule.scaling {
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

    /// The priority of a job of that tier.
    pub fn priority(&self, job: &TraceJob, tier: u8) -> i32 {
        if self.priority_by_tier { -i32::from(tier) } else { job.priority }
    }

    /// The tier of a job.
    pub fn tier(&self, job: &TraceJob) -> u8 {
        let total: f64 = self.tiers.iter().sum();
        if total <= 0.0 {
            return job.tier;
        }
        let mut left = Keyed::new(0, "tiers").uniform(&job.id) * total;
        for (tier, share) in self.tiers.iter().enumerate() {
            if left < *share {
                return tier as u8;
            }
            left -= share;
        }
        self.tiers.len() as u8 - 1
    }

    /// Seconds after its submission by which a job should be done; 0 for no deadline.
    pub fn deadline_s(&self, job: &TraceJob) -> u32 {
        let Some(rule) = &self.deadline else { return 0 };
        if Keyed::new(0, "deadlines").uniform(&job.id) >= rule.share {
            return 0;
        }
        let [least, most] = rule.slack;
        let slack = least + (most - least) * Keyed::new(0, "slack").uniform(&job.id);
        // A deadline is after the submission.
        libm::ceil(job.duration.as_secs_f64() * slack).clamp(1.0, f64::from(u32::MAX)) as u32
    }

    /// How a job may be resized.
    pub fn elastic(&self, job: &TraceJob) -> Elastic {
        let demand = &job.demand;
        match &self.elastic {
            Some(rule) if demand.is_whole() && demand.accelerators >= rule.from.max(2) => rule.of(demand.accelerators),
            _ => Elastic::RIGID,
        }
    }
}

impl DeadlineRule {
    fn check(&self, place: &Place<'_>) -> Result<(), ScenarioError> {
        if !(0.0..=1.0).contains(&self.share) {
            return Err(place.invalid("jobs.deadline.share", self.share, "a part from 0 to 1"));
        }
        let [least, most] = self.slack;
        if !(least >= 0.0 && least <= most && most.is_finite()) {
            return Err(place.invalid("jobs.deadline.slack", format!("[{least}, {most}]"), "two factors, the smaller one first"));
        }
        Ok(())
    }
}

impl ElasticRule {
    fn of(&self, full: u32) -> Elastic {
        let ten_thousandths = |part: f64| libm::round(part * 10_000.0) as u16;
        let accelerators_min = libm::ceil(f64::from(full) * self.down_to - 1e-9).max(1.0) as u32;
        let shard = if full.is_multiple_of(self.shard.into()) { self.shard } else { 1 };
        let shaped = match &self.scaling {
            Scaling::Linear => Elastic::linear(accelerators_min, 0),
            Scaling::Amdahl(serial) => Elastic::amdahl(accelerators_min, ten_thousandths(*serial)),
            Scaling::Table(speeds) => Elastic { accelerators_min, shard: 1, speed: speeds.map(ten_thousandths) },
            Scaling::Goodput(model) => {
                Elastic { accelerators_min, shard: 1, speed: model.speeds(full).map(ten_thousandths) }
            }
        };
        let kept = 1.0 - self.overhead;
        Elastic { shard, speed: shaped.speed.map(|speed| libm::round(f64::from(speed) * kept) as u16), ..shaped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn job(id: &str, accelerators: u32) -> TraceJob {
        TraceJob {
            id: id.into(),
            submit: policies::Time::ZERO,
            duration: policies::Span::ZERO,
            demand: policies::Demand::whole(accelerators),
            tenant: 0,
            priority: 0,
            tier: 0,
            estimate: None,
            outcome: crate::model::Outcome::Unknown,
            recorded_start: None,
            label: 0,
        }
    }

    fn rules(text: &str) -> Result<JobRules, ScenarioError> {
        let place = Place { path: Path::new("s.toml"), text };
        #[derive(Deserialize)]
        struct Only {
            jobs: JobRules,
        }
        let only: Only = place.read()?;
        only.jobs.check(&place).map(|()| only.jobs)
    }

    #[test]
    fn tiers_are_drawn_by_id_alone_and_in_the_shares_asked_for() {
        let rules = rules("[jobs]\ntiers = [20, 40, 40]").unwrap();
        let mut counts = [0_u32; 3];
        for id in 0..20_000 {
            let job = job(&format!("job-{id}"), 1);
            counts[rules.tier(&job) as usize] += 1;
        }
        for (count, expected) in counts.into_iter().zip([4000, 8000, 8000]) {
            assert!(count.abs_diff(expected) < 300, "{counts:?}");
        }
    }

    #[test]
    fn elasticity_follows_the_rule() {
        let job = |accelerators| job("j", accelerators);
        let rules = rules("[jobs.elastic]\ndown_to = 0.25\noverhead = 0.03").unwrap();
        assert!(rules.elastic(&job(1)).is_rigid());
        assert_eq!(rules.elastic(&job(8)).sizes(8).collect::<Vec<_>>(), [8, 4, 2]);
        assert_eq!(rules.elastic(&job(8)).speed_on(8, 4), 4850);
        assert_eq!(rules.elastic(&job(6)).sizes(6).collect::<Vec<_>>(), [6, 3, 2]);
    }

    #[test]
    fn deadlines_are_durations_times_a_slack() {
        let rules = rules("[jobs]\ndeadline = { share = 0.5, slack = [2, 3] }").unwrap();
        let long = |id: u32| TraceJob { duration: policies::Span::from_secs(1000), ..job(&format!("job-{id}"), 1) };
        let deadlines: Vec<u32> = (0..2000).map(|id| rules.deadline_s(&long(id))).filter(|&s| s > 0).collect();
        assert!(deadlines.len().abs_diff(1000) < 100, "{}", deadlines.len());
        assert!(deadlines.iter().all(|s| (2000..=3000).contains(s)));
        let mean = deadlines.iter().sum::<u32>() / deadlines.len() as u32;
        assert!(mean.abs_diff(2500) < 50, "{mean}");
    }

    #[test]
    fn gangs_scale_by_the_goodput_model() {
        let rules = rules(
            "[jobs.elastic.scaling.goodput]\ngrad = [0.02, 0.001]\nlocal = [0.02, 0.005]\nnetwork = [1, 0]\ngamma = 1\nbatch = 128",
        )
        .unwrap();
        // 0.02 + 0.016 + 0.02 + 0.03 s on 8; 0.02 + 0.032 + 0.02 + 0.01 s on 4, which is faster; 0.02 + 0.064 + 0.02 s on 2.
        let elastic = rules.elastic(&job("j", 8));
        assert_eq!([8, 4, 2].map(|size| elastic.speed_on(8, size)), [10_000, 10_000, 8269]);
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (text, field) in [
            ("[jobs]\ntiers = [-1]", "jobs.tiers"),
            ("[jobs]\ntiers = [0, 0]", "jobs.tiers"),
            ("[jobs.elastic]\ndown_to = 1.5", "jobs.elastic.down_to"),
            ("[jobs.elastic]\nscaling = { table = [0.1, 0.2, 0.1, 0.1] }", "jobs.elastic.scaling"),
            ("[jobs.elastic]\nscaling = \"square\"", "jobs.elastic.scaling"),
            (
                "[jobs.elastic]\nscaling = { goodput = { grad = [0, 0], local = [0, 0], network = [0, 0], gamma = 1, batch = 1 } }",
                "jobs.elastic.scaling.goodput",
            ),
            ("[jobs]\ndeadline = { share = 2 }", "jobs.deadline.share"),
            ("[jobs]\ndeadline = { slack = [2, 1] }", "jobs.deadline.slack"),
        ] {
            let message = rules(text).unwrap_err().to_string();
            assert!(message.starts_with("s.toml:2") && message.contains(field), "{message}");
        }
    }
}
