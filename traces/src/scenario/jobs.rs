//! What a trace does not say of its jobs: tiers and elasticity, by rule.

use super::ScenarioError;
use super::elastic::ElasticRule;
use super::error::Place;
use super::states::StateRule;
use crate::generate::Keyed;
use crate::model::{Outcome, Trace, TraceJob};
use policies::{Elastic, Fleet, Level};
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
    /// Which gangs must keep to one domain of the fleet; the first rule that applies does. Default: they do where they can.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<WithinRule>,
    /// Whether jobs that failed or were cancelled, as the trace or the workload says, do so here too, when they have run for as long
    /// as they did; such jobs have one attempt. Default: no, all jobs end well.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recorded_ends: bool,
    /// What jobs have to carry when they are stopped, moved and saved. Default: as the costs say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<StateRule>,
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

/// Gangs that must keep to one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithinRule {
    /// The name of one of `fleet.domains` that is for gangs.
    pub domain: String,
    /// Gangs of up to so many accelerators that may lie anywhere in a cluster as far as the trace knows.
    pub up_to: u32,
}

fn all() -> f64 {
    1.0
}

fn elasticflow() -> [f64; 2] {
    [0.5, 1.5]
}

impl JobRules {
    pub(super) fn check(&self, place: &Place<'_>, fleet: &Fleet) -> Result<(), ScenarioError> {
        for rule in &self.within {
            if rule.level(fleet).is_none() {
                let known: Vec<&str> = fleet.domains.iter().filter(|d| d.gangs).map(|d| d.name.as_str()).collect();
                let known = if known.is_empty() { "none is there".into() } else { known.join(", ") };
                let expected = format!("one of fleet.domains with gangs = true: {known}");
                return Err(place.invalid("jobs.within", &rule.domain, &expected));
            }
        }
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
        self.elastic.as_ref().map_or(Ok(()), |rule| rule.check(place))
    }

    /// Tells gangs to which domains they must keep.
    pub fn keep_together(&self, trace: &mut Trace, fleet: &Fleet) {
        let levels: Vec<(u32, Level)> = self.within.iter().filter_map(|rule| Some((rule.up_to, rule.level(fleet)?))).collect();
        if levels.is_empty() {
            return;
        }
        for demand in trace.jobs.iter_mut().map(|job| &mut job.demand).filter(|demand| demand.within == Level::Cluster) {
            if let Some((_, level)) = levels.iter().find(|(up_to, _)| demand.accelerators <= *up_to) {
                demand.within = *level;
            }
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

    /// Whether a job ends badly, and how.
    pub fn bad_end(&self, job: &TraceJob) -> Option<Outcome> {
        let bad = matches!(job.outcome, Outcome::Failed | Outcome::Cancelled);
        (self.recorded_ends && bad).then_some(job.outcome)
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

impl WithinRule {
    fn level(&self, fleet: &Fleet) -> Option<Level> {
        let number = fleet.domains.iter().position(|domain| domain.gangs && domain.name == self.domain)?;
        Some(Level::Domain(number as u8))
    }
}

impl DeadlineRule {
    fn check(&self, place: &Place<'_>) -> Result<(), ScenarioError> {
        if !(0.0..=1.0).contains(&self.share) {
            return Err(place.invalid("jobs.deadline.share", self.share, "a part from 0 to 1"));
        }
        let [least, most] = self.slack;
        if !(least >= 0.0 && least <= most && most.is_finite()) {
            return Err(place.invalid(
                "jobs.deadline.slack",
                format!("[{least}, {most}]"),
                "two factors, the smaller one first",
            ));
        }
        Ok(())
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
        only.jobs.check(&place, &Fleet::default()).map(|()| only.jobs)
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
            ("[jobs]\nwithin = [{ domain = \"rack\", up_to = 32 }]", "jobs.within"),
            ("[jobs]\ndeadline = { share = 2 }", "jobs.deadline.share"),
            ("[jobs]\ndeadline = { slack = [2, 1] }", "jobs.deadline.slack"),
        ] {
            let message = rules(text).unwrap_err().to_string();
            assert!(message.starts_with("s.toml:2") && message.contains(field), "{message}");
        }
    }
}
