//! How the cost of an event grows as the fleet and the queue do, ten times at a step. CSV on stdout; a figure with `--svg FILE`.
//!
//! usage: `growth [--svg FILE] [--most N]`
//!
//! Columns: axis (`fleet`: accelerators, 9 of 10 in use; `queue`: jobs that wait for 1,024 accelerators), n, policy, placement,
//! jobs, events, ns_per_event (processor time of the simulation with its observers over events; best of three).

use benches::Setup;
use plotters::prelude::*;
use policies::{Fleet, JobSpec, Span, Time};
use sim::Arrival;
use std::error::Error;

const REPEATS: usize = 3;
/// Jobs of a run at least; less would not fill the clock.
const JOBS_MIN: u64 = 200_000;
const POOL: u32 = 1024;
const SIZES: [u32; 8] = [1, 1, 1, 1, 2, 2, 4, 8];
/// Thousandths of an accelerator that a job asks for on average: the mean of [`SIZES`].
const MEAN_MILLI: u64 = 2_500;

/// Policy and placement.
const ON_FLEET: &[(&str, &str)] =
    &[("fifo", "pool"), ("fifo", "best-fit"), ("fifo", "worst-fit"), ("srtf", "pool"), ("tiresias", "best-fit")];
const ON_QUEUE: &[(&str, &str)] = &[
    ("fifo", "pool"),
    ("fifo(skip=true)", "best-fit"),
    ("sjf", "best-fit"),
    ("easy", "pool"),
    ("srtf", "pool"),
    ("tiresias", "pool"),
];

struct Row {
    axis: &'static str,
    n: u64,
    policy: &'static str,
    placement: &'static str,
    jobs: u64,
    events: u64,
    ns: f64,
}

/// Job `index` of a stream in which one arrives every `gap_us`; it runs for 1,000 to 7,000 s.
fn job(index: u64, gap_us: u64) -> Arrival {
    let draw = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let draw = (draw ^ draw >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let duration = Span(1_000_000_000 + (draw >> 20) % 6_000_000_000);
    let spec = JobSpec { estimate: Some(duration), ..JobSpec::whole(SIZES[(draw >> 8) as usize % SIZES.len()]) };
    Arrival { submit: Time(index * gap_us), spec, duration }
}

const MEAN_RUN_US: u64 = 4_000_000_000;

fn measure(setup: &Setup, jobs: u64, gap_us: u64) -> Result<(u64, f64), Box<dyn Error>> {
    let mut best = (0, f64::INFINITY);
    for _ in 0..REPEATS {
        let run = setup.run((0..jobs).map(|index| job(index, gap_us)))?;
        best = (run.tracker.events, best.1.min(run.cpu_s * 1e9 / run.tracker.events as f64));
    }
    Ok(best)
}

fn fleet_row(n: u64, &(policy, placement): &(&'static str, &'static str)) -> Result<Row, Box<dyn Error>> {
    let fleet = if placement == "pool" { Fleet::pool(n as u32) } else { Fleet::uniform(n as u32 / 8, 8) };
    let gap_us = (MEAN_RUN_US * MEAN_MILLI / (n * 900)).max(1);
    // Enough to fill the fleet several times over.
    let jobs = JOBS_MIN.max(4 * n * 1000 / MEAN_MILLI);
    let setup = Setup { fleet, policy: policy.into(), placement: placement.into() };
    let (events, ns) = measure(&setup, jobs, gap_us)?;
    Ok(Row { axis: "fleet", n, policy, placement, jobs, events, ns })
}

fn queue_row(n: u64, &(policy, placement): &(&'static str, &'static str)) -> Result<Row, Box<dyn Error>> {
    let fleet = if placement == "pool" { Fleet::pool(POOL) } else { Fleet::uniform(POOL / 8, 8) };
    let setup = Setup { fleet, policy: policy.into(), placement: placement.into() };
    // `n` come at once; the others as fast as the pool works, so that the queue stays as long.
    let gap_us = MEAN_RUN_US * MEAN_MILLI / (u64::from(POOL) * 1000);
    let jobs = n + JOBS_MIN;
    let stream = || (0..jobs).map(|index| Arrival { submit: Time(index.saturating_sub(n) * gap_us), ..job(index, 0) });
    let mut best = (0, f64::INFINITY);
    for _ in 0..REPEATS {
        let run = setup.run(stream())?;
        best = (run.tracker.events, best.1.min(run.cpu_s * 1e9 / run.tracker.events as f64));
    }
    Ok(Row { axis: "queue", n, policy, placement, jobs, events: best.0, ns: best.1 })
}

fn sizes(most: u64) -> impl Iterator<Item = u64> {
    (2..=6).map(|power| 10_u64.pow(power)).filter(move |n| *n <= most)
}

fn draw(path: &str, rows: &[Row]) -> Result<(), Box<dyn Error>> {
    let _ = plotters::style::register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
    let root = SVGBackend::new(path, (1100, 460)).into_drawing_area();
    root.fill(&WHITE)?;
    let halves = root.split_evenly((1, 2));
    for (area, (axis, title)) in halves
        .iter()
        .zip([("fleet", "accelerators in the fleet, 9 of 10 in use"), ("queue", "jobs that wait for 1,024 accelerators")])
    {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.axis == axis).collect();
        let top = rows.iter().map(|row| row.ns).fold(1000.0, f64::max) * 1.1;
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d((80.0..1.3e6_f64).log_scale(), 0.0..top)?;
        chart.configure_mesh().x_desc(title).y_desc("ns of processor time per event").light_line_style(TRANSPARENT).draw()?;
        let mut names: Vec<(&str, &str)> = rows.iter().map(|row| (row.policy, row.placement)).collect();
        names.dedup();
        for (index, (policy, placement)) in names.into_iter().enumerate() {
            let colour = Palette99::pick(index).to_rgba();
            let points: Vec<(f64, f64)> = rows
                .iter()
                .filter(|row| (row.policy, row.placement) == (policy, placement))
                .map(|row| (row.n as f64, row.ns))
                .collect();
            chart
                .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
                .label(format!("{policy}, {placement}"))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
            chart.draw_series(points.into_iter().map(|at| Circle::new(at, 3, colour.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .border_style(BLACK.mix(0.3))
            .background_style(WHITE.mix(0.8))
            .draw()?;
    }
    root.present()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut svg, mut most, mut arguments) = (None, 1_000_000, std::env::args().skip(1));
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument}: expected a value"));
        match argument.as_str() {
            "--svg" => svg = Some(value()?),
            "--most" => most = value()?.parse()?,
            _ => return Err(format!("unknown argument {argument:?}: expected --svg FILE or --most N").into()),
        }
    }
    println!("axis,n,policy,placement,jobs,events,ns_per_event");
    let mut rows = Vec::new();
    let on =
        |names: &'static [(&'static str, &'static str)]| names.iter().flat_map(move |name| sizes(most).map(move |n| (n, name)));
    let fleet = on(ON_FLEET).map(|(n, name)| fleet_row(n, name));
    for row in fleet.chain(on(ON_QUEUE).map(|(n, name)| queue_row(n, name))) {
        let row = row?;
        println!("{},{},\"{}\",{},{},{},{:.0}", row.axis, row.n, row.policy, row.placement, row.jobs, row.events, row.ns);
        rows.push(row);
    }
    svg.map_or(Ok(()), |path| draw(&path, &rows))
}
