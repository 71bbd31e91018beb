//! Tables on disk: Parquet with the feature `frames` (polars, the only place that knows it), CSV without. The same calls
//! work in both builds; only the file's extension differs. Files appear whole or not at all.

#[cfg(feature = "frames")]
mod parquet;
#[cfg(feature = "frames")]
mod trace;

#[cfg(feature = "frames")]
pub(crate) use trace::trace_from_parquet;
#[cfg(feature = "frames")]
pub use trace::{read_trace_parquet, write_trace_parquet};

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The extension of tables in this build.
pub const TABLE_EXTENSION: &str = if cfg!(feature = "frames") { "parquet" } else { "csv" };

/// A column's values. Missing numbers are NaN; integers and truth values are never missing.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Floating point; NaN where missing.
    F64(Vec<f64>),
    /// Signed integers.
    I64(Vec<i64>),
    /// Unsigned integers.
    U64(Vec<u64>),
    /// Text.
    Str(Vec<String>),
    /// Truth values.
    Bool(Vec<bool>),
}

/// A named column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name, unit last (`wait_s`).
    pub name: String,
    /// Its values.
    pub data: Data,
}

/// What can go wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum FramesError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The table.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The columns are no table.
    #[error("{path}: column {column:?} has {rows} rows, the first has {expected}")]
    Ragged {
        /// The table.
        path: String,
        /// The first column that differs.
        column: String,
        /// Its rows.
        rows: usize,
        /// Rows of the first column.
        expected: usize,
    },
    /// The content is not what it should be.
    #[error("{path}: {message}")]
    Content {
        /// The table.
        path: String,
        /// What is wrong.
        message: String,
    },
}

impl Column {
    /// A column of floating point numbers.
    pub fn f64(name: &str, values: impl IntoIterator<Item = f64>) -> Column {
        Column { name: name.into(), data: Data::F64(values.into_iter().collect()) }
    }

    /// A column of unsigned integers.
    pub fn u64(name: &str, values: impl IntoIterator<Item = u64>) -> Column {
        Column { name: name.into(), data: Data::U64(values.into_iter().collect()) }
    }

    /// A column of signed integers.
    pub fn i64(name: &str, values: impl IntoIterator<Item = i64>) -> Column {
        Column { name: name.into(), data: Data::I64(values.into_iter().collect()) }
    }

    /// A column of text.
    pub fn str<S: Into<String>>(name: &str, values: impl IntoIterator<Item = S>) -> Column {
        Column { name: name.into(), data: Data::Str(values.into_iter().map(Into::into).collect()) }
    }

    /// A column of truth values.
    pub fn bool(name: &str, values: impl IntoIterator<Item = bool>) -> Column {
        Column { name: name.into(), data: Data::Bool(values.into_iter().collect()) }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::F64(values) => values.len(),
            Data::I64(values) => values.len(),
            Data::U64(values) => values.len(),
            Data::Str(values) => values.len(),
            Data::Bool(values) => values.len(),
        }
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as floating point numbers, whatever kind of number they are; `None` for text and truth values.
    pub fn to_f64s(&self) -> Option<Vec<f64>> {
        match &self.data {
            Data::F64(values) => Some(values.clone()),
            Data::I64(values) => Some(values.iter().map(|v| *v as f64).collect()),
            Data::U64(values) => Some(values.iter().map(|v| *v as f64).collect()),
            Data::Str(_) | Data::Bool(_) => None,
        }
    }

    /// One value as CSV writes it.
    fn text(&self, row: usize) -> String {
        match &self.data {
            // Always with a point or exponent, so that it is read back as what it is.
            Data::F64(values) => format!("{:?}", values[row]),
            Data::I64(values) => values[row].to_string(),
            Data::U64(values) => values[row].to_string(),
            Data::Str(values) => values[row].clone(),
            Data::Bool(values) => values[row].to_string(),
        }
    }
}

/// Writes a table and returns where: at `path` where its extension is `csv`, else with the extension of this build
/// ([`TABLE_EXTENSION`]). An existing file is replaced in one step.
///
/// # Errors
/// Columns of different lengths, and what the system refuses.
pub fn write_table(path: &Path, columns: &[Column]) -> Result<PathBuf, FramesError> {
    let is_csv = path.extension().is_some_and(|extension| extension == "csv");
    let path = if is_csv { path.to_path_buf() } else { path.with_extension(TABLE_EXTENSION) };
    let expected = columns.first().map_or(0, Column::len);
    if let Some(column) = columns.iter().find(|column| column.len() != expected) {
        let (name, column, rows) = (path.display().to_string(), column.name.clone(), column.len());
        return Err(FramesError::Ragged { path: name, column, rows, expected });
    }
    #[cfg(feature = "frames")]
    if !is_csv {
        parquet::write(&path, columns)?;
        return Ok(path);
    }
    write_whole(&path, |out| write_csv(columns, expected, out)).map_err(|source| io_error(&path, source))?;
    Ok(path)
}

/// Reads a table that [`write_table`] wrote, in either form: at `path`, or at `path` with the extension of this build or
/// `csv` if nothing is there.
///
/// CSV does not tell types: a column of whole numbers comes back as [`Data::U64`], or [`Data::I64`] if any is negative,
/// numbers with a point as [`Data::F64`], `true` and `false` as [`Data::Bool`], everything else as text.
///
/// # Errors
/// A missing or damaged file, and Parquet in a build without the feature `frames`.
pub fn read_table(path: &Path) -> Result<Vec<Column>, FramesError> {
    let tries = [path.to_path_buf(), path.with_extension(TABLE_EXTENSION), path.with_extension("csv")];
    let path = tries.iter().find(|path| path.is_file()).unwrap_or(&tries[0]);
    let content = fs::read(path).map_err(|source| io_error(path, source))?;
    if !content.starts_with(b"PAR1") {
        return read_csv(path, &content);
    }
    #[cfg(feature = "frames")]
    return parquet::read(path, content);
    #[cfg(not(feature = "frames"))]
    Err(content_error(path, NO_PARQUET))
}

/// What a build without the feature says of Parquet.
#[cfg(not(feature = "frames"))]
pub(crate) const NO_PARQUET: &str = "this build reads no Parquet; build with the default features (`frames`), \
     or write the table as CSV with a build that has it";

/// Writes a file so that it is there whole or not at all: into a neighbour first, which then takes its name.
///
/// # Errors
/// What `fill` or the system says; the neighbour is gone then, and the old file untouched.
pub fn write_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no file name"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(hidden);
    let written = (|| {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&part)?);
        fill(&mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&part, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

fn io_error(path: &Path, source: io::Error) -> FramesError {
    FramesError::Io { path: path.display().to_string(), source }
}

fn content_error(path: &Path, message: impl ToString) -> FramesError {
    FramesError::Content { path: path.display().to_string(), message: message.to_string() }
}

fn write_csv(columns: &[Column], rows: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(columns.iter().map(|column| &column.name))?;
    for row in 0..rows {
        csv.write_record(columns.iter().map(|column| column.text(row)))?;
    }
    csv.flush()
}

fn read_csv(path: &Path, content: &[u8]) -> Result<Vec<Column>, FramesError> {
    let mut csv = csv::Reader::from_reader(content);
    let names: Vec<String> = csv.headers().map_err(|e| content_error(path, e))?.iter().map(String::from).collect();
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    for record in csv.records() {
        let record = record.map_err(|e| content_error(path, e))?;
        for (column, text) in columns.iter_mut().zip(&record) {
            column.push(text.into());
        }
    }
    Ok(names.into_iter().zip(columns).map(|(name, values)| Column { name, data: typed(values) }).collect())
}

/// The narrowest kind that holds all of them.
fn typed(values: Vec<String>) -> Data {
    fn all<T: std::str::FromStr>(values: &[String]) -> Option<Vec<T>> {
        let parsed: Option<Vec<T>> = values.iter().map(|text| text.parse().ok()).collect();
        parsed.filter(|parsed| !parsed.is_empty())
    }
    all(&values)
        .map(Data::U64)
        .or_else(|| all(&values).map(Data::I64))
        .or_else(|| all(&values).map(Data::F64))
        .or_else(|| all(&values).map(Data::Bool))
        .unwrap_or(Data::Str(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Vec<Column> {
        vec![
            Column::str("job", ["a, \"b\"", "", "c\nd"]),
            Column::u64("start_us", [0, u64::MAX, 7]),
            Column::i64("delta", [-1, i64::MIN, 3]),
            Column::f64("wait_s", [1.0, -0.25, 1e300]),
            Column::bool("preempted", [true, false, true]),
        ]
    }

    #[test]
    fn tables_come_back_in_both_forms() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["t.csv", "t.table"] {
            let path = write_table(&folder.path().join(name), &table()).unwrap();
            assert_eq!(read_table(&path).unwrap(), table(), "{}", path.display());
            assert_eq!(read_table(&folder.path().join(name)).unwrap(), table());
        }
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{left:?}");
    }

    #[test]
    fn missing_numbers_stay_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = write_table(&folder.path().join("t"), &[Column::f64("x", [f64::NAN, 2.0])]).unwrap();
        let values = read_table(&path).unwrap()[0].to_f64s().unwrap();
        assert!(values[0].is_nan() && values[1] == 2.0);
    }

    #[test]
    fn ragged_columns_and_failures_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        let error = write_table(&path, &[Column::u64("a", [1, 2]), Column::u64("b", [1])]).unwrap_err();
        assert!(error.to_string().contains("\"b\" has 1 rows, the first has 2"), "{error}");
        let stopped = write_whole(&path, |out| out.write_all(b"half").and(Err(io::Error::other("stopped"))));
        assert!(stopped.is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(read_table(&path).is_err());
    }
}
