//! Placements that weigh processors and memory together with accelerators.

use super::scored::{Candidate, Score};
use serde::{Deserialize, Serialize};

/// Part of the largest node of the fleet that is free on the node and that is asked for, in `[0, 1]`.
struct Fractions {
    free: [f64; 3],
    asked: [f64; 3],
}

/// Processors, host memory, accelerators. What nobody counts is nothing.
fn fractions(candidate: &Candidate<'_>) -> Fractions {
    let Candidate { capacity, node, demand, count, largest, .. } = *candidate;
    let counted = |amount: u32| if amount == u32::MAX { 0.0 } else { f64::from(amount) };
    let part = |amount: f64, whole: f64| if whole > 0.0 { amount / whole } else { 0.0 };
    let (cpu, memory, milli) = (f64::from(largest.cpu_milli), f64::from(largest.memory_mib), largest.milli as f64);
    Fractions {
        free: [
            part(counted(capacity.node_free_cpu_milli(node)), cpu),
            part(counted(capacity.node_free_memory_mib(node)), memory),
            part(capacity.node_free_milli(node) as f64, milli),
        ],
        asked: [
            part(f64::from(demand.cpu_milli_for(count)), cpu),
            part(f64::from(demand.memory_mib_for(count)), memory),
            part(f64::from(count) * f64::from(demand.milli), milli),
        ],
    }
}

fn to_steps(score: f64, steps: u16) -> u16 {
    (score.clamp(0.0, 1.0) * f64::from(steps)) as u16
}

/// The node that has least left afterwards, in the weighted sum of its resources.
///
/// The best fit of Weng et al., "Beware of Fragmentation" (ATC '23, section 6.1), whose published simulator weighs processors
/// and accelerators by one half each: the default.
#[derive(Clone, Serialize, Deserialize)]
pub struct BestFitResources {
    /// Weights of processors, host memory and accelerators; they add up to 1.
    pub weights: [f64; 3],
    /// See [`Score::steps`].
    pub steps: u16,
}

impl Score for BestFitResources {
    crate::saved_by_serde!();

    fn steps(&self) -> u16 {
        self.steps
    }

    fn score(&self, candidate: &Candidate<'_>) -> u16 {
        let Fractions { free, asked } = fractions(candidate);
        let left: f64 = (0..3).map(|i| (free[i] - asked[i]).max(0.0) * self.weights[i]).sum();
        to_steps(1.0 - left, self.steps)
    }
}

/// The node on which the product of what is free and what is asked for, over all resources, is smallest.
///
/// The "DotProd" of Weng et al., "Beware of Fragmentation" (ATC '23, section 6.1), after the alignment score of Tetris
/// (Grandl et al., SIGCOMM '14, section 3.2) but with the opposite sign, over processors and accelerators.
#[derive(Clone, Serialize, Deserialize)]
pub struct DotProduct {
    /// Whether host memory counts too.
    pub memory: bool,
    /// See [`Score::steps`].
    pub steps: u16,
}

impl Score for DotProduct {
    crate::saved_by_serde!();

    fn steps(&self) -> u16 {
        self.steps
    }

    fn score(&self, candidate: &Candidate<'_>) -> u16 {
        let Fractions { free, asked } = fractions(candidate);
        let product = |i: usize| free[i] * asked[i];
        let sum = product(0) + product(2) + if self.memory { product(1) } else { 0.0 };
        to_steps(1.0 - sum / if self.memory { 3.0 } else { 2.0 }, self.steps)
    }
}
