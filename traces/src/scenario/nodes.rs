//! Node lists: one row a machine, as Alibaba publishes them for openb.

use policies::Fleet;
use policies::fleet::Node;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Why a node list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeListError {
    /// It cannot be read.
    #[error("cannot read node list {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no CSV.
    #[error("{}: {source}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: csv::Error,
    },
    /// A column is missing.
    #[error("{}: no column {expected} among {found:?}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The accepted names.
        expected: &'static str,
        /// The columns there are.
        found: Vec<String>,
    },
    /// A value makes no sense.
    #[error("{}: row {row}, column {column}: {value:?}: expected {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1.
        row: u64,
        /// Column name.
        column: &'static str,
        /// What it says.
        value: String,
        /// What it should say.
        expected: &'static str,
    },
}

/// Reads a CSV node list (plain or gzip) into one cluster, in file order.
///
/// Columns, found by name: `gpu` or `accelerators` (how many; needed), `model` or `type` (their type), `cpu_milli`
/// (processors in thousandths) and `memory_mib`. Other columns are ignored; nodes without accelerators are kept.
pub fn read_node_list(path: &Path) -> Result<Fleet, NodeListError> {
    let read = |source| NodeListError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(read)?;
    let input: Box<dyn Read> = if path.extension().is_some_and(|ending| ending == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(input);
    let columns = Columns::find(path, reader.headers().map_err(|e| csv_error(path, e))?)?;
    let mut fleet = Fleet::default();
    let region = fleet.add_region("region");
    let cluster = fleet.add_cluster("cluster", region);
    for record in reader.records() {
        let record = record.map_err(|e| csv_error(path, e))?;
        let row = Row { path, record: &record };
        let name = columns.kind.map_or("", |i| &record[i]);
        let name = if name.is_empty() { "none" } else { name };
        if fleet.types.len() == 64 && !fleet.types.iter().any(|known| known == name) {
            return Err(row.error("model", name, "at most 64 different types"));
        }
        let node = Node {
            cluster,
            kind: fleet.add_type(name),
            accelerators: row.number(columns.accelerators, "gpu")?,
            cpu_milli: columns.cpu_milli.map_or(Ok(u32::MAX), |i| row.number(i, "cpu_milli"))?,
            memory_mib: columns.memory_mib.map_or(Ok(u32::MAX), |i| row.number(i, "memory_mib"))?,
        };
        fleet.nodes.push(node);
    }
    Ok(fleet)
}

fn csv_error(path: &Path, source: csv::Error) -> NodeListError {
    NodeListError::Csv { path: path.to_owned(), source }
}

struct Columns {
    accelerators: usize,
    kind: Option<usize>,
    cpu_milli: Option<usize>,
    memory_mib: Option<usize>,
}

impl Columns {
    fn find(path: &Path, header: &csv::StringRecord) -> Result<Columns, NodeListError> {
        let find = |names: &[&str]| header.iter().position(|column| names.contains(&column));
        let accelerators = find(&["gpu", "accelerators"]).ok_or_else(|| NodeListError::Column {
            path: path.to_owned(),
            expected: "\"gpu\" or \"accelerators\"",
            found: header.iter().map(str::to_owned).collect(),
        })?;
        Ok(Columns {
            accelerators,
            kind: find(&["model", "type"]),
            cpu_milli: find(&["cpu_milli"]),
            memory_mib: find(&["memory_mib"]),
        })
    }
}

struct Row<'a> {
    path: &'a Path,
    record: &'a csv::StringRecord,
}

impl Row<'_> {
    fn number(&self, column: usize, name: &'static str) -> Result<u32, NodeListError> {
        let value = &self.record[column];
        value.parse().map_err(|_| self.error(name, value, "a whole number from 0 to 4,294,967,295"))
    }

    fn error(&self, column: &'static str, value: &str, expected: &'static str) -> NodeListError {
        let row = self.record.position().map_or(0, csv::Position::line);
        NodeListError::Value { path: self.path.to_owned(), row, column, value: value.to_owned(), expected }
    }
}
