//! One self-contained page for one or several runs.

use crate::error::ReportError;
use crate::figures::{Figure, Picture, draw_all, draw_study, escaped, grouped, human, relabel};
use crate::output::write_whole;
use crate::summary::{Summary, labels};
use crate::summary_table::{inference_rows, service_rows, summary_csv, summary_json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use traces::runlog::World;

const STYLE: &str = "\
:root{color-scheme:light}body{font:16px/1.5 system-ui,sans-serif;color:#282828;background:#fff;max-width:74rem;margin:2rem auto;\
padding:0 1rem}h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin:2.2rem 0 .4rem}figure{margin:.5rem 0}\
svg{max-width:100%;height:auto}figcaption{font-size:.92rem;color:#444;max-width:56rem}.wide{overflow-x:auto}\
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}th,td{padding:.25rem .55rem;text-align:right;\
border-bottom:1px solid #ddd;white-space:nowrap}th:first-child,td:first-child{text-align:left}thead th{border-bottom:2px solid #888}\
code,pre{font-family:ui-monospace,monospace;font-size:.9rem}pre{background:#f4f4f4;padding:.6rem .8rem;overflow-x:auto}";

/// A column of the page's table: heading, what it means, and the cell.
type Column = (&'static str, &'static str, fn(&Summary) -> String);

const COLUMNS: [Column; 13] = [
    ("jobs", "submitted", |s| grouped(s.jobs as f64)),
    ("withdrawn", "by their owners before they were done", |s| grouped(s.withdrawn as f64)),
    ("unfinished", "not done when the run ended", |s| grouped(s.unfinished as f64)),
    ("mean JCT", "mean time from submission to the end", |s| time(s.mean_jct_s)),
    ("p50 JCT", "median of it", |s| time(s.p50_jct_s)),
    ("p90 JCT", "90th percentile of it", |s| time(s.p90_jct_s)),
    ("p99 JCT", "99th percentile of it", |s| time(s.p99_jct_s)),
    ("mean wait", "mean time not running between submission and the end", |s| time(s.mean_wait_s)),
    ("makespan", "first submission to last end", |s| human(s.makespan_s)),
    ("preemptions", "attempts stopped on order", |s| grouped(s.preemptions as f64)),
    ("allocation", "accelerator-time held over accelerator-time there was", |s| format!("{:.1} %", s.allocation * 100.0)),
    ("slowdown", "mean of max(1, JCT / max(time run, 10 s))", |s| {
        s.mean_bounded_slowdown.map_or("-".into(), |v| if v < 100.0 { format!("{v:.1}") } else { grouped(v.round()) })
    }),
    ("fairness", "Jain's index of tenants' speed; 1 is equal", |s| {
        s.fairness_jain.filter(|_| s.tenants > 1).map_or("-".into(), |v| format!("{v:.3}"))
    }),
];

fn time(seconds: Option<f64>) -> String {
    seconds.map_or("-".into(), human)
}

/// Writes `report.html` and each figure as `NAME.svg` into `folder`, which exists. `command` is what reproduces the result.
/// Returns the path of the page.
///
/// # Errors
/// If a file cannot be written or a figure cannot be drawn. Files that were written before are whole.
pub fn write_report(folder: &Path, runs: &[Picture], command: &str) -> Result<PathBuf, ReportError> {
    let mut runs = runs.to_vec();
    relabel(&mut runs);
    let figures = draw_all(&runs)?;
    for figure in &figures {
        write_whole(&folder.join(figure.name).with_extension("svg"), |out| out.write_all(figure.svg.as_bytes()))?;
    }
    let path = folder.join("report.html");
    let page = page(&runs, &figures, command);
    write_whole(&path, |out| out.write_all(page.as_bytes()))?;
    Ok(path)
}

/// Writes `report.html`, `study.svg`, `summary.json` and `summary.csv` of runs that differ in variant, swept value or policy into
/// `folder`, which exists.
///
/// # Errors
/// As [`write_report`].
pub fn write_study(folder: &Path, runs: &[Summary], question: &str, command: &str) -> Result<PathBuf, ReportError> {
    let whole = |name: &str, text: &str| write_whole(&folder.join(name), |out| out.write_all(text.as_bytes()));
    let figure = draw_study(runs)?;
    if let Some(figure) = &figure {
        whole("study.svg", &figure.svg)?;
    }
    whole("summary.json", &summary_json(runs))?;
    whole("summary.csv", &summary_csv(runs))?;
    let borrowed: Vec<&Summary> = runs.iter().collect();
    let names = labels(&borrowed);
    let mut html = head(runs.first().map_or("", |run| run.scenario.as_str()));
    let _ = writeln!(html, "<p>{}</p>", escaped(question));
    if let Some(figure) = &figure {
        section(&mut html, figure);
    }
    html.push_str("<h2>Results</h2>\n");
    html.push_str(&results(runs.iter().zip(names.iter().map(String::as_str))));
    let rows = service_rows(runs, &names);
    if !rows.is_empty() {
        html.push_str("<h2>Service levels</h2>\n");
        html.push_str(&table(&rows));
    }
    let rows = inference_rows(runs, &names);
    if !rows.is_empty() {
        html.push_str("<h2>Inference services</h2>\n");
        html.push_str(&table(&rows));
    }
    html.push_str("<h2>What was run</h2>\n");
    html.push_str(&provenance(runs.iter().zip(names.iter().map(String::as_str))));
    let _ = writeln!(html, "<h2>Reproduce</h2>\n<pre>{}</pre>\n</body></html>", escaped(command));
    whole("report.html", &html)?;
    Ok(folder.join("report.html"))
}

fn table(rows: &[Vec<String>]) -> String {
    let mut html = String::from("<div class=\"wide\"><table>");
    for (i, row) in rows.iter().enumerate() {
        let cell = if i == 0 { "th" } else { "td" };
        let cells: String = row.iter().map(|text| format!("<{cell}>{}</{cell}>", escaped(text))).collect();
        let _ =
            writeln!(html, "{}<tr>{cells}</tr>{}", if i == 0 { "<thead>" } else { "" }, if i == 0 { "</thead>" } else { "" });
    }
    html + "</table></div>\n"
}

fn head(title: &str) -> String {
    let mut html = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    let _ = write!(html, "<meta name=\"viewport\" content=\"width=device-width\"><title>{} - Orrery</title>", escaped(title));
    let _ = write!(html, "<style>{STYLE}</style></head><body>\n<h1>{}</h1>\n", escaped(title));
    html
}

fn section(html: &mut String, figure: &Figure) {
    let _ = write!(html, "<h2>{}</h2>\n<figure>\n{}\n", figure.title, figure.svg);
    let _ = writeln!(html, "<figcaption>{}</figcaption></figure>", escaped(&figure.caption));
}

fn page(runs: &[Picture], figures: &[Figure], command: &str) -> String {
    let mut html = head(runs.first().map_or("", |run| run.summary.scenario.as_str()));
    let named = || runs.iter().map(|run| (&run.summary, run.label()));
    if let Some(run) = runs.first() {
        let _ = writeln!(html, "<p>{}</p>", escaped(&introduction(&run.summary, runs.len())));
    }
    html.push_str("<h2>Results</h2>\n");
    html.push_str(&results(named()));
    let (summaries, names): (Vec<Summary>, Vec<String>) = named().map(|(s, name)| (s.clone(), name.to_owned())).unzip();
    let rows = service_rows(&summaries, &names);
    if !rows.is_empty() {
        html.push_str(&table(&rows));
    }
    let rows = inference_rows(&summaries, &names);
    if !rows.is_empty() {
        html.push_str(&table(&rows));
    }
    for figure in figures {
        section(&mut html, figure);
    }
    html.push_str("<h2>What was run</h2>\n");
    html.push_str(&provenance(named()));
    let _ = writeln!(html, "<h2>Reproduce</h2>\n<pre>{}</pre>", escaped(command));
    html.push_str("</body></html>\n");
    html
}

fn introduction(s: &Summary, runs: usize) -> String {
    let world = match s.world {
        World::Simulated => "simulated",
        World::Real => "run on real processes",
    };
    format!(
        "{} {world} on {} accelerators of {} nodes: {} jobs of {} tenants. Orrery {}.",
        if runs == 1 { "One run".to_owned() } else { format!("{runs} runs") },
        grouped(s.accelerators as f64),
        grouped(s.nodes as f64),
        grouped(s.jobs as f64),
        grouped(s.tenants as f64),
        s.version
    )
}

fn results<'a>(runs: impl Iterator<Item = (&'a Summary, &'a str)> + Clone) -> String {
    let zero = |column: &Column| runs.clone().all(|(run, _)| matches!((column.2)(run).as_str(), "0" | "-"));
    let columns: Vec<Column> = COLUMNS.into_iter().filter(|column| column.0 == "jobs" || !zero(column)).collect();
    let mut html = String::from("<div class=\"wide\"><table><thead><tr><th>policy</th>");
    for (name, meaning, _) in &columns {
        let _ = write!(html, "<th title=\"{meaning}\">{name}</th>");
    }
    html.push_str("</tr></thead><tbody>\n");
    for (run, name) in runs {
        let _ = write!(html, "<tr><td>{}</td>", escaped(name));
        for (_, _, cell) in &columns {
            let _ = write!(html, "<td>{}</td>", cell(run));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n<p>");
    let meanings: Vec<String> = columns.iter().map(|(name, meaning, _)| format!("<b>{name}</b>: {meaning}")).collect();
    let _ = writeln!(
        html,
        "<small>{}. Means and quantiles are over done jobs; quantiles are nearest-rank.</small></p>",
        meanings.join("; ")
    );
    html
}

/// What makes each row citable.
fn provenance<'a>(runs: impl Iterator<Item = (&'a Summary, &'a str)>) -> String {
    let parts: [(&str, fn(&Summary) -> String); 8] = [
        ("policy", |s| s.policy.clone()),
        ("placement", |s| s.placement.clone()),
        ("estimates", |s| s.estimates.clone()),
        ("costs", |s| s.costs.clone()),
        ("seed", |s| s.seed.to_string()),
        ("trace digest", |s| s.trace_digest.clone()),
        ("log digest", |s| s.log_digest.clone()),
        ("wall time", |s| if s.wall_s > 0.0 { human(s.wall_s) } else { "-".into() }),
    ];
    let mut html = String::from("<div class=\"wide\"><table><thead><tr><th>run</th>");
    parts.iter().for_each(|(name, _)| html.push_str(&format!("<th>{name}</th>")));
    html.push_str("</tr></thead><tbody>\n");
    for (run, label) in runs {
        let _ = write!(html, "<tr><td>{}</td>", escaped(label));
        for (name, cell) in &parts {
            let text = escaped(&cell(run));
            let _ = if name.ends_with("digest") {
                write!(html, "<td><code>{text}</code></td>")
            } else {
                write!(html, "<td>{text}</td>")
            };
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}
