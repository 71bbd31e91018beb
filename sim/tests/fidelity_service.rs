//! The service-based policies against the results of the simulators that introduced them, to the digit.
//!
//! Figures: Tiresias (Gu et al., NSDI '19), `simulator/` as published, on two slices of the Philly trace. Integer seconds; at one
//! instant completions come first, then arrivals, then one pass.

mod common;

use common::{philly, simulate};
use policies::Fleet;

/// (slice, accelerators, policy, mean JCT in seconds, makespan in seconds, preemptions).
type Row = (u32, u32, &'static str, f64, u64, u64);

#[track_caller]
fn reproduces(rows: &[Row]) {
    for &(slice, accelerators, policy, mean_jct_s, makespan_s, preemptions) in rows {
        let Some(arrivals) = philly(slice) else { return };
        let run = simulate(Fleet::pool(accelerators), policy, "pool", "zero", &arrivals, false);
        let found = (run.mean_jct_s(), run.makespan().0 / 1_000_000, run.preemptions);
        assert_eq!(found, (mean_jct_s, makespan_s, preemptions), "{policy} on philly_oct_{slice}, {accelerators} accelerators");
    }
}

#[test]
fn shortest_remaining_time_and_service() {
    reproduces(&[
        (1000, 128, "srtf", 16181.692, 2_206_786, 236),
        (1000, 128, "srsf", 16151.107, 2_206_746, 179),
        (5000, 512, "srtf", 11171.1242, 2_513_611, 2376),
    ]);
}

#[test]
fn discretised_least_attained_service() {
    let seconds = "tiresias(limits=3250:7200, service=seconds, upstream_jumps=true)";
    let gpu_seconds = "tiresias(limits=3250:7200, service=gpu-seconds, upstream_jumps=true)";
    reproduces(&[
        (1000, 128, seconds, 17052.374, 2_190_247, 268),
        (1000, 128, gpu_seconds, 16897.281, 2_189_555, 240),
        (5000, 512, gpu_seconds, 11067.7098, 2_486_632, 697),
    ]);
}

/// No published figures: what must hold of policies that need no durations. Between those that know nothing (FIFO) and all
/// (SRTF), far nearer to the latter.
#[test]
fn without_durations() {
    let Some(arrivals) = philly(1000) else { return };
    let mean = |policy: &str| simulate(Fleet::pool(128), policy, "pool", "zero", &arrivals, false).mean_jct_s();
    let (best, worst) = (mean("srsf"), mean("fifo"));
    for policy in ["las", "las(service=seconds)", "gittins", "gittins(service=seconds)", "tiresias"] {
        let found = mean(policy);
        println!("{policy}: {found}");
        assert!(best < found && found < best + 0.15 * (worst - best), "{policy}: {found} between {best} and {worst}");
    }
}
