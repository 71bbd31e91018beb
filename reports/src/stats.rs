//! Exact statistics of integer samples.

/// Mean and quantiles of samples in microseconds.
pub(crate) struct Samples {
    sorted: Vec<u64>,
}

impl Samples {
    pub fn new(mut values: Vec<u64>) -> Samples {
        values.sort_unstable();
        Samples { sorted: values }
    }

    pub fn sorted(&self) -> &[u64] {
        &self.sorted
    }

    /// The sum is exact; the division rounds once. `None` of nothing.
    pub fn mean_s(&self) -> Option<f64> {
        let sum: u128 = self.sorted.iter().map(|&v| u128::from(v)).sum();
        (!self.sorted.is_empty()).then(|| ratio(sum, self.sorted.len() as u128 * 1_000_000))
    }

    /// The `per_mille` quantile by nearest rank: the smallest sample such that at least that share of all samples is not
    /// larger. Always a sample, never interpolated. `None` of nothing.
    pub fn quantile(&self, per_mille: usize) -> Option<u64> {
        let rank = (self.sorted.len() * per_mille).div_ceil(1000).max(1);
        self.sorted.get(rank - 1).copied()
    }

    /// [`quantile`](Samples::quantile) in seconds.
    pub fn quantile_s(&self, per_mille: usize) -> Option<f64> {
        self.quantile(per_mille).map(|micros| micros as f64 / 1e6)
    }
}

/// A quotient of integers. Below 2^53 both are exact as floats, and the whole part is split off first so that above it the
/// error stays that of one rounding.
pub(crate) fn ratio(numerator: u128, denominator: u128) -> f64 {
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    whole as f64 + rest as f64 / denominator as f64
}

/// Jain's index of fairness, (sum x)^2 / (n sum x^2): 1 if all get alike, 1/n if one gets everything (Jain, Chiu and Hawe, "A
/// Quantitative Measure of Fairness and Discrimination", DEC-TR-301, 1984, section 2). `None` of nothing.
pub(crate) fn jain(shares: &[f64]) -> Option<f64> {
    let (sum, squares) = shares.iter().fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
    (squares > 0.0).then(|| sum * sum / (shares.len() as f64 * squares))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples_by_nearest_rank() {
        let samples = Samples::new((1..=10).rev().collect());
        let of = |per_mille| samples.quantile(per_mille).unwrap();
        assert_eq!([of(0), of(100), of(101), of(500), of(900), of(990), of(1000)], [1, 1, 2, 5, 9, 10, 10]);
        assert_eq!(Samples::new(vec![]).quantile(500), None);
        assert_eq!(Samples::new(vec![7]).quantile(990), Some(7));
    }

    #[test]
    fn means_do_not_overflow_and_are_exact() {
        assert_eq!(Samples::new(vec![u64::MAX; 3]).mean_s(), Some(u64::MAX as f64 / 1e6));
        assert_eq!(Samples::new(vec![1_000_000, 2_000_000]).mean_s(), Some(1.5));
        assert_eq!(Samples::new(vec![]).mean_s(), None);
    }

    #[test]
    fn jain_is_one_when_equal_and_one_over_n_when_one_takes_all() {
        assert_eq!(jain(&[0.3, 0.3, 0.3, 0.3]), Some(1.0));
        assert_eq!(jain(&[5.0, 0.0, 0.0, 0.0]), Some(0.25));
        assert_eq!(jain(&[]), None);
    }
}
