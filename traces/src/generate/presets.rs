//! Parameter sets. Every figure is published, or was fitted by us to a published trace, or is marked as chosen.
//!
//! Durations are knots of the empirical quantile function for each size; between them durations are log-linear, which
//! reproduces the traces' means within a few per cent, where log-normal fits miss them by factors.

use super::model::{Batches, Durations, OutcomeBand, SizeClass, Tenants};
use crate::duration::Length;
use policies::Span;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A named parameter set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Microsoft's Philly, 2017: nearly all jobs ask for one accelerator, nearly all time goes to 4, 8 and 16.
    ///
    /// Fitted by us to the public trace of Jeon et al., "Analysis of Large-Scale Multi-Tenant GPU Clusters for DNN
    /// Training Workloads" (USENIX ATC 2019): sizes, durations by size and completion by size and duration rank. The
    /// paper's Table 6 divides the rest into killed (13.5 % of jobs, 37.7 % of GPU time) and unsuccessful (17.2 %, 17.8 %):
    /// what does not complete is mostly failed if short, mostly killed if long.
    #[default]
    PhillyLike,
    /// SenseTime's Helios (Venus), 2020: very many short jobs, many of 8 GPUs, a third of the time in jobs above 16.
    ///
    /// Sizes, durations (which the source clamps at 48 hours) and hours fitted by us to the Venus trace of Hu et al.,
    /// "Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters" (SC 2021); outcome
    /// bands fitted to the four clusters' totals that the data set publishes: GPU jobs 62.4 % completed, 22.1 % cancelled,
    /// 15.5 % failed, with 51 %, 39 % and 9 % of GPU time.
    HeliosLike,
    /// Shanghai AI Lab's Acme (Kalos), 2023: large language models. Evaluations are nearly all jobs, pretraining is
    /// nearly all accelerator-time.
    ///
    /// After Hu et al., "Characterization of Large Language Model Development in the Datacenter" (NSDI 2024), section 3, and
    /// the job-state figure of its data set: pretraining is 3.2 % of jobs and 94.0 % of GPU time, evaluation (most jobs)
    /// 0.8 % of it; 26.8 GPUs a job on average, most jobs with 1, under 7 % with more than 8; medians of minutes, fewer
    /// than 5 % of jobs above a day; completed, cancelled and failed are 54.1, 6.2 and 39.7 % of jobs, with 31.3, 60.7 and
    /// 8.0 % of GPU time. The split of sizes by kind, and the quantiles' shapes, were chosen by us to meet these figures.
    AcmeLike,
    /// No model of anything: sizes 1 to 8 alike, exponential durations with a mean of one hour, Poisson arrivals, one
    /// tenant, no estimates. For benchmarks, where cost a job matters and realism does not.
    Uniform,
}

/// All presets, for lists and messages.
pub const PRESETS: [Preset; 4] = [Preset::PhillyLike, Preset::HeliosLike, Preset::AcmeLike, Preset::Uniform];

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Preset::PhillyLike => "philly-like",
            Preset::HeliosLike => "helios-like",
            Preset::AcmeLike => "acme-like",
            Preset::Uniform => "uniform",
        })
    }
}

/// A preset's parameters: the model's fields, all present.
pub(crate) struct Parameters {
    pub(crate) accelerators: u64,
    pub(crate) sizes: Vec<SizeClass>,
    pub(crate) hours: [f64; 24],
    pub(crate) weekdays: [f64; 7],
    pub(crate) batches: Batches,
    pub(crate) tenants: Tenants,
    pub(crate) has_estimates: bool,
}

impl Preset {
    pub(crate) fn parameters(self) -> Parameters {
        match self {
            Preset::PhillyLike => philly(),
            Preset::HeliosLike => helios(),
            Preset::AcmeLike => acme(),
            Preset::Uniform => uniform(),
        }
    }
}

/// Ranks of the knots of every table below.
const RANKS: [f64; 12] = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 1.0];

fn quantiles(seconds: [u64; 12]) -> Durations {
    let knots = RANKS.iter().zip(seconds).map(|(rank, s)| (*rank, Length(Span::from_secs(s)))).collect();
    Durations { quantiles: Some(knots), ..Durations::default() }
}

fn bands<const N: usize>(table: [(f64, f64, f64, f64); N]) -> Vec<OutcomeBand> {
    let band = |(up_to, completed, failed, cancelled)| OutcomeBand { up_to, completed, failed, cancelled };
    table.into_iter().map(band).collect()
}

/// Sizes that share durations and outcomes.
fn class(sizes: &[(u32, f64)], durations: Durations, outcomes: Vec<OutcomeBand>) -> Vec<SizeClass> {
    let one = |&(accelerators, share): &(u32, f64)| SizeClass {
        accelerators,
        share,
        durations: Some(durations.clone()),
        outcomes: Some(outcomes.clone()),
    };
    sizes.iter().map(one).collect()
}

/// Completion shares by duration rank; what does not complete is divided by the share that fails in each band.
fn philly_outcomes(completed: [f64; 7]) -> Vec<OutcomeBand> {
    const UP_TO: [f64; 7] = [0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0];
    const FAILING: [f64; 7] = [0.75, 0.75, 0.65, 0.55, 0.45, 0.35, 0.3];
    let band = |i: usize| {
        let rest = 1.0 - completed[i];
        OutcomeBand {
            up_to: UP_TO[i],
            completed: completed[i],
            failed: rest * FAILING[i],
            cancelled: rest * (1.0 - FAILING[i]),
        }
    };
    (0..7).map(band).collect()
}

fn philly() -> Parameters {
    let sizes = [
        class(
            &[(1, 0.8665)],
            quantiles([1, 58, 128, 1198, 3955, 15_586, 48_124, 150_647, 533_709, 1_089_343, 2_850_847, 5_196_151]),
            philly_outcomes([0.575, 0.922, 0.836, 0.923, 0.727, 0.517, 0.147]),
        ),
        class(
            &[(2, 0.0226)],
            quantiles([2, 13, 18, 30, 6054, 189_913, 416_414, 584_413, 1_099_939, 1_451_550, 2_137_523, 5_150_146]),
            philly_outcomes([0.964, 0.981, 0.962, 0.462, 0.553, 0.401, 0.231]),
        ),
        class(
            &[(4, 0.0492)],
            quantiles([1, 95, 688, 8387, 84_056, 225_077, 440_499, 852_671, 1_738_669, 2_050_580, 4_399_254, 5_186_933]),
            philly_outcomes([0.217, 0.397, 0.231, 0.425, 0.496, 0.225, 0.091]),
        ),
        class(
            &[(8, 0.0513)],
            quantiles([1, 86, 879, 12_567, 112_775, 365_261, 655_272, 1_089_928, 1_941_748, 2_568_010, 4_451_310, 5_187_472]),
            philly_outcomes([0.133, 0.295, 0.233, 0.299, 0.464, 0.282, 0.190]),
        ),
        class(
            &[(12, 0.0001), (16, 0.0076)],
            quantiles([2, 51, 704, 11_991, 65_058, 231_731, 503_547, 720_984, 1_240_992, 1_710_643, 3_284_929, 3_412_913]),
            philly_outcomes([0.221, 0.285, 0.148, 0.144, 0.411, 0.410, 0.222]),
        ),
        class(
            &[(24, 0.00036), (32, 0.0019), (64, 0.00025), (128, 0.0001)],
            quantiles([1, 50, 357, 4062, 39_481, 71_514, 129_299, 221_319, 472_847, 1_454_995, 3_098_095, 3_098_095]),
            philly_outcomes([0.207, 0.114, 0.378, 0.162, 0.591, 0.222, 0.0]),
        ),
    ];
    Parameters {
        accelerators: 2490,
        sizes: sizes.concat(),
        hours: PHILLY_HOURS,
        weekdays: [0.88, 1.11, 1.2, 1.28, 1.44, 0.59, 0.5],
        // 55 % of the trace's gaps are at most 10 s.
        batches: Batches { jobs_max: 100, accelerators_max: 400, exponent: 2.0, gap: Length(Span::from_secs(8)), alike: 0.5 },
        // The 15 named virtual clusters' shares of jobs: 38, 21, 15, 10, 7, 3, 2, 2, 1 %...
        tenants: Tenants { count: 15, exponent: 1.4 },
        has_estimates: true,
    }
}

/// Office hours of one time zone and a quiet night. The trace's own hours are dominated by a few automated users, so
/// only the first harmonic of its hourly counts is kept, moved to have its peak in the afternoon.
const PHILLY_HOURS: [f64; 24] = [
    0.69, 0.63, 0.6, 0.6, 0.63, 0.69, 0.77, 0.86, 0.97, 1.07, 1.17, 1.26, 1.33, 1.37, 1.4, 1.4, 1.37, 1.33, 1.26, 1.17, 1.07,
    0.97, 0.86, 0.77,
];

fn helios() -> Parameters {
    let ends = || {
        bands([
            (0.1, 0.42, 0.5, 0.08),
            (0.25, 0.66, 0.26, 0.08),
            (0.5, 0.73, 0.12, 0.15),
            (0.75, 0.63, 0.08, 0.29),
            (0.9, 0.58, 0.09, 0.33),
            (1.0, 0.48, 0.09, 0.43),
        ])
    };
    let sizes = [
        class(
            &[(1, 0.5184)],
            quantiles([1, 17, 67, 190, 1181, 8449, 33_430, 74_684, 172_800, 172_800, 172_800, 172_800]),
            ends(),
        ),
        class(
            &[(2, 0.0555)],
            quantiles([1, 17, 75, 211, 1532, 78_170, 172_800, 172_800, 172_800, 172_800, 172_800, 172_800]),
            ends(),
        ),
        class(
            &[(3, 0.0016), (4, 0.0726)],
            quantiles([1, 15, 59, 174, 2101, 33_503, 85_957, 168_443, 172_800, 172_800, 172_800, 172_800]),
            ends(),
        ),
        class(
            &[(5, 0.0008), (6, 0.0016), (7, 0.002), (8, 0.2473)],
            quantiles([1, 26, 98, 216, 1156, 26_146, 66_364, 137_632, 172_800, 172_800, 172_800, 172_800]),
            ends(),
        ),
        class(
            &[(16, 0.0417)],
            quantiles([1, 20, 105, 420, 12_257, 62_566, 115_039, 172_800, 172_800, 172_800, 172_800, 172_800]),
            ends(),
        ),
        class(
            &[(24, 0.009), (32, 0.0272)],
            quantiles([1, 11, 67, 213, 1762, 56_978, 141_381, 172_800, 172_800, 172_800, 172_800, 172_800]),
            ends(),
        ),
        class(
            &[(40, 0.0029), (48, 0.0025), (56, 0.0018), (64, 0.0023)],
            quantiles([1, 10, 55, 237, 1065, 12_631, 67_730, 170_022, 172_800, 172_800, 172_800, 172_800]),
            ends(),
        ),
        class(
            &[(80, 0.0026), (96, 0.0011), (120, 0.0019), (128, 0.0038)],
            quantiles([1, 5, 5, 51, 298, 1238, 6357, 31_779, 104_838, 159_686, 172_800, 172_800]),
            ends(),
        ),
        class(
            &[(144, 0.0008), (160, 0.0028)],
            quantiles([1, 5, 40, 86, 314, 1818, 15_202, 128_035, 172_800, 172_800, 172_800, 172_800]),
            ends(),
        ),
    ];
    Parameters {
        accelerators: 1022,
        sizes: sizes.concat(),
        hours: HELIOS_HOURS,
        weekdays: [1.03, 1.07, 1.28, 1.21, 0.95, 0.68, 0.78],
        // 24 % of the trace's gaps are at most 10 s.
        batches: Batches { jobs_max: 100, accelerators_max: 640, exponent: 2.0, gap: Length(Span::from_secs(30)), alike: 0.5 },
        // Chosen: the trace in this form names no users. The paper's section 3.3 has 5 % of users hold half of the time.
        tenants: Tenants { count: 100, exponent: 1.2 },
        has_estimates: true,
    }
}

fn acme() -> Parameters {
    let evaluation = quantiles([2, 12, 35, 105, 450, 3600, 13_000, 32_000, 70_000, 110_000, 200_000, 300_000]);
    let tuning = quantiles([2, 20, 90, 600, 9000, 70_000, 130_000, 200_000, 320_000, 420_000, 600_000, 800_000]);
    let pretraining = quantiles([5, 60, 240, 1200, 18_000, 110_000, 230_000, 380_000, 600_000, 750_000, 1_000_000, 1_500_000]);
    let ordinary = || bands([(0.5, 0.44, 0.52, 0.04), (1.0, 0.67, 0.265, 0.065)]);
    // Long pretraining runs rarely end by themselves: their owners stop them, and hold most of the time until then.
    let stopped = bands([(0.5, 0.12, 0.72, 0.16), (0.9, 0.12, 0.25, 0.63), (1.0, 0.34, 0.02, 0.64)]);
    let sizes = [
        class(&[(1, 0.62), (2, 0.15), (4, 0.08), (8, 0.079)], evaluation, ordinary()),
        class(&[(8, 0.006), (16, 0.01), (32, 0.01), (64, 0.008), (128, 0.005)], tuning, ordinary()),
        class(&[(256, 0.006), (512, 0.012), (1024, 0.014)], pretraining, stopped),
    ];
    Parameters {
        accelerators: 2416,
        sizes: sizes.concat(),
        hours: HELIOS_HOURS,
        weekdays: [1.05, 1.1, 1.15, 1.15, 1.05, 0.75, 0.75],
        batches: Batches { jobs_max: 60, accelerators_max: 1024, exponent: 1.6, gap: Length(Span::from_secs(3)), alike: 0.7 },
        tenants: Tenants { count: 40, exponent: 1.2 },
        has_estimates: true,
    }
}

/// Submissions to Venus by hour of the day. Acme-like borrows them: people of the same trade in the same country.
const HELIOS_HOURS: [f64; 24] = [
    0.90, 0.66, 0.60, 0.38, 0.27, 0.21, 0.19, 0.22, 0.37, 0.80, 1.29, 1.47, 1.16, 1.30, 1.56, 1.66, 1.73, 1.73, 1.28, 1.31,
    1.35, 1.37, 1.15, 1.04,
];

fn uniform() -> Parameters {
    let hour = Durations { mean: Some(Length(Span::from_secs(3600))), ..Durations::default() };
    Parameters {
        accelerators: 1024,
        sizes: class(&[1, 2, 3, 4, 5, 6, 7, 8].map(|n| (n, 1.0)), hour, bands([(1.0, 1.0, 0.0, 0.0)])),
        hours: [1.0; 24],
        weekdays: [1.0; 7],
        batches: Batches { jobs_max: 1, accelerators_max: 8, exponent: 1.0, gap: Length(Span::from_secs(1)), alike: 0.0 },
        tenants: Tenants { count: 1, exponent: 0.0 },
        has_estimates: false,
    }
}
