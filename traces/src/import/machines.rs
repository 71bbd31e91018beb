//! Machine lists: the fleets that traces were recorded on.
//!
//! Told apart by header; names are compared in lower case with every other character as `_`:
//!
//! | list | columns | becomes |
//! |---|---|---|
//! | openb nodes | `sn`, `cpu_milli`, `memory_mib`, `gpu`, `model` | a node a row, in one cluster |
//! | Philly machines | `machineId`, `number of GPUs`, `single GPU mem` | a node a row; the type is the memory size (`24GB`); processors are not counted |
//! | PAI `pai_machine_spec` (also without header) | `machine`, `gpu_type`, `cap_cpu` (processors), `cap_mem` (GB), `cap_gpu` | a node a row |
//! | Lingjun `topo.csv` | `ip`, `DSW`, `PSW`, `ASW` | a node of 8 accelerators a row (all its workers' hosts have 8); a cluster an `ASW`, a region a `PSW` |
//! | Helios `cluster_gpu_number.csv` | `date`, a column a VC, `total` | the last day: a cluster a VC, of nodes of 8 (the last may be smaller) |
//! | VC sizes | `vc`, `node num` | a cluster a VC, of that many nodes of 8 |
//! | anything else | one of `gpu`, `gpus`, `num_gpu`, `num_gpus`, `gpu_num`, `gpu_count`, `number_of_gpus`, `accelerators`; optional `model`/`gpu_type`/`gpu_model`/`type`, `cpu`/`cpus`/`cpu_milli`, `memory`(`_mib`, `_gb`), `cluster`, `region`, `count` | `count` nodes a row |
//!
//! Without a type column all nodes have the type `accelerator`. Nodes without accelerators take the first type, which does
//! not matter to them. A list is read whole or not at all: a bad row is always an error.

use super::cell::{Cell, calendar};
use super::error::{Bad, BadRow, ImportError};
use super::format::{Format, delimiter_of, first_line, key};
use super::layout::{find, missing_column};
use super::lines::{Column, Lines, Row, Table};
use super::side::Side;
use policies::{ClusterId, Fleet, Node, RegionId, TypeId};
use std::path::Path;

/// Accelerators of a node where only totals are known.
const PER_NODE: u32 = 8;
/// More nodes than this in a list are taken for a mistake.
const NODES_MAX: usize = 10_000_000;

/// Reads a machine list.
///
/// # Errors
/// See [`ImportError`]; a bad row is always one.
pub fn import_fleet(path: &Path) -> Result<Fleet, ImportError> {
    Ok(read(Side::open(path)?)?.0)
}

/// Reads a machine list from memory; `name` stands for the file in messages.
///
/// # Errors
/// As [`import_fleet`].
pub fn import_fleet_bytes(name: &str, bytes: &[u8]) -> Result<Fleet, ImportError> {
    Ok(read(Side::of_bytes(name, bytes.to_vec()))?.0)
}

/// The fleet and the digest of its list.
pub(crate) fn read(side: Side) -> Result<(Fleet, blake3::Hash), ImportError> {
    let file = side.file.clone();
    let lines = Lines::new(&file, Box::new(&side.content[..]));
    let head = first_line(&side.content).unwrap_or(b"");
    let mut table = if is_pai_spec(head) {
        let names = ["machine", "gpu_type", "cap_cpu", "cap_mem", "cap_gpu"].map(String::from);
        Table::bare(lines, b',', names.to_vec())
    } else {
        Table::with_header(lines, delimiter_of(head))?
    };
    let keys: Vec<String> = table.names.iter().map(|name| key(name)).collect();
    let has = |name: &str| keys.iter().any(|k| k == name);
    let fleet = if has("asw") && has("ip") {
        topology(&mut table, &keys)?
    } else if has("date") && has("total") {
        daily(&mut table, &keys)?
    } else {
        listed(&mut table, &keys)?
    };
    if fleet.nodes.is_empty() {
        let (what, seen) = ("a machine list with at least one row".into(), Format::Openb);
        return Err(ImportError::Needs { file, format: seen, what });
    }
    Ok((fleet, side.digest()))
}

fn is_pai_spec(line: &[u8]) -> bool {
    let fields: Vec<&[u8]> = line.split(|b| *b == b',').collect();
    fields.len() == 5 && fields[2..].iter().all(|f| super::cell::decimal(f.trim_ascii(), 1).is_some())
}

/// Runs `take` over all rows; the first bad one is the error.
fn rows(table: &mut Table<'_>, mut take: impl FnMut(&Row<'_>) -> Result<(), Bad>) -> Result<(), ImportError> {
    let file = table.file().to_string();
    while let Some(row) = table.next_row()? {
        row.check().and_then(|()| take(&row)).map_err(|bad| {
            let Bad { column, value, expected } = bad;
            ImportError::Row(BadRow { file: file.clone(), row: row.line, column, value, expected })
        })?;
    }
    Ok(())
}

/// The type of that name, added if there is room.
fn kind(fleet: &mut Fleet, cell: Cell<'_>) -> Result<TypeId, Bad> {
    let name = String::from_utf8_lossy(cell.bytes).into_owned();
    let name = if cell.is_missing() { "accelerator".into() } else { name };
    if fleet.types.len() >= 64 && !fleet.types.contains(&name) {
        return Err(cell.bad("at most 64 accelerator types in a fleet"));
    }
    Ok(fleet.add_type(&name))
}

/// The cluster of that name in that region, added if new.
fn cluster(fleet: &mut Fleet, region: &str, name: &str) -> Result<ClusterId, Bad> {
    if fleet.clusters.len() >= usize::from(u16::MAX) || fleet.regions.len() >= usize::from(u16::MAX) {
        return Err(Bad::new("cluster", name.as_bytes(), "at most 65,535 clusters and regions"));
    }
    let region = match fleet.regions.iter().position(|known| known == region) {
        Some(position) => RegionId(position as u16),
        None => fleet.add_region(region),
    };
    let known = fleet.clusters.iter().position(|known| known.name == name && known.region == region);
    Ok(known.map_or_else(|| fleet.add_cluster(name, region), |position| ClusterId(position as u16)))
}

const CPU_UNITS: &[(&str, u64)] = &[("_milli", 1), ("", 1000)];
const MEMORY_UNITS: &[(&str, u64)] = &[("_mib", 1), ("_mb", 1), ("_gib", 1024), ("_gb", 1024), ("", 1)];
const COUNT: &[(&str, u64)] = &[("", 1)];

/// One row a node, or as many as `count` says.
fn listed(table: &mut Table<'_>, keys: &[String]) -> Result<Fleet, ImportError> {
    const GPUS: &[&str] =
        &["gpu", "gpus", "num_gpu", "num_gpus", "gpu_num", "gpu_count", "number_of_gpus", "cap_gpu", "accelerators"];
    let column = |names| find(keys, names, COUNT);
    let vc_nodes = column(&["node_num"]).filter(|_| keys.len() == 2);
    let gpus = column(GPUS);
    if gpus.is_none() && vc_nodes.is_none() {
        return Err(missing_column(table, Format::Openb, "the number of accelerators of a machine", GPUS));
    }
    let kinds = column(&["model", "gpu_type", "gpu_model", "type", "single_gpu_mem"]);
    let cpus = find(keys, &["cpu", "cpus", "cap_cpu"], CPU_UNITS);
    let cap_mem = column(&["cap_mem"]).map(|column| Column { unit: 1024, ..column });
    let memory = find(keys, &["memory", "mem"], MEMORY_UNITS).or(cap_mem);
    let (place, area) = (column(&["cluster", "vc"]), column(&["region"]));
    let count = column(&["count"]).or(vc_nodes);
    let mut fleet = Fleet::default();
    rows(table, |row| {
        let text = |column: Option<Column>, default| match column {
            Some(column) if !row.get(column.index).is_empty() => String::from_utf8_lossy(row.get(column.index)).into_owned(),
            _ => String::from(default),
        };
        let scaled = |column: Option<Column>| match column {
            Some(column) if !row.cell(column).is_missing() => row.cell(column).scaled(column.unit),
            _ => Ok(u32::MAX),
        };
        let accelerators = gpus.map_or(Ok(PER_NODE), |column| row.cell(column).count())?;
        let kind = match kinds.map(|column| row.cell(column)) {
            _ if accelerators == 0 => TypeId(0),
            Some(cell) => kind(&mut fleet, cell)?,
            None => fleet.add_type("accelerator"),
        };
        let cluster = cluster(&mut fleet, &text(area, "region"), &text(place, "cluster"))?;
        let node = Node { cluster, kind, accelerators, cpu_milli: scaled(cpus)?, memory_mib: scaled(memory)? };
        let times = count.map_or(Ok(1), |column| row.cell(column).count())?;
        add(&mut fleet, node, times, row)
    })?;
    if fleet.types.is_empty() && !fleet.nodes.is_empty() {
        fleet.add_type("accelerator");
    }
    Ok(fleet)
}

fn add(fleet: &mut Fleet, node: Node, times: u32, row: &Row<'_>) -> Result<(), Bad> {
    if fleet.nodes.len() + times as usize > NODES_MAX {
        return Err(Bad::new("(row)", row.get(0), format!("at most {NODES_MAX} nodes in a fleet")));
    }
    fleet.nodes.extend((0..times).map(|_| node));
    Ok(())
}

/// Hosts under switches.
fn topology(table: &mut Table<'_>, keys: &[String]) -> Result<Fleet, ImportError> {
    let at = |name: &'static str| {
        let column = find(keys, &[name], COUNT);
        column.ok_or_else(|| missing_column(table, Format::LingjunJobs, "a host's switches", &["psw", "asw"]))
    };
    let (psw, asw) = (at("psw")?, at("asw")?);
    let mut fleet = Fleet::default();
    let kind = fleet.add_type("accelerator");
    rows(table, |row| {
        let name = |column: Column| String::from_utf8_lossy(row.get(column.index)).into_owned();
        let cluster = cluster(&mut fleet, &name(psw), &name(asw))?;
        let node = Node { cluster, kind, accelerators: PER_NODE, cpu_milli: u32::MAX, memory_mib: u32::MAX };
        add(&mut fleet, node, 1, row)
    })?;
    Ok(fleet)
}

/// Accelerators of each VC by day: the last day counts.
fn daily(table: &mut Table<'_>, keys: &[String]) -> Result<Fleet, ImportError> {
    let names = table.names.clone();
    let mut last: Vec<u32> = Vec::new();
    rows(table, |row| {
        last.clear();
        for (index, key) in keys.iter().enumerate() {
            let cell = row.cell(Column { index, unit: 1 });
            let is_day = key == "date" && (calendar(&[cell.bytes, b" 00:00"].concat()).is_some() || !cell.is_missing());
            last.push(if is_day || key == "total" { 0 } else { cell.count()? });
        }
        Ok(())
    })?;
    let mut fleet = Fleet::default();
    let kind = fleet.add_type("accelerator");
    let region = fleet.add_region("region");
    for (name, accelerators) in names.iter().zip(&last).filter(|(_, accelerators)| **accelerators > 0) {
        let accelerators = (*accelerators).min(NODES_MAX as u32);
        let cluster = fleet.add_cluster(name, region);
        fleet.add_nodes(cluster, kind, accelerators / PER_NODE, PER_NODE);
        if !accelerators.is_multiple_of(PER_NODE) {
            fleet.add_nodes(cluster, kind, 1, accelerators % PER_NODE);
        }
    }
    Ok(fleet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(text: &str) -> Fleet {
        import_fleet_bytes("machines.csv", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn openb_nodes_keep_types_processors_and_memory() {
        let fleet = fleet("sn,cpu_milli,memory_mib,gpu,model\na,32000,262144,0,\nb,64000,262144,2,P100\nc,96000,1024,8,T4\n");
        assert_eq!((fleet.types.as_slice(), fleet.accelerators()), (&["P100".to_string(), "T4".into()][..], 10));
        assert_eq!((fleet.nodes[2].cpu_milli, fleet.nodes[2].memory_mib, fleet.nodes[2].kind), (96_000, 1_024, TypeId(1)));
    }

    #[test]
    fn philly_pai_helios_lingjun_and_plain_lists() {
        let philly = fleet("machineId, number of GPUs, single GPU mem\nm0,2, 12GB\nm1,8, 24GB\n");
        assert_eq!((philly.accelerators(), philly.types.len(), philly.nodes[0].cpu_milli), (10, 2, u32::MAX));
        assert_eq!(fleet(",machineId,number of GPUs\n0,m0,8\n").accelerators(), 8);
        let pai = fleet("abc,CPU,96,512,0\ndef,T4,96,512,2\n");
        assert_eq!((pai.accelerators(), pai.nodes[1].cpu_milli, pai.nodes[1].memory_mib), (2, 96_000, 524_288));
        let helios = fleet("date,vcA,vcB,total\n2020-04-01,8,8,16\n2020-04-02,16,12,28\n");
        assert_eq!((helios.clusters.len(), helios.nodes.len(), helios.accelerators()), (2, 4, 28));
        let lingjun = fleet("ip,DSW,PSW,ASW\nx,G6,P1,S1\ny,G6,P1,S2\nz,G6,P2,S1\n");
        assert_eq!((lingjun.regions.len(), lingjun.clusters.len(), lingjun.accelerators()), (2, 3, 24));
        assert_eq!(fleet("vc,node num\na,3\nb,2\n").accelerators(), 40);
        let plain = fleet("type,gpus,count,cluster,region\nH100,8,100,c0,east\nH100,8,100,c1,west\n");
        assert_eq!((plain.accelerators(), plain.clusters.len(), plain.regions.len()), (1_600, 2, 2));
    }

    #[test]
    fn a_bad_machine_is_an_error_with_its_row() {
        let error = import_fleet_bytes("n.csv", b"sn,gpu\na,2\nb,x\n").unwrap_err().to_string();
        assert!(error.contains("n.csv: row 3, column gpu: found \"x\""), "{error}");
    }
}
