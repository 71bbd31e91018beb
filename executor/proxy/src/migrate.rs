//! A running job to another device of the same machine.

use crate::checkpoint::Costs;
use crate::control::{Order, Report, give};
use crate::image::{copy_sparse, read_images};
use crate::job::{self, Job};
use crate::restore::same_api;
use crate::{place, tree};
use rustix::process::Signal;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

/// Moves a running job's device state to another device of this machine. The processes only stand still meanwhile.
///
/// # Errors
/// The other device refuses; then the job goes on where it was.
pub fn migrate(job: &mut Job, device: &str, start: &dyn Fn(&str) -> Vec<String>) -> io::Result<Costs> {
    same_api(&job.device, device)?;
    let _busy = job.lock()?;
    let began = Instant::now();
    tree::stop(job.pid)?;
    let stop_s = began.elapsed().as_secs_f64();
    let job_folder = job.folder()?;
    let between = place::runtime()?.join("moving").join(&job.name);
    let moved = move_state(job, device, start, &job_folder, &between);
    let _ = fs::remove_dir_all(&between);
    tree::signal_all(job.pid, Signal::CONT);
    let report = moved?;
    Ok(Costs {
        stop_s,
        drain_s: report.drain_s,
        device_s: report.state_s,
        bytes: report.bytes,
        new_bytes: report.new_bytes,
        pause_s: began.elapsed().as_secs_f64(),
        total_s: began.elapsed().as_secs_f64(),
        ..Costs::default()
    })
}

fn move_state(
    job: &mut Job,
    device: &str,
    start: &dyn Fn(&str) -> Vec<String>,
    job_folder: &Path,
    between: &Path,
) -> io::Result<Report> {
    fs::create_dir_all(between)?;
    let chunks = between.join("chunks");
    let report = give(
        &place::socket(&job.device)?,
        &Order::Save { job: job_folder.into(), to: between.into(), chunks: chunks.clone() },
    )?;
    give(&place::socket(&job.device)?, &Order::Detach(job_folder.into()))?;
    // While it went on, the old proxy may have taken requests that the saved state does not know.
    for image in read_images(between)? {
        copy_sparse(&between.join(&image.ring), &job_folder.join(&image.ring))?;
    }
    let load = |device: &str| {
        let model = report.model.clone();
        let (job, from, keeper) = (job_folder.into(), between.into(), job.keeper);
        let order = Order::Load { job, from, chunks: chunks.clone(), model, keeper };
        job::order(device, &start(device), &order)
    };
    let moved = load(device);
    if moved.is_err() {
        load(&job.device)?;
    } else {
        job.device = device.into();
        job.note()?;
    }
    let at = job.device.clone();
    give(&place::socket(&at)?, &Order::Rewatch(job_folder.into()))?;
    moved.map(|_| report)
}
