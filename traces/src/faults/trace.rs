//! Recorded faults: the InfiniteHBD format (Shou et al., SIGCOMM '25), a JSON array of events.
//!
//! | field | type | meaning |
//! |---|---|---|
//! | `node_id` | text | the server |
//! | `event_time` | number | days since the beginning |
//! | `event_type` | text | `fault_start` or `fault_end` |
//! | `fault_type` | object | ignored |
//!
//! Servers are given to the fleet's nodes in the order in which they first appear, spread evenly over it; a fleet of fewer
//! nodes than the trace has servers takes the first. A node with several faults at once is up again when the last one ends.

use super::Change;
use policies::{Fleet, NodeId, NodeState, Span, Time};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Why a fault trace cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaultTraceError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what is documented in [`faults::read_faults`](read_faults).
    #[error("{}: {message}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where and what, and what was expected.
        message: String,
    },
}

#[derive(Deserialize)]
struct Row {
    node_id: String,
    event_time: f64,
    event_type: Kind,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    FaultStart,
    FaultEnd,
}

/// Reads a fault trace (gzip is seen through), for the nodes of `fleet`. Sorted.
///
/// `servers`: how many servers the trace was recorded on, those that never failed among them; at least those that did.
///
/// # Errors
/// See [`FaultTraceError`].
pub fn read_faults(path: &Path, servers: usize, fleet: &Fleet) -> Result<Vec<Change>, FaultTraceError> {
    let read = |source| FaultTraceError::Read { path: path.to_owned(), source };
    let content = |message| FaultTraceError::Content { path: path.to_owned(), message };
    let mut raw = Vec::new();
    std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut raw)).map_err(read)?;
    let mut text = Vec::new();
    if raw.starts_with(&[0x1f, 0x8b]) {
        flate2::read::GzDecoder::new(&raw[..]).read_to_end(&mut text).map_err(read)?;
    } else {
        text = raw;
    }
    let mut rows: Vec<Row> = serde_json::from_slice(&text).map_err(|error| {
        content(format!("{error}: expected an array of events with node_id, event_time (days) and event_type"))
    })?;
    if let Some((row, bad)) = rows.iter().enumerate().find(|(_, row)| !(0.0..=1e6).contains(&row.event_time)) {
        return Err(content(format!("event {}: event_time {}: expected days from 0 to 1e6", row + 1, bad.event_time)));
    }
    rows.sort_by(|a, b| a.event_time.total_cmp(&b.event_time));
    Ok(changes(&rows, servers, fleet))
}

fn changes(rows: &[Row], servers: usize, fleet: &Fleet) -> Vec<Change> {
    let mut order: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        let next = order.len();
        order.entry(&row.node_id).or_insert(next);
    }
    let servers = servers.max(order.len()).max(1);
    let nodes = fleet.nodes.len();
    let node_of = |server: usize| match nodes >= servers {
        true => Some(NodeId((server * nodes / servers) as u32)),
        false => (server < nodes).then_some(NodeId(server as u32)),
    };
    let mut broken: BTreeMap<NodeId, u32> = BTreeMap::new();
    let mut changes = Vec::new();
    for row in rows {
        let Some(node) = node_of(order[row.node_id.as_str()]) else { continue };
        let at = Time::ZERO + Span::from_secs_f64(row.event_time * 86_400.0).unwrap_or(Span::MAX);
        let faults = broken.entry(node).or_insert(0);
        let before = *faults;
        *faults = if row.event_type == Kind::FaultStart { before + 1 } else { before.saturating_sub(1) };
        match (before, *faults) {
            (0, 1) => changes.push(Change { at, node, state: NodeState::Down }),
            (1, 0) => changes.push(Change { at, node, state: NodeState::Up }),
            _ => {}
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_faults_end_with_the_last() {
        let row = |node: &str, event_time, event_type| Row { node_id: node.into(), event_time, event_type };
        use Kind::{FaultEnd, FaultStart};
        let rows = [
            row("b", 1.0, FaultStart),
            row("a", 1.5, FaultStart),
            row("b", 2.0, FaultStart),
            row("b", 3.0, FaultEnd),
            row("b", 4.0, FaultEnd),
        ];
        let found = changes(&rows, 4, &Fleet::uniform(8, 8));
        let told: Vec<(u64, u32, NodeState)> = found.iter().map(|c| (c.at.0 / 43_200_000_000, c.node.0, c.state)).collect();
        assert_eq!(told, [(2, 0, NodeState::Down), (3, 2, NodeState::Down), (8, 0, NodeState::Up)]);
        assert_eq!(changes(&rows, 4, &Fleet::uniform(1, 8)).len(), 2, "a small fleet takes the first server");
    }

    #[test]
    fn the_recorded_faults_are_read() {
        let root = std::env::var_os("ORRERY_TRACES").map(PathBuf::from);
        let root = root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/traces")));
        let path = root.join("infinitehbd-faults/fault_trace.json.gz");
        if !path.exists() {
            println!("SKIPPED: {} not found", path.display());
            return;
        }
        let changes = read_faults(&path, 400, &Fleet::uniform(400, 8)).expect("readable");
        let down = changes.iter().filter(|change| change.state == NodeState::Down).count();
        assert!((500..=584).contains(&down), "{down} of 584 faults begin on a node that is up");
        assert!(changes.is_sorted_by_key(|change| change.at));
    }
}
