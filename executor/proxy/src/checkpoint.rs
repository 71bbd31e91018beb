//! A whole job to files: processes, rings, device state, and the files that it writes to.
//!
//! A checkpoint is a manifest and the chunks that it names. Everything is written to a spool first, by CRIU and the proxy, and then
//! stored by content, so that what successive checkpoints of a job, and those of several jobs, have in common is there once. The job
//! stands still for the former only, if it is to go on.

use crate::control::{Order, Report, give};
use crate::criu::{self, Outside};
use crate::files::{SavedFile, copy_folder, hex, save_files, save_folder};
use crate::hold::Hold;
use crate::image::read_images;
use crate::job::Job;
use crate::objects::{self, Objects, SPOOL};
use crate::store::{Digest, Store, Stored};
use crate::{place, shelf, tree};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a checkpoint is tried.
const TRIES_MAX: u64 = 5;

/// What a checkpoint says of itself. It is written last: without it there is no checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) job: Job,
    /// What it was on.
    pub(crate) model: Option<String>,
    /// The root process, as it numbers itself.
    pub(crate) inner_pid: i32,
    pub(crate) outside: Vec<Outside>,
    /// Files of the job's.
    pub(crate) files: Vec<SavedFile>,
    /// What was in the spool: images of processes and sessions, rings, the job's folder.
    pub(crate) parts: Vec<SavedFile>,
    /// Device memory.
    #[serde(with = "hex")]
    pub(crate) contents: Vec<Digest>,
}

impl Manifest {
    pub(crate) fn chunks(&self) -> impl Iterator<Item = Digest> {
        let files = self.files.iter().chain(&self.parts);
        files.flat_map(SavedFile::chunks).chain(&self.contents).copied()
    }
}

/// What a checkpoint took, in seconds, and its sizes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Costs {
    /// Stopping the processes.
    pub stop_s: f64,
    /// Finishing the device's work.
    pub drain_s: f64,
    /// Saving device state and rings.
    pub device_s: f64,
    /// Saving files.
    pub files_s: f64,
    /// Saving the processes.
    pub host_s: f64,
    /// From the first stop until the job could go on.
    pub pause_s: f64,
    /// Storing what was saved. A job that is to go on does so meanwhile.
    pub store_s: f64,
    /// From the first stop to the end.
    pub total_s: f64,
    /// Device memory and files.
    pub bytes: u64,
    /// Bytes of them that the store did not have.
    pub new_bytes: u64,
    /// Images of the processes, and what else belongs to the job.
    pub host_bytes: u64,
    /// Bytes of them that the store did not have.
    pub host_new_bytes: u64,
}

/// Where a checkpoint is put together. It is removed in the end, whatever happens.
pub(crate) struct Spool(pub(crate) PathBuf);

impl Spool {
    /// Beside the store, if that is a folder; else where temporary files go.
    pub(crate) fn open(objects: &dyn Objects, what: &str) -> io::Result<Spool> {
        let root = objects.folder().map_or_else(std::env::temp_dir, Path::to_owned);
        if objects.folder().is_none() {
            forget_dead(&root);
        }
        // In a folder that hosts share others may have the same number; whoever is dead is forgotten by the store itself.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let path = root.join(format!("orrery-{what}-{now:x}-{}.{SPOOL}", std::process::id()));
        place::private_folder(&path)?;
        Ok(Spool(fs::canonicalize(path)?))
    }

    /// Where the proxy puts device memory: where it is to be, if that is a folder.
    pub(crate) fn chunks(&self, objects: &dyn Objects) -> PathBuf {
        objects.folder().map_or_else(|| self.0.join("memory"), Path::to_owned)
    }
}

/// Removes spools of processes that were killed.
fn forget_dead(root: &Path) {
    for path in fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let owner =
            name.strip_prefix("orrery-").and_then(|name| name.strip_suffix(".spool")?.rsplit_once('-')?.1.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a job to a store: a folder, or what else [`objects::open`] knows, which others may use at the same time. It stands
/// still meanwhile; then it goes on (`keep`) or is gone without a trace.
///
/// A checkpoint that fails leaves the store's previous one as it was, and the job running.
///
/// # Errors
/// What could not be stopped, saved or written.
pub fn save(job: &Job, to: &str, keep: bool) -> io::Result<Costs> {
    let busy = job.lock()?;
    // CRIU is a child and works to its end even if this command is killed: until then nobody else may begin.
    rustix::io::fcntl_setfd(&busy, rustix::io::FdFlags::empty())?;
    let written = objects::open(to).and_then(|objects| {
        let objects: Arc<dyn Objects> = objects.into();
        write(job, &objects, keep).map_err(|error| {
            let kept = if shelf::latest(&*objects, &job.name).is_ok() { "; the previous checkpoint is intact" } else { "" };
            io::Error::new(error.kind(), format!("{error}{kept}; the job goes on"))
        })
    });
    let costs = written.inspect_err(|_| tree::signal_all(job.pid, Signal::CONT))?;
    if !keep {
        let whole = if to.contains("://") { to.into() } else { fs::canonicalize(to)?.to_string_lossy().into_owned() };
        fs::write(job.folder()?.join("saved"), whole)?;
        tree::signal_all(job.pid, Signal::KILL);
    }
    Ok(costs)
}

fn write(job: &Job, objects: &Arc<dyn Objects>, keep: bool) -> io::Result<Costs> {
    let hold = Hold::share(objects)?;
    let spool = Spool::open(&**objects, "checkpoint")?;
    let store = Store::within(objects.clone())?;
    let began = Instant::now();
    let (mut manifest, costs) = stop_and_spool(job, &spool, &store, &**objects)?;
    let pause_s = began.elapsed().as_secs_f64();
    if keep {
        tree::signal_all(job.pid, Signal::CONT);
    }
    let storing = Instant::now();
    let mut device = Stored::default();
    if objects.folder().is_none() {
        move_chunks(&spool, &store, &manifest.contents, &mut device)?;
    }
    let mut host = Stored::default();
    manifest.parts = save_folder(&spool.0, &store, &mut host)?;
    shelf::commit(&**objects, &hold, &manifest)?;
    // From here on there is a new checkpoint: what cannot be removed now is removed after a later one.
    drop((spool, hold));
    let _ = shelf::collect(objects);
    Ok(Costs {
        pause_s,
        store_s: storing.elapsed().as_secs_f64(),
        total_s: began.elapsed().as_secs_f64(),
        new_bytes: costs.new_bytes + device.new_bytes,
        host_bytes: host.bytes,
        host_new_bytes: host.new_bytes,
        ..costs
    })
}

/// Device memory that the proxy has put into the spool goes on to where the rest goes.
fn move_chunks(spool: &Spool, store: &Store, contents: &[Digest], count: &mut Stored) -> io::Result<()> {
    let folder = spool.0.join("memory");
    let spooled = Store::open(&folder)?;
    contents.iter().try_for_each(|digest| store.put(&spooled.get(digest)?, count).map(drop))?;
    fs::remove_dir_all(folder)
}

fn stop_and_spool(job: &Job, spool: &Spool, store: &Store, objects: &dyn Objects) -> io::Result<(Manifest, Costs)> {
    let mut tries = 1;
    loop {
        let began = Instant::now();
        let pids = tree::stop(job.pid)?;
        let stop_s = began.elapsed().as_secs_f64();
        match write_parts(job, &pids, spool, store, objects) {
            Ok((manifest, costs)) => return Ok((manifest, Costs { stop_s, ..costs })),
            // CRIU gives up when a signal reaches a process at the wrong moment. Let it be taken in, and stop again.
            Err(error) if error.to_string().contains("task interruption") && tries < TRIES_MAX => {
                tree::signal_all(job.pid, Signal::CONT);
                std::thread::sleep(Duration::from_millis(20 * tries));
                tries += 1;
                let _ = fs::remove_dir_all(spool.0.join("processes"));
            }
            Err(error) => return Err(error),
        }
    }
}

fn write_parts(job: &Job, pids: &[i32], spool: &Spool, store: &Store, objects: &dyn Objects) -> io::Result<(Manifest, Costs)> {
    let job_folder = job.folder()?;
    let order = Order::Save { job: job_folder.clone(), to: spool.0.clone(), chunks: spool.chunks(objects) };
    let report = give(&place::socket(&job.device)?, &order)?;
    let mut stored = Stored { bytes: report.bytes, new_bytes: 0 };
    if objects.folder().is_some() {
        stored.new_bytes = report.new_bytes;
    }
    let Report { drain_s, state_s, model, .. } = report;
    let began = Instant::now();
    let files = save_files(pids, &job_folder, store, &mut stored)?;
    let files_s = began.elapsed().as_secs_f64();
    let outside = criu::outside(pids);
    let inner_pid = inner_number(job.pid);
    let began = Instant::now();
    criu::dump(inner_pid, pids, job.namespace, &spool.0.join("processes"), &outside)?;
    let host_s = began.elapsed().as_secs_f64();
    copy_folder(&job_folder, &spool.0.join("job"))?;
    let contents = read_images(&spool.0)?.iter().flat_map(|image| image.chunks().copied().collect::<Vec<_>>()).collect();
    let manifest = Manifest { job: job.clone(), model, inner_pid, outside, files, parts: Vec::new(), contents };
    let Stored { bytes, new_bytes } = stored;
    Ok((manifest, Costs { drain_s, device_s: state_s, files_s, host_s, bytes, new_bytes, ..Costs::default() }))
}

/// A process's number in its own namespace.
fn inner_number(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(pid)
}

/// Stops a job's processes; they keep what they have on the device.
///
/// # Errors
/// One does not stop.
pub fn pause(job: &Job) -> io::Result<()> {
    let _busy = job.lock()?;
    tree::stop(job.pid).map(drop)
}

/// Lets a paused job go on.
///
/// # Errors
/// Another command is at work on it.
pub fn resume(job: &Job) -> io::Result<()> {
    let _busy = job.lock()?;
    tree::signal_all(job.pid, Signal::CONT);
    Ok(())
}

/// A command that gets a session of its own, as CRIU needs it for the root of a tree, and dies with the thread that starts it.
#[allow(unsafe_code, reason = "the standard library has no stable way to start a session")]
pub fn in_own_session(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only two system calls are made, which is allowed there.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)
        })
    }
}
