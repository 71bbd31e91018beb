//! A runtime alone in a folder of its own, and programs on it: what tests of proxied devices share.
#![allow(dead_code, reason = "each of the tests uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One at a time: each of these takes the whole machine.
static TURN: Mutex<()> = Mutex::new(());

/// A runtime, alone.
pub struct Site {
    pub device: &'static str,
    pub vendors: PathBuf,
    pub libraries: Option<PathBuf>,
    /// In memory; rings, sockets and results.
    pub folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// The folder of a Python environment with pyopencl, scikit-learn and Intel's FPGA emulator.
pub fn environment() -> Option<PathBuf> {
    let named = std::env::var_os("ORRERY_TEST_VENV").map(PathBuf::from);
    named.filter(|folder| folder.join("bin/python").exists())
}

pub fn site(device: &'static str, vendors: PathBuf, libraries: Option<PathBuf>) -> Site {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    Site { device, vendors, libraries, folder, _turn: turn }
}

pub fn pocl() -> Option<Site> {
    let vendors = PathBuf::from("/etc/OpenCL/vendors");
    if !vendors.join("pocl.icd").exists() {
        println!("SKIPPED: PoCL not found (apt-get install pocl-opencl-icd)");
        return None;
    }
    Some(site("Portable", vendors, None))
}

pub fn fpga() -> Option<Site> {
    let libraries = environment().map(|folder| folder.join("lib"));
    let Some(libraries) = libraries.filter(|folder| folder.join("libintelocl_emu.so").exists()) else {
        println!("SKIPPED: Intel's FPGA emulator not found (pip install intel-opencl-fpga-emu-rt==2025.0.5, see .ci/run)");
        return None;
    };
    let mut site = site("FPGA", PathBuf::new(), Some(libraries.clone()));
    site.vendors = site.folder.path().join("vendors");
    fs::create_dir(&site.vendors).unwrap();
    fs::write(site.vendors.join("fpga.icd"), format!("{}\n", libraries.join("libintelocl_emu.so").display())).unwrap();
    Some(site)
}

pub fn python() -> Option<PathBuf> {
    let python = environment().map(|folder| folder.join("bin/python"));
    if python.is_none() {
        println!("SKIPPED: a Python environment with pyopencl not found (name it in ORRERY_TEST_VENV, see .ci/run)");
    }
    python
}

pub fn training() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/executor/opencl/tests/programs/train.py").into()
}

pub fn transfers() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/executor/opencl/tests/programs/transfers.py").into()
}

pub fn criu() -> bool {
    let found = proxy::criu::find();
    if let Err(sentence) = &found {
        println!("SKIPPED: {sentence}");
    }
    found.is_ok()
}

/// How many checkpoints at random instants a test makes: few in CI.
pub fn checkpoints() -> usize {
    std::env::var("ORRERY_CHECKPOINTS").ok().and_then(|text| text.parse().ok()).unwrap_or(8)
}

impl Site {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("OCL_ICD_VENDORS", &self.vendors).env("ORRERY_RUNTIME_FOLDER", self.path("runtime"));
        command.env("PYOPENCL_COMPILER_OUTPUT", "0").env("PYTHONWARNINGS", "ignore").current_dir(self.folder.path());
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command.stdin(Stdio::null());
        command
    }

    pub fn orrery(&self, args: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_orrery"));
        command.args(args);
        command
    }

    /// A program on the proxied device.
    pub fn exec(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = self.orrery(&["exec", "--device", self.device, "--"]);
        command.arg(program).args(args);
        command
    }

    pub fn native(&self, program: &Path, args: &[&str]) -> Output {
        self.command(program).args(args).output().unwrap()
    }

    pub fn jobs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("runtime/jobs")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().join("job.json").exists()).map(|entry| name_of(&entry.path())).collect()
    }

    /// The running job, once its description is there.
    pub fn job(&self) -> String {
        wait_for("a job", || self.jobs().pop())
    }

    /// Takes a program that writes a line a step to files and back, at random instants, until it is done or has been `times` times.
    pub fn disturb(&self, mut running: Child, log: &str, steps: usize, times: usize) {
        let written = || lines(&self.path(log));
        wait_for("the first steps", || (written() > 5).then_some(()));
        let (mut random, mut made) = (u64::from(std::process::id()), 0);
        for _ in 0..times {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            std::thread::sleep(Duration::from_micros((random >> 33) % 400_000));
            let Some(job) = self.jobs().pop() else { break };
            let saved = self.orrery(&["checkpoint", &job, "store"]).output().unwrap();
            // It ended by itself just then.
            if !saved.status.success() && written() >= steps {
                break;
            }
            ended(&saved);
            made += 1;
            println!("{}: {}", self.device, String::from_utf8_lossy(&saved.stdout).trim());
            finished(running);
            assert!(self.jobs().is_empty(), "nothing of it is left");
            running = self.orrery(&["restore", "store"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            // Restored near its end, it may be gone before anybody sees it.
            wait_for("the restored job", || (running.try_wait().unwrap().is_some() || !self.jobs().is_empty()).then_some(()));
        }
        finished(running);
        assert!(made > times / 2, "only {made} checkpoints");
    }

    pub fn proxy_pid(&self) -> u32 {
        let folder = self.path("runtime").display().to_string();
        wait_for("the proxy", || {
            let entries = fs::read_dir("/proc").ok()?.flatten();
            entries.filter_map(|entry| name_of(&entry.path()).parse::<u32>().ok()).find(|pid| {
                let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
                let words = String::from_utf8_lossy(&file("cmdline")).replace('\0', " ");
                words.contains(" proxy --device") && String::from_utf8_lossy(&file("environ")).contains(&folder)
            })
        })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let stop = |path: PathBuf| proxy::control::give(&path, &proxy::control::Order::Stop);
        let entries = fs::read_dir(self.path("runtime")).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "socket")).for_each(|path| drop(stop(path)));
    }
}

pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn ended(output: &Output) {
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

pub fn finished(child: Child) {
    ended(&child.wait_with_output().unwrap());
}

pub fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}
