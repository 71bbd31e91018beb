//! `orrery policies`: everything that can be named.

use crate::Verdict;
use crate::cli::{ListArgs, Output};
use anyhow::Result;
use policies::spec::{Entry, Parameter};
use policies::{catalog::POLICIES, placement::PLACEMENTS};
use serde::Serialize;
use std::io::Write;
use traces::import::FORMATS;

#[derive(Serialize)]
struct Row {
    kind: &'static str,
    name: String,
    about: String,
    parameters: Vec<ParameterRow>,
}

#[derive(Serialize)]
struct ParameterRow {
    key: &'static str,
    default: &'static str,
    about: &'static str,
}

fn entry(kind: &'static str, entry: &Entry) -> Row {
    let parameter = |p: &Parameter| ParameterRow { key: p.key, default: p.default, about: p.about };
    Row {
        kind,
        name: entry.name.into(),
        about: entry.about.into(),
        parameters: entry.parameters.iter().map(parameter).collect(),
    }
}

/// Prints the lists.
pub fn list(args: &ListArgs) -> Result<Verdict> {
    let plain = |kind, name: String, about: String| Row { kind, name, about, parameters: Vec::new() };
    let mut rows: Vec<Row> = POLICIES.iter().map(|e| entry("policy", e)).collect();
    rows.extend(PLACEMENTS.iter().map(|e| entry("placement", e)));
    rows.extend(sim::CostModel::presets().into_iter().map(|(name, about)| plain("costs", name, about)));
    rows.extend(FORMATS.iter().map(|f| plain("format", f.name.into(), format!("{} Columns: {}", f.about, f.columns))));
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?,
        Output::Csv => {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(["kind", "name", "parameter", "default", "about"])?;
            for row in &rows {
                csv.write_record([row.kind, &row.name, "", "", &row.about])?;
                for p in &row.parameters {
                    csv.write_record([row.kind, &row.name, p.key, p.default, p.about])?;
                }
            }
            csv.flush()?;
        }
        Output::Table => {
            let mut kind = "";
            for row in &rows {
                if row.kind != kind {
                    kind = row.kind;
                    writeln!(out, "{}{}", if row.kind == "policy" { "" } else { "\n" }, heading(kind))?;
                }
                writeln!(out, "  {:<14} {}", row.name, row.about)?;
                for p in &row.parameters {
                    writeln!(out, "  {:<14}   {}={}: {}", "", p.key, p.default, p.about)?;
                }
            }
        }
    }
    Ok(Verdict::Done)
}

fn heading(kind: &str) -> &'static str {
    match kind {
        "policy" => "Policies (--policy 'NAME' or 'NAME(key=value, ...)'):",
        "placement" => "Placements (--placement):",
        "costs" => "Cost presets (--costs):",
        _ => "Trace formats (--format; found out from the content when not given):",
    }
}
