//! How long one decision takes while a large fleet is full and jobs of better tiers push in. CSV on stdout.
//!
//! usage: `decide [--most N]`
//!
//! Columns: accelerators, running (jobs, at the end), waiting, policy, decisions, p50_us, p99_us, max_us (wall time of the events and the
//! decision of one step, in microseconds). The count begins when the fleet is full and a tenth as many decisions have been made.
//! The `max` of `hierarchy` has a look at all parts for jobs to move in it, which is what it does instead of planning the whole
//! fleet anew.

use policies::{Elastic, Fleet, JobSpec, Scheduler, Span, Tiers, Time, catalog, placement};
use sim::{Arrival, Costs, World};
use std::error::Error;
use std::time::Instant;

const POLICIES: &[&str] = &[
    "fifo(skip=true)",
    "priority",
    "fair-share",
    "singularity",
    "hierarchy",
    "hierarchy(by=cluster)",
    "hierarchy(of=hierarchy(by=cluster))",
];
/// Five accelerators on average.
const SIZES: [u32; 10] = [1, 1, 1, 1, 2, 4, 8, 8, 8, 16];
const REGIONS: u32 = 10;
const CLUSTERS: u32 = 4;
const MEAN_RUN_US: u64 = 4_000_000_000;
const DECISIONS: usize = 40_000;

fn fleet(accelerators: u32) -> Fleet {
    let mut fleet = Fleet::default();
    let kind = fleet.add_type("gpu");
    for region in 0..REGIONS {
        let region_id = fleet.add_region(&format!("region-{region}"));
        for cluster in 0..CLUSTERS {
            let cluster = fleet.add_cluster(&format!("{region}/{cluster}"), region_id);
            fleet.add_nodes(cluster, kind, accelerators / 8 / REGIONS / CLUSTERS, 8);
        }
    }
    fleet
}

/// Job `index`: runs for 1,000 to 7,000 s, and one arrives as often as keeps a little more than all accelerators busy. Those that fill
/// the fleet come at once.
fn job(index: u64, accelerators: u64) -> Arrival {
    let draw = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let draw = (draw ^ draw >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let size = SIZES[(draw >> 8) as usize % SIZES.len()];
    let spec = JobSpec {
        tier: [0, 1, 1, 2, 2][(draw >> 40) as usize % 5],
        elastic: if size > 1 { Elastic::linear(size.div_ceil(4), 300) } else { Elastic::RIGID },
        ..JobSpec::whole(size)
    };
    let first = accelerators / 5;
    let gap_us = MEAN_RUN_US * 5 * 20 / (accelerators * 21);
    let submit = if index < first { index } else { first + (index - first) * gap_us.max(1) };
    Arrival { submit: Time(submit), spec, duration: Span(1_000_000_000 + (draw >> 20) % 6_000_000_000) }
}

struct Row {
    running: usize,
    waiting: usize,
    /// In nanoseconds, ascending.
    took: Vec<u64>,
}

fn measure(accelerators: u32, policy: &str) -> Result<Row, Box<dyn Error>> {
    let (policy, _) = catalog::by_name(policy, 1)?;
    let place = placement::by_name("best-fit", 1)?;
    let mut scheduler = Scheduler::new(fleet(accelerators), policy, place).with_tiers(&Tiers::default());
    let mut world = World::new(Costs::default(), None);
    let mut arrivals = (0..).map(|index| job(index, accelerators.into())).peekable();
    let filled = accelerators as usize / 5;
    let (mut events, mut took, mut full) = (Vec::new(), Vec::new(), 0);
    while took.len() < DECISIONS {
        let due = arrivals.peek().map_or(Time::MAX, |arrival: &Arrival| arrival.submit);
        let known = world.next_time().min(due).min(scheduler.next_wakeup().unwrap_or(Time::MAX));
        let now = known.max(scheduler.view().now());
        events.clear();
        world.advance(now, &mut events);
        while let Some(arrival) = arrivals.next_if(|arrival| arrival.submit <= now) {
            world.submit(&arrival, &mut events);
        }
        let began = Instant::now();
        for event in &events {
            scheduler.handle(now, event);
        }
        let decision = scheduler.decide(now);
        let nanos = began.elapsed().as_nanos() as u64;
        world.apply(now, decision.orders);
        full += usize::from(scheduler.view().submitted() as usize > filled);
        if full > DECISIONS / 10 {
            took.push(nanos);
        }
    }
    took.sort_unstable();
    Ok(Row { running: scheduler.view().active().len(), waiting: scheduler.view().pending().len(), took })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let most: u32 = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => 1_024_000,
        (Some("--most"), Some(most)) => most.parse()?,
        _ => return Err("usage: decide [--most N]".into()),
    };
    println!("accelerators,running,waiting,policy,decisions,p50_us,p99_us,max_us");
    for accelerators in [10_240, 102_400, 1_024_000].into_iter().filter(|n| *n <= most) {
        for policy in POLICIES {
            let Row { running, waiting, took } = measure(accelerators, policy)?;
            let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize] as f64 / 1000.0;
            let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
            println!("{accelerators},{running},{waiting},\"{policy}\",{},{p50:.1},{p99:.1},{max:.0}", took.len());
        }
    }
    Ok(())
}
