//! The canonical trace as Parquet: a row a job, and on the file, under the key `orrery.trace`, what is not by job.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `job_id` | text | unique |
//! | `submit_us`, `duration_us` | u64 | microseconds; submit from the trace's beginning |
//! | `accelerators`, `milli` | u32 | gang size, share of each in thousandths |
//! | `within` | text | `node`, `cluster`, `region`, `fleet` |
//! | `types` | u64 | bit set over the file's type names; all ones: any |
//! | `cpu_milli`, `memory_mib` | u32 | host demand |
//! | `tenant`, `label` | text | names, for readers of the table |
//! | `tenant_id`, `label_id` | u32 | positions in the file's name tables, which are what counts |
//! | `priority` | i32 | larger is more important |
//! | `tier` | u32 | 0 the best |
//! | `estimate_us`, `recorded_start_us` | u64, may be null | |
//! | `outcome` | text | `completed`, `failed`, `cancelled`, `unknown` |

use super::parquet::write_frame;
use super::{FramesError, content_error, io_error};
use crate::model::{Outcome, Trace, TraceJob};
use polars::prelude::{self as pl, NamedFrom, ParquetReader, SerReader};
use policies::{Cluster, Demand, Fleet, Level, Node, Span, Time, TypeSet};
use serde::{Deserialize, Serialize};
use std::io::Cursor;
use std::path::Path;

const KEY: &str = "orrery.trace";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Notes {
    version: u32,
    format: String,
    epoch_unix_s: Option<i64>,
    tenants: Vec<String>,
    types: Vec<String>,
    labels: Vec<String>,
    fleet: Option<FleetNotes>,
}

/// A fleet with runs of equal nodes told once.
#[derive(Serialize, Deserialize)]
struct FleetNotes {
    regions: Vec<String>,
    clusters: Vec<Cluster>,
    types: Vec<String>,
    runs: Vec<(Node, u32)>,
}

impl From<&Fleet> for FleetNotes {
    fn from(fleet: &Fleet) -> Self {
        let mut runs: Vec<(Node, u32)> = Vec::new();
        for node in &fleet.nodes {
            match runs.last_mut() {
                Some((last, count)) if last == node => *count += 1,
                _ => runs.push((*node, 1)),
            }
        }
        let Fleet { regions, clusters, types, .. } = fleet.clone();
        FleetNotes { regions, clusters, types, runs }
    }
}

impl FleetNotes {
    /// The fleet, if its references are in order.
    fn fleet(self) -> Option<Fleet> {
        let nodes: u64 = self.runs.iter().map(|(_, count)| u64::from(*count)).sum();
        let in_order = nodes <= 100_000_000
            && self.types.len() <= 64
            && self.clusters.iter().all(|cluster| usize::from(cluster.region.0) < self.regions.len())
            && self.runs.iter().all(|(node, _)| {
                usize::from(node.cluster.0) < self.clusters.len() && usize::from(node.kind.0) < self.types.len()
            });
        let FleetNotes { regions, clusters, types, runs } = self;
        let nodes = runs.into_iter().flat_map(|(node, count)| std::iter::repeat_n(node, count as usize));
        in_order.then(|| Fleet { regions, clusters, types, nodes: nodes.collect(), domains: Vec::new() })
    }
}

/// Writes everything in a trace.
///
/// # Errors
/// What the system refuses; then nothing is left at `path` that was not there before.
pub fn write_trace_parquet(trace: &Trace, path: &Path) -> Result<(), FramesError> {
    let jobs = &trace.jobs;
    fn column<'a, T, V>(name: &str, jobs: &'a [TraceJob], get: impl Fn(&'a TraceJob) -> V) -> pl::Column
    where
        T: ?Sized,
        pl::Series: NamedFrom<Vec<V>, T>,
    {
        pl::Series::new(name.into(), jobs.iter().map(get).collect::<Vec<V>>()).into()
    }
    let name = |names: &'_ [String], index: u32| names.get(index as usize).cloned().unwrap_or_default();
    let columns = vec![
        column("job_id", jobs, |job| &*job.id),
        column("submit_us", jobs, |job| job.submit.0),
        column("duration_us", jobs, |job| job.duration.0),
        column("accelerators", jobs, |job| job.demand.accelerators),
        column("milli", jobs, |job| u32::from(job.demand.milli)),
        column("within", jobs, |job| within(job.demand.within)),
        column("types", jobs, |job| job.demand.types.0),
        column("cpu_milli", jobs, |job| job.demand.cpu_milli),
        column("memory_mib", jobs, |job| job.demand.memory_mib),
        column("tenant", jobs, |job| name(&trace.tenants, job.tenant)),
        column("tenant_id", jobs, |job| job.tenant),
        column("priority", jobs, |job| job.priority),
        column("tier", jobs, |job| u32::from(job.tier)),
        column("estimate_us", jobs, |job| job.estimate.map(|span| span.0)),
        column("outcome", jobs, |job| OUTCOMES[job.outcome as usize]),
        column("recorded_start_us", jobs, |job| job.recorded_start.map(|time| time.0)),
        column("label", jobs, |job| name(&trace.labels, job.label)),
        column("label_id", jobs, |job| job.label),
    ];
    let mut frame = pl::DataFrame::new(jobs.len(), columns).map_err(|e| content_error(path, e))?;
    let notes = Notes {
        version: VERSION,
        format: trace.format.clone(),
        epoch_unix_s: trace.epoch_unix_s,
        tenants: trace.tenants.clone(),
        types: trace.types.clone(),
        labels: trace.labels.clone(),
        fleet: trace.fleet.as_ref().map(FleetNotes::from),
    };
    let notes = serde_json::to_string(&notes).map_err(|e| content_error(path, e))?;
    write_frame(path, &mut frame, Some((KEY.into(), notes)))
}

/// In the order of [`LEVELS`].
const WITHIN: [&str; 4] = ["node", "cluster", "region", "fleet"];
const LEVELS: [Level; 4] = [Level::Node, Level::Cluster, Level::Region, Level::Fleet];
/// In the order of [`Outcome`].
const OUTCOMES: [&str; 4] = ["completed", "failed", "cancelled", "unknown"];
const ENDS: [Outcome; 4] = [Outcome::Completed, Outcome::Failed, Outcome::Cancelled, Outcome::Unknown];

/// No trace knows the domains of a fleet; those of a job that must keep to one are in some cluster.
fn within(level: Level) -> &'static str {
    WITHIN[LEVELS.iter().position(|other| *other == level).unwrap_or(1)]
}

/// Reads what [`write_trace_parquet`] wrote.
///
/// # Errors
/// A file that is missing, damaged, or not a trace in order: its jobs sorted by submit time, with unique ids, and with
/// names and shares in range.
pub fn read_trace_parquet(path: &Path) -> Result<Trace, FramesError> {
    let content = std::fs::read(path).map_err(|source| io_error(path, source))?;
    trace_from_parquet(content).map_err(|message| content_error(path, message))
}

pub(crate) fn trace_from_parquet(content: Vec<u8>) -> Result<Trace, String> {
    let mut reader = ParquetReader::new(Cursor::new(content));
    let metadata = reader.get_metadata().map_err(|e| e.to_string())?;
    let notes = metadata.key_value_metadata().iter().flatten().find(|note| note.key == KEY);
    let notes = notes.and_then(|note| note.value.clone());
    let notes = notes.ok_or("a Parquet file, but not a trace that Orrery wrote (it lacks the notes under orrery.trace)")?;
    let notes: Notes = serde_json::from_str(&notes).map_err(|e| format!("notes under {KEY}: {e}"))?;
    if notes.version != VERSION {
        return Err(format!("notes under {KEY}: version {}, this build knows {VERSION}", notes.version));
    }
    let frame = reader.finish().map_err(|e| e.to_string())?;
    let jobs = jobs(&frame).map_err(|e| e.to_string())?;
    let fleet = notes.fleet.map(|fleet| fleet.fleet().ok_or("its fleet refers to what is not there"));
    let trace = Trace {
        jobs,
        tenants: notes.tenants,
        types: notes.types,
        labels: notes.labels,
        epoch_unix_s: notes.epoch_unix_s,
        fleet: fleet.transpose()?,
        format: notes.format,
    };
    check(&trace)?;
    Ok(trace)
}

fn jobs(frame: &pl::DataFrame) -> pl::PolarsResult<Vec<TraceJob>> {
    let missing = |name: &str| pl::PolarsError::ComputeError(format!("column {name}: a missing or unknown value").into());
    let u64s = |name: &str| frame.column(name)?.u64()?.iter().collect::<Option<Vec<_>>>().ok_or_else(|| missing(name));
    let u32s = |name: &str| frame.column(name)?.u32()?.iter().collect::<Option<Vec<_>>>().ok_or_else(|| missing(name));
    let maybe = |name: &str| Ok::<_, pl::PolarsError>(frame.column(name)?.u64()?.iter().collect::<Vec<_>>());
    let words = |name: &str, known: [&str; 4]| {
        let values = frame.column(name)?.str()?.iter();
        let found = values.map(|word| known.iter().position(|k| Some(*k) == word)).collect::<Option<Vec<_>>>();
        found.ok_or_else(|| missing(name))
    };
    let [submit, duration, types] = [u64s("submit_us")?, u64s("duration_us")?, u64s("types")?];
    let [accelerators, milli, cpu, memory] = [u32s("accelerators")?, u32s("milli")?, u32s("cpu_milli")?, u32s("memory_mib")?];
    let [tenant, label, tier] = [u32s("tenant_id")?, u32s("label_id")?, u32s("tier")?];
    let [estimate, start] = [maybe("estimate_us")?, maybe("recorded_start_us")?];
    let (within, outcome) = (words("within", WITHIN)?, words("outcome", OUTCOMES)?);
    let priority = frame.column("priority")?.i32()?.iter().collect::<Option<Vec<_>>>().ok_or_else(|| missing("priority"))?;
    let ids = frame.column("job_id")?.str()?;
    let job = |(i, id): (usize, Option<&str>)| {
        Some(TraceJob {
            id: id?.into(),
            submit: Time(submit[i]),
            duration: Span(duration[i]),
            demand: Demand {
                accelerators: accelerators[i],
                milli: u16::try_from(milli[i]).ok()?,
                within: LEVELS[within[i]],
                types: TypeSet(types[i]),
                cpu_milli: cpu[i],
                memory_mib: memory[i],
            },
            tenant: tenant[i],
            priority: priority[i],
            tier: u8::try_from(tier[i]).ok()?,
            estimate: estimate[i].map(Span),
            outcome: ENDS[outcome[i]],
            recorded_start: start[i].map(Time),
            label: label[i],
        })
    };
    let jobs: Option<Vec<TraceJob>> = ids.iter().enumerate().map(job).collect();
    jobs.ok_or_else(|| missing("job_id, milli or tier"))
}

/// What every trace promises.
fn check(trace: &Trace) -> Result<(), String> {
    let names = |names: &[String], index: u32| names.is_empty() && index == 0 || (index as usize) < names.len();
    if trace.types.len() > 64 || trace.jobs.is_empty() || !trace.jobs.is_sorted_by_key(|job| job.submit) {
        return Err("a trace has jobs, sorted by submit time, and at most 64 types".into());
    }
    for job in &trace.jobs {
        let demand = &job.demand;
        let in_range = (1..=1000).contains(&demand.milli) && (demand.accelerators > 0 || demand.cpu_milli > 0);
        if !in_range || !names(&trace.tenants, job.tenant) || !names(&trace.labels, job.label) {
            return Err(format!("job {:?}: its demand, tenant or label is out of range", job.id));
        }
    }
    let mut ids: Vec<&str> = trace.jobs.iter().map(|job| &*job.id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("job {:?} is there twice", pair[0])),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{ImportError, ImportOptions, import, import_bytes};

    fn sample() -> Trace {
        let text = b"id,submit,duration,gpus,gpu_milli,cpus,memory,within,gpu_type,user,priority,tier,walltime,state,start,model\n\
            a,0.25,10,1,250,4,64,node,T4|V100,\"x, y\",-3,2,99.5,failed,7,m\nb,1,0.000001,8,,,,region,,,,,,,,\nc,1,never,0,,2,,,T4,,,,,killed,,\n";
        let mut trace = import_bytes("t", text, &ImportOptions::default()).unwrap().trace;
        trace.epoch_unix_s = Some(-5);
        trace.tenants.push("unused".into());
        let mut fleet = Fleet::uniform(3, 8);
        let kind = fleet.add_type("T4");
        fleet.add_nodes(policies::ClusterId(0), kind, 2, 4);
        trace.fleet = Some(fleet);
        trace
    }

    #[test]
    fn everything_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.parquet");
        write_trace_parquet(&sample(), &path).unwrap();
        assert_eq!(read_trace_parquet(&path).unwrap(), sample());
        let imported = import(&path, &ImportOptions::default()).unwrap();
        assert_eq!(imported.trace, sample());
        assert_eq!(imported.digest, blake3::hash(&std::fs::read(&path).unwrap()).to_hex().to_string());
    }

    #[test]
    fn other_parquet_files_and_damaged_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let other = super::super::write_table(&folder.path().join("t"), &[super::super::Column::u64("x", [1])]).unwrap();
        let error = import(&other, &ImportOptions::default()).unwrap_err();
        assert!(matches!(error, ImportError::Parquet { .. }) && error.to_string().contains("orrery.trace"), "{error}");
        let path = folder.path().join("trace.parquet");
        write_trace_parquet(&sample(), &path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in [4, 12, whole.len() / 2, whole.len() - 1] {
            assert!(import_bytes("t", &whole[..cut], &ImportOptions::default()).is_err(), "{cut}");
        }
        let mut unsorted = sample();
        unsorted.jobs.reverse();
        write_trace_parquet(&unsorted, &path).unwrap();
        assert!(read_trace_parquet(&path).unwrap_err().to_string().contains("sorted"));
    }
}
