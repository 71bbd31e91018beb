//! A run in pieces, each by fresh objects that were loaded with what the last ones saved, is the run as a whole.

use policies::{
    Elastic, Fleet, JobId, JobSpec, Level, Scheduler, Span, TenantId, Tiers, Time, TypeSet, catalog,
    catalog::POLICIES,
    placement::{self, PLACEMENTS},
};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use sim::mechanism::Mechanism;
use sim::{Arrival, Costs, Crashes, Driver, ENDLESS, End, Limits, Recovery, Stop, Stretch, World};
use traces::faults::{Change, Cut, Disturbance, FaultModel, Trouble, Unit};
use traces::runlog::{LogDigest, Observer, StepView, Tracker};
use traces::scenario::{NetworkSpec, StateRule};

/// What a world may have beside jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trials {
    /// Nothing takes time and nothing breaks.
    None,
    /// Fixed costs, crashes, faults, replicas that are withdrawn.
    Fixed,
    /// The same with a mechanism, and with stores that are out, clusters that are cut off and slow nodes.
    Mechanism,
}

/// Everything that runs in pieces and as a whole have in common.
struct Case {
    policy: &'static str,
    placement: &'static str,
    trials: Trials,
    fleet: Fleet,
    arrivals: Vec<Arrival>,
    withdrawals: Vec<(Time, JobId)>,
    changes: Vec<Change>,
    disturbances: Vec<Disturbance>,
}

fn fleet() -> Fleet {
    let mut fleet = Fleet::default();
    let (slow, fast) = (fleet.add_type("slow"), fleet.add_type("fast"));
    let (east, west) = (fleet.add_region("east"), fleet.add_region("west"));
    for (name, region, kind, nodes, size) in
        [("a", east, slow, 4, 4), ("b", east, fast, 3, 8), ("c", west, fast, 3, 4), ("d", west, slow, 1, 70)]
    {
        let cluster = fleet.add_cluster(name, region);
        fleet.add_nodes(cluster, kind, nodes, size);
    }
    fleet
}

/// Gangs, shares, replicas; tiers, elastic sizes, estimates that are right, wrong or missing.
fn arrivals(rng: &mut Xoshiro256PlusPlus, trials: Trials) -> (Vec<Arrival>, Vec<(Time, JobId)>) {
    let mut submit = Time::ZERO;
    let (mut arrivals, mut withdrawals) = (Vec::new(), Vec::new());
    for id in 0..120 {
        submit = submit + Span::from_secs(rng.random_range(0..700));
        let accelerators = [1, 1, 2, 4, 4, 8, 16][rng.random_range(0..7)];
        let duration = Span(rng.random_range(1..20_000_000_000));
        let mut spec = JobSpec::whole(accelerators);
        // A gang over clusters of which one is cut off and has lost a node would be sent there for ever, without time passing.
        let widest = if trials == Trials::Mechanism { 1 } else { 3 };
        spec.demand.within = [Level::Cluster, Level::Region, Level::Fleet][rng.random_range(0..widest)];
        if accelerators == 1 && rng.random_bool(0.3) {
            spec.demand.milli = rng.random_range(1..10) * 100;
        } else if rng.random_bool(0.6) {
            spec.elastic = Elastic::linear(accelerators.div_ceil(4), 300);
        }
        spec.demand.types = [TypeSet::ANY, TypeSet(1), TypeSet(2)][rng.random_range(0..3)];
        (spec.tier, spec.tenant, spec.priority) = (rng.random_range(0..3), TenantId(id % 5), rng.random_range(-1..3));
        spec.estimate = [Some(duration), Some(Span(duration.0 / 3)), None][rng.random_range(0..3)];
        spec.attempts_max = 4;
        let replica = trials != Trials::None && rng.random_bool(0.2);
        if replica {
            withdrawals.push((submit + duration, JobId(id)));
            spec = JobSpec { attempts_max: u16::MAX, estimate: None, elastic: Elastic::RIGID, ..spec };
        }
        arrivals.push(Arrival { submit, spec, duration: if replica { ENDLESS } else { duration } });
    }
    withdrawals.sort_unstable();
    (arrivals, withdrawals)
}

impl Case {
    fn new(policy: &'static str, placement: &'static str, trials: Trials, seed: u64) -> Case {
        let (fleet, mut rng) = (fleet(), Xoshiro256PlusPlus::seed_from_u64(seed));
        let (arrivals, withdrawals) = arrivals(&mut rng, trials);
        let hour = Span::from_secs(3600);
        let model =
            FaultModel { mtbf: Span(hour.0 * 30), repair_median: hour, repair_mean: Span(hour.0 * 2), unit: Unit::Nodes(1) };
        let (mut changes, mut disturbances) = (Vec::new(), Vec::new());
        if trials != Trials::None {
            changes = model.changes(&fleet, Time::from_secs(200_000), seed);
        }
        if trials == Trials::Mechanism {
            let places = [
                Trouble::Cut(Cut::Store(fleet.region_of(policies::ClusterId(0)))),
                Trouble::Cut(Cut::Cluster(policies::ClusterId(1))),
                Trouble::Cut(Cut::Region(fleet.region_of(policies::ClusterId(2)))),
                Trouble::Slow(policies::NodeId(2), 4000),
                Trouble::Slow(policies::NodeId(5), 7000),
            ];
            for day in 0..8 {
                let trouble = places[rng.random_range(0..places.len())];
                let at = Time::from_secs(day * 10_000 + rng.random_range(0..9000));
                disturbances.push(Disturbance { at, trouble, begins: true });
                disturbances.push(Disturbance {
                    at: at + Span::from_secs(rng.random_range(100..9000)),
                    trouble,
                    begins: false,
                });
            }
            disturbances.sort_unstable();
        }
        Case { policy, placement, trials, fleet, arrivals, withdrawals, changes, disturbances }
    }

    fn scheduler(&self) -> Scheduler {
        let policy = catalog::by_name(self.policy, 1).unwrap().0;
        let place = placement::by_name(self.placement, 1).unwrap();
        Scheduler::new(self.fleet.clone(), policy, place).with_tiers(&Tiers::default())
    }

    fn world(&self) -> World {
        let crashes = (self.trials != Trials::None).then_some(Crashes { mean: Span::from_secs(40_000), seed: 3 });
        let world =
            |costs: &str| World::new(Costs::by_name(costs).unwrap(), crashes).with_withdrawals(self.withdrawals.clone());
        match self.trials {
            Trials::None => world("zero"),
            Trials::Fixed => world("restart")
                .with_recovery(Recovery::Periodic(Span::from_secs(600)))
                .with_faults(&self.fleet, self.changes.clone()),
            Trials::Mechanism => {
                let mechanism = Mechanism::by_name("singularity-v100").unwrap();
                let rule = |profile: &String| StateRule {
                    profile: profile.clone(),
                    weight: 1,
                    accelerators_min: 0,
                    accelerators_max: u32::MAX,
                };
                let mechanism = Mechanism { states: mechanism.profiles.keys().map(rule).collect(), ..mechanism };
                let network =
                    NetworkSpec { store_gbps: Some(20.0), between_regions_gbps: Some(10.0), ..NetworkSpec::default() };
                let names: Vec<String> = (0..self.arrivals.len()).map(|id| id.to_string()).collect();
                let sizes = names.iter().zip(&self.arrivals).map(|(name, a)| (name.as_str(), a.spec.demand.accelerators));
                world("zero")
                    .with_recovery(Recovery::Periodic(Span::from_secs(3600)))
                    .with_mechanism(&self.fleet, &mechanism, &network, sizes)
                    .with_faults(&self.fleet, self.changes.clone())
                    .with_disturbances(&self.fleet, self.disturbances.clone())
            }
        }
    }

    /// Runs it; `cut` says how long each piece is, and all of it is one without. How many steps and pieces there were, and what came
    /// of it.
    fn run(&self, mut cut: Option<&mut dyn FnMut(Time) -> Stretch>) -> (u64, u32, [String; 4]) {
        let (mut scheduler, mut world, mut driver) = (self.scheduler(), self.world(), Driver::default());
        let mut told = Told(Tracker::new(self.fleet.accelerators() * 1000), LogDigest::default());
        let limits = Limits { check: false, until: Some(Time::from_secs(2_000_000)) };
        let mut pieces = 1;
        loop {
            let stretch = cut.as_mut().map_or(Stretch::WHOLE, |cut| cut(scheduler.view().now()));
            let arrivals = self.arrivals[scheduler.view().submitted() as usize..].iter().copied();
            match driver.run(&mut scheduler, &mut world, arrivals, (limits, stretch), &mut told) {
                Stop::Over(End::Broken { step, what, .. }) => panic!("step {step}: {what}"),
                Stop::Over(_) => break,
                Stop::Before(_) => pieces += 1,
            }
            let (saved, state) = (scheduler.save().unwrap(), world.save().unwrap());
            (scheduler, world) = (self.scheduler(), self.world());
            scheduler.load(&saved).unwrap();
            world.load(&state).unwrap();
            scheduler.check().unwrap();
            assert!(scheduler.save().as_ref() == Ok(&saved), "saved again the scheduler is another");
            assert!(world.save().as_ref() == Ok(&state), "saved again the world is another");
        }
        let ledger = scheduler.view().ledger().expect("there are tiers");
        ledger.check().unwrap();
        let (tracker, switched) = (format!("{:?}", told.0), format!("{:?}", world.switched()));
        (told.0.steps, pieces, [told.1.finish(), format!("{:?}", ledger.account()), switched, tracker])
    }

    /// The same in pieces as in one: some of so many steps, some that end at an instant.
    fn in_pieces(&self, seed: u64) {
        let (steps, _, whole) = self.run(None);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut cut = |now: Time| match rng.random_bool(0.8) {
            true => Stretch { through: Time::MAX, steps: rng.random_range(1..=steps / 8) },
            false => Stretch { through: now + Span(rng.random_range(1..20_000_000_000)), steps: u64::MAX },
        };
        let (_, pieces, pieced) = self.run(Some(&mut cut));
        let Case { policy, placement, trials, .. } = self;
        assert!(pieces > 3, "{policy}, {placement}, {trials:?}: only {pieces} pieces");
        for (what, (whole, pieced)) in ["digest", "books", "switches", "results"].iter().zip(whole.iter().zip(&pieced)) {
            assert!(whole == pieced, "{policy}, {placement}, {trials:?}: in {pieces} pieces another {what}");
        }
    }
}

struct Told(Tracker, LogDigest);

impl Observer for Told {
    fn step(&mut self, step: StepView<'_>) {
        self.0.step(step);
        self.1.step(step);
    }
}

/// Every policy with its defaults and with what changes what it remembers.
fn policies() -> Vec<&'static str> {
    let more = [
        "fifo(skip=true)",
        "sjf(skip=false)",
        "easy(order=sjf)",
        "conservative(depth=3)",
        "priority(preempt=false, skip=false)",
        "fair-share(quotas=0:10|1:5|*:2, reclaim=true)",
        "tiresias(lucid=true)",
        "tiresias(upstream_jumps=true)",
        "las(every=300)",
        "singularity(resize=false, migrate=false)",
        "singularity(starve=3600, quiet=60)",
    ];
    POLICIES.iter().map(|entry| entry.name).chain(more).collect()
}

const TRIALS: [Trials; 3] = [Trials::None, Trials::Fixed, Trials::Mechanism];

#[test]
fn every_policy_goes_on_where_it_was() {
    for (seed, policy) in policies().into_iter().enumerate() {
        for trials in TRIALS {
            Case::new(policy, ["best-fit", "random", "scatter"][seed % 3], trials, seed as u64).in_pieces(seed as u64);
        }
    }
}

#[test]
fn every_placement_goes_on_where_it_was() {
    for (seed, placement) in PLACEMENTS.iter().map(|entry| entry.name).enumerate() {
        for policy in ["fifo(skip=true)", "singularity", "srtf"] {
            Case::new(policy, placement, TRIALS[seed % 3], seed as u64).in_pieces(seed as u64);
        }
    }
}

#[test]
fn a_world_that_was_given_something_else_is_refused() {
    let [none, fixed, mechanism] = TRIALS.map(|trials| Case::new("fifo", "best-fit", trials, 1).world());
    assert!(fixed.save().and_then(|state| Case::new("fifo", "best-fit", Trials::None, 1).world().load(&state)).is_err());
    assert!(mechanism.save().and_then(|state| Case::new("fifo", "best-fit", Trials::Fixed, 1).world().load(&state)).is_err());
    let state = none.save().unwrap();
    assert!(Case::new("fifo", "best-fit", Trials::None, 1).world().load(&state[..state.len() - 1]).is_err());
}
