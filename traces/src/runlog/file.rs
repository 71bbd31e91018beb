//! The run log on disk: a magic line, then a zstd stream of length-prefixed postcard records.

use super::{Header, JobMeta, Step, StepView};
use policies::{Event, Note, Order, Time};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Take, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

const MAGIC: &[u8] = b"ORRERYLOG 4\n";
/// No honest record is larger: a step holds at most the jobs of one instant.
const RECORD_BYTES_MAX: u32 = 1 << 30;
const ZSTD_LEVEL: i32 = 1;

/// What can go wrong with a run log.
#[derive(Debug, Error)]
pub enum LogError {
    /// Opening, reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{path}: not a run log of this version: expected the first line `ORRERYLOG 4`")]
    NotALog {
        /// The file.
        path: PathBuf,
    },
    /// A record cannot be read.
    #[error("{path}: record {record} is damaged ({what}); the log was cut off or changed: run it again")]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Counts from 0, the header.
        record: u64,
        /// What was seen.
        what: String,
    },
}

#[derive(Serialize)]
enum RecordRef<'a> {
    Step { now: Time, events: &'a [Event], orders: &'a [Order], notes: &'a [Note], metas: &'a [JobMeta] },
    End { digest: &'a str },
}

#[derive(Deserialize)]
enum Record {
    Step { now: Time, events: Vec<Event>, orders: Vec<Order>, notes: Vec<Note>, metas: Vec<JobMeta> },
    End { digest: String },
}

/// Writes a log beside its final name and renames it when it is complete: a log that exists is whole.
pub struct LogWriter {
    path: PathBuf,
    partial: PathBuf,
    /// Always there, but for a moment between two frames.
    out: Option<zstd::Encoder<'static, BufWriter<File>>>,
    buffer: Vec<u8>,
}

impl LogWriter {
    /// Begins a log at `path`.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(path: &Path, header: &Header) -> Result<LogWriter, LogError> {
        let io = |source| LogError::Io { path: path.into(), source };
        let partial = partial_of(path);
        let mut file = BufWriter::with_capacity(1 << 16, File::create(&partial).map_err(io)?);
        file.write_all(MAGIC).map_err(io)?;
        let out = Some(zstd::Encoder::new(file, ZSTD_LEVEL).map_err(io)?);
        let mut writer = LogWriter { path: path.into(), partial, out, buffer: Vec::new() };
        writer.record(header)?;
        Ok(writer)
    }

    /// Goes on with a log of which the first `bytes`, a [`mark`](LogWriter::mark), are kept. Where it has its name already, it loses it
    /// until it is complete again.
    ///
    /// # Errors
    /// If the file is missing or shorter, or cannot be written.
    pub fn resume(path: &Path, bytes: u64) -> Result<LogWriter, LogError> {
        let io = |source| LogError::Io { path: path.into(), source };
        let partial = partial_of(path);
        if !partial.exists() {
            std::fs::rename(path, &partial).map_err(io)?;
        }
        let open = || -> io::Result<_> {
            let mut file = File::options().write(true).open(&partial)?;
            if file.metadata()?.len() < bytes {
                return Err(io::Error::other(format!("expected {bytes} bytes at least: the log was cut off")));
            }
            file.set_len(bytes)?;
            file.seek(SeekFrom::End(0))?;
            zstd::Encoder::new(BufWriter::with_capacity(1 << 16, file), ZSTD_LEVEL)
        };
        let out = Some(open().map_err(io)?);
        Ok(LogWriter { path: path.into(), partial, out, buffer: Vec::new() })
    }

    /// Puts all that was written where a crash of the machine cannot take it, and returns how many bytes that is: from there
    /// [`resume`](LogWriter::resume) can go on. What follows is a zstd frame of its own, which readers do not notice.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn mark(&mut self) -> Result<u64, LogError> {
        let Some(out) = self.out.take() else { return Err(self.error(lost())) };
        let next = || -> io::Result<_> {
            let mut file = out.finish()?;
            file.flush()?;
            file.get_ref().sync_data()?;
            let bytes = file.stream_position()?;
            Ok((bytes, zstd::Encoder::new(file, ZSTD_LEVEL)?))
        };
        let (bytes, out) = next().map_err(|source| self.error(source))?;
        self.out = Some(out);
        Ok(bytes)
    }

    fn record(&mut self, record: &impl Serialize) -> Result<(), LogError> {
        self.buffer.clear();
        let buffer = std::mem::take(&mut self.buffer);
        self.buffer = postcard::to_extend(record, buffer).map_err(|e| self.error(io::Error::other(e)))?;
        let length = (self.buffer.len() as u32).to_le_bytes();
        let Some(out) = &mut self.out else { return Err(self.error(lost())) };
        out.write_all(&length).and_then(|()| out.write_all(&self.buffer)).map_err(|e| self.error(e))
    }

    fn error(&self, source: io::Error) -> LogError {
        LogError::Io { path: self.path.clone(), source }
    }

    /// Adds a step; `metas` has one entry per submission in it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn step(&mut self, step: StepView<'_>, metas: Vec<JobMeta>) -> Result<(), LogError> {
        let StepView { now, events, orders, notes } = step;
        self.record(&RecordRef::Step { now, events, orders, notes, metas: &metas })
    }

    /// Completes the log and gives it its name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self, digest: &str) -> Result<(), LogError> {
        self.record(&RecordRef::End { digest })?;
        let LogWriter { path, partial, out, .. } = self;
        let close = || -> io::Result<()> {
            out.ok_or_else(lost)?.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            std::fs::rename(&partial, &path)
        };
        close().map_err(|source| LogError::Io { path, source })
    }
}

/// Where a log is while it is not complete.
fn partial_of(path: &Path) -> PathBuf {
    path.with_extension("partial")
}

/// A log that could not be written once is not written any more.
fn lost() -> io::Error {
    io::Error::other("the log could not be written before")
}

/// Reads a log step by step.
pub struct LogReader {
    path: PathBuf,
    input: zstd::Decoder<'static, BufReader<BufReader<Take<File>>>>,
    /// What was run.
    pub header: Header,
    records: u64,
    buffer: Vec<u8>,
    digest: Option<String>,
}

impl LogReader {
    /// Opens the log at `path`, or `run.log` in it if it is a folder.
    ///
    /// # Errors
    /// If it is missing, or no log.
    pub fn open(path: &Path) -> Result<LogReader, LogError> {
        LogReader::read(if path.is_dir() { path.join("run.log") } else { path.to_owned() }, u64::MAX)
    }

    /// Opens the first `bytes`, a [`mark`](LogWriter::mark), of a log that need not be complete. It has no end: ask it for as many
    /// steps as there are.
    ///
    /// # Errors
    /// If it is missing, or no log.
    pub fn prefix(path: &Path, bytes: u64) -> Result<LogReader, LogError> {
        let partial = partial_of(path);
        LogReader::read(if partial.exists() { partial } else { path.to_owned() }, bytes)
    }

    fn read(path: PathBuf, bytes: u64) -> Result<LogReader, LogError> {
        let io = |source| LogError::Io { path: path.clone(), source };
        let mut file = BufReader::new(File::open(&path).map_err(io)?.take(bytes));
        let mut magic = [0; MAGIC.len()];
        if file.read_exact(&mut magic).is_err() || magic != MAGIC {
            return Err(LogError::NotALog { path });
        }
        let mut input = zstd::Decoder::new(file).map_err(io)?;
        let mut buffer = Vec::new();
        let header = read_record(&mut input, &mut buffer)
            .and_then(|()| postcard::from_bytes(&buffer).map_err(|e| e.to_string()))
            .map_err(|what| LogError::Damaged { path: path.clone(), record: 0, what })?;
        Ok(LogReader { path, input, header, records: 1, buffer, digest: None })
    }

    /// The next step, or `None` at the end.
    ///
    /// # Errors
    /// If the log is damaged or was cut off.
    pub fn next_step(&mut self) -> Result<Option<Step>, LogError> {
        if self.digest.is_some() {
            return Ok(None);
        }
        let record = read_record(&mut self.input, &mut self.buffer)
            .and_then(|()| postcard::from_bytes::<Record>(&self.buffer).map_err(|e| e.to_string()))
            .map_err(|what| LogError::Damaged { path: self.path.clone(), record: self.records, what })?;
        self.records += 1;
        Ok(match record {
            Record::Step { now, events, orders, notes, metas } => Some(Step { now, events, orders, notes, metas }),
            Record::End { digest } => {
                self.digest = Some(digest);
                None
            }
        })
    }

    /// The digest that was written at the end; known once [`next_step`](LogReader::next_step) returned `None`.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

fn read_record(input: &mut impl Read, buffer: &mut Vec<u8>) -> Result<(), String> {
    let mut length = [0; 4];
    input.read_exact(&mut length).map_err(|e| e.to_string())?;
    let length = u32::from_le_bytes(length);
    if length > RECORD_BYTES_MAX {
        return Err(format!("a record of {length} bytes"));
    }
    buffer.clear();
    // Grow with what really comes: a damaged length must not allocate a gigabyte.
    let read = input.take(length.into()).read_to_end(buffer).map_err(|e| e.to_string())?;
    if read < length as usize { Err("unexpected end of file".into()) } else { Ok(()) }
}
