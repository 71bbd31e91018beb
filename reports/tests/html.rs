//! The page is whole, readable by XML parsers where it must be, and names what it shows.

mod common;
use common::{Row, Setup};
use policies::Time;
use reports::{Analysis, Picture, write_report};
use std::path::Path;

/// Two busy days: many small jobs, a few large ones, bursts by day.
fn rows(count: u64) -> Vec<Row> {
    let draw = |i: u64, k: u64| (i * 6_364_136_223 + k * 1_442_695_041) >> 9;
    let one = |i: u64| {
        let day = i % 300 * 120;
        let (size, length) = (draw(i, 1) % 100, draw(i, 2) % 1000);
        let accelerators = [1, 1, 1, 1, 2, 4, 8, 16, 32][(size % 9) as usize];
        (i / 300 * 86_400 + day, 5 + length * length * length / 10_000, accelerators, 1 + (size % 2) as u32)
    };
    let mut rows: Vec<Row> = (0..count).map(one).collect();
    rows.sort_by_key(|row| row.0);
    rows
}

fn pictures(folder: &Path, policies: &[&'static str], until: Option<Time>) -> Vec<Picture> {
    let of = |policy: &&'static str| {
        let setup = Setup { policy, costs: "restart", until, ..Setup::nodes(8, 8) };
        let analysis = Analysis::read(setup.log(folder, &rows(600))).unwrap();
        Picture::of(&analysis, 0.5)
    };
    policies.iter().map(of).collect()
}

/// Tags open and close in order, attributes are quoted, and no bare ampersand is left.
fn check_markup(text: &str) {
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        if tag.starts_with('!') || tag.starts_with('?') || tag.ends_with('/') || name == "meta" {
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name.to_owned()), "closes what was opened");
        } else {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    for part in text.split('&').skip(1) {
        assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|entity| part.starts_with(entity)), "{}", &part[..20]);
    }
}

#[test]
fn the_page_holds_every_figure_and_everything_to_cite() {
    let folder = tempfile::tempdir().unwrap();
    // To look at it: ORRERY_KEEP=/tmp/report cargo test -p orrery-reports --test html
    let kept = std::env::var_os("ORRERY_KEEP").map(std::path::PathBuf::from);
    let out = kept.as_deref().unwrap_or(folder.path());
    std::fs::create_dir_all(out).unwrap();
    let runs = pictures(folder.path(), &["fifo", "fifo(skip=true)"], None);
    let page = write_report(out, &runs, "orrery run scenarios/\"a&b\".toml").unwrap();
    let html = std::fs::read_to_string(page).unwrap();
    check_markup(&html);
    for name in ["load", "times", "sizes", "fairness", "reasons"] {
        let svg = std::fs::read_to_string(out.join(name).with_extension("svg")).unwrap();
        check_markup(&svg);
        assert!(html.contains(&svg), "{name} is in the page");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
        assert!(svg.contains("fifo(skip=true)") && svg.len() < 400_000, "{name}: {} bytes", svg.len());
    }
    for run in &runs {
        assert!(html.contains(&run.summary.log_digest) && html.contains(&run.summary.policy));
    }
    assert!(html.contains("scenarios/&quot;a&amp;b&quot;.toml"));
    assert!(!html.contains("http://") || html.matches("http://").count() == html.matches("http://www.w3.org/2000/svg").count());
    assert!(!html.contains("<script") && !html.contains("<link") && !html.contains("src="), "self-contained");
}

#[test]
fn runs_with_little_or_nothing_in_them_have_a_page_too() {
    let folder = tempfile::tempdir().unwrap();
    for until in [Time::from_secs(0), Time::from_secs(3)] {
        let runs = pictures(folder.path(), &["fifo"], Some(until));
        let page = write_report(folder.path(), &runs, "orrery run").unwrap();
        check_markup(&std::fs::read_to_string(page).unwrap());
    }
    let nothing = Picture::of(&Analysis::new(Setup::pool(8).header()), 0.0);
    let page = write_report(folder.path(), &[nothing], "orrery run").unwrap();
    check_markup(&std::fs::read_to_string(page).unwrap());
    let one = Setup::pool(1).log(folder.path(), &[(0, 0, 1, 0)]);
    write_report(folder.path(), &[Picture::of(&Analysis::read(one).unwrap(), 0.0)], "orrery run").unwrap();
}

#[test]
fn many_runs_fit_in_one_page() {
    let folder = tempfile::tempdir().unwrap();
    let run = pictures(folder.path(), &["fifo"], None).remove(0);
    let mut runs = Vec::new();
    for seed in 0..10 {
        let mut other = run.clone();
        other.summary.seed = seed;
        runs.push(other);
    }
    let html = std::fs::read_to_string(write_report(folder.path(), &runs, "x").unwrap()).unwrap();
    assert!(html.contains("fifo, seed 9"));
}
