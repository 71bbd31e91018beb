//! A snapshot of a run on disk: a file that is whole or not there, and says who can go on with it.
//!
//! Two lines of text (the form, then version and build of the program), a zstd stream of one postcard record, and the BLAKE3 of all
//! that. Only the same build goes on: how a state is laid out in bytes is nobody's contract.

use policies::Time;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

const MAGIC: &str = "ORRERYSNAPSHOT 1\n";
const SUM: usize = 32;
const ZSTD_LEVEL: i32 = 1;

/// What can go wrong with a snapshot.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// Opening, reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The snapshot.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{path}: no snapshot of this version: expected the first line `ORRERYSNAPSHOT 1`: run it again from the beginning")]
    NotASnapshot {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("{path}: the snapshot is damaged ({what}): run it again from the beginning")]
    Damaged {
        /// The snapshot.
        path: PathBuf,
        /// What was seen.
        what: String,
    },
    /// By another program.
    #[error("{path}: taken by Orrery {theirs}, and this is {ours}: go on with that one, or run it again from the beginning")]
    OtherBuild {
        /// The snapshot.
        path: PathBuf,
        /// Version and build that took it.
        theirs: String,
        /// Version and build of this program.
        ours: String,
    },
    /// Of something else.
    #[error(
        "{path}: taken of another run: since then the scenario, a file that it reads, or the policy has changed: run it again from the beginning"
    )]
    OtherRun {
        /// The snapshot.
        path: PathBuf,
    },
}

/// Who may go on with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taker {
    /// Version and build of the program, one word each.
    pub build: String,
    /// Digest of all that the run depends on.
    pub run: String,
}

/// A run between two steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the next step is.
    pub next: Time,
    /// Steps that were taken.
    pub steps: u64,
    /// Bytes of the log that belong to them.
    pub log_bytes: u64,
    /// Digest of their events and orders.
    pub log_digest: String,
    /// Wall time of the simulation proper so far, seconds.
    pub wall_s: f64,
    /// States, each in its own form.
    pub parts: Vec<Vec<u8>>,
}

impl Snapshot {
    /// Writes it beside `path` and then gives it that name: the last one is there until this one is whole. Returns its size in bytes.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path, taker: &Taker) -> Result<u64, SnapshotError> {
        let write = || -> io::Result<u64> {
            let mut bytes = format!("{MAGIC}{}\n", taker.build).into_bytes();
            let record = postcard::to_stdvec(&(&taker.run, self)).map_err(io::Error::other)?;
            zstd::stream::copy_encode(&record[..], &mut bytes, ZSTD_LEVEL)?;
            let sum = blake3::hash(&bytes);
            bytes.extend(sum.as_bytes());
            let partial = path.with_extension("partial");
            let mut file = File::create(&partial)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&partial, path)?;
            Ok(bytes.len() as u64)
        };
        write().map_err(|source| SnapshotError::Io { path: path.into(), source })
    }

    /// Reads one that this taker can go on with; `None` if there is none.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn read(path: &Path, taker: &Taker) -> Result<Option<Snapshot>, SnapshotError> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| SnapshotError::Io { path: path.into(), source })?,
        };
        let damaged = |what: &dyn std::fmt::Display| SnapshotError::Damaged { path: path.into(), what: what.to_string() };
        let text = bytes.strip_prefix(MAGIC.as_bytes()).ok_or_else(|| SnapshotError::NotASnapshot { path: path.into() })?;
        let whole = bytes.split_last_chunk::<SUM>().filter(|(all, sum)| blake3::hash(all).as_bytes() == *sum);
        let (all, _) = whole.ok_or_else(|| damaged(&"its checksum does not agree: it was cut off or changed"))?;
        let line = text.iter().position(|&byte| byte == b'\n').ok_or_else(|| damaged(&"it has no second line"))?;
        let theirs = String::from_utf8_lossy(&text[..line]).into_owned();
        if theirs != taker.build {
            return Err(SnapshotError::OtherBuild { path: path.into(), theirs, ours: taker.build.clone() });
        }
        let record = zstd::stream::decode_all(&all[MAGIC.len() + line + 1..]).map_err(|error| damaged(&error))?;
        let (run, snapshot): (String, Snapshot) = postcard::from_bytes(&record).map_err(|error| damaged(&error))?;
        if run != taker.run {
            return Err(SnapshotError::OtherRun { path: path.into() });
        }
        Ok(Some(snapshot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taker(build: &str, run: &str) -> Taker {
        Taker { build: build.into(), run: run.into() }
    }

    #[test]
    fn only_a_whole_snapshot_of_this_build_and_run_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snapshot");
        let me = taker("1.0 abc", "run");
        assert_eq!(Snapshot::read(&path, &me).unwrap(), None);
        let snapshot = Snapshot {
            next: Time(7),
            steps: 3,
            log_bytes: 99,
            log_digest: "d".into(),
            wall_s: 0.5,
            parts: vec![vec![1, 2, 3], vec![0; 5000]],
        };
        let size = snapshot.write(&path, &me).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
        assert_eq!(Snapshot::read(&path, &me).unwrap().as_ref(), Some(&snapshot));
        assert!(!folder.path().join("snapshot.partial").exists());

        let message = |me: &Taker| Snapshot::read(&path, me).unwrap_err().to_string();
        assert!(message(&taker("1.1 abc", "run")).contains("taken by Orrery 1.0 abc, and this is 1.1 abc"));
        assert!(message(&taker("1.0 abc", "other")).contains("taken of another run"));
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(Snapshot::read(&path, &me).is_err(), "{cut} bytes of {}", whole.len());
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            assert!(Snapshot::read(&path, &me).is_err(), "byte {at} changed");
        }
        // One that is not complete is in nobody's way.
        std::fs::write(&path, &whole).unwrap();
        std::fs::write(folder.path().join("snapshot.partial"), &whole[..20]).unwrap();
        assert_eq!(Snapshot::read(&path, &me).unwrap().as_ref(), Some(&snapshot));
        snapshot.write(&path, &me).unwrap();
    }
}
