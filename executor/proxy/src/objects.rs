//! Where checkpoints go: named objects, in a folder or in an object store.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Objects by name; `/` in names makes folders. What is put is there whole or not at all.
pub trait Objects: Send + Sync {
    /// Puts an object in the place of one that has this name.
    ///
    /// # Errors
    /// The store is full, or cannot be reached or written.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// An object; [`io::ErrorKind::NotFound`] if there is none.
    ///
    /// # Errors
    /// It is not there, or the store cannot be reached or read.
    fn get(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Names and lengths of the objects whose names begin with `prefix`, which ends with `/` or is empty; sorted by name.
    ///
    /// # Errors
    /// The store cannot be reached or read.
    fn list(&self, prefix: &str) -> io::Result<Vec<(String, u64)>>;

    /// Removes an object; one that is not there is removed.
    ///
    /// # Errors
    /// The store cannot be reached or written.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns when all that was put will be there after a power cut, too.
    ///
    /// # Errors
    /// As [`Objects::put`].
    fn settle(&self) -> io::Result<()>;

    /// Removes what processes that were killed have left half-done. Nobody else may use the store meanwhile.
    fn tidy(&self) {}

    /// The folder that they are in, for those who need files.
    fn folder(&self) -> Option<&Path> {
        None
    }
}

/// Opens a place: a folder's path, `file://PATH`, or `s3://BUCKET/PREFIX`.
///
/// # Errors
/// It cannot be made or reached, or nothing here knows how to.
pub fn open(place: &str) -> io::Result<Box<dyn Objects>> {
    match place.split_once("://") {
        None => Ok(Box::new(Folder::open(Path::new(place))?)),
        Some(("file", path)) => Ok(Box::new(Folder::open(Path::new(path))?)),
        Some(("s3", rest)) => s3(rest),
        Some((kind, _)) => {
            let problem = format!("no store of the kind `{kind}://`; there are: a folder, file://PATH, s3://BUCKET/PREFIX");
            Err(io::Error::new(io::ErrorKind::Unsupported, problem))
        }
    }
}

#[cfg(feature = "object-store")]
fn s3(rest: &str) -> io::Result<Box<dyn Objects>> {
    Ok(Box::new(crate::s3::Bucket::open(rest)?))
}

#[cfg(not(feature = "object-store"))]
fn s3(_: &str) -> io::Result<Box<dyn Objects>> {
    let problem = "this build knows no object stores (build it with `--features object-store`)";
    Err(io::Error::new(io::ErrorKind::Unsupported, problem))
}

/// A folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Opens it, and makes it if need be.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(folder: &Path) -> io::Result<Folder> {
        fs::create_dir_all(folder)?;
        Ok(Folder(fs::canonicalize(folder)?))
    }

    fn collect(&self, folder: &Path, found: &mut Vec<(String, u64)>) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                self.collect(&path, found)?;
            } else if let Ok(name) = path.strip_prefix(&self.0)
                && path.extension().is_none_or(|ending| ending != UNFINISHED)
            {
                found.push((name.to_string_lossy().into_owned(), entry.metadata()?.len()));
            }
        }
        Ok(())
    }
}

/// Ends the names of files that were not written whole.
const UNFINISHED: &str = "unfinished";
/// Ends the names of folders in which checkpoints are put together.
pub(crate) const SPOOL: &str = "spool";

impl Objects for Folder {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.0.join(name);
        // Of many processes and threads each has a file of its own, also for the same object.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let unfinished = path.with_extension(format!("{}-{count}.{UNFINISHED}", std::process::id()));
        let written = fs::write(&unfinished, bytes).or_else(|error| match (error.kind(), path.parent()) {
            (io::ErrorKind::NotFound, Some(parent)) => {
                fs::create_dir_all(parent)?;
                fs::write(&unfinished, bytes)
            }
            _ => Err(error),
        });
        written.and_then(|()| fs::rename(&unfinished, &path)).inspect_err(|_| drop(fs::remove_file(&unfinished)))
    }

    fn get(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.0.join(name);
        fs::read(&path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        match self.collect(&self.0.join(prefix), &mut found) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        found.sort();
        Ok(found)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn settle(&self) -> io::Result<()> {
        // Once for all of them: to wait for each chunk would take a hundred times as long.
        Ok(rustix::fs::syncfs(fs::File::open(&self.0)?)?)
    }

    fn tidy(&self) {
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
                let ends = |ending: &str| path.extension().is_some_and(|own| own == ending);
                match (path.is_dir(), ends(SPOOL), ends(UNFINISHED)) {
                    (true, true, _) => drop(fs::remove_dir_all(path)),
                    (true, false, _) => folders.push(path),
                    (false, _, true) => drop(fs::remove_file(path)),
                    _ => {}
                }
            }
        }
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.0)
    }
}
