//! The mechanism's costs: the published tables, the peers' rules, and what must hold for any parameters.

use policies::{Span, Time};
use proptest::prelude::*;
use sim::mechanism::{
    Fraction, Image, JobState, LinkId, Links, Mechanism, Parallelism, PlacementError, SplicePoint, Switch, TransferId,
    preset_names,
};
use std::collections::BTreeMap;
use std::num::NonZeroU64;

const MB: u64 = 1_000_000;

fn preset(name: &str) -> Mechanism {
    Mechanism::by_name(name).unwrap_or_else(|error| panic!("{error}"))
}

/// Published seconds, total and of that transfer: migrate, shrink to half, grow from half to all.
const TABLE: [(&str, [(f64, f64); 3]); 7] = [
    ("bert-109m", [(36.0, 17.0), (45.0, 26.0), (34.0, 15.0)]),
    ("densenet169-14m", [(64.0, 40.0), (69.0, 45.0), (75.0, 51.0)]),
    ("pyramidnet-24m", [(28.0, 7.0), (31.0, 12.0), (30.0, 9.0)]),
    ("resnet50-26m", [(58.0, 37.0), (67.0, 45.0), (59.0, 39.0)]),
    ("internalq-355m", [(46.0, 24.0), (68.0, 44.0), (49.0, 24.0)]),
    ("gpt2-1.8b", [(72.0, 44.0), (122.0, 85.0), (97.0, 51.0)]),
    ("internalt-8b", [(141.0, 98.0), (228.0, 165.0), (181.0, 121.0)]),
];

fn operations(mechanism: &Mechanism, job: &JobState) -> [Switch; 3] {
    let (all, half) = (job.placed(job.workers).unwrap(), job.placed(job.workers / 2).unwrap());
    [(all, all), (all, half), (half, all)].map(|(from, to)| mechanism.migrate(job, from, to, Image::Incremental))
}

#[test]
fn every_cell_of_the_paper_is_met_within_a_tenth() {
    let v100 = preset("singularity-v100");
    let mut off = Vec::new();
    for (model, published) in TABLE {
        let switches = operations(&v100, v100.profile(model).unwrap());
        for ((operation, (total, transfer)), switch) in ["migrate", "shrink", "grow"].iter().zip(published).zip(switches) {
            let parts = switch.parts();
            for (column, got, want) in [("total", parts.total(), total), ("transfer", parts.transfer(), transfer)] {
                let deviation = got.as_secs_f64() / want - 1.0;
                println!(
                    "{model:16} {operation:8} {column:9} {want:4} s, here {:6.1} s {:+5.1} %",
                    got.as_secs_f64(),
                    deviation * 100.0
                );
                off.push((deviation.abs(), model, operation, column));
            }
        }
    }
    assert_eq!(off.len(), 42);
    let worst = off.iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    println!("worst {worst:?}, mean {}", off.iter().map(|cell| cell.0).sum::<f64>() / 42.0);
    assert!(worst.0 <= 0.10, "{worst:?}");
}

/// Running the transfers over links that no one else uses takes what the parts say.
#[test]
fn alone_on_the_links_a_switch_takes_its_parts() {
    let v100 = preset("singularity-v100");
    for (model, _) in TABLE {
        for switch in operations(&v100, v100.profile(model).unwrap()) {
            for (leg, expected) in [(switch.upload, switch.parts().upload), (switch.download, switch.parts().download)] {
                let mut links = Links::new();
                let link = links.add(100_000 * MB);
                let mut now = Time::ZERO + leg.local;
                for transfer in [leg.device, leg.host] {
                    let id = links.begin(now, link, transfer.bytes, transfer.cap_bytes_per_s);
                    now = links.complete(id).unwrap();
                }
                assert_eq!(now.since(Time::ZERO), expected, "{model}");
            }
        }
    }
}

#[test]
fn presets_are_there_by_name_and_hold_the_peers_rules() {
    assert_eq!(preset_names().count(), 6);
    preset_names().for_each(|name| assert_eq!(preset(name).name, name));
    let job = JobState { workers: 1024, ..JobState::default() };
    let resumed = |name: &str, accelerators| {
        let switch = preset(name).resume(&job, job.placed(accelerators).unwrap(), Image::Incremental);
        switch.parts().total()
    };
    let seconds = Span::from_secs;
    assert_eq!([1, 8, 16].map(|n| resumed("helios", n)), [7, 30, 60].map(seconds));
    assert_eq!([1, 8, 16].map(|n| resumed("lucid", n)), [40, 40, 60].map(seconds));
    assert_eq!([1, 8, 256].map(|n| resumed("elasticflow", n)), [31, 37, 72].map(seconds));
    assert_eq!(resumed("zero", 8), Span::ZERO);
    assert_eq!(resumed("sia", 8), seconds(30));
    let sia = preset("sia");
    let imagenet = sia.profile("imagenet").unwrap();
    assert_eq!(sia.resume(imagenet, imagenet.placed(1).unwrap(), Image::First).restore, seconds(250));
    let starts = [1, 8, 256].map(|n| preset("elasticflow").launch(job.placed(n).unwrap()).parts().total());
    assert_eq!(starts, [4, 10, 25].map(seconds));
    let stopped = preset("helios").preempt(&job, job.placed(8).unwrap(), Image::First);
    assert_eq!(stopped.parts().total(), Span::ZERO, "the peers stop at once");
}

#[test]
fn a_mechanism_in_a_file_is_checked_field_by_field() {
    let refused = |text: &str, said: &str| {
        let error = Mechanism::from_toml(text, "mine.toml").unwrap_err().to_string();
        assert!(error.contains("mine.toml") && error.contains(said), "{error}");
    };
    refused("[upload]\nscan_bytes_s = 1", "unknown field `scan_bytes_s`");
    refused("[upload]\nscan_bytes_per_s_per_node = 0", "line 2");
    refused("[dump]\nfixed_s = -1.0", "-1 is no time");
    refused("[profiles.a]\nworkers = 6\nmodel_parallel = 4", "profile `a`");
    refused("[profiles.a]\naccelerators_per_node = 0", "profile `a`");
    let unknown = Mechanism::by_name("v100").unwrap_err().to_string();
    assert!(unknown.contains("singularity-v100"), "{unknown}");
    let missing = Mechanism::by_name_or_path("no/such.toml").unwrap_err().to_string();
    assert!(missing.contains("no/such.toml"), "{missing}");
    let absent = preset("singularity-v100").profile("bert").unwrap_err().to_string();
    assert!(absent.contains("bert-109m"), "{absent}");
}

#[test]
fn a_preset_survives_being_written_and_loaded() {
    for name in preset_names() {
        let text = toml::to_string(&preset(name)).unwrap();
        assert_eq!(Mechanism::from_toml(&text, "again").unwrap(), preset(name));
    }
}

#[test]
fn only_replicas_of_one_shard_share_an_accelerator() {
    let job = JobState { workers: 32, model_parallel: 8, ..JobState::default() };
    let legal: Vec<_> = (0..=40).filter(|&n| job.placed(n).is_ok()).collect();
    assert_eq!(legal, [8, 16, 32]);
    assert_eq!(job.placed(16).map(|at| (at.nodes(), at.degree())), Ok((2, 2)));
    let error = job.placed(4).unwrap_err();
    assert!(error.to_string().ends_with("legal sizes: 8, 16, 32"), "{error}");
    assert_eq!(job.placed_on(8, 9), Err(PlacementError::Nodes { accelerators: 8, nodes: 9 }));
}

#[test]
fn a_barrier_takes_one_to_two_mini_batches_of_the_spliced_job() {
    let mut v100 = preset("singularity-v100");
    let gpt2 = v100.profile("gpt2-1.8b").unwrap().clone();
    let at = gpt2.placed(16).unwrap();
    assert_eq!(v100.mini_batch(&gpt2, 2), Span::from_secs(7), "two ranks, 0 % overhead");
    assert_eq!(v100.barrier(&gpt2, at), Span(10_500_000));
    assert_eq!(v100.barrier_worst(&gpt2, at), Span::from_secs(14));
    v100.barrier.three_d.most_mini_batches = Fraction::from_ppm(1_000_000);
    assert_eq!(v100.barrier_worst(&gpt2, at), Span::from_secs(7));
    assert_eq!(gpt2.parallelism, Parallelism::ThreeD);
}

#[test]
fn overheads_of_splicing_are_read_between_the_measured_degrees() {
    let mut mechanism = preset("zero");
    let mut job = JobState { mini_batch_s: sim::mechanism::Seconds(Span::from_secs(1)), ..JobState::default() };
    let point = |degree, ppm| SplicePoint { degree, overhead: Fraction::from_ppm(ppm) };
    mechanism.splicing.overhead = vec![point(2, 10_000), point(4, 30_000)];
    let at = |mechanism: &Mechanism, job: &JobState| [1, 2, 3, 4, 8].map(|n| mechanism.splice_overhead_ppm(job, n));
    assert_eq!(at(&mechanism, &job), [0, 10_000, 20_000, 30_000, 30_000]);
    job.splice = vec![point(4, -18_000)];
    assert_eq!(at(&mechanism, &job), [0, -6_000, -12_000, -18_000, -18_000]);
    assert_eq!(mechanism.mini_batch(&job, 4), Span(4 * 982_000));
    job.swap_bytes = 500 * MB;
    mechanism.splicing.swap_bytes_per_s = NonZeroU64::new(10_000 * MB);
    assert_eq!(mechanism.mini_batch(&job, 4), Span(4 * 982_000 + 4 * 100_000), "out and in, each rank once");
}

#[test]
fn a_checkpoint_in_the_background_holds_the_job_up_only_while_it_is_dumped() {
    let mut v100 = preset("singularity-v100");
    let job = v100.profile("internalt-8b").unwrap().clone();
    let at = job.placed(32).unwrap();
    let save = v100.save(&job, at, Image::First);
    let upload = save.parts().upload;
    assert!(upload > Span::from_secs(1));
    assert_eq!(v100.pause(&save) + upload, save.parts().total());
    v100.checkpoint.upload_in_background = false;
    assert_eq!(v100.pause(&save), save.parts().total());
    assert!(v100.save(&job, at, Image::Incremental).upload.bytes() < save.upload.bytes());
}

prop_compose! {
    fn job_state()(
        device in 0..200_000 * MB, host in 0..10_000 * MB, increment in 0..10_000 * MB,
        replicas in 1..32_u32, model_parallel in 1..9_u32, three_d in any::<bool>(), batch in 0..10_000_000_u64,
    ) -> JobState {
        JobState {
            device_state_bytes: device,
            host_first_bytes_per_worker: host,
            host_incremental_bytes_per_worker: increment.min(host),
            workers: replicas * model_parallel,
            model_parallel,
            parallelism: if three_d { Parallelism::ThreeD } else { Parallelism::DataParallel },
            mini_batch_s: sim::mechanism::Seconds(Span(batch)),
            ..JobState::default()
        }
    }
}

proptest! {
    #[test]
    fn parts_sum_to_the_whole_and_a_migration_is_a_stop_and_a_resumption(job in job_state(), first in any::<bool>()) {
        let v100 = preset("singularity-v100");
        let image = if first { Image::First } else { Image::Incremental };
        let all = job.placed(job.workers).unwrap();
        let one = job.placed(job.model_parallel).unwrap();
        for (from, to) in [(all, all), (all, one), (one, all)] {
            let parts = v100.migrate(&job, from, to, image).parts();
            let sum = parts.iter().map(|(_, span)| span.0).sum::<u64>();
            prop_assert_eq!(parts.total(), Span(sum));
            let apart = v100.preempt(&job, from, image).parts().total() + v100.resume(&job, to, image).parts().total();
            prop_assert_eq!(parts.total(), apart);
            prop_assert!(v100.barrier(&job, from) <= v100.barrier_worst(&job, from));
        }
    }

    #[test]
    fn more_bytes_never_make_a_switch_shorter(job in job_state(), more in 1..50_000 * MB, which in 0..3) {
        let v100 = preset("singularity-v100");
        let mut larger = job.clone();
        match which {
            0 => larger.device_state_bytes += more,
            1 => larger.host_first_bytes_per_worker += more,
            _ => larger.host_incremental_bytes_per_worker += more,
        }
        let at = job.placed(job.workers).unwrap();
        for image in [Image::First, Image::Incremental] {
            let [small, large] = [&job, &larger].map(|job| v100.migrate(job, at, at, image));
            for ((_, less), (part, greater)) in small.parts().iter().zip(large.parts().iter()) {
                prop_assert!(less <= greater, "{part:?}: {less:?} > {greater:?}");
            }
            prop_assert!(small.upload.bytes() <= large.upload.bytes());
        }
    }

    #[test]
    fn equal_transfers_end_together_after_so_many_times_the_time(n in 1..200_u64, bytes in 1..5_000 * MB, rate in MB..9_000 * MB) {
        let mut links = Links::new();
        let link = links.add(rate);
        let start = Time::from_secs(7);
        let ids: Vec<_> = (0..n).map(|_| links.begin(start, link, bytes, u64::MAX)).collect();
        let exact = (u128::from(n) * u128::from(bytes) * 1_000_000).div_ceil(u128::from(rate)) as u64;
        for id in ids {
            let end = links.complete(id).unwrap();
            // Rates are rounded down to 2^-20 bytes a second.
            let rounding = (u128::from(exact) * u128::from(n) / (u128::from(rate) << 20)) as u64 + 2;
            prop_assert!(end.since(start).0.abs_diff(exact) <= rounding, "{end:?}, expected {exact} us");
        }
        prop_assert_eq!(links.next_completion(), None);
    }

    #[test]
    fn links_share_as_a_slow_reference_does(steps in prop::collection::vec(step(), 1..60), seed in any::<u64>()) {
        check_against_reference(&steps, seed)?;
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin { link: u32, bytes: u64, cap: u64 },
    Cancel { nth: usize },
    Bandwidth { link: u32, bytes_per_s: u64 },
    Wait { micros: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let cap = prop_oneof![Just(u64::MAX), Just(MB), Just(30 * MB), Just(250 * MB)];
    prop_oneof![
        5 => (0..3_u32, 0..2_000 * MB, cap).prop_map(|(link, bytes, cap)| Step::Begin { link, bytes, cap }),
        1 => (0..60_usize).prop_map(|nth| Step::Cancel { nth }),
        1 => (0..3_u32, prop_oneof![Just(0), MB..1_000 * MB]).prop_map(|(link, bytes_per_s)| Step::Bandwidth { link, bytes_per_s }),
        4 => (0..4_000_000_u64).prop_map(|micros| Step::Wait { micros }),
    ]
}

/// Water-filling over all transfers anew for every stretch between two changes, in floating point.
#[derive(Default)]
struct Reference {
    bandwidth: [f64; 3],
    /// Link, limit, missing bytes.
    flows: BTreeMap<TransferId, (u32, f64, f64)>,
    moved: [f64; 3],
    offered: [f64; 3],
}

impl Reference {
    fn pass(&mut self, micros: u64) {
        let seconds = micros as f64 / 1e6;
        for link in 0..3_u32 {
            let mut flows: Vec<_> = self.flows.iter_mut().filter(|(_, flow)| flow.0 == link).map(|(_, flow)| flow).collect();
            flows.sort_by(|a, b| a.1.total_cmp(&b.1));
            let (mut left, mut count) = (self.bandwidth[link as usize], flows.len());
            self.offered[link as usize] += left * seconds;
            for flow in flows {
                let rate = flow.1.min(left / count as f64);
                left -= rate;
                count -= 1;
                self.moved[link as usize] += (rate * seconds).min(flow.2);
                flow.2 -= rate * seconds;
            }
        }
    }
}

fn check_against_reference(steps: &[Step], seed: u64) -> Result<(), TestCaseError> {
    let mut links = Links::new();
    let mut slow = Reference { bandwidth: [100.0, 400.0, 700.0].map(|rate| rate * MB as f64), ..Reference::default() };
    (0..3).for_each(|link| assert_eq!(links.add(slow.bandwidth[link] as u64), LinkId(link as u32)));
    let mut now = Time(seed % 1_000_000);
    let mut begun = Vec::new();
    let last = [Step::Wait { micros: 600_000_000 }];
    for step in steps.iter().chain(&last) {
        match *step {
            Step::Begin { link, bytes, cap } => {
                let id = links.begin(now, LinkId(link), bytes, cap);
                slow.flows.insert(id, (link, cap as f64, bytes as f64));
                begun.push(id);
            }
            Step::Cancel { nth } if !begun.is_empty() => {
                let id = begun[nth % begun.len()];
                let missing = links.cancel(now, id);
                prop_assert_eq!(missing.is_some(), slow.flows.contains_key(&id));
                if let (Some(missing), Some((_, _, expected))) = (missing, slow.flows.remove(&id)) {
                    prop_assert!((missing as f64 - expected.max(0.0)).abs() < 20_000.0, "{missing}, expected {expected}");
                }
            }
            Step::Cancel { .. } => {}
            Step::Bandwidth { link, bytes_per_s } => {
                links.set_bandwidth(now, LinkId(link), bytes_per_s);
                slow.bandwidth[link as usize] = bytes_per_s as f64;
            }
            Step::Wait { micros } => now = pass(&mut links, &mut slow, now, Time(now.0 + micros))?,
        }
    }
    for (moved, offered) in slow.moved.iter().zip(slow.offered) {
        prop_assert!(*moved <= offered * (1.0 + 1e-9) + 1.0, "{moved} bytes over a link that offered {offered}");
    }
    Ok(())
}

/// Lets time pass, completing what is ready; a transfer must end when the reference has nothing left of it, within the bytes of
/// a few microseconds.
fn pass(links: &mut Links, slow: &mut Reference, mut now: Time, until: Time) -> Result<Time, TestCaseError> {
    while let Some((time, id)) = links.next_completion().filter(|&(time, _)| time <= until) {
        prop_assert!(time >= now, "completions never lie in the past");
        slow.pass(time.since(now).0);
        now = time;
        prop_assert_eq!(links.missing_bytes(now, id), Some(0));
        prop_assert_eq!(links.complete(id), Some(now));
        let missing = slow.flows.remove(&id).unwrap().2;
        prop_assert!(missing.abs() < 20_000.0, "{id:?} ended with {missing} bytes to go");
    }
    slow.pass(until.since(now).0);
    for (id, flow) in &slow.flows {
        let missing = links.missing_bytes(until, *id).unwrap() as f64;
        prop_assert!((missing - flow.2).abs() < 20_000.0, "{id:?}: {missing} bytes to go, expected {}", flow.2);
    }
    Ok(until)
}
