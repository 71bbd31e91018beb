//! Scenario files, good and bad.

use std::path::Path;
use traces::generate::{Preset, WorkloadModel, generate};
use traces::scenario::{Estimates, Jobs, Scenario, ScenarioError, parse_nodes};

const HEAD: &str = "[fleet]\nnodes = \"4x8\"\n";

fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse(text, Path::new("dir/test.toml"))
}

/// The message of a refused scenario holds all these parts.
#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let message = parse(text).expect_err("it should be refused").to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn the_quickstart_is_an_interesting_week() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/quickstart.toml");
    let scenario = Scenario::load(path).unwrap();
    assert!(scenario.question.ends_with('?') && !scenario.question.contains('#'), "{}", scenario.question);
    let fleet = scenario.fleet().unwrap();
    assert_eq!(fleet.accelerators(), 512);
    let Jobs::Generate(model) = scenario.jobs(&fleet) else { panic!("no model") };
    let trace = generate(&model, scenario.seed).unwrap();
    assert!((3000..20_000).contains(&trace.jobs.len()), "{} jobs", trace.jobs.len());
    assert!(trace.jobs.iter().any(|job| job.demand.accelerators >= 64));
}

#[test]
fn unknown_keys_name_line_field_and_the_valid_ones() {
    refused(&format!("{HEAD}[workload]\npresett = \"x\"\n"), &["dir/test.toml:4", "presett", "expected one of", "`jobs`"]);
    refused(&format!("{HEAD}[workload]\n[run]\npolicy = \"fifo\"\n"), &[":5", "run", "`policy`", "`policies`"]);
    refused("[fleet]\nnode = 3\n", &[":2", "fleet", "`pool`"]);
}

#[test]
fn wrong_values_name_line_and_expectation() {
    refused(&format!("{HEAD}[workload]\npreset = \"philly\"\n"), &[":4", "workload.preset", "`philly-like`"]);
    refused(&format!("{HEAD}[workload]\ndays = \"x\"\n"), &[":4", "workload.days", "string"]);
    refused(&format!("{HEAD}[workload]\nduration_max = \"4 ours\"\n"), &[":4", "duration_max", "length of time"]);
    refused(&format!("{HEAD}[workload]\nload = -1\n"), &[":4", "load", "-1", "more than 0"]);
    refused(&format!("{HEAD}[workload]\nhours = [1]\n"), &[":4", "hours", "24 rates"]);
    refused(&format!("{HEAD}[workload]\n[run]\nestimates = \"guess\"\n"), &[":5", "run.estimates", "oracle"]);
    refused(&format!("{HEAD}[workload]\n[run]\npolicies = []\n"), &[":5", "run.policies", "at least one"]);
    refused("[fleet]\nnodes = \"4by8\"\n[workload]\n", &[":2", "4by8", "64x8"]);
    refused("[fleet]\npool = 0\n[workload]\n", &[":1", "at least one"]);
    refused("[fleet]\npool = 8\nnodes = \"1x8\"\n[workload]\n", &["exactly one"]);
    refused(&format!("{HEAD}[workload]\n[trace]\nfile = \"a.csv\"\n"), &["only one of"]);
    refused(HEAD, &["[trace]", "[workload]"]);
    refused("[fleet\n", &["dir/test.toml:1"]);
    refused(&format!("{HEAD}[trace]\nfile = \"nowhere.csv\"\n"), &[":4", "trace.file", "dir/nowhere.csv"]);
    refused("[workload]\n", &["fleet"]);
}

#[test]
fn a_million_accelerators_take_a_few_lines() {
    let text = r#"
        [[fleet.region]]
        name = "north"
        cluster = [{ name = "n", count = 100, group = [{ count = 625, accelerators = 8, type = "a100" }] }]
        [[fleet.region]]
        name = "south"
        [[fleet.region.cluster]]
        name = "s"
        group = [
            { count = 60_000, accelerators = 8, type = "h100", cpu_milli = 96_000, memory_mib = 1_000_000 },
            { count = 5_000, accelerators = 4, type = "v100" },
        ]
        [workload]
    "#;
    let fleet = parse(text).unwrap().fleet().unwrap();
    assert_eq!(fleet.accelerators(), 1_000_000);
    assert_eq!((fleet.regions.len(), fleet.clusters.len(), fleet.nodes.len()), (2, 101, 127_500));
    assert_eq!(fleet.types, ["a100", "h100", "v100"]);
    assert_eq!(fleet.clusters[99].name, "n-100");
}

#[test]
fn the_fleet_completes_the_model() {
    let scenario = parse(&format!("seed = 5\n{HEAD}[workload]\nload = 0.5\njobs = 100\n")).unwrap();
    let fleet = scenario.fleet().unwrap();
    let Jobs::Generate(model) = scenario.jobs(&fleet) else { panic!("no model") };
    assert_eq!((model.accelerators, model.accelerators_max), (Some(32), Some(32)));
    assert_eq!(scenario.name, "test");
    assert_eq!(scenario.run.estimates, Estimates::Oracle);
    assert!(generate(&model, 5).unwrap().jobs.iter().all(|job| job.demand.accelerators <= 32));
}

#[test]
fn models_override_presets_and_survive_toml() {
    let text = r#"
        preset = "helios-like"
        jobs = 500
        tenants = { count = 3, exponent = 0.0 }
        durations = { median = "10m", sigma = 1.0 }
        sizes = [{ accelerators = 2, share = 1 }, { accelerators = 3, share = 1, durations = { mean = "1h" } }]
        outcomes = [{ up_to = 1, completed = 1 }]
        types = [{ name = "a100", share = 0.5 }]
    "#;
    let model: WorkloadModel = toml::from_str(text).unwrap();
    assert_eq!(model.preset, Preset::HeliosLike);
    let trace = generate(&model, 1).unwrap();
    assert!(trace.jobs.iter().all(|job| [2, 3].contains(&job.demand.accelerators)));
    assert_eq!((trace.tenants.len(), trace.types.as_slice()), (4, ["a100".to_owned()].as_slice()));
    let again: WorkloadModel = toml::from_str(&toml::to_string(&model).unwrap()).unwrap();
    assert_eq!(again, model);
}

#[test]
fn node_texts() {
    assert_eq!(parse_nodes("16x8").unwrap().accelerators(), 128);
    for text in ["", "16", "x8", "0x8", "8x0", "-1x8", "16x8x2", "9999999999x8"] {
        assert!(parse_nodes(text).is_err(), "{text}");
    }
}
