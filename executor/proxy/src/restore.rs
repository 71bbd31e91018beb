//! A job from its checkpoint.

use crate::checkpoint::{Manifest, Spool};
use crate::control::{Order, give};
use crate::criu::{self, Outside};
use crate::files::{copy_folder, restore_file};
use crate::hold::Hold;
use crate::image::{copy_sparse, read_images};
use crate::job::{self, Job};
use crate::objects::{self, Objects};
use crate::store::{Store, Stored};
use crate::{place, shelf, tree};
use rustix::process::Signal;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;

/// A job that was made again: its description, and the command that runs as long as it does.
pub struct Restored {
    /// The job.
    pub job: Job,
    /// Ends when the job's processes have, as they did.
    pub keeper: Child,
}

/// The caller's commands.
pub struct Commands<'a> {
    /// The command line that starts a device's proxy.
    pub proxy: &'a dyn Fn(&str) -> Vec<String>,
    /// The command line that waits for a process, whose number follows, as its parent and ends as it does.
    pub keep: Vec<String>,
}

/// Makes a job again from its last checkpoint in a store, on `device` or the one that it was on. `name`: the job, if there are several.
///
/// # Errors
/// Something is missing or damaged, the device is of another model or refuses, or CRIU does.
pub fn load(from: &str, name: Option<&str>, device: Option<&str>, commands: &Commands<'_>) -> io::Result<Restored> {
    let objects: Arc<dyn Objects> = objects::open(from)?.into();
    // A store that can only be read is one from which nobody removes anything.
    let _hold = Hold::share(&objects).ok();
    let mut manifest =
        shelf::last(&*objects, name).map_err(|error| io::Error::new(error.kind(), format!("{from}: {error}")))?;
    if let Some(device) = device {
        same_api(&manifest.job.device, device)?;
        manifest.job.device = device.into();
    }
    manifest.job.keeper = std::process::id();
    let job_folder = manifest.job.folder()?;
    if job_folder.exists() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("job {} is running", manifest.job.name)));
    }
    let store = Store::within(objects.clone())?;
    let spool = Spool::open(&*objects, "restore")?;
    manifest.parts.iter().try_for_each(|part| restore_file(part, &spool.0, &store))?;
    let chunks = spool.chunks(&*objects);
    if objects.folder().is_none() {
        let (spooled, mut count) = (Store::open(&chunks)?, Stored::default());
        manifest.contents.iter().try_for_each(|digest| spooled.put(&store.get(digest)?, &mut count).map(drop))?;
    }
    place::private_folder(&job_folder)?;
    let restored = load_parts(manifest, &spool.0, &chunks, &store, commands);
    restored.inspect_err(|_| drop(fs::remove_dir_all(&job_folder)))
}

fn load_parts(manifest: Manifest, own: &Path, chunks: &Path, store: &Store, commands: &Commands<'_>) -> io::Result<Restored> {
    let Manifest { mut job, model, inner_pid, outside, files, .. } = manifest;
    let job_folder = job.folder()?;
    copy_folder(&own.join("job"), &job_folder)?;
    let _ = fs::remove_file(job_folder.join("saved"));
    for image in read_images(own)? {
        copy_sparse(&own.join(&image.ring), &job_folder.join(&image.ring))?;
    }
    let order = Order::Load { job: job_folder.clone(), from: own.into(), chunks: chunks.into(), model, keeper: job.keeper };
    job::order(&job.device, &(commands.proxy)(&job.device), &order)?;
    // After the device has agreed: a job that does not go on here leaves its files as they are.
    let result = files.iter().try_for_each(|file| restore_file(file, Path::new("/"), store));
    let result = result.and_then(|()| wake(own, &mut job, inner_pid, &outside, &commands.keep));
    result.inspect_err(|_| {
        if let Ok(socket) = place::socket(&job.device) {
            let _ = give(&socket, &Order::Detach(job_folder));
        }
    })
}

fn wake(own: &Path, job: &mut Job, inner_pid: i32, outside: &[Outside], keep: &[String]) -> io::Result<Restored> {
    let images = own.join("processes");
    // CRIU writes its statistics last: after it has stopped the restored processes, as they were when they were saved. To let
    // them go on before that would be to no effect, and they would stand still for ever.
    let done = images.join("stats-restore");
    let _ = fs::remove_file(&done);
    let mut keeper = criu::restore_command(&images, outside, keep, inner_pid)?.spawn()?;
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
pub(crate) fn same_api(from: &str, to: &str) -> io::Result<()> {
    if crate::device::api(from) == crate::device::api(to) {
        return Ok(());
    }
    Err(io::Error::other(format!("a program on {from} cannot go on on {to}: it takes a device of the same kind")))
}
