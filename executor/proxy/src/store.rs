//! Contents by their digest, each stored once.

use crate::objects::{Folder, Objects};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The name of a chunk: its BLAKE3 digest.
pub type Digest = [u8; 32];

/// Chunks. Several checkpoints can share them.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn Objects>,
    /// Lengths of the chunks that are known to be there, where asking for one at a time would be slow.
    known: Option<Arc<BTreeSet<(String, u64)>>>,
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

/// Where a chunk is, in a store of checkpoints.
pub(crate) fn name(digest: &Digest) -> String {
    let name = blake3::Hash::from_bytes(*digest).to_hex();
    format!("{CHUNKS}{}/{}", &name[..2], name.as_str())
}

/// How many chunks are removed between two looks whether one still may.
const BETWEEN_CHECKS: usize = 100;
/// Where chunks are, in a store of checkpoints.
const CHUNKS: &str = "chunks/";

impl Store {
    /// Chunks in a folder, which is made if need be.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(folder: &Path) -> io::Result<Store> {
        Ok(Store { objects: Arc::new(Folder::open(folder)?), known: None })
    }

    /// Chunks in any store.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn within(objects: Arc<dyn Objects>) -> io::Result<Store> {
        let known = objects.folder().is_none().then(|| objects.list(CHUNKS)).transpose()?;
        Ok(Store { objects, known: known.map(|known| Arc::new(known.into_iter().collect())) })
    }

    fn has(&self, name: &str, len: u64) -> bool {
        match (&self.known, self.objects.folder()) {
            (Some(known), _) => known.contains(&(name.to_owned(), len)),
            // The length too: a power cut can leave a file's name without its contents.
            (None, Some(folder)) => folder.join(name).metadata().is_ok_and(|metadata| metadata.len() == len),
            (None, None) => false,
        }
    }

    /// Stores a chunk, whole or not at all.
    ///
    /// # Errors
    /// The store is full or cannot be written.
    pub fn put(&self, chunk: &[u8], count: &mut Stored) -> io::Result<Digest> {
        let digest = blake3::hash(chunk);
        let name = name(digest.as_bytes());
        *count += Stored { bytes: chunk.len() as u64, new_bytes: 0 };
        if !self.has(&name, chunk.len() as u64) {
            count.new_bytes += chunk.len() as u64;
            self.objects.put(&name, chunk)?;
        }
        Ok(*digest.as_bytes())
    }

    /// A chunk.
    ///
    /// # Errors
    /// It is missing, or is not what its name says.
    pub fn get(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        let name = name(digest);
        let chunk = self.objects.get(&name).map_err(|error| io::Error::new(error.kind(), format!("chunk {error}")))?;
        if blake3::hash(&chunk).as_bytes() != digest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("chunk {name} is damaged")));
        }
        Ok(chunk)
    }

    /// Removes all chunks but these. Nobody may put one meanwhile; `check` is asked again and again whether that is still so.
    ///
    /// # Errors
    /// The store cannot be read or written, or what `check` says.
    pub fn keep_only(&self, digests: &BTreeSet<Digest>, check: &dyn Fn() -> io::Result<()>) -> io::Result<()> {
        let kept: BTreeSet<String> = digests.iter().map(name).collect();
        let all = self.objects.list(CHUNKS)?;
        let garbage: Vec<&String> = all.iter().map(|(name, _)| name).filter(|name| !kept.contains(*name)).collect();
        garbage.chunks(BETWEEN_CHECKS).try_for_each(|some| {
            check()?;
            some.iter().try_for_each(|name| self.objects.remove(name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn equal_chunks_are_stored_once_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut count = Stored::default();
        let digest = store.put(&[7; 100], &mut count).unwrap();
        assert_eq!(store.put(&[7; 100], &mut count).unwrap(), digest);
        assert_eq!(count, Stored { bytes: 200, new_bytes: 100 });
        assert_eq!(store.get(&digest).unwrap(), [7; 100]);
        fs::write(folder.path().join(name(&digest)), [8; 100]).unwrap();
        assert!(store.get(&digest).is_err_and(|error| error.to_string().contains("damaged")));
        // What a power cut has left is written again.
        fs::write(folder.path().join(name(&digest)), []).unwrap();
        assert_eq!(store.put(&[7; 100], &mut count).unwrap(), digest);
        assert_eq!(store.get(&digest).unwrap(), [7; 100]);
    }
}
