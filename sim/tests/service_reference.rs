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

struct Member {
    job: usize,
    gang: u64,
    duration: u64,
    executed: u64,
    running: bool,
}

/// Queues with those limits, by Tiresias's own rules for the next time and for moves down.
fn queues(pool: u64, jobs: &[Job], limits: &[u64], gpu: bool) -> Result {
    let mut result = vec![(0, 0); jobs.len()];
    let mut queues: Vec<Vec<Member>> = (0..=limits.len()).map(|_| Vec::new()).collect();
    let weight = |m: &Member| if gpu { m.gang } else { 1 };
    let (mut now, mut next, mut jump) = (0, 0, None);
    while next < jobs.len() || queues.iter().any(|q| !q.is_empty()) {
        let running = queues.iter().flatten().filter(|m| m.running);
        let end = running.map(|m| now + m.duration - m.executed).min();
        let event = end.into_iter().chain(jobs.get(next).map(|job| job.0)).min().expect("all jobs fit");
        let jumps = jump.is_some_and(|jump| jump < event);
        let then = if jumps { jump.unwrap_or(event) } else { event };
        queues.iter_mut().flatten().filter(|m| m.running).for_each(|m| m.executed += then - now);
        now = then;
        for queue in &mut queues {
            queue.retain(|m| {
                let done = !jumps && m.running && m.executed == m.duration;
                if done {
                    result[m.job].0 = now;
                }
                !done
            });
        }
        while let Some(&(_, duration, gang)) = jobs.get(next).filter(|job| !jumps && job.0 == now) {
            queues[0].push(Member { job: next, gang: gang.into(), duration, executed: 0, running: false });
            next += 1;
        }
        let mut down = Vec::new();
        for (q, limit) in limits.iter().enumerate() {
            let (go, stay) = queues[q].drain(..).partition(|m| m.running && m.executed * weight(m) >= *limit);
            (queues[q], down) = (stay, {
                down.push((q + 1, go));
                down
            });
        }
        for (q, mut members) in down {
            members.sort_by_key(|m: &Member| m.job);
            queues[q].extend(members);
        }
        let mut free = pool;
        for queue in &mut queues {
            for m in queue.iter_mut() {
                let fits = m.gang <= free;
                free -= if fits { m.gang } else { 0 };
                result[m.job].1 += u32::from(m.running && !fits);
                m.running = fits;
            }
            queue.sort_by_key(|m| !m.running);
        }
        let jump_of = |(limit, m): (&u64, &Member)| (limit.saturating_sub(m.executed)) / weight(m) + now;
        let runs = limits.iter().zip(&queues).flat_map(|(l, q)| q.iter().filter(|m| m.running).map(move |m| (l, m)));
        jump = runs.map(jump_of).min();
    }
    result
}

fn orrery(pool: u32, policy: &str, jobs: &[Job]) -> Result {
    let arrivals: Vec<_> = jobs.iter().map(|&(submit, duration, gang)| arrival(submit, duration, gang)).collect();
    let run = simulate(Fleet::pool(pool), policy, "pool", "zero", &arrivals, true);
    run.jobs().iter().map(|j| (j.end().0 / 1_000_000, j.preemptions)).collect()
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

    #[test]
    fn queues_by_seconds((pool, jobs) in streams()) {
        let policy = "tiresias(limits=4:9, service=seconds)";
        prop_assert_eq!(orrery(pool, policy, &jobs), queues(pool.into(), &jobs, &[4, 9], false));
    }

    #[test]
    fn queues_by_gpu_seconds((pool, jobs) in streams()) {
        let policy = "tiresias(limits=20:45, upstream_jumps=true)";
        prop_assert_eq!(orrery(pool, policy, &jobs), queues(pool.into(), &jobs, &[20, 45], true));
    }
}
