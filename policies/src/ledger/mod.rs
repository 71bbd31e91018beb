//! Service levels and accelerator-time: who got what he was promised, and what became of every accelerator's every microsecond.
//!
//! # GPU fraction
//! T_ideal / T_real (Singularity, arXiv 2202.07848, section 1). *T_real* of a job and a window is the time within the window in
//! which the job was submitted and not done. *T_ideal* is the work that it did in it, in time at full speed: a job on half of its
//! gang at 48 % earns 48 minutes in 100. What an attempt is worth is known when it ends: of a run, the first work counts up to the
//! progress that was reported at its end, at the time when it was done; what came after, a failure or an unfinished
//! checkpoint lost, and it counts in no window. If a report falls behind an earlier one, the work in between is not taken out
//! of past windows, but is not credited again when it is done again. So over all windows of a job T_ideal adds up to its
//! reported progress (plus what a fall-back left undone), and T_real to its life, exactly. Runs that finished count whole: nobody
//! reports what their end took.
//!
//! # Accelerator-time
//! [`Spent`] tells the kinds; they add up to capacity times elapsed time, exactly: [`Ledger::check`]. Nothing is approximated
//! where accelerators are held. Free ones are told apart by type: those of a type are *fragmented* if the smallest gang that
//! waits and accepts the type is not larger than what is free of it on open nodes, and *queued for* if all that wait for it are
//! larger. Distances that gangs keep ([`Level`](crate::Level)), processors and memory are left out of this comparison.
//!
//! # Cost
//! A step is O(types) and each event or order in it O(log classes + grants): whole windows are charged in one go, and waiting jobs
//! are counted by (types, smallest size). No step walks over jobs.

mod account;
mod books;
mod entry;
mod waiting;
mod window;

pub use account::{Account, Fractions, STORM_STOPS, Storm, TierAccount, VIOLATIONS_KEPT, Violation};
pub use books::{Areas, Spent};
pub use window::Setback;

use crate::event::{Event, Note, Order, Reason};
use crate::fleet::Fleet;
use crate::ids::{Attempt, JobId};
use crate::idtable::IdTable;
use crate::job::JobSpec;
use crate::tier::Tiers;
use crate::time::{Span, Time};
use books::{Books, Holds};
use entry::{Ending, Entry, Phase};
use serde::{Deserialize, Serialize};

/// Keeps the books of a run, fed with the same steps as whoever records it.
///
/// # Contract
/// [`step`](Ledger::step) is called once a step with the events that went into the scheduler and the orders and notes that came
/// out; or [`handle`](Ledger::handle) for each event and then [`decided`](Ledger::decided). Time never runs backwards. Like the scheduler it never believes that an order was carried out, and events of an older
/// attempt change nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ledger {
    #[serde(skip)]
    fleet: Fleet,
    tiers: Tiers,
    jobs: IdTable<Entry>,
    books: Books,
    account: Account,
    now: Time,
}

impl Ledger {
    /// For a fleet and a tier table, which must not be empty.
    ///
    /// # Panics
    /// If it is empty.
    pub fn new(fleet: &Fleet, tiers: &Tiers) -> Ledger {
        assert!(!tiers.is_empty(), "a ledger needs a tier");
        Ledger {
            fleet: fleet.clone(),
            tiers: tiers.clone(),
            jobs: IdTable::default(),
            books: Books::new(fleet),
            account: Account::new(tiers),
            now: Time::ZERO,
        }
    }

    /// Takes in one step.
    pub fn step(&mut self, now: Time, events: &[Event], orders: &[Order], notes: &[Note]) {
        events.iter().for_each(|event| self.handle(now, event));
        self.decided(now, orders, notes);
    }

    /// Takes in one event of a step.
    pub fn handle(&mut self, now: Time, event: &Event) {
        self.advance(now);
        self.event(event);
    }

    /// Takes in what came out of a step.
    pub fn decided(&mut self, now: Time, orders: &[Order], notes: &[Note]) {
        self.advance(now);
        for note in notes {
            self.note(note);
        }
        for order in orders {
            match order {
                Order::Start { job, attempt, allocation } => self.start(*job, *attempt, allocation),
                Order::Preempt { job, .. } => self.stop(*job, notes),
            }
        }
    }

    /// The same books, of this fleet: it is not saved with them.
    pub(crate) fn of_fleet(self, fleet: &Fleet) -> Ledger {
        Ledger { fleet: fleet.clone(), ..self }
    }

    fn advance(&mut self, now: Time) {
        self.now = now;
        self.books.advance(now);
    }

    /// The tier table.
    pub fn tiers(&self) -> &Tiers {
        &self.tiers
    }

    fn event(&mut self, event: &Event) {
        match *event {
            Event::Submit { ref spec, .. } => self.submit(spec),
            Event::Started { job, attempt } => self.started(job, attempt),
            Event::Stopped { job, attempt, progress } => {
                if let Some(entry) = self.leave(job, attempt, Ending::Stopped(progress)) {
                    entry.window.stops += 1;
                }
            }
            Event::Finished { job, attempt } => {
                self.leave(job, attempt, Ending::Finished);
            }
            Event::Failed { job, attempt, progress, lost } => {
                self.leave(job, attempt, Ending::Failed(progress, lost));
            }
            Event::Withdrawn { job } => self.withdrawn(job),
            Event::Node { node, state } => self.books.set_state(&self.fleet, node, state),
        }
    }

    fn submit(&mut self, spec: &JobSpec) {
        let tier = self.tiers.index(spec.tier) as u8;
        let mask = self.books.waiting.mask(spec.demand.types.0);
        let entry = Entry::new(self.now, spec, tier, mask);
        self.books.waiting.change(mask, entry.least, true);
        self.account.tiers[usize::from(tier)].jobs += 1;
        self.jobs.push(entry);
    }

    /// The job, if `attempt` is its newest one and holds accelerators: else the message is stale.
    fn current(jobs: &mut IdTable<Entry>, job: JobId, attempt: Attempt) -> Option<(&mut Entry, Holds)> {
        let entry = jobs.get_mut(job).filter(|entry| entry.attempt == attempt.0)?;
        let how = entry.holds()?;
        Some((entry, how))
    }

    fn started(&mut self, job: JobId, attempt: Attempt) {
        let Some((entry, how)) = Self::current(&mut self.jobs, job, attempt).filter(|(_, how)| *how != Holds::Run) else {
            return;
        };
        let account = &mut self.account.tiers[usize::from(entry.tier)];
        let window = account.tier.window;
        entry.pass(self.now, window, &mut |closed| account.close(job, closed));
        entry.run(self.now);
        self.books.runs(entry.held, how);
    }

    /// An attempt is over. Returns the job, if that was news and it lives on.
    fn leave(&mut self, job: JobId, attempt: Attempt, ending: Ending) -> Option<&mut Entry> {
        let Ledger { fleet, jobs, books, account, now, .. } = self;
        let (entry, how) = Self::current(jobs, job, attempt)?;
        let account = &mut account.tiers[usize::from(entry.tier)];
        let window = account.tier.window;
        let left = entry.leave(*now, ending, window, &mut |closed| account.close(job, closed));
        account.useful += left.parts[Spent::Useful as usize];
        account.starved = account.starved.max(left.starved);
        books.settle(&left.parts);
        books.hold(fleet, &entry.place, entry.share, how, false);
        entry.place.clear();
        entry.held = 0;
        if entry.phase != Phase::Done {
            books.waiting.change(entry.mask, entry.least, true);
            return self.jobs.get_mut(job);
        }
        match ending {
            Ending::Withdrawn => account.withdrawn += 1,
            _ => account.done += 1,
        }
        account.over(*now, job, entry);
        self.jobs.retire(job);
        None
    }

    /// The owner has no use for the job any more: what it did until now counts, and it is owed nothing from now on.
    fn withdrawn(&mut self, job: JobId) {
        let Ledger { jobs, books, account, now, .. } = self;
        let Some(entry) = jobs.get_mut(job).filter(|entry| entry.phase != Phase::Done) else { return };
        if entry.holds().is_some() {
            let attempt = Attempt(entry.attempt);
            self.leave(job, attempt, Ending::Withdrawn);
            return;
        }
        let account = &mut account.tiers[usize::from(entry.tier)];
        let window = account.tier.window;
        entry.pass(*now, window, &mut |closed| account.close(job, closed));
        entry.phase = Phase::Done;
        books.waiting.change(entry.mask, entry.least, false);
        account.withdrawn += 1;
        account.over(*now, job, entry);
        jobs.retire(job);
    }

    fn note(&mut self, note: &Note) {
        let Some(entry) = self.jobs.get_mut(note.job) else { return };
        let why = entry.noted(&note.reason);
        match entry.phase {
            Phase::Waits(before) if before != why => {
                let account = &mut self.account.tiers[usize::from(entry.tier)];
                let window = account.tier.window;
                entry.pass(self.now, window, &mut |closed| account.close(note.job, closed));
                entry.phase = Phase::Waits(why);
            }
            Phase::Starts | Phase::Runs if matches!(why, Setback::Preempted | Setback::Moving) => entry.leaving = why,
            _ => {}
        }
    }

    fn start(&mut self, job: JobId, attempt: Attempt, place: &crate::Allocation) {
        let Some(entry) = self.jobs.get_mut(job) else { return };
        let account = &mut self.account.tiers[usize::from(entry.tier)];
        let window = account.tier.window;
        entry.pass(self.now, window, &mut |closed| account.close(job, closed));
        entry.start(attempt.0, place);
        self.books.waiting.change(entry.mask, entry.least, false);
        let how = if attempt.0 == 1 { Holds::FirstStart } else { Holds::LaterStart };
        self.books.hold(&self.fleet, place, entry.share, how, true);
    }

    /// A job is told to stop. Its note came before the order, and before the order to start it if both came in this step.
    fn stop(&mut self, job: JobId, notes: &[Note]) {
        let Some(entry) = self.jobs.get_mut(job) else { return };
        if entry.phase == Phase::Starts && entry.window.cursor == self.now {
            let noted = notes.iter().rev().find(|note| note.job == job);
            let moving = noted.is_some_and(|note| matches!(note.reason, Reason::Moving { .. }));
            entry.leaving = if moving { Setback::Moving } else { Setback::Preempted };
        }
    }

    /// How a job stands, as if the work of its present attempt were kept: the time that it was there for and its work, in
    /// ten-thousandths of a microsecond, in the present window and in its life. `None` if it is done or was never submitted.
    pub fn standing(&self, job: JobId, now: Time) -> Option<Standing> {
        let mut entry = self.jobs.get(job).filter(|entry| entry.phase != Phase::Done)?.clone();
        let window = self.account.tiers[usize::from(entry.tier)].tier.window;
        entry.leave(now, Ending::Finished, window, &mut |_| {});
        let start = Time(now.0 / window.0 * window.0).max(entry.submit);
        let (work, life_work) = (entry.window.ideal, entry.worth());
        Some(Standing { real: now.since(start), work, life: now.since(entry.submit), life_work })
    }

    /// What it comes to by the last step. Work of attempts that are not over counts as kept. O(live jobs).
    pub fn account(&self) -> Account {
        let mut account = self.account.clone();
        account.capacity_milli = self.books.capacity();
        (account.from, account.to) = self.books.period();
        account.spent = *self.books.areas();
        for (id, entry) in self.jobs.iter().filter(|(_, entry)| entry.phase != Phase::Done) {
            let tier = &mut account.tiers[usize::from(entry.tier)];
            let (window, mut entry) = (tier.tier.window, entry.clone());
            let left = entry.leave(self.now, Ending::Finished, window, &mut |closed| tier.close(id, closed));
            entry.window.finish(entry.submit, window, &mut |closed| tier.close(id, closed));
            tier.live(self.now.since(entry.submit), entry.worth());
            tier.useful += left.parts[Spent::Useful as usize];
            tier.starving = tier.starving.max(self.now.since(entry.moved));
            tier.starved = tier.starved.max(left.starved).max(tier.starving);
            books::add(&mut account.spent, &left.parts);
        }
        account
    }

    /// Compares accelerator-time booked with what there was. O(live jobs).
    ///
    /// # Errors
    /// What does not add up, in words: a bug, or a driver that does not keep its contract.
    pub fn check(&self) -> Result<(), String> {
        let open = self.jobs.iter().map(|(_, entry)| entry.open_area(self.now)).sum();
        self.books.check(open)?;
        let account = self.account();
        let there_was = u128::from(account.capacity_milli) * u128::from(account.to.since(account.from).0);
        let booked: u128 = account.spent.iter().sum();
        if booked == there_was { Ok(()) } else { Err(format!("{booked} thousandths x us are told of {there_was}")) }
    }
}

/// How a job stands; see [`Ledger::standing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Time in the present window since the job was submitted.
    pub real: Span,
    /// Work in it, in ten-thousandths of a microsecond.
    pub work: u128,
    /// Time since the job was submitted.
    pub life: Span,
    /// Work in it.
    pub life_work: u128,
}
