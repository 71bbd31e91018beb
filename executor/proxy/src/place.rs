//! Where things lie: one folder in memory, the user's own.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Overrides where rings, sockets and locks lie.
pub const RUNTIME_FOLDER: &str = "ORRERY_RUNTIME_FOLDER";

/// The folder of this user's proxies and jobs, mode 0700. It must be in a memory file system: rings are shared through it.
///
/// # Errors
/// It cannot be made, or belongs to somebody else.
pub fn runtime() -> io::Result<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::var_os(RUNTIME_FOLDER).map_or_else(|| format!("/dev/shm/orrery-{user}").into(), PathBuf::from);
    private_folder(&folder)?;
    Ok(folder)
}

/// Makes a folder that only this user can enter.
///
/// # Errors
/// It cannot be made, or it exists and belongs to somebody else or is open to others.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = fs::symlink_metadata(folder)?;
    let own = metadata.is_dir() && metadata.uid() == rustix::process::getuid().as_raw();
    if !own || metadata.permissions().mode() & 0o077 != 0 {
        let problem = format!("{} must be a folder of this user with mode 0700", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    Ok(())
}

/// A proxy's socket.
///
/// # Errors
/// As [`runtime`].
pub fn socket(device: &str) -> io::Result<PathBuf> {
    Ok(runtime()?.join(format!("{device}.socket")))
}

/// All jobs' folder.
///
/// # Errors
/// As [`runtime`].
pub fn jobs() -> io::Result<PathBuf> {
    let folder = runtime()?.join("jobs");
    private_folder(&folder)?;
    Ok(folder)
}
