//! Jobs that are killed at random moments, running or suspended, fail and are run again.

mod common;

use common::{Dice, Make, Rotate, alive, assert_none_left, execute, mark, marked, shell, signal};
use executor::{End, Ending, Outcome, Output};
use policies::{Fleet, Policy};
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const KILLS: usize = 60;

#[test]
fn killed_jobs_fail_and_are_run_again_also_those_that_were_suspended() {
    let mark = mark("killed");
    let over = AtomicBool::new(false);
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut dice, mut kills) = (Dice(11), 0);
            while kills < KILLS && !over.load(Ordering::Relaxed) {
                let jobs = alive(&mark);
                if !jobs.is_empty() {
                    // Mostly leaders of groups; now and then a `sleep` that its shell then misses.
                    signal(jobs[dice.below(jobs.len())], Signal::KILL);
                    kills += 1;
                }
                std::thread::sleep(Duration::from_millis(3 + dice.below(8) as u64));
            }
        });
        let count = "set -e; i=0; while [ $i -lt 60 ]; do i=$((i+1)); sleep 0.004; done";
        let tasks = (0..8).map(|i| marked(shell(&format!("target {i}"), u16::MAX, count), &mark)).collect();
        let make = || -> Box<dyn Policy> { Box::new(Rotate::every(5)) };
        let ran = execute(Make::Custom(&make), &Fleet::uniform(1, 2), tasks, Output::Null);
        over.store(true, Ordering::Relaxed);
        ran
    });
    assert_eq!((ran.end, ran.tracker.done), (End::Quiet, 8));
    let endings: Vec<&Ending> = ran.reports.iter().flat_map(|report| &report.endings).collect();
    for report in &ran.reports {
        assert_eq!((report.outcome, report.endings.last()), (Outcome::Finished, Some(&Ending::Code(0))), "{report:?}");
        assert_eq!(report.starts as usize, report.endings.len(), "{report:?}");
    }
    let killed = endings.iter().filter(|ending| ***ending == Ending::Signal(9)).count();
    assert!(killed >= KILLS / 4, "{killed} of {KILLS}: {endings:?}");
    assert_eq!(ran.counts.failed as usize, endings.len() - 8);
    // Three of four are suspended at any moment; they are found dead when they are to go on.
    assert!(ran.counts.stillborn >= 1, "{:?}", ran.counts);
    assert!(ran.counts.stopped >= 50, "{:?}", ran.counts);
    assert_none_left(&mark);
}
