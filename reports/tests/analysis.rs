//! One pass over a log: areas, reasons and shares add up.

mod common;
use common::{Row, Setup};
use policies::{Span, Time};
use reports::{Analysis, Level, Waiting, jobs_table, tenants_table, timeseries_table, write_tables};
use sim::Crashes;
use traces::frames::{Data, TABLE_EXTENSION};
use traces::runlog::LogReader;

fn analyse(setup: &Setup<'_>, rows: &[Row]) -> Analysis {
    let folder = tempfile::tempdir().unwrap();
    Analysis::read(setup.log(folder.path(), rows)).unwrap()
}

/// Many jobs of many sizes, by a fixed recurrence.
fn many(count: u64) -> Vec<Row> {
    let draw = |i: u64, k: u64| (i * 2_654_435_761 + k * 40_503) >> 7;
    (0..count).map(|i| (i * 7, 1 + draw(i, 1) % 300, 1 + (draw(i, 2) % 8) as u32, 1 + (i % 2) as u32)).collect()
}

#[test]
fn areas_equal_what_jobs_did() {
    let crashes = Some(Crashes { mean: Span::from_secs(400), seed: 5 });
    for setup in [
        Setup { crashes, ..Setup::pool(24) },
        Setup { costs: "restart", policy: "fifo(skip=true)", ..Setup::nodes(3, 8) },
        Setup { costs: "restart", policy: "srtf", ..Setup::nodes(3, 8) },
        Setup { costs: "restart", until: Some(Time::from_secs(900)), crashes, ..Setup::nodes(3, 8) },
    ] {
        let analysis = analyse(&setup, &many(400));
        let series = &analysis.series;
        let jobs = analysis.tracker.jobs();
        let used = series.area(Level::UsedMilli);
        assert_eq!(used as f64 / (24_000.0 * analysis.tracker.makespan().0 as f64), analysis.tracker.allocation());
        if setup.until.is_none() {
            assert!(jobs.iter().all(|job| job.is_done()));
            let executed: u128 = jobs.iter().map(|j| u128::from(j.milli) * u128::from(j.executed.0)).sum();
            assert_eq!(series.area(Level::RunningMilli), executed);
            let waited: u128 = jobs.iter().map(|j| u128::from(j.milli) * u128::from(j.wait().0)).sum();
            assert_eq!(used - executed + series.area(Level::PendingMilli), waited, "starting and pending are waiting");
        }
        assert!(used > series.area(Level::RunningMilli) || setup.costs == "zero");
        let waits = analysis.waits();
        let total = |f: fn(reports::Wait) -> u128| Waiting::ALL.into_iter().map(|w| f(waits.of(w))).sum::<u128>();
        assert_eq!(total(|w| w.milli_micros), series.area(Level::PendingMilli));
        assert_eq!(total(|w| w.job_micros), series.area(Level::PendingJobs));
        assert!(Waiting::ALL[1..].iter().any(|w| waits.of(*w).notes > 0));
    }
}

#[test]
fn live_and_from_the_log_agree() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::pool(8);
    let path = setup.run(folder.path(), &many(200)).2;
    let read = Analysis::read(LogReader::open(&path).unwrap()).unwrap();
    let mut live = Analysis::new(setup.header());
    let mut reader = LogReader::open(&path).unwrap();
    while let Some(step) = reader.next_step().unwrap() {
        traces::runlog::Observer::step(&mut live, step.view());
    }
    assert_eq!(live.tracker.jobs(), read.tracker.jobs());
    assert_eq!(live.tenants(), read.tenants());
    assert_eq!((live.name(policies::JobId(3)), read.name(policies::JobId(3))), ("#3".into(), "job-3".into()));
    assert_eq!(read.summary(0.0).log_digest, reader.digest().unwrap());
}

#[test]
fn shares_are_of_contended_time_only() {
    // 0-10 s: tenant 1 holds 3 of 4, tenant 2 waits with 4 from 1 s on; 10-30 s tenant 2 holds 4, tenant 1 waits with 1.
    let analysis = analyse(&Setup::pool(4), &[(0, 10, 3, 1), (1, 20, 4, 2), (2, 1, 1, 1)]);
    let seconds = |(held, asked): (u128, u128)| (held as f64 / 1e9, asked as f64 / 1e9);
    // Contended from 1 s to 30 s: held 3 x 9, asked 27 + 1 x 28.
    assert_eq!(seconds(analysis.contended_areas(1)), (27.0, 27.0 + 28.0));
    assert_eq!(seconds(analysis.contended_areas(2)), (80.0, 80.0 + 36.0));
    let tenants = analysis.tenants();
    assert_eq!(tenants.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["vision", "speech"]);
    assert_eq!((tenants[0].jobs, tenants[0].mean_wait_s, tenants[0].share_held), (2, Some(14.0), 27.0 / 107.0));
    assert_eq!(tenants[1].share_asked, 116.0 / 171.0);
    // The second job waits for capacity until 10 s; the third is looked at only when it is the head, from then on.
    let waits = analysis.waits();
    assert_eq!(waits.of(Waiting::NoCapacity).milli_micros, 56_000_000_000);
    assert_eq!(waits.of(Waiting::BehindHead).job_micros, 8_000_000);
}

#[test]
fn tables_have_columns_of_equal_length() {
    let analysis = analyse(&Setup { until: Some(Time::from_secs(900)), ..Setup::pool(8) }, &many(200));
    for (table, rows) in [
        (jobs_table(&analysis), analysis.tracker.jobs().len()),
        (timeseries_table(&analysis), analysis.series.len()),
        (tenants_table(&analysis), 2),
    ] {
        assert!(table.iter().all(|column| column.len() == rows), "{rows}");
    }
    let jobs = jobs_table(&analysis);
    let Data::F64(ends) = &jobs.iter().find(|c| c.name == "end_s").unwrap().data else { panic!("floats") };
    assert!(ends.iter().any(|e| e.is_nan()) && ends.iter().any(|e| *e > 0.0));
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<_> = ["jobs", "timeseries", "tenants"].map(|n| folder.path().join(n).with_extension(TABLE_EXTENSION)).into();
    assert_eq!(write_tables(folder.path(), &analysis).unwrap(), names);
    assert!(names.iter().all(|path| path.exists()));
}

#[test]
fn who_asks_for_the_same_as_a_job_that_does_not_fit_does_not_fit() {
    // 4 accelerators. Job 1 does not fit beside job 0, job 2 asks for the same and is not looked at; job 3 overtakes both.
    let rows = [(0, 10, 3, 1), (1, 5, 2, 1), (2, 5, 2, 1), (3, 1, 1, 1)];
    let waits = analyse(&Setup { policy: "fifo(skip=true)", ..Setup::pool(4) }, &rows).waits();
    assert_eq!(waits.of(Waiting::NoCapacity).job_micros, 17_000_000);
    assert_eq!(waits.of(Waiting::NoCapacity).notes, 1);
    assert_eq!(waits.of(Waiting::InLine).job_micros, 0);
}
