//! Files that appear whole, and numbers as people read them.

use crate::error::ReportError;
use policies::{Span, Time};
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

/// Writes a file beside its final name and renames it when `fill` is done: a result that exists is whole.
///
/// # Errors
/// If it cannot be written; then nothing is left behind.
pub fn write_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), ReportError> {
    traces::frames::write_whole(path, fill).map_err(|source| ReportError::Write { path: path.into(), source })
}

/// Microseconds as the shortest decimal number of seconds that is exact: `12`, `0.5`, `3.000001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u64);

impl From<Time> for Seconds {
    fn from(time: Time) -> Seconds {
        Seconds(time.0)
    }
}

impl From<Span> for Seconds {
    fn from(span: Span) -> Seconds {
        Seconds(span.0)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(f, self.0, 6)
    }
}

/// Accelerator-thousandths as the shortest exact decimal number of accelerators: `8`, `0.25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Accelerators(pub u64);

impl fmt::Display for Accelerators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(f, self.0, 3)
    }
}

/// `value` in units of ten to the minus `digits`.
fn decimal(f: &mut fmt::Formatter<'_>, value: u64, digits: u32) -> fmt::Result {
    let unit = 10u64.pow(digits);
    let (whole, mut rest) = (value / unit, value % unit);
    if rest == 0 {
        return write!(f, "{whole}");
    }
    let mut width = digits as usize;
    while rest.is_multiple_of(10) {
        rest /= 10;
        width -= 1;
    }
    write!(f, "{whole}.{rest:0width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_short_and_exact() {
        let text = |micros| Seconds(micros).to_string();
        assert_eq!([text(0), text(12_000_000), text(500_000), text(3_000_001)], ["0", "12", "0.5", "3.000001"]);
        assert_eq!(text(1_050_000), "1.05");
        assert_eq!([Accelerators(8000), Accelerators(250), Accelerators(2005)].map(|a| a.to_string()), ["8", "0.25", "2.005"]);
    }

    #[test]
    fn a_file_that_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        let error = write_whole(&path, |_| Err(io::Error::other("full"))).unwrap_err();
        assert!(error.to_string().contains("table.csv: cannot write: full"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        write_whole(&path, |out| out.write_all(b"x")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
