//! What came of a run: summaries, tables, figures, explanations and timelines. Reads run logs and nothing else.
//!
//! [`Summary`] is the figures that people cite, [`Analysis`] one pass over a log for everything that is drawn or tabulated.

mod error;
mod jobs;
mod output;
mod stats;
mod summary;
mod summary_table;

pub use error::ReportError;
pub use jobs::jobs_csv;
pub use output::{Seconds, write_whole};
pub use summary::{SLOWDOWN_TAU, Summary, labels};
pub use summary_table::{summary_csv, summary_json, summary_table};
