//! Levels over time in bounded memory.

use policies::Time;

/// Bins are merged in pairs when there would be more.
pub const BINS_MAX: usize = 2048;
const WIDTH_MIN_MICROS: u64 = 1000;

/// What is followed over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Accelerator-thousandths that jobs hold.
    UsedMilli,
    /// Accelerator-thousandths of jobs that run; the rest of those held are starting.
    RunningMilli,
    /// Jobs that hold accelerators.
    RunningJobs,
    /// Jobs that wait.
    PendingJobs,
    /// Accelerator-thousandths that waiting jobs ask for.
    PendingMilli,
}

/// Number of [`Level`]s.
pub(crate) const LEVELS: usize = 5;

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    area: u128,
    max: u64,
}

/// Bins of equal width over the time of a run, each with the time-weighted mean and the largest value of every [`Level`].
///
/// The width begins at a millisecond and doubles whenever [`BINS_MAX`] bins do not suffice, so a run of any length takes the
/// same memory and the areas stay exact. Values that last no time leave no trace.
#[derive(Clone, Debug)]
pub struct Series {
    origin: Time,
    end: Time,
    width: u64,
    bins: Vec<[Bin; LEVELS]>,
}

impl Default for Series {
    fn default() -> Series {
        Series { origin: Time::MAX, end: Time::MAX, width: WIDTH_MIN_MICROS, bins: Vec::new() }
    }
}

impl Series {
    /// The levels had these values from the last call until `now`. The first call sets the origin.
    pub(crate) fn advance(&mut self, now: Time, levels: &[u64; LEVELS]) {
        if self.origin == Time::MAX {
            (self.origin, self.end) = (now, now);
            return;
        }
        if now <= self.end {
            return;
        }
        while (now.0 - 1 - self.origin.0) / self.width >= BINS_MAX as u64 {
            self.double();
        }
        let (mut from, to) = (self.end.0 - self.origin.0, now.0 - self.origin.0);
        while from < to {
            let index = (from / self.width) as usize;
            let until = to.min((index as u64 + 1) * self.width);
            if index >= self.bins.len() {
                self.bins.resize(index + 1, Default::default());
            }
            for (bin, &level) in self.bins[index].iter_mut().zip(levels) {
                bin.area += u128::from(level) * u128::from(until - from);
                bin.max = bin.max.max(level);
            }
            from = until;
        }
        self.end = now;
    }

    fn double(&mut self) {
        self.width *= 2;
        let join = |pair: &[[Bin; LEVELS]]| {
            let other = pair.get(1).copied().unwrap_or_default();
            std::array::from_fn(|l| Bin { area: pair[0][l].area + other[l].area, max: pair[0][l].max.max(other[l].max) })
        };
        self.bins = self.bins.chunks(2).map(join).collect();
    }

    /// Bins so far.
    pub fn len(&self) -> usize {
        self.bins.len()
    }

    /// Whether no time has passed.
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// When the series begins; [`Time::MAX`] if nothing was followed.
    pub fn origin(&self) -> Time {
        self.origin
    }

    /// When it ends.
    pub fn end(&self) -> Time {
        self.end
    }

    /// When bin `i` begins and ends; the last one ends with the series.
    pub fn span(&self, i: usize) -> (Time, Time) {
        let start = self.origin.0 + i as u64 * self.width;
        (Time(start), Time((start + self.width).min(self.end.0)))
    }

    /// Time-weighted mean of `level` in bin `i`.
    pub fn mean(&self, i: usize, level: Level) -> f64 {
        let (from, to) = self.span(i);
        self.bins[i][level as usize].area as f64 / to.since(from).0.max(1) as f64
    }

    /// Largest value of `level` in bin `i`.
    pub fn max(&self, i: usize, level: Level) -> u64 {
        self.bins[i][level as usize].max
    }

    /// Integral of `level` over the whole time, in its unit times microseconds. Exact.
    pub fn area(&self, level: Level) -> u128 {
        self.bins.iter().map(|bin| bin[level as usize].area).sum()
    }

    /// The same with neighbouring bins merged until there are at most `bins`, for drawing.
    pub(crate) fn coarser(&self, bins: usize) -> Series {
        let mut series = self.clone();
        while series.len() > bins.max(1) {
            series.double();
        }
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_area_is_kept() {
        let mut series = Series::default();
        let (mut area, mut now) = (0, 77);
        series.advance(Time(now), &[9; LEVELS]);
        for i in 0..50_000u64 {
            let (level, step) = (i * 7919 % 13, 1 + i * 104_729 % 3_000_000);
            now += step;
            series.advance(Time(now), &[level, 0, 0, 0, 1]);
            area += u128::from(level) * u128::from(step);
        }
        assert!(series.len() <= BINS_MAX && series.len() > BINS_MAX / 2, "{}", series.len());
        assert_eq!(series.area(Level::UsedMilli), area);
        assert_eq!(series.area(Level::PendingMilli), u128::from(now - 77));
        assert_eq!((series.span(0).0, series.span(series.len() - 1).1), (Time(77), Time(now)));
        assert_eq!(series.mean(series.len() - 1, Level::PendingMilli), 1.0, "the last bin is as long as it is");
        assert_eq!(series.max(3, Level::UsedMilli), 12);
        let coarse = series.coarser(100);
        assert!(coarse.len() <= 100 && coarse.area(Level::UsedMilli) == area);
    }

    #[test]
    fn one_long_gap_does_not_make_bins_by_the_million() {
        let mut series = Series::default();
        series.advance(Time(0), &[0; LEVELS]);
        series.advance(Time(u64::MAX / 2), &[3; LEVELS]);
        assert!(series.len() <= BINS_MAX);
        assert_eq!(series.area(Level::RunningJobs), 3 * u128::from(u64::MAX / 2));
    }

    #[test]
    fn means_are_weighted_by_time() {
        let mut series = Series::default();
        series.advance(Time(0), &[0; LEVELS]);
        series.advance(Time(250), &[4; LEVELS]);
        series.advance(Time(1000), &[0; LEVELS]);
        assert_eq!((series.len(), series.mean(0, Level::UsedMilli), series.max(0, Level::UsedMilli)), (1, 1.0, 4));
    }
}
