//! Importers: public trace formats in, one canonical [`Trace`] out.
//!
//! [`import`] sees through gzip, zstd and tar, tells the format by content, reads row by row, and either stops at the first
//! bad row or counts and leaves out bad rows, each with file, line, column, value and what was expected. What a format's
//! columns mean, their units, and what happens when they are missing is in the table at the top of its module;
//! [`FORMATS`] lists them all.
//!
//! Common to all formats:
//! - Jobs are sorted by submit time, stably: equal times keep the order of the rows.
//! - Calendar and Unix times are rebased so that the first submit is [`policies::Time::ZERO`] (to the whole second before
//!   it), and the epoch is kept. Offsets from a trace's own beginning stay as they are.
//! - Refused: missing, negative or non-finite times and durations, an end before the start, a start before the submit,
//!   jobs with neither accelerators nor processors, numbers out of range, an id that an earlier row has.
//! - Rows that are in order but describe no finished run (job steps, jobs still waiting) are no errors; they are counted in
//!   [`Imported::left_out`].

pub mod batsim;
mod builder;
mod cell;
mod error;
mod format;
pub mod gavel;
pub mod helios;
pub mod itp;
mod json;
mod layout;
mod lines;
pub mod lingjun;
pub mod machines;
pub mod openb;
pub mod pai;
pub mod philly;
pub mod plain;
pub mod pollux;
pub mod requests;
mod side;
pub mod slurm;
mod source;
pub mod swf;

pub use error::{BadRow, ImportError};
pub use format::{FORMATS, Format, FormatInfo, UnknownFormat};
pub use machines::{import_fleet, import_fleet_bytes};
pub use requests::{Request, read_requests};

use crate::model::Trace;
use builder::Builder;
use lines::{Lines, Table};
use policies::{Fleet, Span, TypeSet};
use serde::{Deserialize, Serialize};
use side::Side;
use source::{Opened, Whole};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// The duration of jobs of which the source tells no end (openb's resampled variants): longer than any run, small enough to
/// add to any time.
pub const NEVER_ENDS: Span = Span(u64::MAX / 4);

/// What to do with a row that cannot become a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadRow {
    /// Stop with it as the error.
    #[default]
    Fail,
    /// Count it and go on.
    Skip,
}

/// How to import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The format; `None`: told by content.
    pub format: Option<Format>,
    /// What to do with bad rows.
    pub on_bad_row: OnBadRow,
    /// A machine list, which becomes the trace's fleet.
    pub machines: Option<PathBuf>,
    /// The second file that some formats need: Gavel's throughputs, Pollux's durations, PAI's job table, Lingjun's workers.
    pub with: Option<PathBuf>,
}

/// A trace and how it was come by.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The jobs.
    pub trace: Trace,
    /// The first hundred bad rows.
    pub skipped: Vec<BadRow>,
    /// All bad rows.
    pub skipped_total: u64,
    /// Rows that are in order but are no finished jobs, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// What else a reader of the result should know, a sentence each.
    pub notes: Vec<String>,
    /// BLAKE3 (hex) of the decompressed content; for archives of the members read, in their order. Where further files
    /// ([`ImportOptions::machines`], [`ImportOptions::with`]) were read, of that digest followed by theirs.
    pub digest: String,
}

/// Imports a trace file. `archive.tar.gz#member.csv` takes one member of an archive.
///
/// # Errors
/// See [`ImportError`]; each names the file, the place in it, and the remedy.
pub fn import(path: &Path, options: &ImportOptions) -> Result<Imported, ImportError> {
    let (file, member) = source::selector(path);
    let reader = source::open(&file)?;
    let mut work = Work::new(options)?;
    work.builder.folder = Some(Path::new(&file).parent().unwrap_or(Path::new("")).into());
    work.import(&file, member.as_deref(), reader)
}

/// Imports a trace from memory; `name` stands for the file in messages. Second files are read only where `options` names
/// them.
///
/// # Errors
/// As [`import`].
pub fn import_bytes(name: &str, bytes: &[u8], options: &ImportOptions) -> Result<Imported, ImportError> {
    Work::new(options)?.import(name, None, Box::new(bytes))
}

/// What an import in progress holds.
struct Work<'o> {
    options: &'o ImportOptions,
    builder: Builder,
    digest: RefCell<blake3::Hasher>,
    /// The first part's name and format.
    format: Option<(String, Format)>,
}

impl<'o> Work<'o> {
    fn new(options: &'o ImportOptions) -> Result<Self, ImportError> {
        let machines = options.machines.as_deref().map(|path| machines::read(Side::open(path)?)).transpose()?;
        let (fleet, digest) = machines.unzip();
        let mut builder = Builder::new(options, fleet);
        builder.more_digests.extend(digest);
        Ok(Work { options, builder, digest: RefCell::default(), format: None })
    }

    fn import(mut self, file: &str, member: Option<&str>, reader: Box<dyn Read + '_>) -> Result<Imported, ImportError> {
        let opened = Opened::new(reader).map_err(|source| damaged(file, source))?;
        let named = self.options.format.unwrap_or(Format::Parquet);
        if opened.head.starts_with(b"PAR1") && named == Format::Parquet {
            return self.parquet(file, opened);
        }
        if opened.is_tar() {
            self.archive(file, member, opened)?;
        } else if let Some(member) = member {
            let (file, member) = (file.into(), member.into());
            return Err(ImportError::Member { file, member, members: "nothing, it is no tar archive".into() });
        } else {
            let format = self.options.format.or_else(|| Format::detect(&opened.head));
            let format = format.ok_or_else(|| unknown(file, &opened.head))?;
            self.part(file, file, format, opened)?;
        }
        self.finish(file)
    }

    /// Reads the member that was asked for, or all that look like traces.
    fn archive(&mut self, file: &str, member: Option<&str>, opened: Opened<'_>) -> Result<(), ImportError> {
        let mut archive = tar::Archive::new(opened.into_read());
        let (mut found, mut names) = (false, Vec::new());
        for entry in archive.entries().map_err(|source| damaged(file, source))? {
            let entry = entry.map_err(|source| damaged(file, source))?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if !entry.header().entry_type().is_file() {
                continue;
            }
            names.push(name.clone());
            let wanted = member.is_none_or(|member| name == member || name.ends_with(&format!("/{member}")));
            if !wanted {
                continue;
            }
            let label = format!("{file}#{name}");
            let left = entry.size();
            let part = Opened::new(Box::new(Whole { reader: entry, left })).map_err(|source| damaged(&label, source))?;
            let detected = Format::detect(&part.head);
            let format = match (member, self.options.format) {
                (Some(_), forced) => forced.or(detected).ok_or_else(|| unknown(&label, &part.head))?,
                (None, forced) => match forced.and(detected).or(detected) {
                    Some(format) => self.options.format.unwrap_or(format),
                    None => {
                        self.builder.notes.push(format!("{label} is no trace and was not read"));
                        continue;
                    }
                },
            };
            found = true;
            self.part(&label, stem(&name), format, part)?;
            if member.is_some() {
                break;
            }
        }
        if found {
            return Ok(());
        }
        let member = member.unwrap_or("that is a trace").to_string();
        let members = error::shorten_to(names.join(", ").escape_debug().to_string().as_bytes(), 600);
        Err(ImportError::Member { file: file.into(), member, members })
    }

    /// Reads the canonical form. Its types are put into the order of the machine list, where one is given.
    fn parquet(self, file: &str, opened: Opened<'_>) -> Result<Imported, ImportError> {
        let mut content = Vec::new();
        opened.digested(&self.digest).read_to_end(&mut content).map_err(|source| damaged(file, source))?;
        let mut trace = canonical(content).map_err(|message| ImportError::Parquet { file: file.into(), message })?;
        if let Some(fleet) = self.builder.fleet {
            let too_many = || ImportError::Parquet { file: file.into(), message: "more than 64 accelerator types".into() };
            use_types_of(&fleet, &mut trace).ok_or_else(too_many)?;
            trace.fleet = Some(fleet);
        }
        let digest = combined(&self.digest, &self.builder.more_digests);
        let (skipped, left_out, notes) = Default::default();
        Ok(Imported { trace, skipped, skipped_total: 0, left_out, notes, digest })
    }

    /// Reads one file or archive member.
    fn part(&mut self, label: &str, name: &str, format: Format, opened: Opened<'_>) -> Result<(), ImportError> {
        if let Some((first, known)) = self.format.as_ref().filter(|(_, known)| *known != format) {
            let what = if *known == Format::Csv || format == Format::Csv { "their columns" } else { "format" };
            return Err(ImportError::Mixed { file: label.into(), first: first.clone(), other: name.into(), what });
        }
        self.format.get_or_insert_with(|| (name.into(), format));
        self.builder.begin_part(label, name);
        let head = opened.head.clone();
        let mut reader = opened.digested(&self.digest);
        read_part(label, format, &head, &mut reader, &mut self.builder)?;
        // A trailing part that no importer looks at (an archive's padding, a footer) still belongs to the digest.
        std::io::copy(&mut reader, &mut std::io::sink()).map_err(|source| damaged(label, source))?;
        Ok(())
    }

    fn finish(self, file: &str) -> Result<Imported, ImportError> {
        let name = self.format.map_or_else(String::new, |(_, format)| format.to_string());
        let (trace, rest) = self.builder.finish(file, &name)?;
        let digest = combined(&self.digest, &rest.more_digests);
        Ok(Imported {
            trace,
            skipped: rest.skipped,
            skipped_total: rest.skipped_total,
            left_out: rest.left_out,
            notes: rest.notes,
            digest,
        })
    }
}

#[cfg(feature = "frames")]
fn canonical(content: Vec<u8>) -> Result<Trace, String> {
    crate::frames::trace_from_parquet(content)
}

#[cfg(not(feature = "frames"))]
fn canonical(_: Vec<u8>) -> Result<Trace, String> {
    Err(crate::frames::NO_PARQUET.into())
}

/// Renumbers a trace's types after a fleet's; `None` if they become too many.
fn use_types_of(fleet: &Fleet, trace: &mut Trace) -> Option<()> {
    let mut types = fleet.types.clone();
    let own = std::mem::take(&mut trace.types);
    let places: Vec<usize> = own
        .into_iter()
        .map(|name| {
            types.iter().position(|known| *known == name).unwrap_or_else(|| {
                types.push(name);
                types.len() - 1
            })
        })
        .collect();
    trace.types = types;
    for job in trace.jobs.iter_mut().filter(|job| job.demand.types != TypeSet::ANY) {
        let old = job.demand.types.0;
        let new = places.iter().enumerate().filter(|(index, _)| old >> index & 1 == 1);
        job.demand.types = TypeSet(new.fold(0, |set, (_, place)| set | 1u64.checked_shl(*place as u32).unwrap_or(0)));
    }
    (trace.types.len() <= 64).then_some(())
}

/// The digest of the content and of whatever else went into the trace.
fn combined(content: &RefCell<blake3::Hasher>, more: &[blake3::Hash]) -> String {
    let mut digest = content.borrow().finalize();
    if !more.is_empty() {
        let mut all = blake3::Hasher::new();
        for part in [digest].iter().chain(more) {
            all.update(part.as_bytes());
        }
        digest = all.finalize();
    }
    digest.to_hex().to_string()
}

fn read_part(file: &str, format: Format, head: &[u8], reader: &mut dyn BufRead, to: &mut Builder) -> Result<(), ImportError> {
    let reader: Box<dyn BufRead + '_> = Box::new(reader);
    match format {
        Format::Parquet => {
            let what = "the content is no Parquet file by itself; take it out of its archive".into();
            return Err(ImportError::Needs { file: file.into(), format, what });
        }
        Format::Philly => return philly::import_json(file, reader, to),
        Format::Batsim => return batsim::import(file, reader, to),
        _ => {}
    }
    let lines = Lines::new(file, reader);
    match format {
        Format::Swf => return swf::import(lines, to),
        Format::Gavel => return gavel::import(lines, head, to),
        Format::PaiTasks => return pai::import_tasks(lines, head, to),
        _ => {}
    }
    let delimiter = format::first_line(head).map_or(b',', format::delimiter_of);
    let table = Table::with_header(lines, delimiter)?;
    match format {
        Format::PhillyCsv => philly::import_csv(table, to),
        Format::Itp => itp::import(table, to),
        Format::Pai => pai::import(table, to),
        Format::Openb => openb::import(table, to),
        Format::Lingjun => lingjun::import(table, to),
        Format::LingjunJobs => lingjun::import_jobs(table, to),
        Format::Pollux => pollux::import(table, to),
        Format::Slurm => slurm::import(table, to),
        Format::Helios | Format::HeliosReduced | Format::Fleetsim => helios::import(table, format, to),
        _ => plain::import(table, to),
    }
}

/// A file name without its folder and extension.
fn stem(name: &str) -> &str {
    let base = name.rsplit('/').next().unwrap_or(name);
    base.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or(base)
}

fn damaged(file: &str, source: std::io::Error) -> ImportError {
    ImportError::read(file, 1, 0, source)
}

fn unknown(file: &str, head: &[u8]) -> ImportError {
    if head.is_empty() {
        return ImportError::NoContent(file.into());
    }
    let line = format::first_line(head).unwrap_or(b"");
    ImportError::Unknown { file: file.into(), seen: error::shorten(line) }
}
