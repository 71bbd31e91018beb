//! The real traces, where they are at hand: counts and figures that their publishers state.

use std::path::PathBuf;
use traces::import::{ImportOptions, Imported, import, import_fleet};

/// The folder of real traces, `$ORRERY_TRACES` or `../shared/traces` beside the workspace.
fn real(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ORRERY_TRACES").map(PathBuf::from);
    let root = root.unwrap_or_else(|| [env!("CARGO_MANIFEST_DIR"), "..", "..", "shared", "traces"].iter().collect());
    let (file, member) = name.split_once('#').unwrap_or((name, ""));
    let path = root.join(file);
    if !path.exists() {
        println!("SKIPPED: {} not found", path.display());
        return None;
    }
    Some(if member.is_empty() { path } else { root.join(name) })
}

fn load(name: &str) -> Option<Imported> {
    let path = real(name)?;
    Some(import(&path, &ImportOptions::default()).unwrap_or_else(|error| panic!("{error}")))
}

/// With a machine list.
fn load_with(name: &str, machines: &str) -> Option<Imported> {
    let options = ImportOptions { machines: Some(real(machines)?), ..ImportOptions::default() };
    Some(import(&real(name)?, &options).unwrap_or_else(|error| panic!("{error}")))
}

fn hours(imported: &Imported) -> f64 {
    let jobs = imported.trace.jobs.iter();
    jobs.map(|j| j.duration.as_secs_f64() * j.demand.milli_total() as f64 / 3_600_000.0).sum()
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
    assert_eq!((one.trace.jobs.len(), one.trace.jobs[0].submit.0), (3_011, 911_907_000_000));
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
    assert_eq!((month.trace.jobs.len(), month.trace.format.as_str()), (5_000, "csv"));
    assert_eq!(month.trace.jobs[2].duration.0, 53_000_000);
}

#[test]
fn helios_tables() {
    let Some(whole) = load("helios/safa_venus_helios_trace.csv.gz") else {
        return;
    };
    assert_eq!(whole.trace.jobs.len(), 125_303);
    assert_eq!(whole.trace.jobs[1].submit.0, 651_507_000_000, "offsets stay as they are");
    let Some(part) = load("helios/safa_venus_helios_trace_sub.csv.gz") else {
        return;
    };
    assert_eq!(part.trace.jobs.len(), 62_735);
    let Some(slice) = load("helios/fleetsim_helios_venus_2vc_sept.csv.gz") else {
        return;
    };
    assert_eq!((slice.trace.jobs.len(), slice.trace.tenants.len()), (1_867, 3));
    assert_eq!(slice.trace.jobs[0].submit.0, 5_835_000_000);
}

#[test]
fn openb_pods_and_nodes() {
    let Some(all) = load_with("openb/openb_pod_list_default.csv.gz", "openb/openb_node_list_all_node.csv.gz") else { return };
    let fleet = all.trace.fleet.as_ref().unwrap();
    assert_eq!((fleet.nodes.len(), fleet.accelerators(), fleet.types.len()), (1_523, 6_212, 7));
    assert_eq!((all.trace.jobs.len(), all.trace.types.as_slice()), (8_152, fleet.types.as_slice()));
    let waiting = all.trace.jobs.iter().filter(|job| job.recorded_start.is_none()).count();
    assert_eq!(waiting, 897, "pods that were never scheduled");
    let with_spec = |name: &str| {
        let all = load_with(name, "openb/openb_node_list_gpu_node.csv.gz")?;
        Some(all.trace.jobs.iter().filter(|job| job.demand.types != policies::TypeSet::ANY).count())
    };
    assert_eq!(with_spec("openb/openb_pod_list_default.csv.gz"), Some(0));
    assert_eq!(with_spec("openb/openb_pod_list_gpuspec20.csv.gz"), Some(8_152 - 6_708));
    for (name, pods) in [("multigpu20", 8_324), ("gpushare40", 8_152), ("cpu100", 7_853)] {
        let Some(all) = load(&format!("openb/openb_pod_list_{name}.csv.gz")) else { return };
        assert_eq!(all.trace.jobs.len(), pods);
    }
}

#[test]
fn lingjun_gavel_shockwave_and_pollux() {
    let Some(lingjun) = load("lingjun/rfold_crux_jobs.csv.gz") else { return };
    assert_eq!(lingjun.trace.jobs.len(), 2_498);
    let hosts = import_fleet(&real("lingjun/topo.csv.gz").unwrap()).unwrap();
    assert_eq!((hosts.nodes.len(), hosts.regions.len()), (847, 3));
    let Some(gavel) = load("gavel/msr_seed0/6214e9.trace.gz") else { return };
    assert!(gavel.trace.jobs.len() > 1_000 && gavel.notes.iter().any(|note| note.contains("v100")), "{:?}", gavel.notes);
    let shockwave = "shockwave/120_0.2_5_100_40_25_0,0.5,0.5_0.6,0.3,0.09,0.01_multigpu_dynamic.trace.gz";
    let Some(shockwave) = load(shockwave) else { return };
    assert_eq!((shockwave.trace.jobs.len(), shockwave.trace.jobs[0].duration.as_secs_f64()), (120, 1_418.0));
    let pollux = import(&real("pollux/workloads/workload-1.csv").unwrap(), &ImportOptions::default());
    assert!(pollux.unwrap_err().to_string().contains("no durations"));
}

#[test]
fn philly_machines() {
    let Some(path) = real("philly/cluster_machine_list.csv") else { return };
    let fleet = import_fleet(&path).unwrap();
    assert_eq!(
        (fleet.nodes.len(), fleet.accelerators(), fleet.types.as_slice()),
        (552, 2_490, &["12GB".to_string(), "24GB".into()][..])
    );
    let quotas = import_fleet(&real("helios/Venus_cluster_gpu_number.csv").unwrap()).unwrap();
    assert!((968..=1_080).contains(&quotas.accelerators()), "{}", quotas.accelerators());
}
