//! What a service is asked over time, in replicas.

use crate::generate::{normal_quantile, stream};
use crate::import::{ImportError, Request, read_requests};
use policies::Span;
use rand::RngExt;
use std::path::PathBuf;

/// What one replica sustains within its latency objective: the least rates at which it is busy all the time. A request takes
/// of it `1 / requests + prompt / context + answer / generated` seconds, where a rate that is not given costs nothing. That
/// batching makes each request slower and all together faster is in these rates: measure them at the objective.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Throughput {
    /// Requests a second.
    pub requests: Option<f64>,
    /// Tokens of prompts a second.
    pub context: Option<f64>,
    /// Tokens of answers a second.
    pub generated: Option<f64>,
}

impl Throughput {
    /// Seconds of one replica that a request takes.
    pub fn seconds(&self, context: f64, generated: f64) -> f64 {
        let part = |amount: f64, rate: Option<f64>| rate.map_or(0.0, |rate| amount / rate);
        part(1.0, self.requests) + part(context, self.context) + part(generated, self.generated)
    }
}

/// A daily rhythm: a cosine between two rates, with noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rhythm {
    /// Most requests a second.
    pub peak: f64,
    /// Fewest requests a second.
    pub trough: f64,
    /// From one peak to the next.
    pub period: Span,
    /// When the first peak is.
    pub peak_at: Span,
    /// Standard deviation of the logarithm of the noise, whose mean is 1; it forgets a tenth of itself in each bin.
    pub noise: f64,
}

/// What a service is asked. Recorded requests, a rhythm, or both: then the rhythm says how many requests come, and the
/// recording, over and over, how unevenly they do and how long they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// What a replica does.
    pub throughput: Throughput,
    /// A file of requests.
    pub file: Option<PathBuf>,
    /// A rhythm.
    pub rhythm: Option<Rhythm>,
    /// Tokens of the prompt and of the answer of a mean request, where no file says.
    pub tokens: (f64, f64),
    /// So many times all that.
    pub scale: f64,
    /// The load is constant for so long; more than zero.
    pub bin: Span,
}

/// How much of its noise a bin has from the one before.
const MEMORY: f64 = 0.9;

impl Load {
    /// The load in each bin, in thousandths of what a replica serves within its objective. `name` and `seed` choose the noise.
    ///
    /// # Errors
    /// A file of requests that cannot be used.
    pub fn replicas_milli(&self, name: &str, lasts: Span, seed: u64) -> Result<Vec<u32>, ImportError> {
        let bins = lasts.0.div_ceil(self.bin.0) as usize;
        let recorded = self.file.as_ref().map(|file| read_requests(file)).transpose()?;
        let recorded = recorded.map(|requests| self.recorded(&requests));
        let rhythm = self.rhythm.map(|rhythm| self.rates(&rhythm, bins, name, seed));
        let (context, generated) = self.tokens;
        let each_s = self.throughput.seconds(context, generated);
        let load = |bin: usize| match (&recorded, &rhythm) {
            (Some((shape, _)), None) => shape[bin % shape.len()],
            (Some((shape, rate)), Some(rates)) => rates[bin] * shape[bin % shape.len()] / rate,
            (None, Some(rates)) => rates[bin] * each_s,
            (None, None) => 0.0,
        };
        Ok((0..bins).map(|bin| libm::round(load(bin) * self.scale * 1000.0).min(f64::from(u32::MAX)) as u32).collect())
    }

    /// Replicas that the recorded requests take in each whole bin of the recording, and their mean rate in requests a second.
    fn recorded(&self, requests: &[Request]) -> (Vec<f64>, f64) {
        let end_us = requests.last().map_or(0, |request| request.at_us);
        // What comes after the last whole bin would be repeated as if it were all of one.
        let bins = ((end_us / self.bin.0) as usize).max(1);
        let mut shape = vec![0.0; bins];
        let mut count = 0;
        for request in requests {
            let Some(bin) = shape.get_mut((request.at_us / self.bin.0) as usize) else { break };
            *bin += self.throughput.seconds(request.context.into(), request.generated.into());
            count += 1;
        }
        let bin_s = self.bin.as_secs_f64();
        shape.iter_mut().for_each(|seconds| *seconds /= bin_s);
        (shape, f64::from(count) / (bins as f64 * bin_s))
    }

    /// Requests a second in each bin.
    fn rates(&self, rhythm: &Rhythm, bins: usize, name: &str, seed: u64) -> Vec<f64> {
        let mut draws = stream(seed, &format!("service {name}"));
        let fresh = (1.0 - MEMORY * MEMORY).sqrt();
        let mut noise = None;
        let (bin_s, period_s) = (self.bin.as_secs_f64(), rhythm.period.as_secs_f64());
        let rate = |bin: usize| {
            let at_s = bin as f64 * bin_s - rhythm.peak_at.as_secs_f64();
            let height = (1.0 + libm::cos(std::f64::consts::TAU * at_s / period_s)) / 2.0;
            let draw = normal_quantile(draws.random_range(f64::EPSILON..1.0));
            let now = noise.map_or(draw, |before: f64| MEMORY * before + fresh * draw);
            noise = Some(now);
            let factor = libm::exp(rhythm.noise * now - rhythm.noise * rhythm.noise / 2.0);
            (rhythm.trough + (rhythm.peak - rhythm.trough) * height) * factor
        };
        (0..bins).map(rate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(rhythm: Option<Rhythm>) -> Load {
        let throughput = Throughput { requests: Some(2.0), context: None, generated: Some(100.0) };
        Load { throughput, file: None, rhythm, tokens: (0.0, 50.0), scale: 1.0, bin: Span::from_secs(60) }
    }

    fn rhythm(noise: f64) -> Rhythm {
        let day = Span::from_secs(86_400);
        Rhythm { peak: 30.0, trough: 10.0, period: day, peak_at: Span::from_secs(43_200), noise }
    }

    #[test]
    fn a_rhythm_swings_between_trough_and_peak() {
        // Half a second for the request and half a second for fifty tokens: a request a second is a replica.
        let found = load(Some(rhythm(0.0))).replicas_milli("s", Span::from_secs(2 * 86_400), 1).unwrap();
        assert_eq!((found.len(), found[0], found[720], found[360], found[1440]), (2880, 10_000, 30_000, 20_000, 10_000));
    }

    #[test]
    fn noise_comes_from_seed_and_name_and_keeps_the_mean() {
        let of = |name, seed| load(Some(rhythm(0.2))).replicas_milli(name, Span::from_secs(20 * 86_400), seed).unwrap();
        assert_eq!(of("s", 1), of("s", 1));
        assert_ne!(of("s", 1), of("s", 2));
        assert_ne!(of("s", 1), of("t", 1));
        let all = of("s", 1);
        let mean = all.iter().map(|&milli| f64::from(milli)).sum::<f64>() / all.len() as f64;
        assert!((mean - 20_000.0).abs() < 600.0, "{mean}");
    }

    #[test]
    fn a_recording_gives_shape_and_a_rhythm_height() {
        let of = |rhythm| {
            let load = Load { bin: Span(10), ..load(rhythm) };
            let at = |at_us| Request { at_us, context: 9, generated: 50 };
            load.recorded(&[at(0), at(1), at(2), at(11), at(25)])
        };
        let (shape, rate) = of(None);
        let shape: Vec<f64> = shape.into_iter().map(f64::round).collect();
        assert_eq!((shape, rate.round()), (vec![300_000.0, 100_000.0], 200_000.0), "the third bin is not whole");
    }
}
