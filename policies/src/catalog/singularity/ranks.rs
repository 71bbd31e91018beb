//! What the tier table means to the policy.

use super::floor::{TIERS, WORST};
use crate::elastic::FULL_SPEED;
use crate::tier::Tiers;
use crate::time::Span;
use crate::view::View;
use serde::{Deserialize, Serialize};

/// Tiers by whom capacity is taken from last: rank 0 is never stopped for another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ranks {
    tiers: Tiers,
    /// By tier.
    rank: Vec<u8>,
    /// The best guarantee of a rank, in ten-thousandths.
    guarantee: [u32; TIERS],
}

impl Ranks {
    /// By the tier table; by the default one where there is none.
    pub fn of(view: &View) -> Ranks {
        let tiers = if view.tiers().is_empty() { Tiers::default() } else { view.tiers().clone() };
        let mut order: Vec<u8> = tiers.iter().map(|tier| tier.preempt).collect();
        order.sort_unstable_by(|a, b| b.cmp(a));
        order.dedup();
        let position = |preempt: u8| order.iter().position(|&other| other == preempt).unwrap_or(0);
        // The last rank is the worst tier's; that before it is for those of them who have waited too long.
        let last = order.len() - 1;
        let rank_of = |position: usize| if position == last { WORST } else { position.min(WORST - 2) };
        let rank: Vec<u8> = tiers.iter().map(|tier| rank_of(position(tier.preempt)) as u8).collect();
        let mut guarantee = [0; TIERS];
        for (tier, &rank) in tiers.iter().zip(&rank) {
            let best = &mut guarantee[usize::from(rank)];
            *best = u32::from(tier.guarantee).max(*best);
        }
        Ranks { tiers, rank, guarantee }
    }

    /// The rank of a job of `tier`.
    pub fn rank(&self, tier: u8) -> u8 {
        self.rank[self.tiers.index(tier)]
    }

    /// What a job of `tier` was promised, in ten-thousandths, and in which window, if that leaves time for turns: what `switch` may
    /// take is lost to somebody at each, and less than four times as much in a window is not worth it.
    pub fn turns(&self, tier: u8, switch: Span) -> Option<(u64, Span)> {
        let tier = self.tiers.get(tier).filter(|tier| !tier.is_best_effort() && switch > Span::ZERO)?;
        let slack = tier.window.0 / u64::from(FULL_SPEED) * u64::from(FULL_SPEED).saturating_sub(tier.guarantee.into());
        (slack >= switch.0.saturating_mul(4)).then_some((tier.guarantee.into(), tier.window))
    }

    /// When a job of `tier` is given back what becomes free: smaller comes first.
    pub fn give_back(&self, tier: u8) -> u8 {
        self.tiers.get(tier).map_or(0, |tier| tier.give_back)
    }

    /// Whether running at `speed`, in ten-thousandths of full speed, breaks what a rank was promised.
    pub fn is_too_slow(&self, rank: usize, speed: u32) -> bool {
        speed.min(FULL_SPEED) < self.guarantee[rank]
    }
}
