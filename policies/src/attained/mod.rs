//! The machinery below the policies that know no durations and rank jobs by the service that they have attained.
//!
//! An [`Index`] turns attained service into rank, in steps: a job keeps its rank until its service reaches a bound. Between
//! jobs of equal rank those that run stay ahead of those that wait, so that a rank is shared by taking turns, not by thrashing.

mod alarms;
mod unit;

pub(crate) use unit::Unit;

use crate::event::Event;
use crate::ids::JobId;
use crate::idtable::IdTable;
use crate::job::Phase;
use crate::plan::Plan;
use crate::policy::Policy;
use crate::ranked::{Change, Counted, Equals, Outcome, Places, Rank, Ranked, Tie, tie_at};
use crate::time::{Span, Time};
use crate::view::View;
use alarms::{Alarm, Alarms};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Where a job stands by its attained service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stand {
    /// Smaller goes first. Less than 2^63.
    pub rank: u64,
    /// Steps that were taken so far.
    pub level: u32,
    /// The service at which to take the next one; `u64::MAX` for never.
    pub until: u64,
}

/// How attained service becomes rank.
pub(crate) trait Index: Send + Serialize + DeserializeOwned {
    /// Where a job of `milli` thousandths stands that was at `level` and has attained `service`; at most one level on.
    fn stand(&self, level: u32, service: u64, milli: u64) -> Stand;

    /// A job was done after attaining `service`. True if the ranks of others have changed by that.
    fn learn(&mut self, service: u64) -> bool {
        let _ = service;
        false
    }
}

/// What differs between the policies of this family.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Style {
    /// What counts as service.
    pub unit: Unit,
    /// Jobs of equal rank go in order of submission, instead of running ones first and then in the order in which they came to
    /// that rank.
    pub by_submission: bool,
    /// Whether bounds matter while nobody waits, because of the order in which jobs come to a rank.
    pub eager: bool,
    /// Decide at multiples of this only; zero: at every event.
    pub every: Span,
    /// Displace jobs by counting accelerators, even if who is ahead then finds no place.
    pub by_count: bool,
    /// See [`Alarms::refresh`].
    pub upstream_jumps: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Row {
    stand: Stand,
    alarm: Option<Alarm>,
    /// When it waits next, behind those who wait already: it came to its rank just before it was displaced.
    back: bool,
}

/// A policy that ranks by attained service.
#[derive(Serialize, Deserialize)]
pub(crate) struct Attained<I> {
    index: I,
    style: Style,
    ranked: Ranked,
    rows: IdTable<Row>,
    alarms: Alarms,
    /// Jobs that are selected by count and have no place yet.
    unplaced: Vec<JobId>,
    /// When to decide next, if only at certain times and somebody waits.
    round: Option<Time>,
    /// Jobs that began to wait since the last decision.
    fresh: Vec<JobId>,
    /// Jobs that found no room in it.
    refused: Vec<JobId>,
    sequence: u64,
}

impl<I: Index> Attained<I> {
    pub fn new(index: I, style: Style) -> Attained<I> {
        Attained {
            index,
            style,
            ranked: Ranked::new(Equals::ByTie),
            rows: IdTable::default(),
            alarms: Alarms::new(style.upstream_jumps),
            unplaced: Vec::new(),
            round: None,
            fresh: Vec::new(),
            refused: Vec::new(),
            sequence: 0,
        }
    }

    fn row(&mut self, job: JobId) -> &mut Row {
        self.rows.get_mut(job).expect("live jobs have rows")
    }

    fn rank(&self, job: JobId) -> u64 {
        self.rows.get(job).expect("live jobs have rows").stand.rank
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn primary(&self, rank: u64, selected: bool) -> u64 {
        if self.style.by_submission { rank } else { rank * 2 + u64::from(!selected) }
    }

    fn waiting_tie(&mut self, view: &View, job: JobId, back: bool) -> Tie {
        let sequence = self.next();
        let submit = view.job(job).submit.0;
        if self.style.by_submission { (submit << 1 | 1, sequence) } else { tie_at(view.now(), back, sequence) }
    }

    /// The job waits. One that ran is ahead of others who wait at its rank, unless it has just come there.
    fn wait(&mut self, view: &View, job: JobId, again: bool) {
        self.clear_alarm(job);
        let service = self.style.unit.attained(view, job);
        let entry = view.job(job);
        let (class, milli) = (entry.class, entry.spec.demand.milli_total());
        let mut row = *self.row(job);
        // In time that bounds do not measure (while it was being stopped) it may have passed some.
        while !self.style.upstream_jumps && service >= row.stand.until {
            row.stand = self.index.stand(row.stand.level, service, milli);
            row.back = true;
        }
        let tie = self.waiting_tie(view, job, row.back || !again);
        row.back = false;
        *self.row(job) = row;
        self.ranked.wait(job, class, milli, self.primary(row.stand.rank, false), tie);
        self.fresh.push(job);
    }

    /// Foresees when a selected job reaches its bound, if it runs from now on.
    fn set_alarm(&mut self, view: &View, job: JobId) {
        self.clear_alarm(job);
        let Style { unit, .. } = self.style;
        let until = self.row(job).stand.until;
        let entry = view.job(job);
        let milli = entry.spec.demand.milli_total();
        let missing = until.saturating_sub(unit.attained(view, job));
        if until == u64::MAX {
            return;
        }
        let Some(span) = unit.time_to(missing, milli) else { return };
        let begun = view.now().0.saturating_sub(entry.executed_at(view.now()).0);
        let weight = if unit == Unit::Seconds { 1000 } else { milli };
        let alarm = Alarm { at: view.now() + span, milli: weight, until, begun };
        self.row(job).alarm = Some(alarm);
        self.alarms.set(job, alarm);
    }

    fn clear_alarm(&mut self, job: JobId) {
        if let Some(alarm) = self.row(job).alarm.take() {
            self.alarms.clear(job, alarm);
        }
    }

    /// Takes the steps that are due. Returns the jobs that did; for the walk they are behind all who wait at their new rank.
    fn take_steps(&mut self, view: &View) -> Vec<JobId> {
        let due = self.alarms.due(view.now());
        let stepped: Vec<JobId> = due.into_iter().filter(|&job| self.take_step(view, job)).collect();
        for &job in &stepped {
            let tie = if self.style.by_submission { None } else { Some(tie_at(view.now(), true, self.next())) };
            let anchor = self.primary(self.rank(job), false);
            self.ranked.move_to(job, anchor, tie);
        }
        stepped
    }

    fn take_step(&mut self, view: &View, job: JobId) -> bool {
        let service = self.style.unit.attained(view, job);
        let milli = view.job(job).spec.demand.milli_total();
        let mut stand = self.row(job).stand;
        let mut stepped = false;
        while service >= stand.until && !(stepped && self.style.upstream_jumps) {
            stand = self.index.stand(stand.level, service, milli);
            stepped = true;
        }
        self.row(job).stand = stand;
        // Not there yet if it began to run later than was foreseen. Who has not begun is foreseen when he does: what is missing to
        // the bound may be next to nothing, and asking again that often is a standstill.
        if stepped || view.job(job).running_since != Time::MAX {
            self.set_alarm(view, job);
        } else {
            self.clear_alarm(job);
        }
        stepped
    }

    /// Enters chosen jobs among the selected, and puts those that came to their rank in this step and stay ahead of all who
    /// wait there: in the order in which the walk came by them.
    fn join(&mut self, plan: &Plan<'_>, out: &Outcome, stepped: &[JobId]) {
        let now = plan.now();
        let stay = stepped.iter().filter_map(|&job| Some((self.ranked.selected_rank(job, now)?, job, None)));
        let chosen = out.chosen.iter().map(|c| (c.rank, c.job, Some(c.milli)));
        let mut joining: Vec<(Rank, JobId, Option<u64>)> = chosen.chain(stay).collect();
        joining.sort_unstable();
        for (_, job, milli) in joining {
            let anchor = self.primary(self.rank(job), true);
            let sequence = self.next();
            let tie = if self.style.by_submission { (plan.job(job).submit.0 << 1, sequence) } else { (now.0, sequence) };
            match milli {
                Some(milli) => self.ranked.select(job, milli, 0, anchor, tie),
                None if self.style.by_submission => {}
                None => self.ranked.move_to(job, anchor, Some(tie)),
            }
        }
    }

    /// One walk. Returns whether jobs wait that did not before it and could run elsewhere.
    fn walk(&mut self, plan: &mut Plan<'_>) -> bool {
        let stepped = self.take_steps(plan);
        let out;
        let mut waits_again = Vec::new();
        if self.style.by_count {
            let total = plan.capacity().total_milli();
            out = self.ranked.walk(plan.now(), &mut Counted { free: total - self.ranked.selected_milli() });
            self.mark_displaced(&out, &stepped);
            self.join(plan, &out, &stepped);
            waits_again.extend(self.place_counted(plan, &out));
        } else {
            let mut places = Places::new(plan);
            out = self.ranked.walk(places.now(), &mut places);
            self.mark_displaced(&out, &stepped);
            waits_again.extend(places.apply(&out));
            self.join(plan, &out, &stepped);
            for chosen in &out.chosen {
                self.set_alarm(plan, chosen.job);
            }
        }
        self.refused.extend(out.refused);
        for &job in &waits_again {
            self.wait(plan, job, true);
        }
        !self.style.by_count && !waits_again.is_empty()
    }

    fn mark_displaced(&mut self, out: &Outcome, stepped: &[JobId]) {
        for (job, _) in &out.displaced {
            self.clear_alarm(*job);
            self.row(*job).back = stepped.contains(job);
        }
    }

    /// Stops what was displaced by count and places what was chosen, as far as places are found. Returns the displaced jobs
    /// that had none.
    fn place_counted(&mut self, plan: &mut Plan<'_>, out: &Outcome) -> Vec<JobId> {
        for &(job, by) in &out.displaced {
            plan.preempt(job, by);
        }
        self.unplaced.extend(out.chosen.iter().map(|c| c.job));
        let now = plan.now();
        let mut unplaced = std::mem::take(&mut self.unplaced);
        unplaced.retain(|&job| self.ranked.is_selected(job));
        unplaced.sort_by_key(|&job| self.ranked.selected_rank(job, now));
        unplaced.retain(|&job| {
            let placed = plan.launch(job);
            if placed {
                self.set_alarm(plan, job);
            }
            !placed
        });
        self.unplaced = unplaced;
        let waits = |job: &JobId| plan.job(*job).phase == Phase::Pending;
        out.displaced.iter().map(|&(job, _)| job).filter(waits).collect()
    }

    fn follow(&mut self, view: &View, event: &Event) {
        let Some(job) = event.job() else {
            self.ranked.follow(view, event);
            return;
        };
        if let Event::Submit { spec, .. } = event {
            let stand = self.index.stand(0, 0, spec.demand.milli_total());
            self.rows.push(Row { stand, alarm: None, back: false });
        }
        match self.ranked.follow(view, event) {
            Change::Waits { again } => self.wait(view, job, again),
            Change::Runs => self.set_alarm(view, job),
            Change::Done => self.done(view, job),
            Change::Withdrawn => {
                self.clear_alarm(job);
                self.rows.retire(job);
            }
            Change::Nothing => {}
        }
    }

    fn done(&mut self, view: &View, job: JobId) {
        self.clear_alarm(job);
        self.rows.retire(job);
        if self.index.learn(self.style.unit.attained(view, job)) {
            self.rerank(view);
        }
    }

    /// The index has changed: everybody's rank is looked up anew.
    fn rerank(&mut self, view: &View) {
        let rank = |job: JobId| {
            let stand = self.rows.get(job).expect("live jobs have rows").stand;
            // At its own level a job takes no step: the service that counts is short of its bound.
            self.index.stand(stand.level, 0, view.job(job).spec.demand.milli_total()).rank
        };
        self.ranked.rerank(|job, selected| rank(job) * 2 + u64::from(!selected));
        let changed: Vec<JobId> = self.ranked.all().collect();
        for job in changed {
            let milli = view.job(job).spec.demand.milli_total();
            let level = self.row(job).stand.level;
            self.row(job).stand = self.index.stand(level, 0, milli);
        }
    }

    /// Whether to decide now, if that happens at certain times only. Somebody who waits arms the next time.
    fn is_time(&mut self, now: Time) -> bool {
        let every = self.style.every;
        if every == Span::ZERO {
            return true;
        }
        let aligned = now.0.is_multiple_of(every.0);
        let due = *self.round.get_or_insert(if aligned { now } else { now.next_multiple(every) }) <= now;
        let waits = self.ranked.waiting() > 0 || !self.unplaced.is_empty();
        if due || !waits {
            self.round = waits.then(|| now.next_multiple(every));
        }
        due
    }
}

impl<I: Index> Policy for Attained<I> {
    crate::saved_by_serde!();

    fn observe(&mut self, view: &View, event: &Event) {
        self.follow(view, event);
        if let Event::Started { .. } = event {
            self.alarms.refresh(view.now());
        }
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        if self.ranked.is_settled(plan) {
            return;
        }
        let idle = self.ranked.waiting() == 0 && self.unplaced.is_empty();
        if self.is_time(plan.now()) && (self.style.eager || !idle) {
            // Who is displaced before it was started waits again at once, and may fit elsewhere; each time these rank lower.
            while self.walk(plan) {}
            let fresh = std::mem::take(&mut self.fresh);
            self.ranked.explain(plan, fresh.iter().copied().chain(std::mem::take(&mut self.refused)));
            self.fresh = fresh;
            self.fresh.clear();
        }
        self.alarms.refresh(plan.now());
        self.ranked.settle(plan);
    }

    fn next_wakeup(&self, _: &View) -> Option<Time> {
        if self.style.every > Span::ZERO {
            return self.round;
        }
        let matters = self.style.eager || self.ranked.waiting() > 0;
        if matters { self.alarms.next() } else { None }
    }
}
