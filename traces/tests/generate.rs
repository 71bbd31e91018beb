//! Generated workloads against the figures that their presets are fitted to.

use policies::Span;
use traces::generate::{Batches, Generator, Preset, WorkloadModel, generate};
use traces::{Outcome, Trace, TraceJob};

fn draw(preset: Preset, jobs: u64) -> Trace {
    generate(&WorkloadModel { preset, jobs: Some(jobs), ..WorkloadModel::default() }, 11).unwrap()
}

fn work(job: &TraceJob) -> f64 {
    f64::from(job.demand.accelerators) * job.duration.as_secs_f64()
}

/// Share of jobs and share of accelerator-time of the jobs that pass.
fn shares(trace: &Trace, keep: impl Fn(&TraceJob) -> bool) -> (f64, f64) {
    let kept = || trace.jobs.iter().filter(|job| keep(job));
    let all: f64 = trace.jobs.iter().map(work).sum();
    (kept().count() as f64 / trace.jobs.len() as f64, kept().map(work).sum::<f64>() / all)
}

fn quantile(trace: &Trace, p: f64) -> f64 {
    let mut seconds: Vec<f64> = trace.jobs.iter().map(|job| job.duration.as_secs_f64()).collect();
    seconds.sort_by(f64::total_cmp);
    seconds[(p * (seconds.len() - 1) as f64).round() as usize]
}

#[track_caller]
fn near(what: &str, found: f64, target: f64, relative: f64) {
    assert!((found / target - 1.0).abs() <= relative, "{what}: {found} instead of {target}");
}

#[track_caller]
fn close(what: &str, found: f64, target: f64, absolute: f64) {
    assert!((found - target).abs() <= absolute, "{what}: {found} instead of {target}");
}

#[test]
fn philly_like_meets_the_trace_it_is_fitted_to() {
    let trace = draw(Preset::PhillyLike, 100_000);
    near("median", quantile(&trace, 0.5), 1321.0, 0.15);
    near("p90", quantile(&trace, 0.9), 33_474.0, 0.15);
    near("p99", quantile(&trace, 0.99), 756_454.0, 0.2);
    near("work a job", trace.jobs.iter().map(work).sum::<f64>() / 100_000.0, 116_898.0, 0.15);
    let one = shares(&trace, |job| job.demand.accelerators == 1);
    close("jobs of 1", one.0, 0.8665, 0.01);
    close("time of 1", one.1, 0.18, 0.04);
    close("time of 8", shares(&trace, |job| job.demand.accelerators == 8).1, 0.487, 0.05);
    let passed = shares(&trace, |job| job.outcome == Outcome::Completed);
    close("completed jobs", passed.0, 0.737, 0.02);
    close("time of completed jobs", passed.1, 0.271, 0.05);
    let gaps: Vec<f64> = trace.jobs.windows(2).map(|w| w[1].submit.since(w[0].submit).as_secs_f64()).collect();
    close("gaps up to 10 s", gaps.iter().filter(|gap| **gap <= 10.0).count() as f64 / gaps.len() as f64, 0.553, 0.08);
}

#[test]
fn helios_like_meets_the_trace_it_is_fitted_to() {
    let trace = draw(Preset::HeliosLike, 100_000);
    near("median", quantile(&trace, 0.5), 204.0, 0.15);
    near("p90", quantile(&trace, 0.9), 18_201.0, 0.15);
    near("mean", trace.jobs.iter().map(|job| job.duration.as_secs_f64()).sum::<f64>() / 100_000.0, 9088.0, 0.1);
    close("jobs of 1", shares(&trace, |job| job.demand.accelerators == 1).0, 0.5184, 0.02);
    close("time of 1", shares(&trace, |job| job.demand.accelerators == 1).1, 0.0467, 0.01);
    close("time above 16", shares(&trace, |job| job.demand.accelerators > 16).1, 0.416, 0.05);
    let share = |outcome| shares(&trace, |job| job.outcome == outcome);
    let (completed, cancelled, failed) = (share(Outcome::Completed), share(Outcome::Cancelled), share(Outcome::Failed));
    close("completed", completed.0, 0.624, 0.02);
    close("cancelled", cancelled.0, 0.221, 0.02);
    close("failed", failed.0, 0.155, 0.02);
    close("completed time", completed.1, 0.513, 0.04);
    close("cancelled time", cancelled.1, 0.394, 0.04);
    close("failed time", failed.1, 0.093, 0.03);
}

#[test]
fn acme_like_meets_the_published_figures() {
    let trace = draw(Preset::AcmeLike, 100_000);
    let pretraining = shares(&trace, |job| job.demand.accelerators >= 256);
    close("pretraining jobs", pretraining.0, 0.032, 0.005);
    close("pretraining time", pretraining.1, 0.95, 0.015);
    let mean = trace.jobs.iter().map(|job| f64::from(job.demand.accelerators)).sum::<f64>() / trace.jobs.len() as f64;
    near("accelerators a job", mean, 26.8, 0.1);
    near("median", quantile(&trace, 0.5), 120.0, 0.15);
    assert!(quantile(&trace, 0.95) < 86_400.0);
    assert!(shares(&trace, |job| job.demand.accelerators > 8).0 < 0.07);
    let share = |outcome| shares(&trace, |job| job.outcome == outcome);
    let (completed, cancelled, failed) = (share(Outcome::Completed), share(Outcome::Cancelled), share(Outcome::Failed));
    close("completed", completed.0, 0.541, 0.02);
    close("cancelled", cancelled.0, 0.062, 0.01);
    close("failed", failed.0, 0.397, 0.02);
    close("completed time", completed.1, 0.313, 0.05);
    close("cancelled time", cancelled.1, 0.607, 0.05);
    close("failed time", failed.1, 0.08, 0.03);
}

#[test]
fn the_load_asked_for_is_the_load_obtained() {
    for (preset, load) in
        [(Preset::PhillyLike, 0.95), (Preset::AcmeLike, 0.5), (Preset::Uniform, 2.0), (Preset::HeliosLike, 0.9)]
    {
        let model =
            WorkloadModel { preset, jobs: Some(3000), load: Some(load), accelerators: Some(3000), ..WorkloadModel::default() };
        let generator = Generator::new(&model, 5).unwrap();
        let totals = generator.totals();
        let demand_s: f64 = generator.map(|job| work(&job)).sum();
        let off = if preset == Preset::Uniform { 0.06 } else { 1e-9 };
        near("demand", demand_s, totals.demand_s, off);
        near("load", demand_s / (3000.0 * totals.horizon_s), load, off);
    }
    let model = WorkloadModel { days: Some(30.0), load: Some(0.8), accelerators: Some(512), ..WorkloadModel::default() };
    let totals = Generator::new(&model, 5).unwrap().totals();
    close("load over days", totals.load, 0.8, 0.05);
    near("days", totals.horizon_s, 30.0 * 86_400.0, 1e-9);
}

#[test]
fn jobs_are_in_submit_order_and_inside_the_horizon() {
    let model = WorkloadModel { jobs: Some(20_000), days: Some(14.0), ..WorkloadModel::default() };
    let trace = generate(&model, 3).unwrap();
    assert_eq!(trace.jobs.len(), 20_000);
    assert!(trace.jobs.windows(2).all(|pair| pair[0].submit <= pair[1].submit));
    assert!(trace.jobs.iter().enumerate().all(|(i, job)| *job.id == *i.to_string()));
    let last = trace.jobs.last().unwrap().submit.as_secs_f64();
    assert!((13.0 * 86_400.0..15.0 * 86_400.0).contains(&last), "{last}");
    assert!(trace.jobs.iter().all(|job| job.tenant >= 1 && (job.tenant as usize) < trace.tenants.len()));
    assert!(trace.jobs.iter().all(|job| job.duration >= Span::from_secs(1)));
}

#[test]
fn days_and_weekends_show() {
    let trace = draw(Preset::HeliosLike, 100_000);
    let per_hour = |range: std::ops::Range<u64>| {
        let hour = |job: &&TraceJob| range.contains(&(job.submit.0 / 3_600_000_000 % 24));
        trace.jobs.iter().filter(hour).count() as f64 / (range.end - range.start) as f64
    };
    assert!(per_hour(14..18) > 4.0 * per_hour(4..8));
    let sundays = trace.jobs.iter().filter(|job| job.submit.0 / 86_400_000_000 % 7 == 6).count() as f64;
    close("sundays", sundays / 100_000.0 * 7.0, 0.78, 0.1);
}

#[test]
fn streams_are_independent() {
    let base = WorkloadModel { jobs: Some(2000), ..WorkloadModel::default() };
    let jobs = |model: &WorkloadModel| generate(model, 8).unwrap().jobs;
    let mut sizes: Vec<_> = jobs(&base).iter().map(|j| (j.demand.accelerators, j.duration, j.tenant)).collect();
    // Load, rhythm and gaps move jobs in time, tiers and estimates label them: none changes what they ask for.
    let batches = Batches { jobs_max: 100, accelerators_max: 400, exponent: 2.0, gap: "1h".parse().unwrap(), alike: 0.5 };
    let other = WorkloadModel {
        load: Some(0.2),
        hours: Some(vec![1.0; 24]),
        tiers: Some(vec![0.2, 0.3, 0.5]),
        batches: Some(batches),
        ..base
    };
    let mut others: Vec<_> = jobs(&other).iter().map(|j| (j.demand.accelerators, j.duration, j.tenant)).collect();
    sizes.sort_unstable();
    others.sort_unstable();
    assert_eq!(sizes, others);
}

#[test]
fn user_estimates_are_round_and_hardly_ever_short() {
    let trace = draw(Preset::PhillyLike, 20_000);
    let mut values: Vec<u64> = Vec::new();
    for job in &trace.jobs {
        let estimate = job.estimate.unwrap();
        assert!(estimate >= job.duration);
        values.push(estimate.0);
    }
    values.sort_unstable();
    values.dedup();
    assert!(values.len() <= 40, "{} different values", values.len());
}

#[test]
fn nonsense_is_refused_with_the_field() {
    let check = |change: &dyn Fn(&mut WorkloadModel), field: &str| {
        let mut model = WorkloadModel::default();
        change(&mut model);
        let error = generate(&model, 0).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    };
    check(&|m| m.jobs = Some(0), "jobs");
    check(&|m| m.days = Some(f64::NAN), "days");
    check(&|m| m.load = Some(-1.0), "load");
    check(&|m| m.accelerators = Some(0), "accelerators");
    check(&|m| m.accelerators_max = Some(0), "accelerators_max");
    check(&|m| m.hours = Some(vec![1.0; 23]), "hours");
    check(&|m| m.tiers = Some(vec![f64::INFINITY]), "tiers");
    check(&|m| m.sizes = Some(vec![]), "size class");
    check(&|m| (m.jobs, m.days, m.load) = (Some(1), Some(1.0), Some(1.0)), "leave one out");
}
