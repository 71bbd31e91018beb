//! Errors with file, line, field and remedy.

use super::fleet::FleetError;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The scenario file itself cannot be read.
    #[error("cannot read scenario {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of a wrong type.
    #[error("{}:{line}:{column}: {}{message}", path.display(), at(field))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
        /// Path of the field, e.g. `run.until`; empty at the top.
        field: String,
        /// What is wrong; for unknown keys with the valid ones.
        message: String,
    },
    /// Well-formed, but it makes no sense.
    #[error("{}:{line}: {}{message}", path.display(), at(field))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// From 1: the line of the field or of the nearest table around it.
        line: usize,
        /// Path of the field.
        field: String,
        /// What is wrong and what was expected.
        message: String,
    },
    /// The fleet cannot be built.
    #[error("fleet: {0}")]
    Fleet(#[source] FleetError),
}

fn at(field: &str) -> String {
    if field.is_empty() || field == "." { String::new() } else { format!("{field}: ") }
}

impl ScenarioError {
    /// `field` of the scenario in that file makes no sense to somebody who knows more than the scenario does.
    pub fn refused(file: &Path, field: &str, message: String) -> ScenarioError {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        Place { path: file, text: &text }.refuse(field, message)
    }
}

/// A scenario's text and where it came from, for messages.
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Place<'_> {
    /// Deserialises the text.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ScenarioError> {
        let reader = toml::Deserializer::parse(self.text).map_err(|error| self.syntax("", &error))?;
        serde_path_to_error::deserialize(reader).map_err(|error| {
            let field = error.path().to_string();
            self.syntax(&field, error.inner())
        })
    }

    fn syntax(&self, field: &str, error: &toml::de::Error) -> ScenarioError {
        let (line, column) = self.position(error.span().unwrap_or(0..0).start);
        ScenarioError::Syntax {
            path: self.path.to_owned(),
            line,
            column,
            field: field.to_owned(),
            message: error.message().to_owned(),
        }
    }

    /// `field` has a value that makes no sense.
    pub(super) fn invalid(&self, field: &str, value: impl Display, expected: &str) -> ScenarioError {
        self.refuse(field, format!("{value}: expected {expected}"))
    }

    /// A table's own check failed at `field` within it.
    pub(super) fn model(&self, table: &str, field: Option<&str>, error: &dyn Display) -> ScenarioError {
        let place = field.map_or_else(|| table.to_owned(), |field| format!("{table}.{field}"));
        let mut refused = self.refuse(&place, error.to_string());
        if let ScenarioError::Invalid { field, .. } = &mut refused {
            *field = table.to_owned();
        }
        refused
    }

    /// The file that `field` names must exist.
    pub(super) fn require_file(&self, field: &str, file: &Path) -> Result<(), ScenarioError> {
        if file.is_file() {
            return Ok(());
        }
        let message = format!("no file {}; paths are relative to the scenario's folder", file.display());
        Err(self.refuse(field, message))
    }

    /// `field` is refused with this message.
    pub(super) fn refuse(&self, field: &str, message: String) -> ScenarioError {
        let line = self.position(self.span(field).start).0;
        ScenarioError::Invalid { path: self.path.to_owned(), line, field: field.to_owned(), message }
    }

    /// Line and column, from 1, of a byte offset.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        (line, before.len() - start + 1)
    }

    /// The span of a field such as `fleet.cluster[1].nodes`, or of the nearest value around it.
    fn span(&self, field: &str) -> Range<usize> {
        let Ok(document) = toml::de::DeTable::parse(self.text) else { return 0..0 };
        let mut span = 0..0;
        let mut here = toml::de::DeValue::Table(document.into_inner());
        for step in field.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match step.strip_suffix(']').map(str::parse) {
                Some(Ok::<usize, _>(index)) => here.as_array().and_then(|array| array.get(index)).cloned(),
                _ => here.as_table().and_then(|table| table.get(step)).cloned(),
            };
            let Some(next) = next else { break };
            span = next.span();
            here = next.into_inner();
        }
        span
    }
}
