//! Scenario files, good and bad.

use policies::{Demand, Fleet, Span, Time, TypeId, TypeSet};
use proptest::prelude::*;
use std::path::Path;
use traces::generate::{Preset, WorkloadModel, generate};
use traces::scenario::{Estimates, Jobs, NoSuchJob, Scenario, ScenarioError, TraceSpec, align_types, parse_nodes};
use traces::{Outcome, Trace, TraceJob};

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
    let Jobs::Generate(model) = scenario.source(&fleet) else { panic!("no model") };
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
    let Jobs::Generate(model) = scenario.source(&fleet) else { panic!("no model") };
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

/// A trace of 100 jobs, one a minute, of 1 to 10 accelerators, each an hour long, alternately for type `old` or any.
fn minutely() -> Trace {
    let job = |i: u64| TraceJob {
        id: i.to_string().into(),
        submit: Time::from_secs(60 * i),
        duration: Span::from_secs(3600),
        demand: Demand {
            types: if i.is_multiple_of(2) { TypeSet::only(TypeId(1)) } else { TypeSet::ANY },
            ..Demand::whole(i as u32 % 10 + 1)
        },
        tenant: 0,
        priority: 0,
        tier: 0,
        estimate: None,
        outcome: Outcome::Completed,
        recorded_start: Some(Time::from_secs(60 * i + 7)),
        label: 0,
    };
    let types = vec!["other".into(), "old".into()];
    Trace { jobs: (0..100).map(job).collect(), types, epoch_unix_s: Some(1000), ..Trace::default() }
}

/// What `[trace]` with these lines makes of [`minutely`] on a fleet of 16 `new` and 16 `x`.
fn applied(lines: &str) -> Trace {
    let spec: TraceSpec = toml::from_str(&format!("file = \"t.csv\"\n{lines}")).unwrap();
    let mut fleet = Fleet::default();
    let (x, new) = (fleet.add_type("x"), fleet.add_type("new"));
    let region = fleet.add_region("r");
    let cluster = fleet.add_cluster("c", region);
    fleet.add_nodes(cluster, x, 2, 8);
    fleet.add_nodes(cluster, new, 2, 8);
    spec.apply(minutely(), &fleet).unwrap()
}

#[test]
fn windows_and_sizes_filter() {
    let trace = applied("from = \"10m\"\nto = \"20m\"\naccelerators_min = 2\naccelerators_max = 5\nlimit = 3");
    let ids: Vec<&str> = trace.jobs.iter().map(|job| &*job.id).collect();
    assert_eq!(ids, ["11", "12", "13"]);
    assert_eq!((trace.jobs[0].submit, trace.jobs[0].recorded_start), (Time::from_secs(60), Some(Time::from_secs(67))));
    assert_eq!(trace.epoch_unix_s, Some(1600));
    assert_eq!(applied("").jobs.len(), 100);
}

#[test]
fn jobs_of_one_moment_may_be_reordered() {
    let spec = |ids: &str| toml::from_str::<TraceSpec>(&format!("file = \"t.csv\"\nbehind = {ids}")).unwrap();
    let mut trace = minutely();
    trace.jobs.truncate(5);
    trace.jobs[1..4].iter_mut().for_each(|job| job.submit = Time::from_secs(60));
    let ordered = spec("[\"0\", \"2\", \"1\"]").apply(trace.clone(), &Fleet::pool(8)).unwrap();
    assert_eq!(ordered.jobs.iter().map(|job| &*job.id).collect::<Vec<_>>(), ["0", "3", "1", "2", "4"]);
    assert_eq!(spec("[\"5\"]").apply(trace, &Fleet::pool(8)), Err(NoSuchJob("5".into())));
}

#[test]
fn load_moves_arrivals_only() {
    let trace = applied("load = 0.5");
    let hours: f64 = trace.jobs.iter().map(|job| f64::from(job.demand.accelerators)).sum();
    let last = trace.jobs[99].submit.as_secs_f64();
    assert!((hours * 3600.0 / (last * 32.0) - 0.5).abs() < 1e-6);
    assert!(trace.jobs.iter().all(|job| job.recorded_start.is_none() && job.duration == Span::from_secs(3600)));
}

#[test]
fn types_become_the_fleets() {
    let kinds = |lines: &str| applied(lines).jobs.iter().take(2).map(|job| job.demand.types).collect::<Vec<_>>();
    assert_eq!(kinds("types = { old = \"new\" }"), [TypeSet::only(TypeId(1)), TypeSet::ANY]);
    assert_eq!(kinds(""), [TypeSet(0), TypeSet::ANY]);
    assert_eq!(applied("").types, ["x", "new"]);
    let mut trace = minutely();
    align_types(&mut trace, &Fleet::pool(8));
    assert!(trace.jobs.iter().all(|job| job.demand.types == TypeSet::ANY));
}

proptest! {
    /// Whatever is cut out of a good scenario, or put into it, it is read or refused with a message.
    #[test]
    fn damaged_scenarios_do_not_panic(at in 0usize..400, cut in 0usize..40, put in "[\\[\\]\"=.,{}#a-z0-9 \n-]{0,12}") {
        let good = "seed = 1\nname = \"x\"\n[fleet]\nnodes = \"4x8\"\n[workload]\npreset = \"acme-like\"\njobs = 10\nload = 0.9\n\
            duration_max = \"3d\"\nbatches = { jobs_max = 3, exponent = 1, gap = 2, alike = 0.5 }\ntenants = { count = 3, exponent = 1 }\n\
            tiers = [1, 2]\nsizes = [{ accelerators = 2, share = 1, durations = { median = \"1h\", sigma = 1 } }]\n[run]\npolicies = [\"fifo\"]\nestimates = \"noisy(0.5)\"\nuntil = \"1h\"\n";
        let (start, end) = (at.min(good.len()), (at + cut).min(good.len()));
        let text = format!("{}{put}{}", &good[..start], &good[end..]);
        match parse(&text) {
            Ok(scenario) => prop_assert!(scenario.fleet().is_ok()),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

#[test]
fn homes_name_clusters_that_exist() {
    refused(&format!("{HEAD}[workload]\n[[home]]\nclusters = [\"east\"]\n"), &[":5", "home[0].clusters", "east", "`cluster`"]);
    refused(&format!("{HEAD}[workload]\n[[home]]\nclusters = []\n"), &[":5", "home[0].clusters", "at least one"]);
    refused(&format!("{HEAD}[workload]\n[[home]]\nkind = \"web\"\nclusters = [\"*\"]\n"), &[":5", "kind", "inference"]);
    let scenario = parse(&format!("{HEAD}[workload]\n[[home]]\ntenant = \"a*\"\nclusters = [\"clus*\", \"{{tenant}}\"]\n"));
    assert_eq!(scenario.unwrap().home[0].tenant.as_deref(), Some("a*"));
}

#[test]
fn links_states_and_domains_name_line_and_field() {
    let run = "[workload]\n";
    refused(&format!("{HEAD}{run}[network]\nstore_gbps = 0\n"), &[":5", "network.store_gbps", "gigabits per second"]);
    refused(&format!("{HEAD}{run}[network]\nstore_mbps = 1\n"), &[":5", "network", "store_mbps", "`store_gbps`"]);
    refused(&format!("{HEAD}{run}[[network.region]]\nname = \"x\"\n"), &[":5", "network.region[0].name", "\"x\"", "region"]);
    refused(&format!("{HEAD}{run}[[jobs.state]]\nprofile = \"m\"\nweight = 0\n"), &[":6", "jobs.state[0].weight"]);
    let text = format!("{HEAD}{run}[[jobs.state]]\nprofile = \"m\"\naccelerators_min = 8\naccelerators_max = 4\n");
    refused(&text, &[":7", "jobs.state[0].accelerators_max", "at least accelerators_min, which is 8"]);
    let domains = |domains: &str| format!("{HEAD}domains = [{domains}]\n{run}");
    refused(&domains("{ name = \"rack\", nodes = 2 }, { name = \"rail\", nodes = 3 }"), &[":3", "rail", "multiple of 2"]);
    let scenario = parse(&domains("{ name = \"rack\", nodes = 2 }")).unwrap();
    assert_eq!(scenario.fleet().unwrap().domains[0].nodes, 2);
}

#[test]
fn troubles_name_line_and_field() {
    let model = |text: &str| format!("{HEAD}[workload]\n[[faults.model]]\nmtbf = \"1d\"\nrepair_median = \"1h\"\n{text}\n");
    refused(&model("slow = 1.5"), &[":7", "faults.model[0].slow", "above 0 and below 1"]);
    refused(&model("partition = true"), &[":7", "faults.model[0].partition", "a cluster or a region"]);
    refused(&model("unit = \"store\"\nslow = 0.5"), &[":8", "faults.model[0].slow", "only one of"]);
    refused(&model("unit = { domain = \"rack\" }"), &[":7", "faults.model[0].unit", "rack", "fleet.domains"]);
    refused(&model("unit = \"rack\""), &[":7", "faults.model[0].unit", "`domain`"]);
    let event = |text: &str| format!("{HEAD}[workload]\n[[faults.event]]\nat = \"1d\"\n{text}\n");
    refused(&event("store = \"moon\""), &[":4", "faults.event[0]", "no region \"moon\"", "expected one of region"]);
    refused(&event("node = 1\npartition = true"), &[":7", "faults.event[0].partition"]);
    refused(&event("node = 1\nslow = 0"), &[":7", "faults.event[0].slow"]);
    refused(&event("node = 1\nslow = 0.5\ndrain = true"), &[":8", "faults.event[0].drain"]);
    refused(&event("node = 1\nstore = \"region\""), &[":4", "exactly one of"]);
    refused(&event("domain = { level = \"rack\", number = 0 }"), &["no level \"rack\""]);
}

#[test]
fn troubles_are_drawn_and_told_in_order() {
    use traces::faults::{Cut, Trouble};
    let text = "[fleet]\nnodes = \"8x8\"\ndomains = [{ name = \"rack\", nodes = 4 }]\n[workload]\n
        [[faults.model]]\nunit = \"store\"\nmtbf = \"10d\"\nrepair_median = \"1h\"\n
        [[faults.model]]\nslow = 0.5\nmtbf = \"10d\"\nrepair_median = \"1h\"\n
        [[faults.event]]\nat = \"1h\"\nlasts = \"2h\"\ncluster = \"cluster\"\npartition = true\n
        [[faults.event]]\nat = \"1h\"\ndomain = { level = \"rack\", number = 1 }\nslow = 0.25\n
        [[faults.event]]\nat = \"1h\"\ndomain = { level = \"rack\", number = 1 }\n";
    let scenario = parse(text).unwrap();
    let (fleet, until) = (scenario.fleet().unwrap(), Time::from_secs(86_400 * 400));
    let found = scenario.faults.disturbances(&fleet, until, 3);
    assert!(found.is_sorted());
    let count = |kind: &dyn Fn(&Trouble) -> bool| found.iter().filter(|d| d.begins && kind(&d.trouble)).count();
    let stores = count(&|trouble| matches!(trouble, Trouble::Cut(Cut::Store(_))));
    let slow = count(&|trouble| matches!(trouble, Trouble::Slow(_, 5000)));
    assert!((20..60).contains(&stores) && (240..400).contains(&slow), "{stores} stores, {slow} slow nodes");
    assert_eq!(count(&|trouble| matches!(trouble, Trouble::Slow(node, 2500) if node.0 >= 4)), 4);
    assert_eq!(count(&|trouble| matches!(trouble, Trouble::Cut(Cut::Cluster(_)))), 1);
    let down = scenario.faults.changes(Path::new("."), &fleet, until, 3).unwrap();
    assert_eq!(down.len(), 4, "the rack goes down for good; troubles end nothing");
}

#[test]
fn a_million_accelerators_and_their_links_take_a_few_lines() {
    let text = "[fleet]\ndomains = [{ name = \"rack\", nodes = 4 }, { name = \"rail\", nodes = 32 }]\n
        [[fleet.region]]\nname = \"region\"\ncount = 25\n
        cluster = [{ name = \"cluster\", count = 20, group = [{ count = 250, accelerators = 8 }] }]\n
        [network]\nstore_gbps = 100\nregion_gbps = 400\nbetween_regions_gbps = 100\n
        [[network.region]]\nname = \"region-7\"\nstore_gbps = 50\n[workload]\n";
    let scenario = parse(text).unwrap();
    let fleet = scenario.fleet().unwrap();
    assert_eq!((fleet.accelerators(), fleet.regions.len(), fleet.clusters.len()), (1_000_000, 25, 500));
    assert_eq!(fleet.clusters[499].name, "region-25/cluster-20");
    let gbps = |region, of: &dyn Fn(traces::scenario::Bandwidths) -> u64| of(scenario.network.of(region)) * 8 / 1_000_000_000;
    assert_eq!(
        (gbps("region-1", &|b| b.store), gbps("region-7", &|b| b.store), gbps("region-7", &|b| b.region)),
        (100, 50, 400)
    );
    assert_eq!(scenario.network.of("region-7").cluster, u64::MAX, "no limit");
    refused("[[fleet.region]]\nname = \"r\"\ncount = 4000000000\ncluster = []\n[workload]\n", &["4000000000 regions", "65535"]);
}
