//! The proxy's process: its socket, and the jobs that it serves.

use crate::backend::Backend;
use crate::control::{Order, Report};
use crate::image::read_images;
use crate::session::{After, Remote, Session};
use crate::store::Store;
use crate::turns::Turns;
use ring::Region;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, flock, inotify};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// Makes a worker's view of the device.
pub type Open = Box<dyn Fn() -> Box<dyn Backend> + Send + Sync>;

/// A proxy: serves one device until it is told to stop, or has had nothing to do for a while.
pub struct Daemon {
    open: Open,
    turns: Arc<Turns>,
    /// What the device is: a job goes on on its like only.
    model: String,
    socket: PathBuf,
    linger: Option<Duration>,
    jobs: Mutex<BTreeMap<PathBuf, Served>>,
    /// Orders begun and ended: a proxy does not retire in the middle of one, nor soon after it.
    orders: (AtomicU64, AtomicU64),
}

#[derive(Default)]
pub(crate) struct Served {
    workers: BTreeMap<PathBuf, Worker>,
    /// Ends the thread that looks for new rings.
    watch: Option<Arc<rustix::fd::OwnedFd>>,
}

struct Worker {
    remote: Remote,
    thread: JoinHandle<()>,
}

impl Daemon {
    /// Serves orders on `socket`. `model`: what the device is, in words. Returns when told to stop, or after `linger` without a job.
    ///
    /// # Errors
    /// The socket cannot be made, or another proxy serves this device.
    pub fn run(open: Open, turns: Arc<Turns>, model: String, socket: &Path, linger: Option<Duration>) -> io::Result<()> {
        // The lock, not the socket's file, says whether a proxy lives: a killed one leaves the file.
        let lock = std::fs::File::create(socket.with_extension("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| io::Error::other("another proxy serves this device"))?;
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket)?;
        let (jobs, orders) = Default::default();
        let daemon = Arc::new(Daemon { open, turns, model, socket: socket.into(), linger, jobs, orders });
        daemon.clone().retire_if_idle();
        for stream in listener.incoming() {
            let daemon = daemon.clone();
            std::thread::spawn(move || daemon.converse(stream?));
        }
        Ok(())
    }

    fn converse(self: Arc<Daemon>, stream: UnixStream) -> io::Result<()> {
        self.orders.0.fetch_add(1, Ordering::SeqCst);
        let result = self.clone().answer(stream);
        self.orders.1.fetch_add(1, Ordering::SeqCst);
        self.retire_if_idle();
        result
    }

    fn answer(self: Arc<Daemon>, stream: UnixStream) -> io::Result<()> {
        let mut line = String::new();
        BufReader::new(stream.try_clone()?).read_line(&mut line)?;
        let stop = matches!(serde_json::from_str(&line), Ok(Order::Stop));
        let report = match serde_json::from_str(&line).map_err(io::Error::from).and_then(|order| self.clone().obey(order)) {
            Ok(report) => report,
            Err(error) => Report { error: Some(error.to_string()), ..Report::default() },
        };
        let mut answer = serde_json::to_vec(&report)?;
        answer.push(b'\n');
        let written = (&stream).write_all(&answer);
        if stop {
            self.end();
        }
        written
    }

    fn obey(self: Arc<Daemon>, order: Order) -> io::Result<Report> {
        match order {
            Order::Attach { job, model, keeper } => {
                if model != self.model {
                    return Err(io::Error::other(format!(
                        "the device's proxy runs already and serves a {}, not a {model}: it was started with other drivers \
                         (OCL_ICD_VENDORS and the like); end its jobs and it ends after 30 s, or name another ORRERY_RUNTIME_FOLDER",
                        self.model
                    )));
                }
                self.attach(&job, keeper).map(|()| Report::default())
            }
            Order::Detach(job) => {
                self.detach(&job);
                Ok(Report::default())
            }
            Order::Status => Ok(self.status()),
            Order::Stop => Ok(Report::default()),
            Order::Save { job, to, chunks } => self.save(&job, &to, &chunks),
            Order::Load { job, from, chunks, model, keeper } => {
                self.is_like(model.as_deref())?;
                self.load(&job, &from, &chunks, keeper).map(|()| Report::default())
            }
            Order::Rewatch(job) => {
                self.rewatch(&job);
                Ok(Report::default())
            }
        }
    }

    pub(crate) fn jobs(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Served>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> Report {
        let jobs = self.jobs();
        let name = |folder: &PathBuf| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let workers = jobs.values().map(|job| job.workers.len()).sum();
        let (sharing, switching) = (self.turns.sharing(), self.turns.switching());
        Report { jobs: jobs.keys().map(name).collect(), workers, sharing, switching, ..Report::default() }
    }

    /// A worker's view of the device.
    fn view(&self) -> Box<dyn Backend> {
        let mut backend = (self.open)();
        if self.turns.on() {
            backend.share();
        }
        backend
    }

    /// Serves the rings that lie in the folder, and those that will.
    fn attach(self: Arc<Daemon>, folder: &Path, keeper: u32) -> io::Result<()> {
        let inotify = Arc::new(inotify::init(inotify::CreateFlags::CLOEXEC)?);
        inotify::add_watch(&*inotify, folder, inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::DELETE_SELF)?;
        self.jobs().entry(folder.to_owned()).or_default().watch = Some(inotify.clone());
        let (daemon, watched) = (self.clone(), folder.to_owned());
        std::thread::spawn(move || daemon.watch(&watched, &inotify));
        self.scan(folder);
        let (daemon, kept) = (self.clone(), folder.to_owned());
        when_ended(keeper, move || daemon.abandoned(&kept));
        Ok(())
    }

    /// The command that waited for a job has ended. If it was killed the job goes, too: nobody else would clean up after it.
    fn abandoned(self: Arc<Daemon>, folder: &Path) {
        if !self.jobs().contains_key(folder) {
            return;
        }
        if let Err(error) = crate::job::end(folder) {
            eprintln!("orrery proxy: {}: {error}", folder.display());
        }
        self.detach(folder);
        let _ = std::fs::remove_dir_all(folder);
        self.retire_if_idle();
    }

    fn watch(self: Arc<Daemon>, folder: &Path, inotify: &Arc<rustix::fd::OwnedFd>) {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&**inotify, &mut buffer);
        while reader.next().is_ok() {
            // Which file it was plays no part: what lies there and is not served will be.
            let current =
                self.jobs().get(folder).and_then(|job| job.watch.clone()).is_some_and(|own| Arc::ptr_eq(&own, inotify));
            if !current {
                return;
            }
            self.scan(folder);
        }
    }

    /// Whether what was on a device of this model can go on here.
    fn is_like(&self, model: Option<&str>) -> io::Result<()> {
        match model.filter(|model| *model != self.model) {
            None => Ok(()),
            Some(model) => Err(io::Error::other(format!(
                "the job was on a {model} and goes on on another of these only; this device is a {}",
                self.model
            ))),
        }
    }

    /// Saves all workers of a job, each by its own thread.
    fn save(&self, folder: &Path, to: &Path, chunks: &Path) -> io::Result<Report> {
        let store = Store::open(chunks)?;
        let remotes: Vec<(PathBuf, Remote)> = match self.jobs().get(folder) {
            Some(job) => job.workers.iter().map(|(path, worker)| (path.clone(), worker.remote.clone())).collect(),
            None => return Err(io::Error::other("no such job on this device")),
        };
        let model = Some(self.model.clone());
        let mut report = Report { workers: remotes.len(), model, ..Report::default() };
        for (path, remote) in remotes {
            let name = path.file_name().unwrap_or_default().to_owned();
            let (ring_to, image_to) = (to.join(&name), to.join(&name).with_extension("image"));
            let (sender, result) = mpsc::channel();
            let store = store.clone();
            remote.run(Box::new(move |session| {
                let _ = sender.send(session.save(&store, &ring_to));
                After::Continue
            }));
            let (image, cost) =
                result.recv().map_err(|_| io::Error::other("a worker ended meanwhile"))?.map_err(io::Error::other)?;
            let bytes = postcard::to_stdvec(&image).map_err(io::Error::other)?;
            std::fs::write(&image_to, &bytes)?;
            report.bytes += cost.stored.bytes;
            report.new_bytes += cost.stored.new_bytes;
            report.drain_s += cost.drain_s;
            report.state_s += cost.save_s;
        }
        Ok(report)
    }

    /// Makes a job's sessions again, then serves it like any other. Its processes are found by [`Daemon::rewatch`].
    fn load(self: Arc<Daemon>, folder: &Path, from: &Path, chunks: &Path, keeper: u32) -> io::Result<()> {
        let store = Store::open(chunks)?;
        let mut workers = BTreeMap::new();
        for image in read_images(from)? {
            let path = folder.join(&image.ring);
            let region = Region::open(&path).map_err(io::Error::other)?;
            let seat = self.turns.join();
            seat.wait();
            let session = Session::load(image, &store, region, self.view(), Some(seat)).map_err(io::Error::other)?;
            workers.insert(path.clone(), self.clone().start(session, folder, &path));
        }
        self.jobs().insert(folder.to_owned(), Served { workers, watch: None });
        self.attach(folder, keeper)
    }

    /// Finds the processes of a job's rings by what they have mapped: their numbers are not those that the rings tell.
    fn rewatch(&self, folder: &Path) {
        if let Some(job) = self.jobs().get(folder) {
            for (path, worker) in &job.workers {
                for pid in processes_with(path) {
                    watch_process(pid, worker.remote.clone());
                }
            }
        }
    }

    fn scan(self: &Arc<Daemon>, folder: &Path) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in entries.filter(|path| path.extension().is_some_and(|ending| ending == "ring")) {
            if let Err(error) = self.serve(folder, &path) {
                eprintln!("orrery proxy: {error}");
            }
        }
    }

    /// Serves one ring, from a thread of its own.
    fn serve(self: &Arc<Daemon>, folder: &Path, path: &Path) -> Result<(), ring::Error> {
        let mut jobs = self.jobs();
        let Some(job) = jobs.get_mut(folder) else { return Ok(()) };
        if job.workers.contains_key(path) {
            return Ok(());
        }
        let region = Region::open(path)?;
        let pid = region.worker_pid();
        let session = Session::new(region, self.view()).seated(Some(self.turns.join()));
        let worker = self.clone().start(session, folder, path);
        watch_process(pid, worker.remote.clone());
        job.workers.insert(path.to_owned(), worker);
        Ok(())
    }

    fn start(self: Arc<Daemon>, session: Session, folder: &Path, path: &Path) -> Worker {
        let (sender, remote) = mpsc::channel();
        let (folder, path) = (folder.to_owned(), path.to_owned());
        let thread = std::thread::spawn(move || {
            if let Err(error) = session.serve(|remote| drop(sender.send(remote))) {
                eprintln!("orrery proxy: {}: {error}", path.display());
            }
            // Nobody needs the ring any more; a checkpoint takes its copy before its session ends.
            if let Some(job) = self.jobs().get_mut(&folder)
                && job.workers.remove(&path).is_some()
            {
                let _ = std::fs::remove_file(&path);
            }
        });
        let remote = remote.recv().expect("the session hands its remote out before anything else");
        Worker { remote, thread }
    }

    /// Ends all sessions of a job and waits until what they held is free.
    fn detach(&self, folder: &Path) {
        let job = self.jobs().remove(folder);
        for worker in job.into_iter().flat_map(|job| job.workers.into_values()) {
            worker.remote.run(Box::new(|_| After::End));
            let _ = worker.thread.join();
        }
    }

    /// Looks again after a while, and ends if nothing was asked for meanwhile and there is no job.
    fn retire_if_idle(self: Arc<Daemon>) {
        let Some(linger) = self.linger else { return };
        if self.jobs().is_empty() {
            let begun = self.orders.0.load(Ordering::SeqCst);
            std::thread::spawn(move || {
                std::thread::sleep(linger);
                let still = self.orders.0.load(Ordering::SeqCst) == begun && self.orders.1.load(Ordering::SeqCst) == begun;
                if still && self.jobs().is_empty() {
                    self.end();
                }
            });
        }
    }

    fn end(&self) -> ! {
        let folders: Vec<PathBuf> = self.jobs().keys().cloned().collect();
        for folder in folders {
            self.detach(&folder);
        }
        let _ = std::fs::remove_file(&self.socket);
        std::process::exit(0);
    }
}

/// Processes that have a file mapped.
fn processes_with(path: &Path) -> Vec<u32> {
    let name = path.to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    let own = std::process::id();
    pids.filter(|pid| {
        *pid != own && std::fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.contains(&name))
    })
    .collect()
}

/// Ends a session when its process is gone.
fn watch_process(pid: u32, remote: Remote) {
    when_ended(pid, move || {
        remote.run(Box::new(|_| After::End));
    });
}

/// Does something when a process that is there now has ended.
fn when_ended(pid: u32, then: impl FnOnce() + Send + 'static) {
    let Some(pidfd) = Pid::from_raw(pid as i32).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { return };
    std::thread::spawn(move || {
        while poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).is_err() {}
        then();
    });
}
