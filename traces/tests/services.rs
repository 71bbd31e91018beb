//! Services: scenario tables, good and bad, and a real hour of requests.

use policies::{Span, TypeSet};
use std::path::{Path, PathBuf};
use traces::import::read_requests;
use traces::scenario::{Scenario, ScenarioError, add_services};
use traces::service::{Load, Throughput};

const HEAD: &str = "[fleet]\nnodes = \"4x8\"\n[workload]\njobs = 10\n[[service]]\n";
const GOOD: &str = "name = \"chat\"\nthroughput = { requests = 2 }\nload = { peak = 9.6, trough = 2.4 }\nlasts = \"2d\"\n";

fn parse(service: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse(&format!("{HEAD}{service}"), Path::new("dir/test.toml"))
}

#[test]
fn replicas_follow_the_rhythm_as_jobs_of_the_service() {
    let scenario = parse(&format!("{GOOD}accelerators = 2\ntier = 1\nstart_up = \"20s\"\n")).unwrap();
    let fleet = scenario.fleet().unwrap();
    let mut trace = traces::Trace { tenants: vec![String::new()], ..traces::Trace::default() };
    let services = add_services(&scenario.service, Path::new("."), &fleet, &mut trace, 1).unwrap();
    let [service] = &services[..] else { panic!("{services:?}") };
    assert_eq!((service.tenant, &*trace.tenants[1], service.start_up), (1, "chat", Span::from_secs(20)));
    assert_eq!((service.load_milli.len(), service.load_milli.iter().max()), (2880, Some(&4800)));
    // 4.8 replicas and a tenth more are six at the peaks, 1.2 and a tenth more are two at night, every day.
    let live_at = |hour: u64| {
        let at = policies::Time::from_secs(hour * 3600);
        trace.jobs.iter().filter(|job| job.submit <= at && job.submit + job.duration > at).count()
    };
    assert_eq!([2, 14, 26, 38].map(live_at), [2, 6, 2, 6]);
    assert!(trace.jobs.is_sorted_by_key(|job| job.submit));
    let alike = |job: &traces::TraceJob| job.tier == 1 && job.tenant == 1 && job.demand.accelerators == 2;
    assert!(trace.jobs.iter().all(|job| alike(job) && job.demand.types == TypeSet::ANY && job.duration > Span::ZERO));
    let end = trace.jobs.iter().map(|job| job.submit + job.duration).max().unwrap();
    assert_eq!(end, policies::Time::from_secs(2 * 86_400));
}

#[test]
fn nonsense_is_refused_with_its_place() {
    let refused = |service: &str, parts: &[&str]| {
        let message = parse(service).expect_err(service).to_string();
        parts.iter().for_each(|part| assert!(message.contains(part), "{part:?} is not in: {message}"));
    };
    let with = |line: &str| format!("name = \"chat\"\nthroughput = {{ requests = 2 }}\n{line}\n");
    refused("name = \"chat\"\nthroughput = {}\nload = { peak = 1, trough = 0 }\n", &[":7", "throughput", "at least one of"]);
    refused("name = \"\"\nthroughput = { requests = 1 }\nload = { peak = 1, trough = 0 }\n", &[":6", "service[0].name"]);
    refused(&with("load = {}"), &[":8", "load", "a file of requests, or peak and trough"]);
    refused(&with("load = { peak = 1 }"), &[":8", "load.peak", "from nothing to 1"]);
    refused(&with("load = { peak = 1, trough = 2 }"), &["0 <= trough <= peak"]);
    refused(&with("load = { peak = 1, trough = 0, noise = 9 }"), &["noise", "0 to 2"]);
    refused(&with("load = { peak = 1, trough = 0, bin = 0 }"), &["load.bin", "above 0"]);
    refused(&with("load = { file = \"nowhere.csv\" }"), &["load.file", "dir/nowhere.csv"]);
    refused(&with("load = { peak = 1, trough = 0 }\ntypes = [\"x\"]"), &[":9", "types", "accelerator"]);
    let tokens = "name = \"c\"\nthroughput = { context = 100 }\nload = { peak = 1, trough = 0 }\n";
    refused(tokens, &["load.context", "missing", "tokens of a mean request"]);
    assert!(parse(GOOD).is_ok());
}

#[test]
fn an_hour_of_real_requests_becomes_a_load() {
    let root = std::env::var_os("ORRERY_TRACES").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/traces")));
    let mut total = 0;
    for (name, mean_milli) in [("conv", 3731..=3733), ("code", 818..=821)] {
        let file = root.join(format!("azure-llm/AzureLLMInferenceTrace_{name}.csv.gz"));
        if !file.exists() {
            println!("SKIPPED: {} not found (set ORRERY_TRACES to a folder that holds azure-llm)", file.display());
            return;
        }
        let requests = read_requests(&file).unwrap();
        assert!(requests.is_sorted_by_key(|request| request.at_us) && requests[0].at_us == 0);
        total += requests.len();
        let throughput = Throughput { requests: None, context: Some(8000.0), generated: Some(400.0) };
        let bin = Span::from_secs(60);
        let load = Load { throughput, file: Some(file), rhythm: None, tokens: (0.0, 0.0), scale: 1.0, bin };
        let milli = load.replicas_milli(name, Span::from_secs(3 * 3600), 1).unwrap();
        let recorded = (requests[requests.len() - 1].at_us / bin.0) as usize;
        assert_eq!(milli[..recorded], milli[recorded..2 * recorded], "it begins again");
        let mean = milli[..recorded].iter().sum::<u32>() / recorded as u32;
        assert!(mean_milli.contains(&mean), "{name}: {mean} thousandths of a replica on average");
    }
    assert_eq!(total, 28_185);
}
