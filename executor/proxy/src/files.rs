//! Files in chunks: those that a job has open, and those of which a checkpoint consists.

use crate::spare::sums;
use crate::store::{Digest, Store, Stored};
use rustix::fs::{SeekFrom, seek};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a memory page: what changes in a process's image, and moves there, are pages.
const PAGE: usize = 4096;
/// One in so many pages ends a chunk.
const PAGES: u64 = 16;
/// The longest chunk.
const CHUNK: usize = 64 * PAGE;
/// Bytes that are read at a time.
const READ: usize = 4 << 20;

/// A file as a checkpoint has it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedFile {
    pub(crate) path: PathBuf,
    mode: u32,
    len: u64,
    runs: Vec<Run>,
}

/// Data without holes.
#[derive(Debug, Serialize, Deserialize)]
struct Run {
    /// Where it begins.
    at: u64,
    #[serde(with = "hex")]
    chunks: Vec<Digest>,
}

impl SavedFile {
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Digest> {
        self.runs.iter().flat_map(|run| &run.chunks)
    }
}

/// Digests as text.
pub(crate) mod hex {
    use crate::store::Digest;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(digests: &[Digest], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(digests.iter().map(|digest| blake3::Hash::from_bytes(*digest).to_hex().to_string()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Digest>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| blake3::Hash::from_hex(text).map(Digest::from).map_err(D::Error::custom)).collect()
    }
}

/// Regular files that the job has open for writing: after a restore they must be as they are now.
pub(crate) fn save_files(pids: &[i32], job_folder: &Path, store: &Store, stored: &mut Stored) -> io::Result<Vec<SavedFile>> {
    let mut paths = BTreeSet::new();
    for pid in pids {
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
            let (Ok(target), Ok(info)) = (
                fs::read_link(entry.path()),
                fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", entry.file_name().to_string_lossy())),
            ) else {
                continue;
            };
            let regular = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).map(str::trim).unwrap_or_default();
            let writable = u32::from_str_radix(flags, 8).is_ok_and(|flags| flags & 3 != 0);
            if regular && writable && target.exists() && !target.starts_with(job_folder) && !target.starts_with("/proc") {
                paths.insert(target);
            }
        }
    }
    paths.into_iter().map(|path| save_file(path, store, stored)).collect()
}

/// Stores a file, but not its holes: a ring's file is mostly that.
pub(crate) fn save_file(path: PathBuf, store: &Store, stored: &mut Stored) -> io::Result<SavedFile> {
    let file = File::open(&path)?;
    let (mode, len) = (file.metadata()?.permissions().mode(), file.metadata()?.len());
    let (mut runs, mut at) = (Vec::new(), 0);
    // Past the last data the system says that there is none.
    while let Ok(start) = seek(&file, SeekFrom::Data(at)) {
        at = seek(&file, SeekFrom::Hole(start))?;
        seek(&file, SeekFrom::Start(start))?;
        runs.push(Run { at: start, chunks: save_run((&file).take(at - start), store, stored)? });
    }
    Ok(SavedFile { path, mode, len, runs })
}

/// Stores a run of data. Chunks end after pages whose contents say so: a page that was put in or left out changes one chunk, and not
/// all that follow.
fn save_run(mut data: impl Read, store: &Store, stored: &mut Stored) -> io::Result<Vec<Digest>> {
    let (mut chunks, mut buffer) = (Vec::new(), Vec::with_capacity(READ));
    loop {
        let wanted = (READ - buffer.len()) as u64;
        let last = (data.by_ref().take(wanted).read_to_end(&mut buffer)? as u64) < wanted;
        let mut start = 0;
        while let Some(len) = chunk_len(&buffer[start..]).or((last && start < buffer.len()).then_some(buffer.len() - start)) {
            chunks.push(store.put(&buffer[start..start + len], stored)?);
            start += len;
        }
        if last {
            return Ok(chunks);
        }
        buffer.drain(..start);
    }
}

/// Bytes of the first chunk, if its end is here.
fn chunk_len(bytes: &[u8]) -> Option<usize> {
    let ends = |page: &[u8]| page.len() == PAGE && sums(page, [1, 2])[0].is_multiple_of(PAGES);
    let found = bytes.chunks(PAGE).take(CHUNK / PAGE).position(ends).map(|at| (at + 1) * PAGE);
    found.or((bytes.len() >= CHUNK).then_some(CHUNK))
}

/// Stores all files of a folder, under their paths in it.
pub(crate) fn save_folder(folder: &Path, store: &Store, stored: &mut Stored) -> io::Result<Vec<SavedFile>> {
    let mut files = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                left.push(entry.path());
            } else {
                let saved = save_file(entry.path(), store, stored)?;
                let path = saved.path.strip_prefix(folder).map_err(io::Error::other)?.to_owned();
                files.push(SavedFile { path, ..saved });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Puts a file back: where it was if its path says that, else under `root`.
pub(crate) fn restore_file(saved: &SavedFile, root: &Path, store: &Store) -> io::Result<()> {
    let path = root.join(&saved.path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // In place: other names and openings of the file must keep meaning it.
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
    file.set_permissions(fs::Permissions::from_mode(saved.mode & 0o7777))?;
    // What was in holes' places before must go.
    if file.metadata()?.len() > 0 {
        file.set_len(0)?;
    }
    for run in &saved.runs {
        let mut at = run.at;
        for digest in &run.chunks {
            let chunk = store.get(digest)?;
            file.write_all_at(&chunk, at)?;
            at += chunk.len() as u64;
        }
    }
    file.set_len(saved.len)
}

/// Copies what is in a job's folder, but not its rings, which the proxy copies while nothing moves, and not its description,
/// which would tell a process that is not there yet.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_folder(&path, &target)?;
        } else if path.extension().is_none_or(|ending| ending != "ring") && entry.file_name() != "job.json" {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_more_costs_a_chunk_or_two() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let mut random = 1u64;
        let mut pages: Vec<Vec<u8>> = (0..1000)
            .map(|_| {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (0..PAGE).map(|i| (random >> (i % 57)) as u8).collect()
            })
            .collect();
        let path = folder.path().join("image");
        let save = |pages: &[Vec<u8>], tail: &[u8]| {
            fs::write(&path, [&pages.concat(), tail].concat()).unwrap();
            let mut stored = Stored::default();
            let saved = save_file(path.clone(), &store, &mut stored).unwrap();
            let expected = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            restore_file(&saved, Path::new("/"), &store).unwrap();
            assert_eq!(fs::read(&path).unwrap(), expected);
            stored
        };
        assert_eq!(save(&pages, b"end").new_bytes, 1000 * PAGE as u64 + 3);
        assert_eq!(save(&pages, b"end").new_bytes, 0);
        pages.insert(300, vec![7; PAGE]);
        let more = save(&pages, b"end");
        assert!(more.new_bytes <= 2 * CHUNK as u64, "{more:?}");
        assert_eq!(save(&[], b""), Stored::default());
    }

    #[test]
    fn holes_are_not_stored_and_stay_holes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let path = folder.path().join("sparse");
        let file = File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        file.write_all_at(&[7; 10_000], 1 << 30).unwrap();
        file.write_all_at(b"end", (1 << 40) - 3).unwrap();
        let mut stored = Stored::default();
        let saved = save_file(path.clone(), &store, &mut stored).unwrap();
        assert!(stored.bytes < 64 << 10, "{stored:?}");
        fs::write(&path, [9; 100]).unwrap();
        restore_file(&saved, Path::new("/"), &store).unwrap();
        let file = File::open(&path).unwrap();
        let mut bytes = [1; 3];
        for (at, expected) in [(0, [0; 3]), ((1 << 30) + 9_998, [7, 7, 0]), ((1 << 40) - 3, *b"end")] {
            file.read_exact_at(&mut bytes, at).unwrap();
            assert_eq!(bytes, expected);
        }
    }
}
