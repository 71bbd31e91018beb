use policies::*;
use sim::*;
use traces::runlog::*;
struct R {
    t: Tracker,
    d: LogDigest,
    mode: u8,
}
impl Observer for R {
    fn step(&mut self, s: StepView<'_>) {
        if self.mode > 0 {
            self.t.step(s);
        }
        if self.mode > 1 {
            self.d.step(s);
        }
    }
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&a[1]).unwrap();
    let pool: u32 = a[2].parse().unwrap();
    let mode: u8 = a[4].parse().unwrap();
    let jobs: Vec<Arrival> = text
        .lines()
        .filter_map(|l| {
            let v: Vec<f64> = l.split(',').map(|x| x.parse().unwrap()).collect();
            if v[2] as u32 > pool {
                return None;
            }
            Some(Arrival {
                submit: Time::from_secs(v[0] as u64),
                spec: JobSpec { estimate: Some(Span::from_secs(v[1] as u64)), ..JobSpec::whole(v[2] as u32) },
                duration: Span::from_secs(v[1] as u64),
            })
        })
        .collect();
    for _ in 0..a.get(6).map_or(5, |n| n.parse().unwrap()) {
        let fleet = if a.len() > 5 { Fleet::uniform(pool / 8, 8) } else { Fleet::pool(pool) };
        let (p, _) = catalog::by_name(&a[3], 1).unwrap();
        let mut s = Scheduler::new(fleet, p, placement::by_name("best-fit", 1).unwrap());
        let mut w = World::new(Costs::by_name("zero").unwrap(), None);
        let mut r = R { t: Tracker::new(pool as u64 * 1000), d: LogDigest::default(), mode };
        let t0 = std::time::Instant::now();
        let end = run(&mut s, &mut w, jobs.iter().copied(), Limits::default(), &mut r);
        let dt = t0.elapsed();
        println!(
            "{} jobs {:?} {:.1} ns/job {:.2} M jobs/s steps {} alloc {:.3} {:?}",
            jobs.len(),
            dt,
            dt.as_nanos() as f64 / jobs.len() as f64,
            jobs.len() as f64 / dt.as_secs_f64() / 1e6,
            r.t.steps,
            r.t.allocation(),
            end
        );
    }
}
