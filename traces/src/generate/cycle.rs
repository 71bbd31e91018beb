//! Daily and weekly rhythm: a piecewise constant arrival rate over the 168 hours of a week.

const HOUR_S: f64 = 3600.0;
const WEEK_HOURS: usize = 168;
const WEEK_S: f64 = HOUR_S * WEEK_HOURS as f64;

/// Relative arrival rate by hour of the week, with mean 1; time zero is Monday, 00:00.
#[derive(Clone, Debug)]
pub(crate) struct Cycle {
    rate: [f64; WEEK_HOURS],
    /// Expected arrivals (in seconds at the mean rate) before each hour of the week; one entry more for its end.
    before: [f64; WEEK_HOURS + 1],
    /// No rhythm: mass is time.
    is_flat: bool,
}

impl Cycle {
    /// The product of 24 hourly and 7 daily factors (Monday first), scaled to mean 1.
    pub(crate) fn new(hours: &[f64], weekdays: &[f64]) -> Cycle {
        let factor = |i: usize| hours[i % 24] * weekdays[i / 24];
        let mean = (0..WEEK_HOURS).map(factor).sum::<f64>() / WEEK_HOURS as f64;
        let mut cycle = Cycle {
            rate: [0.0; WEEK_HOURS],
            before: [0.0; WEEK_HOURS + 1],
            is_flat: (0..WEEK_HOURS).all(|i| factor(i) == mean),
        };
        for i in 0..WEEK_HOURS {
            cycle.rate[i] = factor(i) / mean;
            cycle.before[i + 1] = cycle.before[i] + cycle.rate[i] * HOUR_S;
        }
        cycle
    }

    /// The integral of the rate from zero to `t` seconds.
    pub(crate) fn mass(&self, t: f64) -> f64 {
        let weeks = (t / WEEK_S).floor();
        let within = t - weeks * WEEK_S;
        let hour = ((within / HOUR_S) as usize).min(WEEK_HOURS - 1);
        weeks * self.before[WEEK_HOURS] + self.before[hour] + (within - hour as f64 * HOUR_S) * self.rate[hour]
    }

    /// The instant in seconds at which the integral reaches `mass`: the inverse of [`Cycle::mass`].
    pub(crate) fn instant(&self, mass: f64) -> f64 {
        if self.is_flat {
            return mass;
        }
        let total = self.before[WEEK_HOURS];
        let weeks = (mass / total).floor();
        let within = mass - weeks * total;
        let hour = self.before.partition_point(|b| *b <= within).clamp(1, WEEK_HOURS) - 1;
        let rest = if self.rate[hour] > 0.0 { (within - self.before[hour]) / self.rate[hour] } else { 0.0 };
        weeks * WEEK_S + hour as f64 * HOUR_S + rest.min(HOUR_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instant_inverts_mass() {
        let hours: Vec<f64> = (0..24).map(|h| 1.0 + f64::from(h % 7)).collect();
        let cycle = Cycle::new(&hours, &[1.0, 1.2, 1.1, 1.0, 0.9, 0.4, 0.3]);
        for i in 0..2000 {
            let t = f64::from(i) * 977.7;
            assert!((cycle.instant(cycle.mass(t)) - t).abs() < 1e-4, "{t}");
        }
        assert!((cycle.mass(WEEK_S) - WEEK_S).abs() < 1e-6);
    }

    #[test]
    fn silent_hours_get_nothing() {
        let mut hours = [1.0; 24];
        hours[3] = 0.0;
        let cycle = Cycle::new(&hours, &[1.0; 7]);
        for i in 0..10_000 {
            let hour = (cycle.instant(f64::from(i) * 60.0) / HOUR_S).floor() as u64 % 24;
            assert_ne!(hour, 3);
        }
    }
}
