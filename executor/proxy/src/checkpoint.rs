//! A whole job to files and back: processes, rings, device state, and the files that it writes to.

use crate::control::{Order, Report, give};
use crate::criu::{self, Outside};
use crate::daemon::read_images;
use crate::image::copy_sparse;
use crate::job::{self, Job};
use crate::store::{Digest, Store, Stored, write_whole};
use crate::{place, tree};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Bytes of a file that are stored as one chunk.
const PIECE: u64 = 4 << 20;
/// How often a checkpoint is tried.
const TRIES_MAX: u64 = 5;
/// Names the last complete checkpoint of a folder.
const LATEST: &str = "latest";

/// What a checkpoint says of itself. It is written last: without it there is no checkpoint.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    job: Job,
    /// The root process, as it numbers itself.
    inner_pid: i32,
    outside: Vec<Outside>,
    files: Vec<SavedFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedFile {
    path: PathBuf,
    mode: u32,
    len: u64,
    chunks: Vec<Digest>,
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
    /// From the first stop to the end.
    pub total_s: f64,
    /// Device memory and files.
    pub bytes: u64,
    /// Bytes of them that the store did not have.
    pub new_bytes: u64,
    /// Images of the processes.
    pub host_bytes: u64,
}

/// Writes a job to a folder. It stands still meanwhile; then it goes on (`keep`) or is gone without a trace.
///
/// A checkpoint that fails leaves the folder's previous one as it was, and the job running.
///
/// # Errors
/// What could not be stopped, saved or written.
pub fn save(job: &Job, folder: &Path, keep: bool) -> io::Result<Costs> {
    let _busy = job.lock()?;
    let mut tries = 1;
    let costs = loop {
        match stop_and_write(job, folder) {
            Ok(costs) => break costs,
            // CRIU gives up when a signal reaches a process at the wrong moment. Let it be taken in, and stop again.
            Err(error) if error.to_string().contains("task interruption") && tries < TRIES_MAX => {
                tree::signal_all(job.pid, Signal::CONT);
                std::thread::sleep(Duration::from_millis(20 * tries));
                tries += 1;
            }
            Err(error) => {
                tree::signal_all(job.pid, Signal::CONT);
                let kept = if folder.join(LATEST).exists() { "; the previous checkpoint is intact" } else { "" };
                return Err(io::Error::new(error.kind(), format!("{error}{kept}; the job goes on")));
            }
        }
    };
    if keep {
        tree::signal_all(job.pid, Signal::CONT);
    } else {
        let whole = fs::canonicalize(folder)?;
        fs::write(job.folder()?.join("saved"), whole.to_string_lossy().as_bytes())?;
        tree::signal_all(job.pid, Signal::KILL);
    }
    Ok(costs)
}

fn stop_and_write(job: &Job, folder: &Path) -> io::Result<Costs> {
    let began = Instant::now();
    let pids = tree::stop(job.pid)?;
    let stop_s = began.elapsed().as_secs_f64();
    let costs = write(job, &pids, folder)?;
    Ok(Costs { stop_s, total_s: began.elapsed().as_secs_f64(), ..costs })
}

fn write(job: &Job, pids: &[i32], folder: &Path) -> io::Result<Costs> {
    fs::create_dir_all(folder)?;
    let folder = &fs::canonicalize(folder)?;
    let number = latest(folder).map_or(1, |number| number + 1);
    let own = folder.join(number.to_string());
    // Left by one that failed.
    let _ = fs::remove_dir_all(&own);
    fs::create_dir_all(&own)?;
    let written = write_parts(job, pids, &own, &folder.join("chunks"));
    let costs = written.inspect_err(|_| drop(fs::remove_dir_all(&own)))?;
    write_whole(&folder.join(LATEST), number.to_string().as_bytes())?;
    if number > 1 {
        let _ = fs::remove_dir_all(folder.join((number - 1).to_string()));
        forget_unused(folder, &own)?;
    }
    Ok(costs)
}

fn write_parts(job: &Job, pids: &[i32], own: &Path, chunks: &Path) -> io::Result<Costs> {
    let job_folder = job.folder()?;
    let order = Order::Save { job: job_folder.clone(), to: own.into(), chunks: chunks.into() };
    let Report { bytes, new_bytes, drain_s, state_s, .. } = give(&place::socket(&job.device)?, &order)?;
    let mut stored = Stored { bytes, new_bytes };
    let began = Instant::now();
    let store = Store::open(chunks)?;
    let files = save_files(pids, &job_folder, &store, &mut stored)?;
    let files_s = began.elapsed().as_secs_f64();
    let outside = criu::outside(pids);
    let inner_pid = inner_number(job.pid);
    let images = own.join("processes");
    let began = Instant::now();
    criu::dump(inner_pid, job.namespace, &images, &outside)?;
    let host_s = began.elapsed().as_secs_f64();
    copy_folder(&job_folder, &own.join("job"))?;
    let manifest = Manifest { job: job.clone(), inner_pid, outside, files };
    write_whole(&own.join("manifest.json"), &serde_json::to_vec(&manifest)?)?;
    let host_bytes =
        fs::read_dir(&images)?.flatten().filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum();
    let (bytes, new_bytes) = (stored.bytes, stored.new_bytes);
    Ok(Costs { drain_s, device_s: state_s, files_s, host_s, bytes, new_bytes, host_bytes, ..Costs::default() })
}

fn latest(folder: &Path) -> Option<u64> {
    fs::read_to_string(folder.join(LATEST)).ok()?.trim().parse().ok()
}

/// A process's number in its own namespace.
fn inner_number(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(pid)
}

/// Regular files that the job has open for writing: after a restore they must be as they are now.
fn save_files(pids: &[i32], job_folder: &Path, store: &Store, stored: &mut Stored) -> io::Result<Vec<SavedFile>> {
    let mut paths = BTreeSet::new();
    for pid in pids {
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
            let (Ok(target), Ok(info)) = (
                fs::read_link(entry.path()),
                fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", entry.file_name().to_string_lossy())),
            ) else {
                continue;
            };
            let regular = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).map(str::trim).unwrap_or_default();
            let writable = u32::from_str_radix(flags, 8).is_ok_and(|flags| flags & 3 != 0);
            if regular && writable && target.exists() && !target.starts_with(job_folder) && !target.starts_with("/proc") {
                paths.insert(target);
            }
        }
    }
    paths.into_iter().map(|path| save_file(path, store, stored)).collect()
}

fn save_file(path: PathBuf, store: &Store, stored: &mut Stored) -> io::Result<SavedFile> {
    let mut file = File::open(&path)?;
    let (mut chunks, mut len) = (Vec::new(), 0);
    loop {
        let mut chunk = Vec::new();
        len += file.by_ref().take(PIECE).read_to_end(&mut chunk)? as u64;
        if chunk.is_empty() {
            return Ok(SavedFile { path, mode: file.metadata()?.permissions().mode(), len, chunks });
        }
        chunks.push(store.put(&chunk, stored)?);
    }
}

fn restore_file(saved: &SavedFile, store: &Store) -> io::Result<()> {
    if let Some(parent) = saved.path.parent() {
        fs::create_dir_all(parent)?;
    }
    // In place: other names and openings of the file must keep meaning it.
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&saved.path)?;
    file.set_permissions(fs::Permissions::from_mode(saved.mode & 0o7777))?;
    let mut at = 0;
    for digest in &saved.chunks {
        let chunk = store.get(digest)?;
        file.write_all_at(&chunk, at)?;
        at += chunk.len() as u64;
    }
    file.set_len(saved.len)
}

/// Copies what is in a job's folder, but not its rings, which the proxy copies while nothing moves, and not its description,
/// which would tell a process that is not there yet.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_folder(&path, &target)?;
        } else if path.extension().is_none_or(|ending| ending != "ring") && entry.file_name() != "job.json" {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// Removes chunks that only earlier checkpoints needed.
fn forget_unused(folder: &Path, own: &Path) -> io::Result<()> {
    let manifest: Manifest = serde_json::from_slice(&fs::read(own.join("manifest.json"))?)?;
    let images = read_images(own)?;
    let used = images.iter().flat_map(|image| image.chunks()).chain(manifest.files.iter().flat_map(|file| &file.chunks));
    Store::open(&folder.join("chunks"))?.keep_only(&used.copied().collect())
}

/// A job that was made again: its description, and the command that runs as long as it does.
pub struct Restored {
    /// The job.
    pub job: Job,
    /// Ends when the job's processes have.
    pub keeper: Child,
}

/// Makes a job again from a folder's last checkpoint, on `device` or the one that it was on. `start` gives the command line that
/// starts a device's proxy.
///
/// # Errors
/// Something is missing or damaged, the device refuses, or CRIU does.
pub fn load(folder: &Path, device: Option<&str>, start: &dyn Fn(&str) -> Vec<String>) -> io::Result<Restored> {
    let folder = &fs::canonicalize(folder)?;
    let number =
        latest(folder).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no complete checkpoint in this folder"))?;
    let own = folder.join(number.to_string());
    let manifest: Manifest = serde_json::from_slice(&fs::read(own.join("manifest.json"))?)?;
    let store = Store::open(&folder.join("chunks"))?;
    let mut job = manifest.job;
    if let Some(device) = device {
        same_api(&job.device, device)?;
        job.device = device.into();
    }
    let job_folder = job.folder()?;
    if job_folder.exists() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("job {} is running", job.name)));
    }
    place::private_folder(&job_folder)?;
    let restored = load_parts(
        &own,
        &folder.join("chunks"),
        &store,
        &manifest.files,
        &mut job,
        start,
        manifest.inner_pid,
        &manifest.outside,
    );
    restored.inspect_err(|_| drop(fs::remove_dir_all(&job_folder)))
}

#[allow(clippy::too_many_arguments, reason = "the parts of one checkpoint")]
fn load_parts(
    own: &Path,
    chunks: &Path,
    store: &Store,
    files: &[SavedFile],
    job: &mut Job,
    start: &dyn Fn(&str) -> Vec<String>,
    inner_pid: i32,
    outside: &[Outside],
) -> io::Result<Restored> {
    let job_folder = job.folder()?;
    copy_folder(&own.join("job"), &job_folder)?;
    let _ = fs::remove_file(job_folder.join("saved"));
    for image in read_images(own)? {
        copy_sparse(&own.join(&image.ring), &job_folder.join(&image.ring))?;
    }
    for file in files {
        restore_file(file, store)?;
    }
    let order = Order::Load { job: job_folder.clone(), from: own.into(), chunks: chunks.into() };
    job::order(&job.device, &start(&job.device), &order)?;
    let result = wake(own, job, inner_pid, outside);
    result.inspect_err(|_| {
        if let Ok(socket) = place::socket(&job.device) {
            let _ = give(&socket, &Order::Detach(job_folder));
        }
    })
}

fn wake(own: &Path, job: &mut Job, inner_pid: i32, outside: &[Outside]) -> io::Result<Restored> {
    let images = own.join("processes");
    // CRIU writes its statistics last: after it has stopped the restored processes, as they were when they were saved. To let
    // them go on before that would be to no effect, and they would stand still for ever.
    let done = images.join("stats-restore");
    let _ = fs::remove_file(&done);
    let mut keeper = criu::restore_command(&images, outside)?.spawn()?;
    while !done.exists() {
        if keeper.try_wait()?.is_some() {
            return Err(io::Error::other(format!("CRIU failed: {}", criu::reason(&images.join("restore.log")))));
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let init = first_child(keeper.id() as i32).ok_or_else(|| io::Error::other("the job ended while it was restored"))?;
    let root = (0..500).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(2));
        tree::in_namespace(init, inner_pid)
    });
    job.pid = root.ok_or_else(|| io::Error::other("the restored process cannot be found"))?;
    job.namespace = Some(init);
    give(&place::socket(&job.device)?, &Order::Rewatch(job.folder()?))?;
    tree::signal_all(job.pid, Signal::CONT);
    // Last: from now on other commands find it, and may stop it again.
    job.note()?;
    Ok(Restored { job: job.clone(), keeper })
}

fn first_child(pid: i32) -> Option<i32> {
    tree::members(pid).into_iter().find(|child| *child != pid)
}

/// A program cannot go on with another driver than the one that it has loaded.
fn same_api(from: &str, to: &str) -> io::Result<()> {
    if crate::device::api(from) == crate::device::api(to) {
        return Ok(());
    }
    Err(io::Error::other(format!("a program on {from} cannot go on on {to}: it takes a device of the same kind")))
}

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
        let order = Order::Load { job: job_folder.into(), from: between.into(), chunks: chunks.clone() };
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

/// Stops a job's processes; they keep what they have on the device.
///
/// # Errors
/// One does not stop.
pub fn pause(job: &Job) -> io::Result<()> {
    let _busy = job.lock()?;
    tree::stop(job.pid).map(drop)
}

/// Lets a paused job go on.
pub fn resume(job: &Job) {
    tree::signal_all(job.pid, Signal::CONT);
}

/// A command that gets a session of its own, as CRIU needs it for the root of a tree.
#[allow(unsafe_code, reason = "the standard library has no stable way to start a session")]
pub fn in_own_session(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only one system call is made, which is allowed there.
    unsafe { command.pre_exec(|| rustix::process::setsid().map(drop).map_err(io::Error::from)) }
}
