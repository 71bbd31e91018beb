//! Laws of duration by inverse transform: one uniform rank in, one duration out.
//!
//! Working with ranks keeps every law on the same stream (one draw a job), lets jobs of one batch have near ranks, and
//! lets the outcome depend on how long a job runs among its likes. Logarithms and exponentials are libm's in Rust, not the
//! system's: a seed means the same jobs on every machine.

/// The normal distribution's quantile function (P. J. Acklam's rational approximation, relative error below 1.2e-9).
pub(crate) fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416, 1.0];
    const TAIL: f64 = 0.024_25;
    let horner = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    if p < TAIL {
        let q = (-2.0 * libm::log(p)).sqrt();
        horner(&C, q) / horner(&D, q)
    } else if p > 1.0 - TAIL {
        -normal_quantile(1.0 - p)
    } else {
        let q = p - 0.5;
        q * horner(&A, q * q) / horner(&B, q * q)
    }
}

/// A law of durations, ready to draw from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Law {
    /// Log-linear between (rank, natural logarithm of seconds) knots; ranks ascend from 0 to 1.
    Table(Vec<(f64, f64)>),
    /// Logarithms are normal.
    LogNormal { mu: f64, sigma: f64 },
    /// No memory.
    Exponential { mean_s: f64 },
}

impl Law {
    /// The duration in seconds at `rank` in the open interval (0, 1).
    pub(crate) fn at(&self, rank: f64) -> f64 {
        match self {
            Law::Table(knots) => libm::exp(interpolate(knots, rank)),
            Law::LogNormal { mu, sigma } => libm::exp(mu + sigma * normal_quantile(rank)),
            Law::Exponential { mean_s } => -mean_s * libm::log(1.0 - rank),
        }
    }
}

fn interpolate(knots: &[(f64, f64)], rank: f64) -> f64 {
    let upper = knots.iter().position(|knot| rank <= knot.0).unwrap_or(knots.len() - 1).max(1);
    let ((p0, x0), (p1, x1)) = (knots[upper - 1], knots[upper]);
    x0 + (x1 - x0) * (rank - p0) / (p1 - p0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_match_tables() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_963_985), (0.01, -2.326_347_874), (1e-6, -4.753_424_309)] {
            assert!((normal_quantile(p) - z).abs() < 1e-7, "{p}: {}", normal_quantile(p));
        }
    }

    #[test]
    fn tables_pass_through_their_knots() {
        let law = Law::Table(vec![(0.0, 0.0), (0.5, 100f64.ln()), (1.0, 1e4f64.ln())]);
        assert!((law.at(0.5) - 100.0).abs() < 1e-9);
        assert!((law.at(0.25) - 10.0).abs() < 1e-9);
        assert!((law.at(0.75) - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn lognormal_median_and_exponential_mean() {
        assert!((Law::LogNormal { mu: 60f64.ln(), sigma: 2.0 }.at(0.5) - 60.0).abs() < 1e-6);
        let law = Law::Exponential { mean_s: 10.0 };
        let mean = (0..100_000).map(|i| law.at((f64::from(i) + 0.5) / 1e5)).sum::<f64>() / 1e5;
        assert!((mean - 10.0).abs() < 0.01, "{mean}");
    }
}
