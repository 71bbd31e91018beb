//! What each policy does, in a few lines each.

#[allow(dead_code, reason = "each test crate uses a part of it")]
mod world;

use world::timeline::check;

#[test]
fn fifo_blocks_behind_the_head_unless_it_may_skip() {
    let input = "
        fleet 4
        0 a 2x10
        1 b 4x5
        2 c 2x3";
    check("fifo", input, "a@0 b@10 c@15");
    check("fifo(skip=true)", input, "a@0 c@2 b@10");
}

#[test]
fn sjf_prefers_short_estimates_then_arrival_and_unknown_lengths_last() {
    let input = "
        fleet 1
        0 a 1x10
        1 unknown 1x1 ~?
        2 b 1x5
        3 c 1x2
        4 d 1x2
        5 wrong 1x7 ~1";
    check("sjf", input, "a@0 wrong@10 c@17 d@19 b@21 unknown@26");
}

#[test]
fn sjf_skips_what_does_not_fit_unless_told_not_to() {
    let input = "
        fleet 4
        0 a 2x10
        1 b 4x5
        2 c 2x30";
    check("sjf", input, "a@0 c@2 b@32");
    check("sjf(skip=false)", input, "a@0 b@10 c@15");
}

#[test]
fn easy_lets_jobs_overtake_that_end_before_the_head_can_start() {
    let input = "
        fleet 4
        0 a 2x10
        1 head 4x5
        2 long 2x9
        3 fits 2x7
        4 late 1x7";
    check("easy", input, "a@0 fits@3 head@10 long@15 late@15");
}

#[test]
fn easy_lets_jobs_overtake_on_accelerators_that_the_head_will_not_need() {
    let input = "
        fleet 4
        0 a 3x10
        1 head 3x5
        2 spare 1x100
        3 b 1x2";
    check("easy", input, "a@0 spare@2 head@10 b@15");
}

#[test]
fn easy_counts_everything_that_ends_together_as_spare() {
    let input = "
        fleet 6
        0 a 2x10
        0 b 2x10
        1 head 3x5
        2 c 2x100
        3 d 2x100";
    check("easy", input, "a@0 b@0 c@2 head@10 d@15");
}

#[test]
fn easy_backfills_by_arrival_or_by_length() {
    let input = "
        fleet 4
        0 a 2x10
        0 b 1x3
        1 head 4x5
        2 c 2x6
        2 d 2x4";
    check("easy", input, "a@0 b@0 c@3 head@10 d@15");
    check("easy(order=sjf)", input, "a@0 b@0 d@3 head@10 c@15");
}

#[test]
fn easy_starts_the_head_as_soon_as_a_job_ends_early() {
    check("easy", "fleet 2\n 0 a 2x4 ~10\n 1 head 2x5\n 2 c 1x3", "a@0 head@4 c@9");
}

#[test]
fn easy_moves_the_shadow_when_a_job_outlives_its_estimate() {
    // At 10 `a` is given a minute more, so that `c` (50 s) may overtake: it ends by 70.
    check("easy", "fleet 4\n 0 a 2x100 ~10\n 1 head 4x5\n 2 c 2x50", "a@0 c@10 head@100");
}

#[test]
fn easy_takes_a_fixed_length_for_jobs_without_an_estimate() {
    let input = "
        fleet 4
        0 a 2x10
        1 head 4x5
        2 c 2x3 ~?";
    check("easy", input, "a@0 head@10 c@15");
    check("easy(assume=8)", input, "a@0 c@2 head@10");
}

#[test]
fn easy_drains_a_fragmented_fleet_towards_the_head() {
    // Two nodes, each with one long job: 6 of 8 are free, but not 4 on one node.
    let input = "
        fleet 2x4
        place worst-fit
        0 a 1x100
        0 b 1x200
        1 head 4x10
        2 short 1x50
        3 long 1x1000";
    check("easy", input, "a@0 b@0 short@2 head@100 long@100");
}

#[test]
fn conservative_lets_nobody_delay_anybody_before() {
    // `c` would fit beside `a` until 12, which easy allows since it does not delay the head `b`; here it would delay `d`.
    let input = "
        fleet 4
        0 a 2x10
        1 b 3x5
        2 d 4x5
        3 c 1x16";
    check("easy", input, "a@0 c@3 b@10 d@19");
    check("conservative", input, "a@0 b@10 d@15 c@20");
}

#[test]
fn conservative_fills_holes_that_are_long_enough() {
    let input = "
        fleet 4
        0 a 2x10
        1 b 4x5
        2 long 2x9
        3 short 2x7";
    check("conservative", input, "a@0 short@3 b@10 long@15");
}

#[test]
fn conservative_compresses_when_a_job_ends_early() {
    // At 4 `b` moves from 20 to 4, then `c` from 25 to 9.
    check("conservative", "fleet 2\n 0 a 2x4 ~20\n 1 b 2x5\n 2 c 1x3", "a@0 b@4 c@9");
}

#[test]
fn conservative_keeps_its_promises_when_it_compresses() {
    // `a` ends at 2 instead of 10: `b` starts at once, and `c`, which was promised 14, still starts by then.
    let input = "
        fleet 4
        0 a 3x2 ~10
        1 b 3x4
        1 c 4x3
        1 d 1x9";
    check("conservative", input, "a@0 d@1 b@2 c@10");
}

#[test]
fn conservative_makes_promises_to_the_first_jobs_only() {
    let input = "
        fleet 4
        0 a 2x10
        1 b 4x5
        2 c 4x5
        3 d 2x3";
    check("conservative", input, "a@0 d@3 b@10 c@15");
    check("conservative(depth=2)", input, "a@0 b@10 c@15 d@20");
}

#[test]
fn priority_stops_the_least_important_and_latest_started() {
    let input = "
        fleet 4
        0 a 2x100 p1
        1 b 1x100 p0
        2 c 1x50 p0
        3 d 2x10 p5";
    check("priority", input, "a@0 b@1 c@2 -c@3 -b@3 d@3 b@13 c@13");
    check("priority(preempt=false)", input, "a@0 b@1 c@2 d@100");
}

#[test]
fn priority_spares_whom_it_need_not_stop() {
    // `c` is the first candidate, but stopping `b` alone is needed and enough.
    check("priority", "fleet 4\n 0 b 3x100\n 1 c 1x100\n 2 d 3x10 p1", "b@0 c@1 -b@2 d@2 b@12");
}

#[test]
fn priority_stops_nobody_in_vain() {
    // On nodes of 2, the two less important jobs leave no node whole beside the important ones, until one of these ends.
    let input = "
        fleet 2x2
        place worst-fit
        0 a 1x100 p9
        0 b 1x90 p9
        1 c 1x100
        1 d 1x100
        2 e 2x10 p5";
    check("priority", input, "a@0 b@0 c@1 d@1 -d@90 e@90 d@100");
}

#[test]
fn priority_finds_the_victims_that_share_a_node() {
    let input = "
        fleet 3x2
        place worst-fit
        0 a 1x100 p1
        0 b 1x100 p1
        0 c 1x100 p9
        1 d 1x100 p0
        2 e 1x100 p1
        3 f 2x10 p5";
    // `c` has the first node with the least important job, `d`; `a` and `e` share the second; only `b` is alone. It then takes
    // the place of `d`.
    check("priority", input, "c@0 a@0 b@0 d@1 e@2 -b@3 f@3 -d@3 b@3 d@13");
}

#[test]
fn priority_waits_for_victims_to_leave() {
    let input = "
        fleet 2
        stop 3
        0 a 2x10
        1 b 2x5 p1";
    check("priority", input, "a@0 -a@1 b@4 a@9");
    // A victim that finishes while it is being stopped leaves as well.
    check("priority", "fleet 2\n stop 30\n 0 a 2x10\n 1 b 2x5 p1", "a@0 -a@1 b@10");
}

#[test]
fn priority_takes_the_place_of_a_job_that_has_not_started_yet() {
    let input = "
        fleet 2
        stop 3
        0 a 2x10
        1 b 2x5 p1
        2 c 2x5 p2";
    check("priority", input, "a@0 -a@1 c@4 b@9 a@14");
}

#[test]
fn priority_without_skipping_blocks_behind_the_head() {
    let input = "
        fleet 4
        0 a 2x10 p9
        1 b 4x5 p1
        2 c 2x3 p0";
    check("priority(preempt=false)", input, "a@0 c@2 b@10");
    check("priority(preempt=false, skip=false)", input, "a@0 b@10 c@15");
}

#[test]
fn fair_share_gives_to_the_tenant_that_holds_least() {
    let input = "
        fleet 4
        0 a1 2x10 u0
        0 a2 2x10 u0
        1 a3 2x10 u0
        2 a4 2x10 u0
        3 b1 2x10 u1
        4 b2 2x10 u1";
    check("fair-share", input, "a1@0 a2@0 a3@10 b1@10 a4@20 b2@20");
}

#[test]
fn fair_share_counts_by_weight() {
    let input = "
        fleet 6
        0 x 6x10 u9
        1 a1 1x9 u0
        1 a2 1x9 u0
        1 a3 1x9 u0
        1 a4 1x9 u0
        1 b1 1x9 u1
        1 b2 1x9 u1
        1 b3 1x9 u1
        1 b4 1x9 u1
        1 b5 1x9 u1";
    // Two for each of the first tenant's.
    check("fair-share(weights=1:2)", input, "x@0 a1@10 b1@10 b2@10 a2@10 b3@10 b4@10 a3@19 b5@19 a4@19");
}

#[test]
fn fair_share_keeps_to_quotas_unless_they_may_be_borrowed() {
    let input = "
        fleet 4
        0 a1 2x10 u0
        0 a2 2x10 u0";
    check("fair-share(quotas=0:2|1:2)", input, "a1@0 a2@0");
    check("fair-share(quotas=0:2|1:2, borrow=false)", input, "a1@0 a2@10");
}

#[test]
fn fair_share_reclaims_what_was_borrowed_and_no_more() {
    let input = "
        fleet 4
        0 a1 2x10 u0
        0 a2 1x10 u0
        0 a3 1x10 u0
        1 b1 1x5 u1
        2 b2 1x5 u1
        3 b3 1x5 u1";
    // `b3` would exceed the quota of its tenant until `b1` is done: it may not take anything.
    check("fair-share(quotas=0:2|1:2, reclaim=true)", input, "a1@0 a2@0 a3@0 -a3@1 b1@1 -a2@2 b2@2 b3@6 a2@7 a3@10");
    check("fair-share(quotas=0:2|1:2)", input, "a1@0 a2@0 a3@0 b1@10 b2@10 b3@10");
}

#[test]
fn random_draws_every_waiting_job_equally_often() {
    use policies::{Fleet, Scheduler, Span, Time, catalog::Random, placement};
    let mut firsts = [0; 5];
    for seed in 0..500 {
        let place = placement::by_name("pool", 0).expect("it is listed");
        let scheduler = Scheduler::new(Fleet::pool(4), Box::new(Random::new(seed)), place);
        // Of different classes, as a class is drawn before a job of it.
        let job = |id: u64| world::Arrival {
            submit: Time(id.min(1)),
            spec: policies::JobSpec::whole([4, 1, 1, 1, 2, 3][id as usize]),
            work: Span::from_secs(1),
            patience: None,
        };
        let jobs: Vec<_> = (0..6).map(job).collect();
        let mut world = world::World::new(scheduler, &jobs, world::Ideal);
        let first = std::iter::from_fn(|| world.step()).flat_map(|step| step.orders).nth(1);
        match first {
            Some(policies::Order::Start { job, .. }) => firsts[job.index() - 1] += 1,
            other => panic!("{other:?}"),
        }
    }
    // 100 expected of each, standard deviation 9.
    assert!(firsts.iter().all(|n| (64..=136).contains(n)), "{firsts:?}");
}

#[test]
fn a_job_that_is_withdrawn_leaves_its_place_in_line_and_on_the_floor() {
    // The head of the line goes, and the next one fits at once.
    check("fifo", "fleet 4\n0 a 3x100\n1 b 4x10 w9\n2 c 1x10", "a@0 c@10");
    // It runs, and goes; it had a place that another was still leaving; it was still leaving itself.
    check("fifo", "fleet 4\n0 a 4x100 w20\n1 b 4x10", "a@0 b@20");
    check("priority", "fleet 4\nstop 10\n0 a 4x100 p0\n5 b 4x10 p1 w5", "a@0 -a@5 a@15");
    check("priority", "fleet 4\nstop 10\n0 a 4x100 p0 w8\n5 b 4x10 p1", "a@0 -a@5 b@8");
}

#[test]
fn an_important_job_preempts_though_lesser_ones_like_it_wait() {
    check("priority", "fleet 4\n0 a 4x100 p0\n1 b 4x10 p0\n2 c 4x10 p1", "a@0 -a@2 c@2 a@12 b@110");
}
