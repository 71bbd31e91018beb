//! What must hold for any bytes: no panic, one-line messages, and traces that keep their promises.

use std::path::Path;
use traces::import::{Format, ImportOptions, Imported, OnBadRow, import_bytes, import_fleet_bytes};

/// Imports `data` as that format (by name), or as whatever it looks like.
#[allow(dead_code)]
pub fn traces_with(name: Option<&str>, data: &[u8]) {
    let format = name.map(|name| name.parse::<Format>().expect("a format's name"));
    let side = |extension| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = format!("{}.{extension}", name?);
        // From the fuzz package, and from the crate whose tests include this file.
        ["side", "fuzz/side"].map(|folder| here.join(folder).join(&file)).into_iter().find(|path| path.is_file())
    };
    let with = side("csv").or_else(|| side("json"));
    for on_bad_row in [OnBadRow::Fail, OnBadRow::Skip] {
        let options = ImportOptions { format, on_bad_row, with: with.clone(), ..ImportOptions::default() };
        match import_bytes("fuzz", data, &options) {
            Ok(imported) => holds(&imported),
            Err(error) => one_line(&error.to_string()),
        }
    }
}

/// Imports `data` as a machine list.
#[allow(dead_code)]
pub fn machines(data: &[u8]) {
    match import_fleet_bytes("fuzz", data) {
        Ok(fleet) => {
            assert!(!fleet.nodes.is_empty() && fleet.types.len() <= 64);
            assert!(fleet.nodes.iter().all(|node| usize::from(node.cluster.0) < fleet.clusters.len()));
        }
        Err(error) => one_line(&error.to_string()),
    }
}

fn one_line(message: &str) {
    assert!(!message.contains(['\n', '\r']), "{message:?}");
    assert!(message.len() < 4000, "{message}");
}

fn holds(imported: &Imported) {
    let trace = &imported.trace;
    assert!(!trace.jobs.is_empty() && trace.types.len() <= 64);
    assert!(trace.jobs.is_sorted_by_key(|job| job.submit));
    let mut ids: Vec<&str> = trace.jobs.iter().map(|job| &*job.id).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "unique ids");
    for job in &trace.jobs {
        assert!(job.demand.accelerators > 0 || job.demand.cpu_milli > 0);
        assert!((1..=1000).contains(&job.demand.milli));
        assert!((job.tenant as usize) < trace.tenants.len() && (job.label as usize) < trace.labels.len());
        assert!(job.recorded_start.is_none_or(|start| start >= job.submit));
    }
    for bad in &imported.skipped {
        one_line(&bad.to_string());
    }
}
