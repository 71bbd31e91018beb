//! What policies are told about how long jobs run.

use crate::generate::Keyed;
use crate::generate::law::normal_quantile;
use crate::model::TraceJob;
use policies::Span;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where estimates of durations come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Estimates {
    /// Nobody knows anything.
    None,
    /// The truth.
    #[default]
    Oracle,
    /// What users asked for, where the trace has it.
    Trace,
    /// The truth times a log-normal error with median 1; the number is the standard deviation of its logarithm.
    Noisy(f64),
}

/// A text that names no source of estimates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no source of estimates: expected \"none\", \"oracle\", \"trace\" or \"noisy(SIGMA)\" with SIGMA from 0 to 10"
)]
pub struct BadEstimates(pub String);

impl Estimates {
    /// The estimator for runs with this seed.
    pub fn with_seed(self, seed: u64) -> Estimator {
        Estimator { source: self, noise: Keyed::new(seed, "noisy estimates") }
    }
}

/// Makes estimates. The error of a job belongs to its id: it depends neither on the policy nor on other jobs.
#[derive(Clone, Copy, Debug)]
pub struct Estimator {
    source: Estimates,
    noise: Keyed,
}

impl Estimator {
    /// What a policy is told about this job's duration.
    pub fn estimate(&self, job: &TraceJob) -> Option<Span> {
        match self.source {
            Estimates::None => None,
            Estimates::Oracle => Some(job.duration),
            Estimates::Trace => job.estimate,
            Estimates::Noisy(sigma) => {
                let factor = libm::exp(sigma * normal_quantile(self.noise.uniform(&job.id)));
                Some(Span::from_secs_f64(job.duration.as_secs_f64() * factor).unwrap_or(Span::MAX))
            }
        }
    }
}

impl FromStr for Estimates {
    type Err = BadEstimates;

    fn from_str(text: &str) -> Result<Self, BadEstimates> {
        let inside = text.strip_prefix("noisy(").and_then(|rest| rest.strip_suffix(')'));
        match (text, inside) {
            ("none", _) => Ok(Estimates::None),
            ("oracle", _) => Ok(Estimates::Oracle),
            ("trace", _) => Ok(Estimates::Trace),
            (_, Some(sigma)) => {
                let sigma = sigma.trim().parse().ok().filter(|s| (0.0..=10.0).contains(s));
                sigma.map(Estimates::Noisy).ok_or_else(|| BadEstimates(text.to_owned()))
            }
            _ => Err(BadEstimates(text.to_owned())),
        }
    }
}

impl fmt::Display for Estimates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Estimates::None => f.write_str("none"),
            Estimates::Oracle => f.write_str("oracle"),
            Estimates::Trace => f.write_str("trace"),
            Estimates::Noisy(sigma) => write!(f, "noisy({sigma})"),
        }
    }
}

impl TryFrom<String> for Estimates {
    type Error = BadEstimates;
    fn try_from(text: String) -> Result<Self, BadEstimates> {
        text.parse()
    }
}

impl From<Estimates> for String {
    fn from(estimates: Estimates) -> String {
        estimates.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Preset, WorkloadModel, generate};

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for text in ["none", "oracle", "trace", "noisy(0.5)"] {
            assert_eq!(text.parse::<Estimates>().unwrap().to_string(), text);
        }
        for text in ["", "Oracle", "noisy", "noisy(-1)", "noisy(NaN)", "noisy(x)", "noisy(0.5"] {
            assert!(text.parse::<Estimates>().is_err(), "{text}");
        }
    }

    #[test]
    fn noise_belongs_to_the_job_and_has_the_right_spread() {
        let model = WorkloadModel { preset: Preset::Uniform, jobs: Some(20_000), ..WorkloadModel::default() };
        let trace = generate(&model, 3).unwrap();
        let estimator = Estimates::Noisy(0.5).with_seed(9);
        let error = |job: &TraceJob| (estimator.estimate(job).unwrap().as_secs_f64() / job.duration.as_secs_f64()).ln();
        let errors: Vec<f64> = trace.jobs.iter().map(error).collect();
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let sigma = (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / errors.len() as f64).sqrt();
        assert!(mean.abs() < 0.015 && (sigma - 0.5).abs() < 0.01, "{mean} {sigma}");
        // Another order, another selection: the same error.
        let picked = &trace.jobs[777];
        assert_eq!(Estimates::Noisy(0.5).with_seed(9).estimate(picked), estimator.estimate(picked));
        assert_ne!(Estimates::Noisy(0.5).with_seed(8).estimate(picked), estimator.estimate(picked));
    }
}
