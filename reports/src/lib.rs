//! What came of a run: summaries, tables, figures, explanations and timelines. Reads run logs and nothing else.
//!
//! [`Summary`] is the figures that people cite, [`Analysis`] one pass over a log for everything that is drawn or tabulated.

mod analysis;
mod error;
mod explain;
mod figures;
mod html;
mod inference;
mod jobs;
mod lives;
mod names;
mod output;
mod reasons;
mod series;
mod service;
mod stats;
mod summary;
mod summary_table;
mod tables;
mod tenants;
mod timeline;
mod waits;

pub use analysis::Analysis;
pub use error::ReportError;
pub use explain::{Doing, Ending, ExplainError, Explanation, Freed, JobRef, Moment, Noted, Overtaken, Period, Spot, explain};
pub use figures::{Picture, trace_svg};
pub use html::{write_report, write_study};
pub use inference::InferenceSummary;
pub use jobs::jobs_csv;
pub use output::{Seconds, write_whole};
pub use reasons::Waiting;
pub use series::{BINS_MAX, Level, Series};
pub use service::{Bound, Service, TierSummary};
pub use summary::{SLOWDOWN_TAU, Summary, labels};
pub use summary_table::{summary_csv, summary_json, summary_table};
pub use tables::{jobs_table, tenants_table, timeseries_table, write_tables};
pub use tenants::Tenant;
pub use timeline::{TIMELINE_EVENTS_MAX, Timeline, TimelineOptions, Tracks, timeline};
pub use waits::{Wait, Waits};
