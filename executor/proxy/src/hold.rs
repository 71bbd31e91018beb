//! Who may remove something from a store that many write to: somebody who has it for himself.
//!
//! A chunk that a checkpoint is about to name looks like garbage until its manifest is there. So whoever writes or reads a checkpoint
//! shares the store, and chunks are removed only by who owns it. In a folder that is a lock on a file, which ends with its process.
//! An object store has no locks; there each puts an object that says so and then looks for the others', so that of a writer and
//! an owner who come at the same time at least one sees the other: the owner gives up, the writer waits.

use crate::objects::Objects;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A folder's lock.
const LOCK: &str = "lock";
/// Where an object store's holds are: `holds/shared-SECONDS-NAME`, seconds since 1970.
const HOLDS: &str = "holds/";
/// After that long whoever put one there is taken for dead. He finds out: [`Hold::check`].
const LIFE: Duration = Duration::from_secs(3600);
/// How long an owner works: far less, whatever his clock says.
const OWNED: Duration = Duration::from_secs(600);
/// How often a writer looks whether the owner has gone.
const LOOK: Duration = Duration::from_millis(200);

/// A store that is shared, or owned, until this is dropped.
pub(crate) enum Hold {
    Lock { _file: File },
    Object { objects: Arc<dyn Objects>, name: String, since: Instant, life: Duration },
}

impl Hold {
    /// A store to write to or to read from. Waits for an owner to end.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(crate) fn share(objects: &Arc<dyn Objects>) -> io::Result<Hold> {
        if let Some(folder) = objects.folder() {
            return Ok(lock(folder, FlockOperation::LockShared)?.ok_or(Errno::AGAIN)?);
        }
        let own = put(objects, "shared", LIFE)?;
        while others(&**objects, &own, "own-")? {
            std::thread::sleep(LOOK);
        }
        Ok(own)
    }

    /// A store to remove things from; `None`: others are at it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(crate) fn own(objects: &Arc<dyn Objects>) -> io::Result<Option<Hold>> {
        if let Some(folder) = objects.folder() {
            return lock(folder, FlockOperation::NonBlockingLockExclusive);
        }
        let own = put(objects, "own", OWNED)?;
        Ok(if others(&**objects, &own, "")? { None } else { Some(own) })
    }

    /// Says whether the store is still held: somebody who stood still for an hour may have been taken for dead.
    ///
    /// # Errors
    /// It is not, or the store cannot be read.
    pub(crate) fn check(&self) -> io::Result<()> {
        let Hold::Object { objects, name, since, life } = self else { return Ok(()) };
        if since.elapsed() < *life && objects.list(HOLDS)?.iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "it took so long that others believed this to be dead; try again"))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Hold::Object { objects, name, .. } = self {
            // What cannot be removed now is taken for dead later.
            let _ = objects.remove(name);
        }
    }
}

fn lock(folder: &Path, operation: FlockOperation) -> io::Result<Option<Hold>> {
    let path = folder.join(LOCK);
    // To read it is enough for a lock: a store that is there may be one that cannot be written.
    let file = File::open(&path).or_else(|_| File::options().create(true).append(true).open(&path))?;
    loop {
        match flock(&file, operation) {
            Ok(()) => return Ok(Some(Hold::Lock { _file: file })),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn put(objects: &Arc<dyn Objects>, kind: &str, life: Duration) -> io::Result<Hold> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (now, count) = (now(), COUNT.fetch_add(1, Ordering::Relaxed));
    // Nobody else has this name: two hosts' processes of one number do not come in the same nanosecond.
    let name = format!("{HOLDS}{kind}-{}-{:x}-{:x}-{count:x}", now.as_secs(), now.subsec_nanos(), std::process::id());
    objects.put(&name, b"")?;
    Ok(Hold::Object { objects: objects.clone(), name, since: Instant::now(), life })
}

/// Whether anybody else has such a hold. The dead ones are removed.
fn others(objects: &dyn Objects, own: &Hold, kind: &str) -> io::Result<bool> {
    let Hold::Object { name: own, .. } = own else { return Ok(false) };
    let mut found = false;
    for (name, _) in objects.list(HOLDS)? {
        let Some(rest) = name.strip_prefix(HOLDS).filter(|rest| rest.starts_with(kind) && name != *own) else { continue };
        let since = rest.split('-').nth(1).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        if since.is_some_and(|since| now().saturating_sub(since) > LIFE) {
            objects.remove(&name)?;
        } else {
            found = true;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Folder;

    /// A folder that hides that it is one, as object stores have none.
    struct Distant(Folder);

    impl Objects for Distant {
        fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
            self.0.put(name, bytes)
        }
        fn get(&self, name: &str) -> io::Result<Vec<u8>> {
            self.0.get(name)
        }
        fn list(&self, prefix: &str) -> io::Result<Vec<(String, u64)>> {
            self.0.list(prefix)
        }
        fn remove(&self, name: &str) -> io::Result<()> {
            self.0.remove(name)
        }
        fn settle(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_store_is_owned_only_when_nobody_shares_it() {
        let (near, far) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let near: Arc<dyn Objects> = Arc::new(Folder::open(near.path()).unwrap());
        let far: Arc<dyn Objects> = Arc::new(Distant(Folder::open(far.path()).unwrap()));
        for objects in [near, far] {
            let (one, other) = (Hold::share(&objects).unwrap(), Hold::share(&objects).unwrap());
            assert!(Hold::own(&objects).unwrap().is_none());
            drop(one);
            assert!(Hold::own(&objects).unwrap().is_none());
            other.check().unwrap();
            drop(other);
            let owned = Hold::own(&objects).unwrap().unwrap();
            assert!(Hold::own(&objects).unwrap().is_none());
            // A writer waits until the owner is done.
            let waiting = std::thread::spawn({
                let objects = objects.clone();
                move || Hold::share(&objects).map(|_| Instant::now())
            });
            std::thread::sleep(Duration::from_millis(50));
            let done = Instant::now();
            drop(owned);
            assert!(waiting.join().unwrap().unwrap() >= done);
        }
    }

    #[test]
    fn who_is_taken_for_dead_holds_nothing_and_learns_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let objects: Arc<dyn Objects> = Arc::new(Distant(Folder::open(folder.path()).unwrap()));
        objects.put(&format!("{HOLDS}shared-1000-dead"), b"").unwrap();
        let owned = Hold::own(&objects).unwrap().unwrap();
        owned.check().unwrap();
        let Hold::Object { name, .. } = &owned else { panic!() };
        objects.remove(name).unwrap();
        assert!(owned.check().is_err());
    }
}
