//! The real traces, where they are at hand: counts and figures that their publishers state.

use orrery_traces::import::{ImportOptions, Imported, import};
use std::path::PathBuf;

/// The folder of real traces, `$ORRERY_TRACES` or `../shared/traces` beside the workspace.
fn real(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ORRERY_TRACES").map(PathBuf::from);
    let root = root.unwrap_or_else(|| {
        [env!("CARGO_MANIFEST_DIR"), "..", "..", "shared", "traces"]
            .iter()
            .collect()
    });
    let (file, member) = name.split_once('#').unwrap_or((name, ""));
    let path = root.join(file);
    if !path.exists() {
        println!("SKIPPED: {} not found", path.display());
        return None;
    }
    Some(if member.is_empty() {
        path
    } else {
        root.join(name)
    })
}

fn load(name: &str) -> Option<Imported> {
    let path = real(name)?;
    Some(import(&path, &ImportOptions::default()).unwrap_or_else(|error| panic!("{error}")))
}

fn hours(imported: &Imported) -> f64 {
    let jobs = imported.trace.jobs.iter();
    jobs.map(|j| j.duration.as_secs_f64() * j.demand.milli_total() as f64 / 3_600_000.0)
        .sum()
}

#[test]
fn itp_merges_ten_clusters() {
    for archive in ["itp/raw-traces.tar.gz", "itp/elasticflow-traces.tar.gz"] {
        let Some(all) = load(archive) else { return };
        assert_eq!(all.trace.jobs.len(), 69_351);
        assert_eq!(all.trace.tenants.len(), 11, "ten clusters and nobody");
        assert!((hours(&all) - 1_632_719.7).abs() < 0.1, "{}", hours(&all));
        assert!(all.trace.jobs.is_sorted_by_key(|job| job.submit));
        assert_eq!(all.trace.jobs[0].submit.0, 1_999_000_000);
        assert!(all.trace.jobs[0].id.starts_with("cluster07/"));
    }
    let Some(one) = load("itp/raw-traces.tar.gz#cluster03.csv") else {
        return;
    };
    assert_eq!(
        (one.trace.jobs.len(), one.trace.jobs[0].submit.0),
        (3_011, 911_907_000_000)
    );
    let Some(sample) = load("itp/elasticflow-traces.tar.gz#195job.csv") else {
        return;
    };
    assert_eq!(sample.trace.jobs.len(), 195);
}

#[test]
fn philly_tables() {
    let Some(merged) = load("philly/philly_merged.csv.gz") else {
        return;
    };
    assert_eq!(merged.trace.jobs.len(), 111_549);
    assert_eq!(merged.trace.epoch_unix_s, Some(1_502_753_220));
    assert_eq!(merged.trace.format, "philly-csv");
    let Some(month) = load("philly/philly_oct_5000.csv") else {
        return;
    };
    assert_eq!(
        (month.trace.jobs.len(), month.trace.format.as_str()),
        (5_000, "csv")
    );
    assert_eq!(month.trace.jobs[2].duration.0, 53_000_000);
}

#[test]
fn helios_tables() {
    let Some(whole) = load("helios/safa_venus_helios_trace.csv.gz") else {
        return;
    };
    assert_eq!(whole.trace.jobs.len(), 125_303);
    assert_eq!(
        whole.trace.jobs[1].submit.0, 651_507_000_000,
        "offsets stay as they are"
    );
    let Some(part) = load("helios/safa_venus_helios_trace_sub.csv.gz") else {
        return;
    };
    assert_eq!(part.trace.jobs.len(), 62_735);
    let Some(slice) = load("helios/fleetsim_helios_venus_2vc_sept.csv.gz") else {
        return;
    };
    assert_eq!(
        (slice.trace.jobs.len(), slice.trace.tenants.len()),
        (1_867, 3)
    );
    assert_eq!(slice.trace.jobs[0].submit.0, 5_835_000_000);
}
