//! Price tiers: what is guaranteed, and in which order capacity is taken away and given back.

use crate::time::Span;
use serde::{Deserialize, Serialize};

/// The hour.
const HOUR: Span = Span::from_secs(3600);

/// One tier.
///
/// The guarantee is a *GPU fraction*, T_ideal / T_real: the work that a job did within a window, in time at full speed, over the
/// time in it in which the job was submitted and not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// For people.
    pub name: String,
    /// The GPU fraction that is guaranteed in every window, in ten-thousandths; 0 for best effort.
    pub guarantee: u16,
    /// Windows begin at the multiples of this; more than zero.
    pub window: Span,
    /// Capacity is taken from the tier with the smallest number first.
    pub preempt: u8,
    /// Capacity that becomes free goes to the tier with the smallest number first.
    pub give_back: u8,
    /// Price of an accelerator-hour in thousandths of whatever the currency is.
    pub price_milli: u32,
}

impl Tier {
    /// Whether nothing is guaranteed.
    pub const fn is_best_effort(&self) -> bool {
        self.guarantee == 0
    }
}

/// The tier table; [`JobSpec::tier`](crate::JobSpec::tier) is an index into it, 0 the best.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tiers(Vec<Tier>);

impl Tiers {
    /// At most so many tiers.
    pub const MAX: usize = 256;

    /// A table, the best tier first.
    ///
    /// # Panics
    /// If there are more than [`MAX`](Tiers::MAX), or a window is zero; borders check that first.
    pub fn new(tiers: Vec<Tier>) -> Tiers {
        assert!(tiers.len() <= Tiers::MAX, "at most {} tiers", Tiers::MAX);
        assert!(tiers.iter().all(|tier| tier.window > Span::ZERO), "windows are longer than nothing");
        Tiers(tiers)
    }

    /// No tiers: nobody asked for service levels.
    pub const fn none() -> Tiers {
        Tiers(Vec::new())
    }

    /// One tier without a guarantee, for those who want to know what becomes of accelerators and owe nobody anything.
    pub fn best_effort() -> Tiers {
        let name = "all".into();
        Tiers(vec![Tier { name, guarantee: 0, window: HOUR, preempt: 0, give_back: 0, price_milli: 0 }])
    }

    /// Whether there are no tiers.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The position of a job's tier: what lies beyond the table is of the last tier.
    #[inline]
    pub fn index(&self, tier: u8) -> usize {
        usize::from(tier).min(self.0.len().saturating_sub(1))
    }

    /// The tier of a job; `None` without tiers.
    pub fn get(&self, tier: u8) -> Option<&Tier> {
        self.0.get(self.index(tier))
    }

    /// The tiers, best first.
    pub fn iter(&self) -> std::slice::Iter<'_, Tier> {
        self.0.iter()
    }
}

impl Default for Tiers {
    /// Premium, Standard and Basic with the published guarantees (Singularity, arXiv 2202.07848, section 1): 0.95, 0.70 and best
    /// effort, by the hour. Capacity is taken from Basic first and given back to Premium first. Prices are ours.
    fn default() -> Tiers {
        let tier = |name: &str, guarantee, rank: u8, price_milli| Tier {
            name: name.into(),
            guarantee,
            window: HOUR,
            preempt: 2 - rank,
            give_back: rank,
            price_milli,
        };
        Tiers(vec![tier("Premium", 9500, 0, 1000), tier("Standard", 7000, 1, 600), tier("Basic", 0, 2, 250)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beyond_the_table_is_of_the_last_tier() {
        let tiers = Tiers::default();
        let name = |tier| tiers.get(tier).map(|tier| tier.name.as_str());
        assert_eq!([0, 1, 2, 3, 255].map(name).map(Option::unwrap), ["Premium", "Standard", "Basic", "Basic", "Basic"]);
        assert_eq!(Tiers::none().get(0), None);
    }
}
