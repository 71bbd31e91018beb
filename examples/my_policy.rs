//! A policy of your own, beside the listed ones: `cargo run --release --example my_policy`.

use orrery::experiment::Experiment;
use orrery::policies::{Event, Fleet, JobId, Plan, Policy, View, saved_by_serde};
use orrery::reports::{Summary, summary_table};
use orrery::traces::generate::{WorkloadModel, generate};
use serde::{Deserialize, Serialize};

/// Newest first: what was submitted last is tried first; what does not fit is passed over.
#[derive(Default, Serialize, Deserialize)]
struct NewestFirst {
    waiting: Vec<JobId>,
}

impl Policy for NewestFirst {
    // For runs with snapshots.
    saved_by_serde!();

    fn observe(&mut self, _: &View, event: &Event) {
        if let Event::Submit { job, .. } | Event::Stopped { job, .. } = *event {
            self.waiting.push(job);
        }
        if let Event::Withdrawn { job } = *event {
            self.waiting.retain(|other| *other != job);
        }
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        // `launch` says whether a place was found; the placement that the experiment names looks for it.
        let launched = |job: &JobId| plan.launch(*job);
        self.waiting.reverse();
        let launched: Vec<JobId> = self.waiting.iter().copied().filter(launched).collect();
        self.waiting.retain(|job| !launched.contains(job));
        self.waiting.reverse();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = WorkloadModel { jobs: Some(2000), load: Some(0.9), accelerators: Some(128), ..WorkloadModel::default() };
    let trace = generate(&model, 1)?;
    let mut experiment = Experiment::new("my-policy", Fleet::uniform(16, 8), trace);
    experiment.limits.check = true;
    experiment.drop_misfits()?;
    let mine = experiment.run_policy(Box::new(NewestFirst::default()), "newest-first".into(), None, &mut |_| {})?;
    let fifo = experiment.run("fifo(skip=true)", None, &mut |_| {})?;
    let sjf = experiment.run("sjf", None, &mut |_| {})?;
    let summaries = [mine, fifo, sjf].map(|o| Summary::of(&o.header, &o.tracker, o.account.as_ref(), &o.log_digest, o.wall_s));
    print!("{}", summary_table(&summaries));
    Ok(())
}
