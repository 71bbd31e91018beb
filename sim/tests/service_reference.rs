//! The ranked walk against a plain one: a list of all live jobs that is sorted stably and walked at every event.

mod common;

use common::{arrival, simulate};
use policies::Fleet;
use proptest::prelude::*;

/// Submission and duration in seconds, accelerators.
type Job = (u64, u64, u32);

/// One row per job: end in seconds and preemptions.
type Result = Vec<(u64, u32)>;

struct Live {
    job: usize,
    gang: u64,
    left: u64,
    running: bool,
}

fn shortest_remaining(pool: u64, jobs: &[Job], by_service: bool) -> Result {
    let mut result = vec![(0, 0); jobs.len()];
    let mut live: Vec<Live> = Vec::new();
    let (mut now, mut next) = (0, 0);
    while next < jobs.len() || !live.is_empty() {
        let end = live.iter().filter(|l| l.running).map(|l| now + l.left).min();
        let submit = jobs.get(next).map(|job| job.0);
        let then = end.into_iter().chain(submit).min().expect("all jobs fit, so something happens");
        live.iter_mut().filter(|l| l.running).for_each(|l| l.left -= then - now);
        now = then;
        live.retain(|l| {
            let done = l.running && l.left == 0;
            if done {
                result[l.job].0 = now;
            }
            !done
        });
        while let Some(&(_, left, gang)) = jobs.get(next).filter(|job| job.0 == now) {
            live.push(Live { job: next, gang: gang.into(), left, running: false });
            next += 1;
        }
        live.sort_by_key(|l| if by_service { l.left * l.gang } else { l.left });
        let mut free = pool;
        for l in &mut live {
            let fits = l.gang <= free;
            free -= if fits { l.gang } else { 0 };
            result[l.job].1 += u32::from(l.running && !fits);
            l.running = fits;
        }
    }
    result
}

fn orrery(pool: u32, policy: &str, jobs: &[Job]) -> Result {
    let arrivals: Vec<_> = jobs.iter().map(|&(submit, duration, gang)| arrival(submit, duration, gang)).collect();
    let run = simulate(Fleet::pool(pool), policy, "pool", "zero", &arrivals, true);
    run.jobs().iter().map(|j| (j.end.0 / 1_000_000, j.preemptions)).collect()
}

/// Streams with many equal times and durations, so that ties decide, and gangs up to the whole pool.
fn streams() -> impl Strategy<Value = (u32, Vec<Job>)> {
    let job = |pool: u32| (0u64..4, prop_oneof![1u64..6, 1u64..40], prop_oneof![3 => 1u32..=3, 1 => 1..=pool]);
    (3u32..14).prop_flat_map(move |pool| {
        proptest::collection::vec(job(pool), 1..60).prop_map(move |jobs| {
            let mut now = 0;
            let stream = jobs.into_iter().map(|(gap, duration, gang)| {
                now += gap;
                (now, duration, gang.min(pool))
            });
            (pool, stream.collect())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shortest_remaining_time((pool, jobs) in streams()) {
        prop_assert_eq!(orrery(pool, "srtf", &jobs), shortest_remaining(pool.into(), &jobs, false));
    }

    #[test]
    fn shortest_remaining_service((pool, jobs) in streams()) {
        prop_assert_eq!(orrery(pool, "srsf", &jobs), shortest_remaining(pool.into(), &jobs, true));
    }
}
