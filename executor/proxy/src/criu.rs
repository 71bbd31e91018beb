//! The host processes' part of a checkpoint: CRIU.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first version that works with kernels of today.
const VERSION_MIN: (u32, u32) = (4, 1);

/// The CRIU to use: `$ORRERY_CRIU`, the bundle that `executor/tools/install-criu.sh` makes, or the system's.
///
/// # Errors
/// A sentence that says what to install.
pub fn find() -> io::Result<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let bundle = home.join(".local/share/orrery/criu/sbin/criu");
    let named = std::env::var_os("ORRERY_CRIU").map(PathBuf::from);
    let candidates = named.map_or_else(|| vec![bundle, "criu".into()], |path| vec![path]);
    for path in candidates {
        if version(&path).is_some_and(|version| version >= VERSION_MIN) {
            return Ok(path);
        }
    }
    let sentence = "CRIU 4.1 or later not found (install it with executor/tools/install-criu.sh, or name it in ORRERY_CRIU)";
    Err(io::Error::new(io::ErrorKind::NotFound, sentence))
}

fn version(path: &Path) -> Option<(u32, u32)> {
    let output = Command::new(path).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.lines().next()?.strip_prefix("Version: ")?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// A descriptor of a process that leads out of its tree: its number, and CRIU's name for it.
pub type Outside = (i32, String);

/// What of standard input, output and error leads out of the tree: pipes and terminals. On restore they become the restoring
/// command's own.
pub fn outside(pids: &[i32]) -> Vec<Outside> {
    let mut found: Vec<Outside> = Vec::new();
    for pid in pids {
        for fd in 0..3 {
            let path = format!("/proc/{pid}/fd/{fd}");
            let Ok(target) = fs::read_link(&path) else { continue };
            let target = target.to_string_lossy().into_owned();
            let name = if target.starts_with("pipe:[") { Some(target) } else { terminal(&path, &target) };
            if let Some(name) = name.filter(|name| !found.iter().any(|(_, known)| known == name)) {
                found.push((fd, name));
            }
        }
    }
    found
}

fn terminal(path: &str, target: &str) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok().filter(|_| target.starts_with("/dev/pts/") || target.starts_with("/dev/tty"))?;
    Some(format!("tty[{:x}:{:x}]", metadata.rdev(), metadata.dev()))
}

/// Options that dump and restore share.
fn common(action: &str, images: &Path) -> Vec<OsString> {
    let fixed = ["--shell-job", "--file-locks", "--link-remap", "--ext-unix-sk", "--manage-cgroups=ignore", "-v3", "-o"];
    let log = format!("{action}.log");
    let start = [action.into(), "--images-dir".into(), images.into()];
    start.into_iter().chain(fixed.map(OsString::from)).chain([log.into()]).collect()
}

/// Runs CRIU to its end, come what may: were it killed, a process could be left in the middle of what CRIU makes it do. If the
/// command that wanted it (`$1`) is gone by then, the processes (`$2`) go on.
const TO_THE_END: &str =
    "wanted=$1 pids=$2; shift 2; \"$@\"; code=$?; kill -0 $wanted 2>/dev/null || kill -CONT $pids; exit $code";

/// Writes a stopped tree's processes and leaves them stopped. `namespace`: a process in whose process namespace they are.
///
/// # Errors
/// CRIU's own words.
pub fn dump(root: i32, pids: &[i32], namespace: Option<i32>, images: &Path, outside: &[Outside]) -> io::Result<()> {
    fs::create_dir_all(images)?;
    let pids = pids.iter().map(i32::to_string).collect::<Vec<_>>().join(" ");
    let wanted = std::process::id().to_string();
    let mut args: Vec<OsString> = ["/bin/sh", "-c", TO_THE_END, "orrery-dump", &wanted, &pids].map(OsString::from).into();
    if let Some(init) = namespace {
        args.extend(["nsenter", "--target", &init.to_string(), "--pid", "--mount"].map(OsString::from));
    }
    args.push(find()?.into());
    args.extend(common("dump", images));
    args.extend(["--leave-stopped", "--tree", &root.to_string(), "--ghost-limit", "1073741824"].map(OsString::from));
    for (_, name) in outside.iter().filter(|(_, name)| name.starts_with("tty")) {
        args.extend(["--external".into(), name.into()]);
    }
    run(&args, &images.join("dump.log"))
}

/// The command that makes the processes again in a process namespace of their own. Then `keep` takes CRIU's place there, with the
/// number of the first process behind it.
///
/// # Errors
/// There is no CRIU.
pub fn restore_command(images: &Path, outside: &[Outside], keep: &[String], root: i32) -> io::Result<Command> {
    let mut command = Command::new("unshare");
    // What is restored there dies with the command, so nothing is left behind.
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(find()?).args(common("restore", images));
    for (fd, name) in outside {
        command.arg("--inherit-fd").arg(format!("fd[{fd}]:{name}"));
    }
    command.args(["--exec-cmd", "--"]).args(keep).arg(root.to_string());
    Ok(command)
}

fn run(args: &[OsString], log: &Path) -> io::Result<()> {
    let output = Command::new(&args[0]).args(&args[1..]).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("CRIU failed: {}", reason(log))))
}

/// The errors in a log of CRIU's.
pub fn reason(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let errors: Vec<&str> = text.lines().filter(|line| line.contains("Error")).take(4).collect();
    if errors.is_empty() { format!("see {}", log.display()) } else { errors.join("; ") }
}
