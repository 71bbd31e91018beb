//! Validation on traces whose findings are known by hand.

use policies::{Demand, Fleet, Level, Node, Span, Time, TypeSet};
use traces::validate::{Validation, largest_gang, validate};
use traces::{Outcome, Trace, TraceJob};

/// Two clusters: 2 nodes of 8 `a`, and 1 node of 4 `b` with 16 processors and 64 MiB.
fn fleet() -> Fleet {
    let mut fleet = Fleet::default();
    let (a, b) = (fleet.add_type("a"), fleet.add_type("b"));
    let region = fleet.add_region("r");
    let first = fleet.add_cluster("one", region);
    fleet.add_nodes(first, a, 2, 8);
    let second = fleet.add_cluster("two", region);
    fleet.nodes.push(Node { cluster: second, kind: b, accelerators: 4, cpu_milli: 16_000, memory_mib: 64 });
    fleet
}

fn job(id: &str, submit_s: u64, duration_s: u64, demand: Demand) -> TraceJob {
    TraceJob {
        id: id.into(),
        submit: Time::from_secs(submit_s),
        duration: Span::from_secs(duration_s),
        demand,
        tenant: 0,
        priority: 0,
        tier: 0,
        estimate: None,
        outcome: Outcome::Completed,
        recorded_start: None,
        label: 0,
    }
}

fn check(jobs: Vec<TraceJob>) -> Validation {
    validate(&Trace { jobs, types: vec!["a".into(), "b".into()], ..Trace::default() }, &fleet())
}

const A: TypeSet = TypeSet(1);
const B: TypeSet = TypeSet(2);

#[test]
fn misfits_and_why() {
    let b = Demand { types: B, ..Demand::whole(4) };
    let cases = [
        (Demand::whole(16), None),
        (Demand::whole(17), Some("17 accelerators in one cluster, which holds at most 16")),
        (Demand { within: Level::Fleet, ..Demand::whole(17) }, Some("in the fleet, which holds at most 16")),
        (Demand { within: Level::Node, ..Demand::whole(9) }, Some("in one node, which holds at most 8")),
        (Demand { types: B, ..Demand::whole(5) }, Some("at most 4")),
        (Demand { types: TypeSet(4), ..Demand::whole(1) }, Some("none of the accelerator types")),
        (Demand { types: TypeSet(0), ..Demand::whole(1) }, Some("none of the accelerator types")),
        (Demand { cpu_milli: 16_000, memory_mib: 64, ..b }, None),
        (Demand { cpu_milli: 16_001, ..b }, Some("room for only 3 of its 4")),
        (Demand { memory_mib: 128, ..b }, Some("room for only 2 of its 4")),
        (Demand { milli: 500, types: B, ..Demand::whole(5) }, Some("at most 4")),
        (Demand { accelerators: 0, cpu_milli: 1_000_000, ..Demand::whole(0) }, None),
    ];
    for (demand, why) in cases {
        let found = check(vec![job("x", 0, 1, demand)]).misfits;
        match why {
            None => assert_eq!(found.count, 0, "{demand:?}: {:?}", found.first),
            Some(why) => {
                assert_eq!(found.count, 1, "{demand:?}");
                assert!(found.first[0].why.contains(why), "{demand:?}: {}", found.first[0].why);
            }
        }
    }
    assert_eq!(largest_gang(&fleet()), 16);
}

#[test]
fn demand_by_hour_and_type() {
    let day = 24 * 3600;
    let on = |types, n| Demand { types, ..Demand::whole(n) };
    let found = check(vec![
        job("whole hour", 0, 3600, on(TypeSet::ANY, 10)),
        job("half an hour", 3600, 1800, on(A, 16)),
        job("a year later", 365 * day, 10 * 3600, on(B, 8)),
    ]);
    let all = &found.demand[0];
    assert_eq!((all.types.as_str(), all.capacity), ("all", 20));
    let hours: Vec<(u64, u64, f64)> = all.hours.iter().map(|h| (h.from, h.count, h.accelerators)).collect();
    assert_eq!(hours, [(0, 1, 10.0), (1, 1, 8.0), (365 * 24, 10, 8.0)]);
    assert_eq!((all.peak_ratio, all.peak_hour, all.hours_above), (0.5, 0, 0));
    let span = (365 * 24 + 1) as f64;
    assert!((all.mean_ratio - (10.0 + 8.0 + 8.0) / span / 20.0).abs() < 1e-12);
    let named: Vec<&str> = found.demand.iter().map(|d| d.types.as_str()).collect();
    assert_eq!(named, ["all", "a", "b"]);
    assert_eq!((found.demand[1].peak_ratio, found.demand[1].peak_hour), (0.5, 1));
    assert_eq!((found.demand[2].peak_ratio, found.demand[2].hours_above), (2.0, 10));
    assert_eq!(found.gaps.len(), 1);
    assert_eq!((found.gaps[0].from_s, found.gaps[0].length_s), (5400.0, (365 * day - 5400) as f64));
}

#[test]
fn rows_out_of_order() {
    let mut jobs = vec![
        job("a", 10, 5, Demand::whole(1)),
        job("b", 5, 0, Demand::whole(1)),
        job("a", 10, 5, Demand::whole(1)),
        job("c", 11, 1, Demand::whole(1)),
    ];
    jobs[3].duration = traces::import::NEVER_ENDS;
    let found = check(jobs);
    let ids = |found: &traces::validate::Found| (found.count, found.ids.join(","));
    assert_eq!(ids(&found.out_of_order), (1, "b".into()));
    assert_eq!(ids(&found.zero_durations), (1, "b".into()));
    assert_eq!(ids(&found.duplicate_ids), (1, "a".into()));
    assert_eq!(ids(&found.endless), (1, "c".into()));
    assert!(!found.is_clean());
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Validation>(&json).unwrap(), found);
    assert!(found.to_string().contains("1 jobs are out of submit order: b"), "{found}");
}

#[test]
fn an_empty_trace_is_clean() {
    let found = check(vec![]);
    assert!(found.is_clean() && found.gaps.is_empty());
    assert!(!found.to_string().contains("NaN"));
}
