//! Summaries as text, JSON and CSV.

use crate::summary::{Summary, labels};
use std::fmt::Write;

/// A column of the text table: heading, and the cell of a run.
type Column = (&'static str, fn(&Summary) -> String);

const COLUMNS: [Column; 13] = [
    ("jobs", |s| s.jobs.to_string()),
    ("unfinished", |s| s.unfinished.to_string()),
    ("mean JCT s", |s| seconds(s.mean_jct_s)),
    ("p50 JCT s", |s| seconds(s.p50_jct_s)),
    ("p90 JCT s", |s| seconds(s.p90_jct_s)),
    ("p99 JCT s", |s| seconds(s.p99_jct_s)),
    ("mean wait s", |s| seconds(s.mean_wait_s)),
    ("makespan s", |s| seconds(Some(s.makespan_s))),
    ("preempted", |s| s.preemptions.to_string()),
    ("failures", |s| s.failures.to_string()),
    ("allocated", |s| format!("{:.1} %", s.allocation * 100.0)),
    ("fairness", |s| s.fairness_jain.map_or("-".into(), |j| format!("{j:.3}"))),
    ("wall s", |s| format!("{:.2}", s.wall_s)),
];

/// Columns that are left out where they say nothing.
const ONLY_WHERE_NOT_ZERO: [&str; 3] = ["unfinished", "preempted", "failures"];

fn seconds(value: Option<f64>) -> String {
    value.map_or("-".into(), |v| format!("{v:.3}"))
}

/// A table for people: a row per run, numbers right-aligned, and below it what was run and the digest of each log.
pub fn summary_table(runs: &[Summary]) -> String {
    let borrowed: Vec<&Summary> = runs.iter().collect();
    let names = labels(&borrowed);
    let silent = |column: &Column| {
        let zero = |s: &Summary| matches!((column.1)(s).as_str(), "0");
        // With one tenant there is nothing to be fair between.
        (ONLY_WHERE_NOT_ZERO.contains(&column.0) && runs.iter().all(zero))
            || (column.0 == "fairness" && runs.iter().all(|s| s.tenants < 2))
    };
    let columns: Vec<Column> = COLUMNS.into_iter().filter(|column| !silent(column)).collect();
    let mut rows = vec![std::iter::once("policy").chain(columns.iter().map(|c| c.0)).map(str::to_owned).collect::<Vec<_>>()];
    for (run, name) in runs.iter().zip(&names) {
        rows.push(std::iter::once(name.clone()).chain(columns.iter().map(|c| (c.1)(run))).collect());
    }
    let mut text = aligned(&rows) + "\n";
    let shared = runs.iter().all(|run| provenance(run) == provenance(&runs[0]));
    if let (true, Some(run)) = (shared, runs.first()) {
        let _ = writeln!(text, "{}", provenance(run));
    }
    for (run, name) in runs.iter().zip(&names) {
        let own = if shared { String::new() } else { format!("{}, ", provenance(run)) };
        let _ = writeln!(text, "{name}: {own}log digest {}", run.log_digest);
    }
    text
}

/// All that a result must name beside its policy and its log.
fn provenance(run: &Summary) -> String {
    format!(
        "{}: {} accelerators on {} nodes, placement {}, estimates {}, costs {}, seed {}, trace {}, orrery {}",
        run.scenario,
        run.accelerators,
        run.nodes,
        run.placement,
        run.estimates,
        run.costs,
        run.seed,
        run.trace_digest,
        run.version
    )
}

/// Rows of equal length as aligned text; the first column to the left, the others to the right, a rule below the first row.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let width_of = |c: usize| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width_of).collect();
    let mut text = String::new();
    for (r, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (c, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = if c == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
        if r == 0 {
            text.push_str(&"-".repeat(widths.iter().map(|w| w + 2).sum::<usize>().saturating_sub(2)));
            text.push('\n');
        }
    }
    text
}

/// One object for one run, an array for several: indented JSON with a final newline.
pub fn summary_json(runs: &[Summary]) -> String {
    let text = if let [run] = runs { serde_json::to_string_pretty(run) } else { serde_json::to_string_pretty(runs) };
    text.expect("a summary has string keys and finite numbers") + "\n"
}

/// A header and a row per run, with every field of [`Summary`] in its order; missing values are empty.
pub fn summary_csv(runs: &[Summary]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for run in runs {
        writer.serialize(run).expect("a summary is flat and memory does not fail");
    }
    let bytes = writer.into_inner().expect("memory does not fail");
    String::from_utf8(bytes).expect("made of strings")
}
