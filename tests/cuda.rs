//! Programs built by `nvcc`, unmodified, on the simulated CUDA device: what they compute, checkpoints at random instants, deaths.
//!
//! Needs `nvcc` and a C++ compiler to build them. `.ci/run` installs them; what is not there is SKIPPED.

mod site;

use site::{Site, checkpoints, criu, ended, environment, finished, lines, site, wait_for};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The toolkit's folder: of wheels in the test environment, or the system's.
fn toolkit() -> Option<PathBuf> {
    let wheels = environment().and_then(|folder| {
        let versions = fs::read_dir(folder.join("lib")).ok()?.flatten().map(|entry| entry.path());
        versions.map(|python| python.join("site-packages/nvidia/cu13")).find(|folder| folder.join("bin/nvcc").exists())
    });
    let found = wheels.or_else(|| Some(PathBuf::from("/usr/local/cuda")).filter(|folder| folder.join("bin/nvcc").exists()));
    if found.is_none() {
        println!("SKIPPED: nvcc not found (pip install nvidia-cuda-nvcc and its like, see .ci/run)");
    } else if Command::new("g++").arg("--version").output().is_err() {
        println!("SKIPPED: g++ not found (apt-get install g++)");
        return None;
    }
    found
}

/// A device, and the programs of `executor/tests/cuda` that are named.
fn simulated(programs: &[&str]) -> Option<Site> {
    let toolkit = toolkit()?;
    let site = site("cuda:simulated", PathBuf::from("/nowhere"), None);
    programs.iter().for_each(|program| ended(&build(&toolkit, &site, program, program, "shared")));
    Some(site)
}

fn build(toolkit: &Path, site: &Site, source: &str, program: &str, runtime: &str) -> Output {
    // Wheels have the library under its full name only.
    let libraries = site.path("libraries");
    fs::create_dir_all(&libraries).unwrap();
    for (name, file) in [
        ("libcudart.so", "libcudart.so.13"),
        ("libcudadevrt.a", "libcudadevrt.a"),
        ("libcudart_static.a", "libcudart_static.a"),
    ] {
        let _ = std::os::unix::fs::symlink(toolkit.join("lib").join(file), libraries.join(name));
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("executor/tests/cuda").join(source).with_extension("cu");
    let mut command = Command::new(toolkit.join("bin/nvcc"));
    command.args(["-arch=sm_90", "-std=c++17", "-cudart", runtime]).arg(source);
    command.arg("-o").arg(site.path(program)).arg("-L").arg(&libraries).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn programs_compute_what_the_host_does() {
    let Some(site) = simulated(&["vectors", "errors", "driver", "products", "layers", "train"]) else { return };
    let lines_of = [
        ("vectors", "all as computed here"),
        ("errors", "errors as documented"),
        ("driver", "the driver's calls as documented"),
        ("products", "products as computed here"),
        ("layers", "the product as computed here"),
    ];
    for (program, line) in lines_of {
        let output = site.exec(&site.path(program), &[]).output().unwrap();
        ended(&output);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), line);
    }
    ended(&site.exec(&site.path("train"), &["losses", "100"]).output().unwrap());
    assert_eq!(lines(&site.path("losses")), 100);
    assert!(site.jobs().is_empty());
}

#[test]
fn a_kernel_that_the_device_lacks_is_named() {
    let Some(site) = simulated(&["errors"]) else { return };
    let output = site.exec(&site.path("errors"), &["unknown"]).output().unwrap();
    ended(&output);
    assert!(said(&output).contains("has no kernel `_Z7mysteryPf`; it has: fill, "), "{}", said(&output));
}

#[test]
fn a_program_with_the_runtime_built_in_is_told_at_once() {
    let Some(toolkit) = toolkit() else { return };
    let site = site("cuda:simulated", PathBuf::from("/nowhere"), None);
    ended(&build(&toolkit, &site, "vectors", "static", "static"));
    let output = site.exec(&site.path("static"), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("links the CUDA runtime statically"), "{}", said(&output));
}

/// Runs a program that writes a line a step, undisturbed and with checkpoints at random instants: its lines must be the same.
/// `ORRERY_CHECKPOINTS` says how many; the default keeps CI short.
fn disturb(site: &Site, program: &Path, before: &[&str], steps_each: usize, pause: &str) {
    let times = checkpoints();
    let steps = 100 + times * steps_each;
    let exec = |log: &str, pause: &[&str]| site.exec(program, &[before, &[log, &steps.to_string()], pause].concat());
    ended(&exec("undisturbed", &[]).output().unwrap());
    let running = exec("disturbed", &[pause]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    site.disturb(running, "disturbed", steps, times);
    assert_eq!(fs::read(site.path("disturbed")).unwrap(), fs::read(site.path("undisturbed")).unwrap());
}

#[test]
fn checkpoints_at_random_instants_change_nothing() {
    let Some(site) = simulated(&["train"]).filter(|_| criu()) else { return };
    disturb(&site, &site.path("train"), &[], 60, "3000");
}

/// NVIDIA's libraries, and what they need of a driver to be loaded where there is none; a place for programs.
fn with_libraries() -> Option<Site> {
    let folders = std::env::var(proxy::cuda::LIBRARY_FOLDERS).unwrap_or_default();
    let found = |file: &str| std::env::split_paths(&folders).any(|folder| folder.join(file).exists());
    if !found("libcudnn.so.9") || !found("libcublasLt.so.13") {
        println!("SKIPPED: cuDNN and cuBLASLt not found (name their folders in ORRERY_CUDA_LIBRARIES, see .ci/run)");
        return None;
    }
    if Command::new("cc").arg("--version").output().is_err() {
        println!("SKIPPED: cc not found (apt-get install gcc)");
        return None;
    }
    let mut site = site("cuda:simulated", PathBuf::from("/nowhere"), None);
    // Parts of cuDNN are linked against the driver, which they do not call for what is tested here.
    let calls = ["cuInit", "cuModuleGetFunction", "cuModuleLoadData", "cuModuleUnload", "cuGetErrorString"];
    let tensor_maps = ["cuTensorMapEncodeIm2col", "cuTensorMapEncodeTiled"];
    let functions: String =
        calls.iter().chain(&tensor_maps).map(|name| format!("int {name}(void) {{ return 100; }}\n")).collect();
    fs::write(site.path("driver.c"), functions).unwrap();
    let driver = site.path("driver");
    fs::create_dir(&driver).unwrap();
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o"]).arg(driver.join("libcuda.so.1"));
    ended(&compile.arg(site.path("driver.c")).output().unwrap());
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/executor/tests/cuda/descriptors.c");
    let mut compile = Command::new("cc");
    ended(&compile.arg(source).arg("-o").arg(site.path("descriptors")).arg("-ldl").output().unwrap());
    site.libraries = Some(format!("{folders}:{}", driver.display()).into());
    Some(site)
}

/// Descriptors of the real cuBLASLt and cuDNN behind the simulated device: the same lines natively and by `exec`.
#[test]
fn descriptors_are_the_real_libraries() {
    let Some(site) = with_libraries() else { return };
    ended(&site.native(&site.path("descriptors"), &["native", "30"]));
    ended(&site.exec(&site.path("descriptors"), &["proxied", "30"]).output().unwrap());
    let [native, proxied] = ["native", "proxied"].map(|name| fs::read_to_string(site.path(name)).unwrap());
    for (native, proxied) in native.lines().zip(proxied.lines()) {
        assert_eq!(native, proxied);
    }
    assert_eq!(native.len(), proxied.len());
    assert!(native.lines().count() > 30);
}

/// Natively a crash, some of the time. The proxy is others', too.
#[test]
fn an_order_of_calls_that_cudnn_forbids_does_no_harm() {
    let Some(site) = with_libraries() else { return };
    for _ in 0..2 {
        ended(&site.exec(&site.path("descriptors"), &["forbidden", "3", "forbidden"]).output().unwrap());
    }
    let lines = fs::read_to_string(site.path("forbidden")).unwrap();
    let statuses = lines.lines().nth(1).unwrap_or_default();
    assert!(statuses.ends_with(" 2000"), "{statuses}");
}

#[test]
fn descriptors_come_back_from_checkpoints() {
    let Some(site) = with_libraries().filter(|_| criu()) else { return };
    disturb(&site, &site.path("descriptors"), &[], 40, "3000");
}

/// NVRTC is the machine's own and needs no device; what it has compiled goes to the proxy.
#[test]
fn a_kernel_compiled_at_run_time_runs() {
    let folder = std::env::var_os("ORRERY_TORCH_VENV").map(PathBuf::from);
    let versions = folder.iter().flat_map(|folder| fs::read_dir(folder.join("lib")).into_iter().flatten().flatten());
    let mut files = versions.map(|entry| entry.path().join("site-packages/nvidia/cu13/lib/libnvrtc.so.13"));
    let Some(nvrtc) = files.find(|file| file.exists()) else {
        return println!("SKIPPED: NVRTC not found (pip install nvidia-cuda-nvrtc==13.0.*, see .ci/run)");
    };
    // It looks there for a part of itself.
    let site = site("cuda:simulated", PathBuf::from("/nowhere"), nvrtc.parent().map(Path::to_owned));
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/executor/tests/cuda/nvrtc.py");
    let python = folder.unwrap_or_default().join("bin/python");
    let output = site.exec(&python, &[program, &nvrtc.to_string_lossy()]).output().unwrap();
    ended(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "compiled here, run there");
}

/// PyTorch for CUDA 13.0 as it comes, with others' libraries standing in for NVIDIA's: copies of all kinds, and checkpoints.
#[test]
fn pytorchs_tensors_travel() {
    let python = std::env::var_os("ORRERY_TORCH_VENV").map(|folder| PathBuf::from(folder).join("bin/python"));
    let Some(python) = python.filter(|python| python.exists()) else {
        return println!("SKIPPED: PyTorch not found (name its environment in ORRERY_TORCH_VENV, see .ci/run)");
    };
    let site = site("cuda:simulated", PathBuf::from("/nowhere"), None);
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/executor/tests/cuda/tensors.py");
    if criu() {
        disturb(&site, &python, &[program], 20, "0.01");
    } else {
        ended(&site.exec(&python, &[program, "log", "50"]).output().unwrap());
    }
}

#[test]
fn a_killed_proxy_is_an_error_that_stays_and_a_killed_worker_leaves_nothing() {
    let Some(site) = simulated(&["train"]) else { return };
    let start = |losses: &str| {
        let mut command = site.exec(&site.path("train"), &[losses, "1000000"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for("the first steps", || (lines(&site.path(losses)) > 5).then_some(()));
        child
    };
    let child = start("killed");
    let written = fs::read(site.path("runtime/jobs").join(site.job()).join("job.json")).unwrap();
    let job: proxy::job::Job = serde_json::from_slice(&written).unwrap();
    ended(&Command::new("kill").args(["-KILL", &job.pid.to_string()]).output().unwrap());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(137));
    let socket = site.path("runtime").join(format!("{}.socket", job.device));
    let status = proxy::control::give(&socket, &proxy::control::Order::Status).unwrap();
    assert_eq!((status.jobs.len(), status.workers), (0, 0));

    let child = start("orphaned");
    ended(&Command::new("kill").args(["-KILL", &site.proxy_pid().to_string()]).output().unwrap());
    let began = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("cudaErrorDevicesUnavailable") && said(&output).contains("the device is lost"));
    assert!(began.elapsed() < Duration::from_secs(10), "it hung");
}

#[test]
fn a_job_takes_only_devices_of_its_kind() {
    let Some(site) = simulated(&["train"]) else { return };
    let running = site.exec(&site.path("train"), &["losses", "300", "2000"]).spawn().unwrap();
    wait_for("the first steps", || (lines(&site.path("losses")) > 5).then_some(()));
    let mut move_it = site.orrery(&["migrate", &site.job(), "--device", "opencl:0.0"]);
    let output = move_it.env("OCL_ICD_VENDORS", "/etc/OpenCL/vendors").output().unwrap();
    assert!(!output.status.success());
    assert!(said(&output).contains("device of the same kind") || said(&output).contains("no device"), "{}", said(&output));
    finished(running);
    assert_eq!(lines(&site.path("losses")), 300);
}
