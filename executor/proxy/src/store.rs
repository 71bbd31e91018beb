//! Contents by their digest, each stored once.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The name of a chunk: its BLAKE3 digest.
pub type Digest = [u8; 32];

/// A folder of chunks. Several checkpoints, also of several jobs, can share one.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// What storing something came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub bytes: u64,
    /// Bytes of them that were not there before.
    pub new_bytes: u64,
}

impl std::ops::AddAssign for Stored {
    fn add_assign(&mut self, other: Stored) {
        self.bytes += other.bytes;
        self.new_bytes += other.new_bytes;
    }
}

impl Store {
    /// Opens a folder, and makes it if need be.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(folder: &Path) -> io::Result<Store> {
        fs::create_dir_all(folder)?;
        Ok(Store { folder: folder.into() })
    }

    /// Stores a chunk, whole or not at all.
    ///
    /// # Errors
    /// The store is full or cannot be written.
    pub fn put(&self, chunk: &[u8], count: &mut Stored) -> io::Result<Digest> {
        let digest = blake3::hash(chunk);
        let path = self.path(digest.as_bytes());
        *count += Stored { bytes: chunk.len() as u64, new_bytes: 0 };
        if !path.exists() {
            count.new_bytes += chunk.len() as u64;
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            write_whole(&path, chunk)?;
        }
        Ok(*digest.as_bytes())
    }

    /// A chunk.
    ///
    /// # Errors
    /// It is missing, or is not what its name says.
    pub fn get(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        let path = self.path(digest);
        let chunk =
            fs::read(&path).map_err(|error| io::Error::new(error.kind(), format!("chunk {}: {error}", path.display())))?;
        if blake3::hash(&chunk).as_bytes() != digest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("chunk {} is damaged", path.display())));
        }
        Ok(chunk)
    }

    /// Removes all chunks but these.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn keep_only(&self, digests: &std::collections::BTreeSet<Digest>) -> io::Result<()> {
        let kept: std::collections::BTreeSet<PathBuf> = digests.iter().map(|digest| self.path(digest)).collect();
        for folder in fs::read_dir(&self.folder)? {
            for chunk in fs::read_dir(folder?.path())? {
                let path = chunk?.path();
                if !kept.contains(&path) {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let name = blake3::Hash::from_bytes(*digest).to_hex();
        self.folder.join(&name[..2]).join(name.as_str())
    }
}

/// Writes a file so that it is there whole or not at all, also when the disk is full or the power goes.
///
/// # Errors
/// It cannot be written; what was there before is still there.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{}.unfinished", std::process::id()));
    let written = fs::File::create(&unfinished).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_data()
    });
    written.and_then(|()| fs::rename(&unfinished, path)).inspect_err(|_| drop(fs::remove_file(&unfinished)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_chunks_are_stored_once_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut count = Stored::default();
        let digest = store.put(&[7; 100], &mut count).unwrap();
        assert_eq!(store.put(&[7; 100], &mut count).unwrap(), digest);
        assert_eq!(count, Stored { bytes: 200, new_bytes: 100 });
        assert_eq!(store.get(&digest).unwrap(), [7; 100]);
        fs::write(store.path(&digest), [8; 100]).unwrap();
        assert!(store.get(&digest).is_err_and(|error| error.to_string().contains("damaged")));
    }
}
