//! Second files: throughput tables, job tables, worker lists, machine lists. They are small; they are read whole.

use super::error::ImportError;
use super::source::{Opened, Whole, open};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A side file's content.
pub(crate) struct Side {
    pub file: String,
    pub content: Vec<u8>,
}

impl Side {
    /// Opens it, through gzip, zstd and tar (the first member).
    pub(crate) fn open(path: &Path) -> Result<Side, ImportError> {
        let file = path.to_string_lossy().into_owned();
        let mut content = Vec::new();
        match fill(open(&file)?, &mut content) {
            Ok(()) => Ok(Side { file, content }),
            Err(source) => Err(ImportError::read(&file, 1, content.len() as u64, source)),
        }
    }

    pub(crate) fn of_bytes(name: &str, content: Vec<u8>) -> Side {
        Side { file: name.into(), content }
    }

    pub(crate) fn digest(&self) -> blake3::Hash {
        blake3::hash(&self.content)
    }
}

fn fill(reader: Box<dyn Read>, content: &mut Vec<u8>) -> io::Result<()> {
    let opened = Opened::new(reader)?;
    if !opened.is_tar() {
        return opened.into_read().read_to_end(content).map(drop);
    }
    let mut archive = tar::Archive::new(opened.into_read());
    for entry in archive.entries()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let left = entry.size();
            return Whole { reader: entry, left }.read_to_end(content).map(drop);
        }
    }
    Ok(())
}

/// The first of these names that is a file beside the trace or one folder above it.
pub(crate) fn beside(folder: Option<&Path>, names: &[&str]) -> Option<PathBuf> {
    let folder = folder?;
    let above = folder.join("..");
    [folder, &above].into_iter().flat_map(|at| names.iter().map(move |name| at.join(name))).find(|path| path.is_file())
}
