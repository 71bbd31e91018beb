//! Lines with their numbers, and tables of delimited fields.

use super::cell::Cell;
use super::error::{Bad, ImportError};
use std::io::{BufRead, Read};
use std::ops::Range;

/// A longer line is no trace.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// A quoted field may run over this many lines.
const QUOTED_LINES_MAX: u32 = 100;

/// Numbered lines of a text: byte order mark, line ends and blank lines are taken off.
pub(crate) struct Lines<'r> {
    reader: Box<dyn BufRead + 'r>,
    pub file: String,
    pub text: Vec<u8>,
    /// Number of the line in `text`, from 1.
    pub number: u64,
    read: u64,
    bytes: u64,
}

impl<'r> Lines<'r> {
    pub(crate) fn new(file: &str, reader: Box<dyn BufRead + 'r>) -> Self {
        Lines { reader, file: file.into(), text: Vec::new(), number: 0, read: 0, bytes: 0 }
    }

    /// Moves to the next line that is not blank; false at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, ImportError> {
        loop {
            self.text.clear();
            if !self.append()? {
                return Ok(false);
            }
            self.number = self.read;
            if self.read == 1 && self.text.starts_with(b"\xef\xbb\xbf") {
                self.text.drain(..3);
            }
            if !self.text.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// Appends the next line to `text`, without its end.
    fn append(&mut self) -> Result<bool, ImportError> {
        let before = self.text.len();
        let got = self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.text);
        let got = got.map_err(|source| self.broken(source))? as u64;
        if got == 0 {
            return Ok(false);
        }
        self.read += 1;
        self.bytes += got;
        if got == LINE_BYTES_MAX {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "a line of more than 16 MiB");
            return Err(self.broken(source));
        }
        while self.text.len() > before && matches!(self.text.last(), Some(b'\n' | b'\r')) {
            self.text.pop();
        }
        Ok(true)
    }

    fn broken(&self, source: std::io::Error) -> ImportError {
        ImportError::read(&self.file, self.read + 1, self.bytes, source)
    }
}

/// One row of a table.
pub(crate) struct Row<'a> {
    pub line: u64,
    text: &'a [u8],
    fields: &'a [Range<usize>],
    names: &'a [String],
    defect: Option<&'static str>,
}

/// A column of a table: position, and how many microseconds (or other units) one of its units is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub index: usize,
    pub unit: u64,
}

impl<'a> Row<'a> {
    /// The trimmed field of a column; empty where the row is short.
    pub(crate) fn get(&self, index: usize) -> &'a [u8] {
        self.fields.get(index).map_or(&[], |range| self.text[range.clone()].trim_ascii())
    }

    pub(crate) fn cell(&self, column: Column) -> Cell<'a> {
        Cell { column: self.names.get(column.index).map_or("?", |n| n), bytes: self.get(column.index) }
    }

    /// Refuses rows that have not one field for each column; a closing delimiter is forgiven.
    pub(crate) fn check(&self) -> Result<(), Bad> {
        if let Some(defect) = self.defect {
            return Err(Bad::new("(row)", self.text, defect));
        }
        let (got, want) = (self.fields.len(), self.names.len());
        if got == want || (got == want + 1 && self.get(want).is_empty()) {
            return Ok(());
        }
        Err(Bad::new("(row)", self.text, format!("{want} fields, as in the header, not {got}")))
    }
}

/// A delimited text with names for its columns.
pub(crate) struct Table<'r> {
    lines: Lines<'r>,
    delimiter: u8,
    /// Lines that begin with it are comments.
    comment: Option<u8>,
    pub names: Vec<String>,
    fields: Vec<Range<usize>>,
}

impl<'r> Table<'r> {
    /// A table whose first line names the columns. Lines that begin with `#` are comments, except that a header may.
    pub(crate) fn with_header(lines: Lines<'r>, delimiter: u8) -> Result<Self, ImportError> {
        let mut table = Table::bare(lines, delimiter, Vec::new());
        while table.lines.advance()? {
            let text = table.lines.text.trim_ascii();
            if is_comment(text, delimiter) {
                continue;
            }
            table.split()?;
            table.names = (0..table.fields.len()).map(|i| table.header_name(i)).collect();
            break;
        }
        Ok(table)
    }

    /// A table without a header.
    pub(crate) fn bare(lines: Lines<'r>, delimiter: u8, names: Vec<String>) -> Self {
        Table { lines, delimiter, comment: Some(b'#'), names, fields: Vec::new() }
    }

    pub(crate) fn file(&self) -> &str {
        &self.lines.file
    }

    fn header_name(&self, index: usize) -> String {
        let raw = self.lines.text[self.fields[index].clone()].trim_ascii();
        // Names go into messages, which must stay short and on one line.
        let name: String = String::from_utf8_lossy(raw).chars().filter(|c| !c.is_control()).take(60).collect();
        name.trim_start_matches('#').trim().to_string()
    }

    /// The next row; `None` at the end.
    pub(crate) fn next_row(&mut self) -> Result<Option<Row<'_>>, ImportError> {
        loop {
            if !self.lines.advance()? {
                return Ok(None);
            }
            if self.comment.is_none() || self.lines.text.first() != self.comment.as_ref() {
                break;
            }
        }
        let defect = self.split()?;
        let Table { lines, fields, names, .. } = self;
        Ok(Some(Row { line: lines.number, text: &lines.text, fields, names, defect }))
    }

    /// Finds the fields of the current line. Quotes count in comma- and semicolon-separated text only.
    fn split(&mut self) -> Result<Option<&'static str>, ImportError> {
        self.fields.clear();
        if matches!(self.delimiter, b',' | b';') && self.lines.text.contains(&b'"') {
            return self.split_quoted();
        }
        let mut from = 0;
        for (at, byte) in self.lines.text.iter().enumerate() {
            if *byte == self.delimiter {
                self.fields.push(from..at);
                from = at + 1;
            }
        }
        self.fields.push(from..self.lines.text.len());
        Ok(None)
    }

    /// Joins lines until the quotes are closed, then leaves the rules to the csv crate.
    fn split_quoted(&mut self) -> Result<Option<&'static str>, ImportError> {
        let mut joined = 0;
        while self.lines.text.iter().filter(|b| **b == b'"').count() % 2 == 1 {
            self.lines.text.push(b'\n');
            joined += 1;
            if joined > QUOTED_LINES_MAX || !self.lines.append()? {
                return Ok(Some("a closing quote"));
            }
        }
        let mut record = csv::ByteRecord::new();
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).delimiter(self.delimiter).from_reader(&self.lines.text[..]);
        if !matches!(reader.read_byte_record(&mut record), Ok(true)) {
            return Ok(Some("fields in the usual CSV quoting"));
        }
        self.fields.extend((0..record.len()).filter_map(|i| record.range(i)));
        let text = record.as_slice().to_vec();
        self.lines.text = text;
        Ok(None)
    }
}

/// Whether a line before the header is a comment: it begins with `#` and a space, or has fewer than two delimiters.
pub(crate) fn is_comment(text: &[u8], delimiter: u8) -> bool {
    match text {
        [b'#', b' ' | b'#', ..] => true,
        [b'#', ..] => text.iter().filter(|b| **b == delimiter).count() < 2,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &'static str) -> Table<'static> {
        Table::with_header(Lines::new("t.csv", Box::new(text.as_bytes())), b',').unwrap()
    }

    #[test]
    fn rows_keep_their_line_numbers() {
        let mut table =
            table("\u{feff}# note, with, commas\r\n\r\n#job id,b,c\r\n1,2,0\r\n\r\n\"x\ny\",\"q\"\"q\",0\r\n5,6,0,\n7\n");
        assert_eq!(table.names, ["job id", "b", "c"]);
        let mut seen = Vec::new();
        while let Some(row) = table.next_row().unwrap() {
            let text = |i| String::from_utf8_lossy(row.get(i)).to_string();
            seen.push((row.line, text(0), text(1), row.check().is_ok()));
        }
        let want = [(4, "1", "2", true), (6, "x\ny", "q\"q", true), (8, "5", "6", true), (9, "7", "", false)];
        assert_eq!(seen, want.map(|(n, a, b, ok)| (n, a.to_string(), b.to_string(), ok)));
    }

    #[test]
    fn an_open_quote_is_a_defect_of_its_row() {
        let mut table = table("a,b\n\"open,2\n3,4\n");
        assert!(table.next_row().unwrap().unwrap().check().is_err());
    }
}
