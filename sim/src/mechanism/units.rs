//! Parameters as they are written in files: seconds and fractions in decimals, kept as integers.

use policies::Span;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// A time that a file gives in seconds; kept in whole microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Seconds(pub Span);

impl TryFrom<f64> for Seconds {
    type Error = String;
    fn try_from(seconds: f64) -> Result<Self, String> {
        let span = Span::from_secs_f64(seconds);
        span.map(Seconds).ok_or_else(|| format!("{seconds} is no time: expected seconds, at least 0"))
    }
}

impl From<Seconds> for f64 {
    fn from(seconds: Seconds) -> f64 {
        seconds.0.as_secs_f64()
    }
}

const PPM: i128 = 1_000_000;

/// A ratio that a file gives as a decimal (`0.023`); kept in parts per million. May be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Fraction {
    /// Parts per million.
    pub ppm: i64,
}

impl Fraction {
    /// That many parts of a million.
    pub const fn from_ppm(ppm: i64) -> Fraction {
        Fraction { ppm }
    }

    /// This share of a time, rounded down; zero for a negative fraction.
    pub fn of(self, span: Span) -> Span {
        let micros = i128::from(span.0) * i128::from(self.ppm) / PPM;
        Span(u64::try_from(micros.max(0)).unwrap_or(u64::MAX))
    }
}

impl TryFrom<f64> for Fraction {
    type Error = String;
    fn try_from(fraction: f64) -> Result<Self, String> {
        let range = -1.0..=1000.0;
        if !range.contains(&fraction) {
            return Err(format!("{fraction} is no fraction: expected -1 to 1000, where 0.05 means 5 %"));
        }
        Ok(Fraction { ppm: (fraction * PPM as f64).round() as i64 })
    }
}

impl From<Fraction> for f64 {
    fn from(fraction: Fraction) -> f64 {
        fraction.ppm as f64 / PPM as f64
    }
}

/// A time that may grow with the number of accelerators: a constant, so much for every doubling, and jumps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BySize {
    /// For any number.
    pub fixed_s: Seconds,
    /// For each doubling from one accelerator on; a number between two powers of two counts as the larger.
    pub per_doubling_s: Seconds,
    /// Added for numbers above a bound; all that apply are added up.
    pub above: Vec<Above>,
}

/// A jump of a [`BySize`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Above {
    /// More accelerators than this.
    pub accelerators: u32,
    /// Cost so much more.
    pub add_s: Seconds,
}

impl BySize {
    /// The time for so many accelerators.
    pub fn at(&self, accelerators: u32) -> Span {
        let doublings = accelerators.max(1).next_power_of_two().trailing_zeros();
        let grown = times(self.per_doubling_s.0, u64::from(doublings));
        let jumps = self.above.iter().filter(|jump| accelerators > jump.accelerators);
        jumps.fold(self.fixed_s.0 + grown, |sum, jump| sum + jump.add_s.0)
    }
}

/// A time so many times over.
pub(super) fn times(span: Span, factor: u64) -> Span {
    Span(span.0.saturating_mul(factor))
}

/// Time for so many bytes at a rate, rounded up to a microsecond; none at all where no rate is given.
pub(super) fn at_rate(bytes: u64, bytes_per_s: Option<NonZeroU64>) -> Span {
    bytes_per_s.map_or(Span::ZERO, |rate| over(u128::from(bytes), rate.get()))
}

/// The same for a product of bytes that may not fit into 64 bits. A rate of zero takes for ever.
pub(super) fn over(bytes: u128, bytes_per_s: u64) -> Span {
    match (bytes, bytes_per_s) {
        (0, _) => Span::ZERO,
        (_, 0) => Span::MAX,
        _ => {
            let micros = bytes.saturating_mul(PPM as u128).div_ceil(u128::from(bytes_per_s));
            Span(u64::try_from(micros).unwrap_or(u64::MAX))
        }
    }
}
