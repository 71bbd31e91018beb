//! How gangs may be resized, and what that does to their speed.

use crate::time::Span;
use serde::{Deserialize, Serialize};

/// Full speed, in ten-thousandths: what a gang does that holds all that it asked for.
pub const FULL_SPEED: u32 = 10_000;

/// How far a gang may be shrunk.
///
/// The number of workers never changes. A job on fewer accelerators than it has workers time-shares them ("replica splicing",
/// Singularity, arXiv 2202.07848, section 5), which only data-parallel replicas of the same shard of the model can do: a legal
/// size is the shard times a divisor of the data-parallel degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Elastic {
    /// The least accelerators that it may run on; 0 for gangs that run on all they asked for or not at all.
    pub accelerators_min: u32,
    /// Accelerators that one replica of the model spans; 1 without model parallelism.
    pub shard: u16,
    /// Speed on 1/2, 1/4, 1/8 and 1/16 of the gang, in ten-thousandths of [`FULL_SPEED`]; linear between these, and
    /// proportional below. Any scaling law fits: Amdahl's, a measured table, a goodput model.
    pub speed: [u16; 4],
}

impl Elastic {
    /// Not elastic.
    pub const RIGID: Elastic = Elastic { accelerators_min: 0, shard: 1, speed: [0; 4] };

    /// Down to `accelerators_min`, with speed in proportion less `overhead` ten-thousandths while accelerators are shared.
    pub fn linear(accelerators_min: u32, overhead: u16) -> Elastic {
        let kept = FULL_SPEED - overhead as u32;
        let at = |parts: u32| (kept / parts) as u16;
        Elastic { accelerators_min, shard: 1, speed: [at(2), at(4), at(8), at(16)] }
    }

    /// By Amdahl's law: `serial` ten-thousandths of the full gang's time do not shrink with more accelerators.
    pub fn amdahl(accelerators_min: u32, serial: u16) -> Elastic {
        let serial = u32::from(serial).min(FULL_SPEED);
        let at = |parts: u32| (FULL_SPEED * FULL_SPEED / (serial + (FULL_SPEED - serial) * parts)) as u16;
        Elastic { accelerators_min, shard: 1, speed: [at(2), at(4), at(8), at(16)] }
    }

    /// Whether there is any choice.
    pub const fn is_rigid(&self) -> bool {
        self.accelerators_min == 0
    }

    /// Whether a gang that asked for `full` accelerators may run on `size`.
    pub const fn allows(&self, full: u32, size: u32) -> bool {
        if size == full {
            return true;
        }
        let shard = self.shard as u32;
        size > 0
            && size < full
            && self.accelerators_min > 0
            && size >= self.accelerators_min
            && full.is_multiple_of(shard)
            && size.is_multiple_of(shard)
            && full.is_multiple_of(size)
    }

    /// The legal sizes of a gang of `full`, largest first. At least `full` itself.
    pub fn sizes(self, full: u32) -> impl Iterator<Item = u32> {
        let least = if self.is_rigid() { full } else { self.accelerators_min.max(1) };
        let parts = full.checked_div(least).unwrap_or(1).max(1);
        (1..=parts)
            .filter(move |parts| full.is_multiple_of(*parts))
            .map(move |parts| full / parts)
            .filter(move |&size| self.allows(full, size))
    }

    /// Speed on `size` of `full` accelerators, in ten-thousandths; at least 1.
    pub fn speed_on(&self, full: u32, size: u32) -> u32 {
        if size >= full {
            return FULL_SPEED;
        }
        let (full, size) = (u64::from(full), u64::from(size));
        let mut above = (FULL_SPEED, 1);
        for (power, &speed) in self.speed.iter().enumerate() {
            let (parts, speed) = (2 << power, u32::from(speed));
            if size * parts >= full {
                // Between full/parts, where it is `speed`, and full/above.1, where it is above.0.
                let rise = u64::from(above.0.saturating_sub(speed));
                let part = (size * parts - full) * above.1 * rise / (full * (parts - above.1));
                return (speed + part as u32).max(1);
            }
            above = (speed, parts);
        }
        ((u64::from(above.0) * above.1 * size / full) as u32).max(1)
    }
}

impl Default for Elastic {
    fn default() -> Elastic {
        Elastic::RIGID
    }
}

/// Work that is done in `span` at `speed`, in time at full speed, rounded down.
#[inline]
pub fn work_in(span: Span, speed: u32) -> Span {
    if speed == FULL_SPEED { span } else { Span((u128::from(span.0) * u128::from(speed) / u128::from(FULL_SPEED)) as u64) }
}

/// The time that `work` takes at `speed`, rounded up: after it, [`work_in`] is at least `work`.
#[inline]
pub fn time_for(work: Span, speed: u32) -> Span {
    if speed == FULL_SPEED {
        return work;
    }
    let time = (u128::from(work.0) * u128::from(FULL_SPEED)).div_ceil(u128::from(speed.max(1)));
    Span(u64::try_from(time).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_divide_the_data_parallel_degree() {
        let sizes = |min, shard, full| Elastic { shard, ..Elastic::linear(min, 0) }.sizes(full).collect::<Vec<_>>();
        assert_eq!(sizes(2, 1, 8), [8, 4, 2]);
        assert_eq!(sizes(1, 1, 6), [6, 3, 2, 1]);
        assert_eq!(sizes(1, 4, 24), [24, 12, 8, 4]);
        assert_eq!(Elastic::RIGID.sizes(8).collect::<Vec<_>>(), [8]);
        assert_eq!(Elastic::RIGID.sizes(0).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn speeds() {
        let half = Elastic::linear(1, 400);
        assert_eq!([8, 4, 2, 1].map(|size| half.speed_on(8, size)), [10_000, 4_800, 2_400, 1_200]);
        assert_eq!(half.speed_on(64, 1), 150, "beyond the table in proportion");
        assert_eq!(Elastic::linear(1, 0).speed_on(6, 4), 6_666);
        assert_eq!(Elastic::amdahl(1, 10_000).speed_on(8, 1), 10_000, "all of it is serial");
        assert_eq!(Elastic::amdahl(1, 0).speed_on(8, 2), 2_500);
    }

    proptest! {
        #[test]
        fn more_is_never_slower(full in 1_u32..5000, serial in 0_u16..10_000, overhead in 0_u16..5000) {
            for elastic in [Elastic::amdahl(1, serial), Elastic::linear(1, overhead)] {
                let speeds: Vec<u32> = (1..=full.min(300)).map(|size| elastic.speed_on(full, size)).collect();
                prop_assert!(speeds.is_sorted(), "{:?}", speeds);
                prop_assert!(elastic.sizes(full).all(|size| elastic.allows(full, size)));
            }
        }

        #[test]
        fn time_covers_work(work in 0_u64..1 << 50, speed in 1_u32..=FULL_SPEED) {
            prop_assert!(work_in(time_for(Span(work), speed), speed) >= Span(work));
        }
    }
}
