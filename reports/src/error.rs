//! What can go wrong while a report is made.

use std::io;
use std::path::PathBuf;
use thiserror::Error;
use traces::frames::FramesError;
use traces::runlog::LogError;

/// Why a report could not be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A result could not be written. Nothing half-written is left behind.
    #[error("{path}: cannot write: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A table could not be written.
    #[error(transparent)]
    Table(#[from] FramesError),
    /// A figure could not be drawn.
    #[error("figure `{figure}`: {what}")]
    Figure {
        /// Its name.
        figure: &'static str,
        /// What the plotting library said.
        what: String,
    },
}
