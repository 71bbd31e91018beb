//! What can be wrong with a file, in one line each: where, what was found, what was expected, what to do.

use super::Format;
use std::fmt;
use std::io;

/// One row that could not become a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The file, with the archive member after `#` where there is one.
    pub file: String,
    /// Line of the file, counted from 1 (header, comments and blank lines included).
    pub row: u64,
    /// Column as the file names it.
    pub column: String,
    /// What stands there, shortened to 60 characters.
    pub value: String,
    /// What should.
    pub expected: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadRow { file, row, column, value, expected } = self;
        write!(f, "{file}: row {row}, column {column}: found {value:?}, expected {expected}")
    }
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be opened.
    #[error("{file}: cannot open: {source}; check the path")]
    Open {
        /// The path as given.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// Reading broke off.
    #[error(
        "{file}: reading broke off in row {row}, {bytes} bytes into the content: {source}; the file is cut short or damaged: fetch it again"
    )]
    Read {
        /// The file.
        file: String,
        /// The line in which it happened, from 1.
        row: u64,
        /// Decompressed bytes read until then.
        bytes: u64,
        /// What the decoder says.
        source: io::Error,
    },
    /// There is no content.
    #[error("{0}: it is empty")]
    NoContent(String),
    /// The content matches no format.
    #[error("{file}: no known trace format: it begins with {seen:?}; name one of these with --format: {}", Format::names())]
    Unknown {
        /// The file.
        file: String,
        /// Its first line, shortened.
        seen: String,
    },
    /// The first bad row, where bad rows are not to be skipped.
    #[error("{0}; correct it, or leave such rows out with --on-bad-row skip")]
    Row(BadRow),
    /// A table lacks a column that the format needs.
    #[error("{file} as {format}: no column for {what} (any of: {names}); its columns are: {header}")]
    Column {
        /// The file.
        file: String,
        /// The format it was read as.
        format: Format,
        /// What the column would say.
        what: &'static str,
        /// Accepted names.
        names: String,
        /// The names in the file.
        header: String,
    },
    /// The document is not what the format prescribes.
    #[error("{file}: row {row}: {message}; expected {expected}")]
    Document {
        /// The file.
        file: String,
        /// Line, from 1.
        row: u64,
        /// What the parser says.
        message: String,
        /// What should be there.
        expected: &'static str,
    },
    /// No job at all.
    #[error("{file}: no jobs ({skipped} bad rows were skipped; left out: {left_out}); a run needs at least one")]
    Empty {
        /// The file.
        file: String,
        /// Bad rows.
        skipped: u64,
        /// Rows that are in order but are no finished jobs: how many, and why.
        left_out: String,
    },
    /// The archive has no such member.
    #[error("{file}: no member {member:?}; it holds: {members}")]
    Member {
        /// The archive.
        file: String,
        /// What was asked for.
        member: String,
        /// What there is.
        members: String,
    },
    /// Files of one archive do not fit together.
    #[error("{file}: {first} and {other} differ in {what}; choose one with {file}#MEMBER")]
    Mixed {
        /// The archive.
        file: String,
        /// A member.
        first: String,
        /// Another.
        other: String,
        /// In what they differ.
        what: &'static str,
    },
    /// The format needs something that is not in the file.
    #[error("{file} as {format}: {what}")]
    Needs {
        /// The file.
        file: String,
        /// The format it was read as.
        format: Format,
        /// What is missing and how to give it.
        what: String,
    },
    /// A Parquet file could not be read or understood.
    #[error("{file}: {message}")]
    Parquet {
        /// The file.
        file: String,
        /// Why.
        message: String,
    },
}

/// A defect before its place is known.
#[derive(Debug)]
pub(crate) struct Bad {
    pub column: String,
    pub value: String,
    pub expected: String,
}

impl Bad {
    pub(crate) fn new(column: &str, value: &[u8], expected: impl Into<String>) -> Bad {
        Bad { column: column.into(), value: shorten(value), expected: expected.into() }
    }
}

impl ImportError {
    /// Reading broke off. What the decoder says may quote the content, so it is brought to one line first.
    pub(crate) fn read(file: &str, row: u64, bytes: u64, source: io::Error) -> ImportError {
        let said = source.to_string();
        let source = match said.contains(char::is_control) || said.len() > 300 {
            true => io::Error::new(source.kind(), shorten_to(said.escape_debug().to_string().as_bytes(), 300)),
            false => source,
        };
        ImportError::Read { file: file.into(), row, bytes, source }
    }
}

/// At most 60 characters of it, as text.
pub(crate) fn shorten(bytes: &[u8]) -> String {
    shorten_to(bytes, 60)
}

/// At most so many characters of it, as text.
pub(crate) fn shorten_to(bytes: &[u8], characters: usize) -> String {
    let head = &bytes[..bytes.len().min(characters * 4)];
    let text = String::from_utf8_lossy(head);
    let mut short: String = text.chars().take(characters).collect();
    if short.len() < text.len() || head.len() < bytes.len() {
        short.push_str("...");
    }
    short
}
