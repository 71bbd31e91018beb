//! Timelines parse, nest, and show what was run.

mod common;
use common::{Row, Setup};
use policies::{Span, Time};
use reports::{Timeline, TimelineOptions, Tracks, timeline};
use serde_json::Value;
use sim::Crashes;
use std::collections::{BTreeMap, BTreeSet};

/// Events of a timeline after everything that must hold for any was checked.
fn told(setup: &Setup<'_>, rows: &[Row], options: TimelineOptions) -> (Timeline, Vec<Value>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timeline.json");
    let written = timeline(setup.log(folder.path(), rows), &path, &options).unwrap();
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let events = file["traceEvents"].as_array().unwrap().clone();
    assert_eq!(written.events, events.len() as u64);
    check(&events);
    (written, events, file["otherData"].clone())
}

/// Begin and end nest on each track, time never goes back, and every track has a name.
fn check(events: &[Value]) {
    let mut open: BTreeMap<(u64, u64), Vec<u64>> = BTreeMap::new();
    let (mut named, mut processes) = (BTreeSet::new(), BTreeSet::new());
    let mut last = 0;
    for event in events {
        let number = |key: &str| event[key].as_u64().unwrap_or_else(|| panic!("{key} in {event}"));
        let kind = event["ph"].as_str().unwrap();
        if kind == "M" {
            match event["name"].as_str().unwrap() {
                "thread_name" => drop(named.insert(number("tid"))),
                "process_name" => drop(processes.insert(number("pid"))),
                _ => {}
            }
            continue;
        }
        let at = number("ts");
        assert!(at >= last, "{event} after {last}");
        last = at;
        assert!(processes.contains(&number("pid")));
        match kind {
            "B" => {
                assert!(named.contains(&number("tid")), "{event}");
                let slices = open.entry((number("pid"), number("tid"))).or_default();
                let depth = slices.len();
                assert!(depth < 2 && (depth == 1) == event["args"].is_null(), "one attempt at a time: {event}");
                slices.push(at);
            }
            "E" => {
                let since = open.get_mut(&(number("pid"), number("tid"))).and_then(Vec::pop).expect("was begun");
                assert!(at >= since);
            }
            "C" => assert!(event["args"]["value"].as_f64().unwrap() >= 0.0),
            other => panic!("unexpected {other}"),
        }
    }
    assert!(open.values().all(Vec::is_empty), "everything ends");
}

fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["ph"] == kind).collect()
}

fn many(count: u64) -> Vec<Row> {
    let draw = |i: u64, k: u64| (i * 2_654_435_761 + k * 40_503) >> 7;
    (0..count).map(|i| (i * 7, 1 + draw(i, 1) % 300, 1 + (draw(i, 2) % 8) as u32, 1 + (i % 2) as u32)).collect()
}

#[test]
fn a_track_per_accelerator_holds_each_attempt() {
    let setup = Setup { policy: "fifo(skip=true)", ..Setup::nodes(2, 4) };
    let (written, events, about) = told(&setup, &[(0, 10, 3, 1), (1, 20, 4, 2), (2, 5, 1, 1)], TimelineOptions::default());
    let begun: Vec<(u64, &str)> =
        of(&events, "B").iter().map(|e| (e["ts"].as_u64().unwrap(), e["name"].as_str().unwrap())).collect();
    assert_eq!(begun.iter().filter(|b| **b == (0, "job-0")).count(), 3);
    assert_eq!(begun.iter().filter(|b| **b == (1_000_000, "job-1")).count(), 4);
    assert_eq!(begun.len(), 8, "no phases where nothing takes time");
    assert_eq!((written.tracks, written.cut, written.by_node), (8, false, false));
    assert_eq!((written.from, written.to), (Time::ZERO, Time::from_secs(21)));
    let used: Vec<f64> = of(&events, "C")
        .iter()
        .filter(|e| e["name"] == "accelerators in use")
        .map(|e| e["args"]["value"].as_f64().unwrap())
        .collect();
    assert_eq!(used, [0.0, 3.0, 7.0, 8.0, 7.0, 4.0, 0.0]);
    assert_eq!(about["policy"], "fifo(skip=true)");
}

#[test]
fn pools_and_nodes_get_lanes_and_start_up_is_shown() {
    let crashes = Some(Crashes { mean: Span::from_secs(200), seed: 4 });
    for (setup, tracks) in [
        (Setup { crashes, costs: "restart", ..Setup::pool(100) }, Tracks::Auto),
        (Setup { crashes, costs: "restart", policy: "srtf", ..Setup::nodes(4, 8) }, Tracks::Nodes),
        (Setup { crashes, costs: "restart", policy: "srtf", ..Setup::nodes(4, 8) }, Tracks::Accelerators),
        (Setup { crashes, costs: "restart", ..Setup::nodes(4, 8) }, Tracks::Accelerators),
    ] {
        let (written, events, _) = told(&setup, &many(300), TimelineOptions { tracks, ..Default::default() });
        assert_eq!(of(&events, "B").len(), of(&events, "E").len());
        assert!(of(&events, "B").iter().any(|e| e["name"] == "starting"));
        assert!(of(&events, "B").iter().any(|e| e["args"]["attempt"] == 2));
        assert_eq!(written.by_node, tracks == Tracks::Nodes);
        assert!(tracks == Tracks::Auto || written.tracks <= 32);
    }
}

#[test]
fn preemption_is_a_gap() {
    // The short job takes all four; the long one saves and stops, and comes back.
    let setup = Setup { policy: "srtf", costs: "restart", ..Setup::nodes(1, 4) };
    let (_, events, _) = told(&setup, &[(0, 1000, 4, 1), (100, 50, 4, 2)], TimelineOptions::default());
    let first = events.iter().find(|e| e["ph"] == "B").unwrap()["tid"].clone();
    let on_first = events.iter().filter(|e| e["tid"] == first && e["ph"] != "M");
    let shown: Vec<(u64, &str)> =
        on_first.map(|e| (e["ts"].as_u64().unwrap() / 1_000_000, e["name"].as_str().unwrap_or("E"))).collect();
    let expected = [
        (0, "job-0"),
        (0, "starting"),
        (20, "E"),
        (100, "stopping"),
        (110, "E"),
        (110, "E"),
        (110, "job-1"),
        (110, "starting"),
        (130, "E"),
        (180, "E"),
        (180, "job-0"),
        (180, "starting"),
        (200, "E"),
        (1140, "E"),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_window_begins_and_ends_with_what_is_held() {
    let rows = [(0, 100, 3, 1), (10, 100, 1, 2), (60, 5, 1, 1)];
    let options = TimelineOptions { from: Some(Time::from_secs(50)), to: Some(Time::from_secs(80)), ..Default::default() };
    let (written, events, _) = told(&Setup { costs: "restart", ..Setup::pool(5) }, &rows, options);
    let spans: Vec<u64> = events.iter().filter_map(|e| e["ts"].as_u64()).collect();
    assert_eq!((spans.first(), spans.last()), (Some(&50_000_000), Some(&80_000_000)));
    assert_eq!((written.from, written.to, written.cut), (Time::from_secs(50), Time::from_secs(80), false));
    let attempts = of(&events, "B").iter().filter(|e| !e["args"].is_null()).count();
    assert_eq!(attempts, 5, "on five accelerators");
    let late = TimelineOptions { from: Some(Time::from_secs(5000)), ..Default::default() };
    assert!(of(&told(&Setup::pool(5), &rows, late).1, "B").is_empty());
}

#[test]
fn too_many_events_end_the_window_early_and_say_so() {
    let options = TimelineOptions { events_max: 1000, ..Default::default() };
    let (written, events, about) = told(&Setup::nodes(4, 8), &many(500), options);
    assert!(written.cut && events.len() >= 1000 && events.len() < 1400, "{}", events.len());
    assert!(written.to_string().contains("the log goes on"), "{written}");
    assert_eq!(about["cut"], true);
}

#[test]
fn an_event_takes_no_more_room_than_the_limit_allows_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timeline.json");
    let written = timeline(Setup::nodes(4, 8).log(folder.path(), &many(500)), &path, &TimelineOptions::default()).unwrap();
    let bytes = std::fs::metadata(path).unwrap().len();
    assert!(bytes / written.events * reports::TIMELINE_EVENTS_MAX < 50_000_000, "{bytes} bytes for {} events", written.events);
}
