//! Summaries as text, JSON and CSV.

use crate::inference::InferenceSummary;
use crate::service::TierSummary;
use crate::summary::{Summary, labels};
use std::fmt::Write;

/// A column of the text table: heading, and the cell of a run.
type Column = (&'static str, fn(&Summary) -> String);

const COLUMNS: [Column; 15] = [
    ("jobs", |s| s.jobs.to_string()),
    ("withdrawn", |s| s.withdrawn.to_string()),
    ("unfinished", |s| s.unfinished.to_string()),
    ("mean JCT s", |s| seconds(s.mean_jct_s)),
    ("p50 JCT s", |s| seconds(s.p50_jct_s)),
    ("p90 JCT s", |s| seconds(s.p90_jct_s)),
    ("p99 JCT s", |s| seconds(s.p99_jct_s)),
    ("mean wait s", |s| seconds(s.mean_wait_s)),
    ("makespan s", |s| seconds(Some(s.makespan_s))),
    ("preempted", |s| s.preemptions.to_string()),
    ("failures", |s| s.failures.to_string()),
    ("in time", |s| in_time(s).map_or("0".into(), |part| format!("{:.1} %", 100.0 * part))),
    ("allocated", |s| format!("{:.1} %", s.allocation * 100.0)),
    ("fairness", |s| s.fairness_jain.map_or("-".into(), |j| format!("{j:.3}"))),
    ("wall s", |s| format!("{:.2}", s.wall_s)),
];

/// Columns that are left out where they say nothing.
const ONLY_WHERE_NOT_ZERO: [&str; 5] = ["withdrawn", "unfinished", "preempted", "failures", "in time"];

/// The part of the jobs with deadlines that met them.
fn in_time(run: &Summary) -> Option<f64> {
    Some(run.deadlines_met? as f64 / run.deadlines? as f64)
}

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
    let mut text = aligned(&rows) + "\n" + &service_table(runs, &names) + &inference_table(runs, &names);
    let shared = runs.iter().all(|run| provenance(run) == provenance(&runs[0]));
    if let (true, Some(run)) = (shared, runs.first()) {
        let _ = writeln!(text, "{}", provenance(run));
    }
    for (run, name) in runs.iter().zip(&names) {
        let own = if shared { String::new() } else { format!("{}, ", provenance(run)) };
        let policy =
            if *name == run.policy || labels(&[run])[0] != *name { String::new() } else { format!("{}, ", run.policy) };
        let _ = writeln!(text, "{name}: {policy}{own}log digest {}", run.log_digest);
    }
    text
}

fn service_table(runs: &[Summary], names: &[String]) -> String {
    let rows = service_rows(runs, names);
    if rows.is_empty() { String::new() } else { aligned(&rows) + "\n" }
}

/// What each run kept of what was promised: a heading and a row per run; nothing if nothing was promised.
pub(crate) fn service_rows(runs: &[Summary], names: &[String]) -> Vec<Vec<String>> {
    let Some(first) = runs.iter().filter_map(|run| run.service.as_ref()).find(|service| service.has_guarantees()) else {
        return Vec::new();
    };
    let per_cent = |value: Option<f64>| value.map_or("-".into(), |v| format!("{:.2} %", v * 100.0));
    let mut rows = vec![vec!["policy".to_owned(), "useful".into(), "of held".into()]];
    for tier in &first.tiers {
        let promise = if tier.guarantee > 0.0 { format!(">= {}", tier.guarantee) } else { "fraction".into() };
        rows[0].push(format!("{} {promise}", tier.name));
    }
    rows[0].push("starved h".into());
    for (run, name) in runs.iter().zip(names) {
        let Some(service) = &run.service else { continue };
        let kept = |tier: &TierSummary| per_cent(if tier.guarantee > 0.0 { tier.attained } else { tier.fraction });
        let starved = service.tiers.iter().map(|tier| tier.starved_hours).fold(0.0, f64::max);
        let mut row = vec![name.clone(), per_cent(Some(service.goodput)), per_cent(service.ettr)];
        row.extend(service.tiers.iter().map(kept));
        row.push(format!("{starved:.1}"));
        rows.push(row);
    }
    // One for all runs of an experiment.
    let mut told: Vec<(&Option<String>, &Option<String>)> = Vec::new();
    for (run, bound) in runs.iter().filter_map(|run| Some((run, run.bound.as_ref()?))) {
        if told.contains(&(&run.variant, &run.swept_value)) {
            continue;
        }
        told.push((&run.variant, &run.swept_value));
        let which = [&run.variant, &run.swept_value].into_iter().flatten().map(|text| format!(", {text}")).collect::<String>();
        let mut row = vec![format!("no policy can beat{which}"), per_cent(bound.goodput), "-".into()];
        let tiers = first.tiers.iter().enumerate();
        row.extend(tiers.map(|(i, tier)| per_cent(bound.attained.get(i).copied().flatten().filter(|_| tier.guarantee > 0.0))));
        row.push("-".into());
        rows.push(row);
    }
    rows
}

fn inference_table(runs: &[Summary], names: &[String]) -> String {
    let rows = inference_rows(runs, names);
    if rows.is_empty() { String::new() } else { aligned(&rows) + "\n" }
}

/// How well inference services were served: a heading and a row per run and service; nothing without services.
pub(crate) fn inference_rows(runs: &[Summary], names: &[String]) -> Vec<Vec<String>> {
    if runs.iter().all(|run| run.inference.is_empty()) {
        return Vec::new();
    }
    let per_cent = |value: Option<f64>| value.map_or("-".into(), |v| format!("{:.2} %", v * 100.0));
    let headings = [
        "policy",
        "service",
        "replica-hours",
        "provided",
        "load served",
        "p50 to capacity s",
        "p99 to capacity s",
        "never ran",
    ];
    let mut rows = vec![headings.map(str::to_owned).to_vec()];
    let row = |name: &String, service: &InferenceSummary| {
        vec![
            name.clone(),
            service.name.clone(),
            format!("{:.1}", service.needed_replica_hours),
            per_cent(service.provided),
            per_cent(service.within_objective),
            seconds(service.p50_capacity_s),
            seconds(service.p99_capacity_s),
            service.never_ran.to_string(),
        ]
    };
    for (run, name) in runs.iter().zip(names) {
        rows.extend(run.inference.iter().map(|service| row(name, service)));
    }
    rows
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

/// A header and a row per run, with every field of [`Summary`] in its order, then the figures of its books; missing values are
/// empty.
pub fn summary_csv(runs: &[Summary]) -> String {
    let rows: Vec<Vec<(String, String)>> = runs.iter().map(flat).collect();
    // Runs without books, or with other tiers, leave cells empty.
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |record: Vec<&String>| writer.write_record(record).expect("memory does not fail");
    let nothing = String::new();
    write(names.clone());
    for row in &rows {
        let cell = |name: &&String| row.iter().find(|(other, _)| other == *name).map_or(&nothing, |(_, value)| value);
        write(names.iter().map(cell).collect());
    }
    let bytes = writer.into_inner().expect("memory does not fail");
    String::from_utf8(bytes).expect("made of strings")
}

/// Names and values of one run, those of its books after all others.
fn flat(run: &Summary) -> Vec<(String, String)> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let plain = Summary { service: None, bound: None, inference: Vec::new(), ..run.clone() };
    writer.serialize(plain).expect("without its books a summary is flat");
    let bytes = writer.into_inner().expect("memory does not fail");
    let lines: Vec<csv::StringRecord> =
        csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]).records().filter_map(Result::ok).collect();
    let [names, values] = &lines[..] else { unreachable!("a header and one record") };
    let mut row: Vec<(String, String)> = names.iter().map(str::to_owned).zip(values.iter().map(str::to_owned)).collect();
    row.extend(run.service.iter().flat_map(|service| service.flat()));
    row.extend(run.inference.iter().flat_map(InferenceSummary::flat));
    row
}
