//! Recorded inference requests (Azure LLM inference traces, published with Splitwise, ISCA '24): one row a request.
//!
//! | column | unit | use | if missing |
//! |---|---|---|---|
//! | `TIMESTAMP` | date and time, or seconds | when it came; the first one is the beginning | bad row |
//! | `ContextTokens` | number | tokens of the prompt | bad row |
//! | `GeneratedTokens` | number | tokens of the answer | bad row |

use super::cell::SECOND;
use super::error::{BadRow, ImportError};
use super::format::key;
use super::lines::{Lines, Row, Table};
use super::source::{Opened, open};
use std::io::BufReader;
use std::path::Path;

/// One request to a language model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Microseconds after the first one.
    pub at_us: u64,
    /// Tokens of the prompt.
    pub context: u32,
    /// Tokens of the answer.
    pub generated: u32,
}

const COLUMNS: [&str; 3] = ["timestamp", "contexttokens", "generatedtokens"];

/// Reads requests, in order of time. Compression is seen through.
///
/// # Errors
/// A file that cannot be read, lacks a column, or has a row that is no request; and one without any.
pub fn read_requests(path: &Path) -> Result<Vec<Request>, ImportError> {
    let file = path.to_string_lossy();
    let read = |source| ImportError::read(&file, 1, 0, source);
    let opened = Opened::new(open(&file)?).map_err(read)?;
    let mut table = Table::with_header(Lines::new(&file, Box::new(BufReader::new(opened.into_read()))), b',')?;
    let names: Vec<String> = table.names.iter().map(|name| key(name).replace('_', "")).collect();
    let place = |wanted: &&str| names.iter().position(|name| name == wanted);
    let columns: Vec<usize> = COLUMNS.iter().filter_map(place).collect();
    let &[at, context, generated] = &columns[..] else {
        let expected = "the columns TIMESTAMP, ContextTokens and GeneratedTokens";
        let message = format!("the columns are {}", table.names.join(", "));
        return Err(ImportError::Document { file: file.into(), row: 1, message, expected });
    };
    let mut requests = Vec::new();
    while let Some(row) = table.next_row()? {
        let request = request(&row, [at, context, generated]).map_err(|bad| {
            let (row, column, value, expected) = (row.line, bad.column, bad.value, bad.expected);
            ImportError::Row(BadRow { file: file.to_string(), row, column, value, expected })
        })?;
        requests.push(request);
    }
    requests.sort_by_key(|request| request.at_us);
    let Some(first) = requests.first().map(|request| request.at_us) else {
        return Err(ImportError::Empty { file: file.into(), skipped: 0, left_out: "none".into() });
    };
    requests.iter_mut().for_each(|request| request.at_us -= first);
    Ok(requests)
}

fn request(row: &Row<'_>, [at, context, generated]: [usize; 3]) -> Result<Request, super::error::Bad> {
    row.check()?;
    let cell = |index| row.cell(super::lines::Column { index, unit: SECOND });
    let at_us = cell(at).when(SECOND)?.micros;
    Ok(Request { at_us, context: cell(context).count()?, generated: cell(generated).count()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Request>, ImportError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.csv");
        std::fs::write(&path, text).unwrap();
        read_requests(&path)
    }

    #[test]
    fn requests_are_read_in_order_of_time() {
        let text =
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:47.5000000,7,9\n2023-11-16 18:15:46.0000000,374,44";
        let requests = read(text).unwrap();
        let first = Request { at_us: 0, context: 374, generated: 44 };
        assert_eq!(requests, [first, Request { at_us: 1_500_000, context: 7, generated: 9 }]);
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_place() {
        let refused = |text, part: &str| {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(part), "{part:?} is not in {message}");
        };
        refused("TIMESTAMP,ContextTokens\n1,2\n", "GeneratedTokens");
        refused("TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,3\n1,x,3\n", "row 3, column ContextTokens");
        refused("TIMESTAMP,ContextTokens,GeneratedTokens\n1,2\n", "row 2");
        refused("TIMESTAMP,ContextTokens,GeneratedTokens\n", "no jobs");
    }
}
