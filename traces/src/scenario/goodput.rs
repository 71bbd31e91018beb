//! The goodput model of Pollux: how fast a job learns on a number of accelerators, at the batch size that suits it best.

use super::ScenarioError;
use super::error::Place;
use serde::{Deserialize, Serialize};

/// The model of Qiao et al., "Pollux: Co-adaptive Cluster Scheduling for Goodput-Optimized Deep Learning" (OSDI '21, sections 2 and
/// 3): goodput is examples per second (equations 8 to 11) times statistical efficiency (equation 6), at the batch size that is
/// best for the number of accelerators. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goodput {
    /// A gradient of `b` examples on one accelerator takes `grad[0] + grad[1] * b`.
    pub grad: [f64; 2],
    /// Averaging gradients over `k` accelerators of one node takes `local[0] + local[1] * (k - 2)`.
    pub local: [f64; 2],
    /// The same over several nodes.
    pub network: [f64; 2],
    /// How far computing and averaging overlap: 1 for not at all, more for more.
    pub gamma: f64,
    /// Examples in a batch of the job as its owner wrote it.
    pub batch: f64,
    /// The largest batch that it may be given. Default: as written.
    #[serde(default)]
    pub batch_max: Option<f64>,
    /// The most examples that one accelerator's memory holds; more are computed in turns. Default: no limit.
    #[serde(default)]
    pub batch_on_one: Option<f64>,
    /// The gradient's noise scale, in examples: the larger, the more a larger batch helps. Default: 0.
    #[serde(default)]
    pub noise: f64,
    /// Accelerators of a node. Default: 8.
    #[serde(default = "eight")]
    pub per_node: u32,
}

fn eight() -> u32 {
    8
}

/// Batch sizes tried for a number of accelerators, in equal ratios.
const TRIES: u32 = 64;

impl Goodput {
    pub(super) fn check(&self, place: &Place<'_>) -> Result<(), ScenarioError> {
        let field = "jobs.elastic.scaling.goodput";
        let times = [self.grad, self.local, self.network].concat();
        if let Some(bad) = times.iter().chain([&self.noise]).find(|time| !(time.is_finite() && **time >= 0.0)) {
            return Err(place.invalid(field, bad, "numbers of at least 0"));
        }
        if self.grad == [0.0, 0.0] {
            return Err(place.invalid(field, "grad = [0, 0]", "a gradient that takes some time"));
        }
        if !(1.0..=100.0).contains(&self.gamma) {
            return Err(place.invalid(field, self.gamma, "a gamma from 1 to 100"));
        }
        let sizes = [Some(self.batch), self.batch_max, self.batch_on_one];
        if let Some(bad) = sizes.into_iter().flatten().find(|size| !(size.is_finite() && *size >= 1.0)) {
            return Err(place.invalid(field, bad, "batches of at least 1 example"));
        }
        if self.per_node == 0 {
            return Err(place.invalid(field, "per_node = 0", "at least 1"));
        }
        Ok(())
    }

    /// Useful examples a second on `accelerators`.
    pub fn of(&self, accelerators: f64) -> f64 {
        let largest = self.batch_max.unwrap_or(self.batch).max(self.batch);
        let ratio = largest / self.batch;
        let at = |step: u32| {
            let batch = self.batch * libm::pow(ratio, f64::from(step) / f64::from(TRIES));
            self.throughput(accelerators, batch) * (self.noise + self.batch) / (self.noise + batch)
        };
        (0..=TRIES).map(at).fold(0.0, f64::max)
    }

    /// Examples a second with batches of that size.
    fn throughput(&self, accelerators: f64, batch: f64) -> f64 {
        let each = batch / accelerators;
        // What does not fit into memory is computed in turns, and averaged once.
        let turns = self.batch_on_one.map_or(1.0, |most| libm::ceil(each / most - 1e-9).max(1.0));
        let grad = self.grad[0] + self.grad[1] * each / turns;
        let [first, more] = if accelerators <= f64::from(self.per_node) { self.local } else { self.network };
        let sync = if accelerators > 1.0 { first + more * (accelerators - 2.0).max(0.0) } else { 0.0 };
        let overlapped = libm::pow(libm::pow(grad, self.gamma) + libm::pow(sync, self.gamma), 1.0 / self.gamma);
        batch / ((turns - 1.0) * grad + overlapped)
    }

    /// Speed on 1/2, 1/4, 1/8 and 1/16 of a gang of `full`, as parts of its speed on all of it. Never more on fewer.
    pub fn speeds(&self, full: u32) -> [f64; 4] {
        let full = f64::from(full);
        let mut above = 1.0_f64;
        [2.0, 4.0, 8.0, 16.0].map(|parts: f64| {
            // Below one accelerator workers share it.
            let size = full / parts;
            let goodput = if size >= 1.0 { self.of(size) } else { self.of(1.0) * size };
            above = above.min(goodput / self.of(full));
            above
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Goodput {
        Goodput {
            grad: [0.01, 0.001],
            local: [0.0, 0.0],
            network: [0.0, 0.0],
            gamma: 1.0,
            batch: 128.0,
            batch_max: None,
            batch_on_one: None,
            noise: 0.0,
            per_node: 8,
        }
    }

    #[test]
    fn by_hand() {
        // 128 examples on 4: 0.01 + 0.032 s, and 0.02 + 0.005 * 2 s to average them.
        let model = Goodput { local: [0.02, 0.005], ..model() };
        assert!((model.of(4.0) - 128.0 / 0.072).abs() < 1e-9);
        let overlapping = Goodput { gamma: 2.0, ..model.clone() };
        assert!((overlapping.of(4.0) - 128.0 / (0.042_f64.powi(2) + 0.03_f64.powi(2)).sqrt()).abs() < 1e-6);
        // 16 lie on two nodes.
        let wide = Goodput { network: [1.0, 0.0], ..model.clone() };
        assert!((wide.of(16.0) - 128.0 / 1.018).abs() < 1e-9);
        // Memory for 10 examples: 32 are computed in 4 turns of 8.
        let small = Goodput { batch_on_one: Some(10.0), ..model };
        assert!((small.of(4.0) - 128.0 / (3.0 * 0.018 + 0.018 + 0.03)).abs() < 1e-6);
    }

    #[test]
    fn larger_batches_help_where_gradients_are_noisy() {
        let slow = Goodput { local: [0.1, 0.0], network: [0.1, 0.0], batch_max: Some(4096.0), ..model() };
        let noisy = Goodput { noise: 10_000.0, ..slow.clone() };
        let gain = |model: &Goodput| model.of(16.0) / model.of(1.0);
        assert!(gain(&noisy) > 2.0 * gain(&slow), "{} {}", gain(&noisy), gain(&slow));
    }

    #[test]
    fn speeds_fall_with_the_size() {
        let perfect = Goodput { grad: [0.0, 0.001], ..model() };
        for (speed, expected) in perfect.speeds(8).into_iter().zip([0.5, 0.25, 0.125, 0.0625]) {
            assert!((speed - expected).abs() < 1e-9);
        }
        // Averaging over the network costs so much that half the gang, on one node, would be faster: it is counted as fast.
        let bound = Goodput { network: [10.0, 0.0], ..model() };
        assert_eq!(bound.speeds(16)[0], 1.0);
    }
}
