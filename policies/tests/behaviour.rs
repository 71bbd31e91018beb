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
