//! A job: a program and its children, whose device calls go to a proxy.

use crate::control::{self, Order, Report};
use crate::device::Api;
use crate::{facade, place, tree};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The shared library that programs load as their OpenCL driver.
pub const OPENCL_DRIVER: &str = "liborrery_opencl.so";
/// Tells a job's processes where its driver is, and tells them from others.
const FOLDER: &str = "ORRERY_JOB_FOLDER";
/// Says that a process is no part of a job that comes before it.
const STAYS: &str = "ORRERY_STAYS";
/// Begins the names of variables by which the executor tells a run's processes.
const RUN: &str = "ORRERY_RUN_";
/// How long a proxy that was just started may take to answer.
const PROXY_START: Duration = Duration::from_secs(60);
/// How long to wait for another command that is at work on a job.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long killed processes may take to die.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// What is written down about a running job, in its folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Its name, which is its folder's.
    pub name: String,
    /// Its device's name.
    pub device: String,
    /// What runs.
    pub program: Vec<String>,
    /// The program's process.
    pub pid: i32,
    /// A process in whose process namespace it is, once it has been restored.
    pub namespace: Option<i32>,
    /// The command that waits for the program. Should it be killed, the device's proxy ends the job.
    #[serde(default)]
    pub keeper: u32,
}

impl Job {
    /// Where it lies.
    ///
    /// # Errors
    /// As [`place::jobs`].
    pub fn folder(&self) -> io::Result<PathBuf> {
        Ok(place::jobs()?.join(&self.name))
    }

    /// A running job by name.
    ///
    /// # Errors
    /// There is none.
    pub fn find(name: &str) -> io::Result<Job> {
        let folder = place::jobs()?.join(name);
        let text = fs::read(folder.join("job.json")).map_err(|_| {
            let running = Job::all().iter().map(|job| job.name.clone()).collect::<Vec<_>>().join(", ");
            io::Error::new(io::ErrorKind::NotFound, format!("no job `{name}`; running: {running}"))
        })?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// All running jobs, in the order of names.
    pub fn all() -> Vec<Job> {
        let entries = place::jobs().and_then(fs::read_dir).into_iter().flatten().flatten();
        let mut jobs: Vec<Job> =
            entries.filter_map(|entry| serde_json::from_slice(&fs::read(entry.path().join("job.json")).ok()?).ok()).collect();
        jobs.sort_by(|a, b| a.name.cmp(&b.name));
        jobs
    }

    /// Keeps other commands from stopping or moving it meanwhile.
    ///
    /// # Errors
    /// One is at it.
    pub fn lock(&self) -> io::Result<fs::File> {
        let file = fs::File::create(self.folder()?.join("busy"))?;
        let began = Instant::now();
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            if began.elapsed() > BUSY_TIMEOUT {
                return Err(io::Error::other(format!("another command is at work on job {}; try again", self.name)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(file)
    }

    /// Writes it down, so that other commands find it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn note(&self) -> io::Result<()> {
        let folder = self.folder()?;
        fs::write(folder.join("job.json.new"), serde_json::to_vec(self)?)?;
        fs::rename(folder.join("job.json.new"), folder.join("job.json"))
    }
}

/// Makes a job's folder with the driver for an API in it, under this name, or one that no other job has.
///
/// The driver is copied: a checkpoint then has it, and a new build of it does not pull it out from under a running program.
///
/// # Errors
/// The folder cannot be made, the driver not be found, or a job of that name runs.
pub fn prepare(api: Api, driver: &Path, name: Option<&str>) -> io::Result<PathBuf> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_micros());
    let name = name.map_or_else(|| format!("{:x}-{:x}", now & 0xFFFF_FFFF_FFFF, std::process::id()), str::to_owned);
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) || name.starts_with('.') {
        let problem = format!("`{name}` cannot be a job's name; it takes letters, digits, `-`, `_` and `.`");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    let folder = place::jobs()?.join(&name);
    if folder.exists() {
        forget_dead(&name, &folder)?;
    }
    place::private_folder(&folder)?;
    match api {
        Api::OpenCl => {
            place::private_folder(&folder.join("vendors"))?;
            let copy = folder.join(OPENCL_DRIVER);
            fs::copy(driver, &copy)?;
            fs::write(folder.join("vendors").join("orrery.icd"), format!("{}\n", copy.display()))?;
        }
        Api::Cuda => {
            fs::copy(driver, folder.join(facade::LIBRARY))?;
            facade::FACADES.iter().try_for_each(|facade| fs::write(folder.join(facade.name), facade::bytes(*facade)))?;
        }
    }
    Ok(folder)
}

/// Ends the job in a folder: kills its processes, those among them that left its session, and returns when none is left.
///
/// # Errors
/// Some do not die.
pub(crate) fn end(folder: &Path) -> io::Result<()> {
    let noted = fs::read(folder.join("job.json")).ok().and_then(|text| serde_json::from_slice::<Job>(&text).ok());
    let roots = || noted.iter().flat_map(|job| [Some(job.pid), job.namespace]).flatten();
    let mark = format!("{FOLDER}={}", folder.display());
    let began = Instant::now();
    loop {
        let left: Vec<i32> = roots().flat_map(tree::members).chain(tree::bearing(&mark)).collect();
        if left.is_empty() {
            return Ok(());
        }
        if began.elapsed() > END_TIMEOUT {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("processes of the job do not die: {left:?}")));
        }
        left.into_iter().for_each(|pid| tree::signal(pid, Signal::KILL));
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Removes what is left of a job whose command was killed.
fn forget_dead(name: &str, folder: &Path) -> io::Result<()> {
    let alive = Job::find(name).is_ok_and(|job| Path::new(&format!("/proc/{}", job.pid)).exists());
    if alive {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("job {name} is running; take another name")));
    }
    fs::remove_dir_all(folder)
}

/// The program's command, with the driver in its way. It gets a session of its own, as a checkpoint needs it.
pub fn command(api: Api, folder: &Path, program: &str, args: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env(FOLDER, folder);
    match api {
        // Two loaders are in use: one reads a folder of files, the other takes libraries' names.
        Api::OpenCl => {
            command.env("OCL_ICD_VENDORS", folder.join("vendors")).env("OCL_ICD_FILENAMES", folder.join(OPENCL_DRIVER));
        }
        // Some programs say themselves where their libraries are, so that no search path comes before: loaded first of all,
        // ours have the names already.
        Api::Cuda => {
            let ours = [facade::LIBRARY].into_iter().chain(facade::FACADES.iter().map(|facade| facade.name));
            let paths: Vec<String> = ours.map(|name| folder.join(name).display().to_string()).collect();
            let others = std::env::var("LD_PRELOAD").unwrap_or_default();
            command.env("LD_PRELOAD", format!("{}:{others}", paths.join(":")).trim_end_matches(':'));
        }
    }
    command
}

/// Gives an order to a device's proxy, and starts one if there is none. `start` is the command line that does.
///
/// # Errors
/// The proxy cannot be started, or says that it could not obey.
pub fn order(device: &str, start: &[String], order: &Order) -> io::Result<Report> {
    let socket = place::socket(device)?;
    // One that was just about to end counts as gone.
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused, io::ErrorKind::UnexpectedEof];
    let gone = |error: &io::Error| kinds.contains(&error.kind()) || error.kind() == io::ErrorKind::ConnectionReset;
    match control::give(&socket, order) {
        Err(error) if gone(&error) => {}
        other => return other,
    }
    let log = fs::OpenOptions::new().create(true).append(true).open(socket.with_extension("log"))?;
    let (first, rest) = start.split_first().ok_or_else(|| io::Error::other("no command to start a proxy"))?;
    let mut command = Command::new(first);
    // In a group of its own: what is typed at the job's terminal is not for it.
    command.args(rest).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    // It will serve others, too: whoever ends the job that first needed it leaves it alone.
    command.env(STAYS, "1").env_remove(FOLDER);
    std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with(RUN)).for_each(|name| {
        command.env_remove(name);
    });
    let mut child = command.spawn()?;
    let began = Instant::now();
    loop {
        match control::give(&socket, order) {
            Err(error) if gone(&error) && began.elapsed() < PROXY_START => {}
            other => return other,
        }
        if let Some(status) = child.try_wait()? {
            // Another one may have been quicker.
            if let Ok(report) = control::give(&socket, order) {
                return Ok(report);
            }
            let log = fs::read_to_string(socket.with_extension("log")).unwrap_or_default();
            let said = log.lines().next_back().unwrap_or_default().to_owned();
            return Err(io::Error::other(format!("the proxy of {device} ended with {status}: {said}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
