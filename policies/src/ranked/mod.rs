//! Who runs when jobs are ranked and a higher rank may displace a lower one: the machinery below the service-based policies.
//!
//! The rule is one walk over all live jobs in order of rank: what fits beside those ahead of it runs, what does not fit waits.
//! [`Ranked::walk`] brings about what that walk would, without walking. Three facts make it cheap:
//!
//! * Room only shrinks along the walk. Of jobs that ask for the same (a [class](ClassId)) only the first that waits can be the
//!   next to run.
//! * Selected jobs all fit at once. A waiting job can displace only jobs behind it, which are the tail of the selected.
//! * A job that found too little room can find it only after jobs of at least the missing size have left the selected. It is
//!   not looked at before.
//!
//! The ranks of selected jobs may improve as time passes (they run, and less remains): that moves them ahead of jobs that wait,
//! which never makes room. An event therefore costs O(changes × log jobs), not a walk over the queue or over what runs.
//!
//! Where nodes matter, one term is larger. A gang that found no place although all that stands behind it was lifted is short of
//! a shape, not of a sum, and a placement cannot be asked how much must leave before there is one: only asking it, with the
//! room made, tells. Any departure may complete a node, so at each the first of every such class is looked at once more. A look
//! lifts at most the r selected jobs behind it and puts them back, O(r log r), and asks for a place O(log r) times, as what is
//! lifted doubles. So a departure costs at most O(classes that lack a shape × r log r): linear in what runs, never in the
//! queue, and only while such gangs wait. For a placement that never splits a gang over more nodes than it must, looking at
//! the nodes that changed since the last refusal would do; that takes knowing which jobs stand on a node, and such placements
//! to say so.

mod room;
mod walk;

pub(crate) use room::{Counted, Places};
pub(crate) use walk::Outcome;

use crate::event::{Event, NodeState};
use crate::ids::{ClassId, JobId};
use crate::idtable::IdTable;
use crate::job::{Phase, WHOLE_MILLI};
use crate::time::Time;
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What decides between jobs of equal rank; smaller first.
pub(crate) type Tie = (u64, u64);

/// A place in the order of all live jobs at one instant; smaller goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    primary: u64,
    band: u8,
    weight: u64,
    tie: Tie,
    job: JobId,
}

/// Where jobs that wait stand among selected ones of equal primary rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Equals {
    /// By their ties alone.
    ByTie,
    /// The order in which they stood before they became equal. A job that waits stood ahead of one that has caught up by
    /// running, and behind one that was selected at the present instant; one that began to wait at the present instant comes
    /// last. Nobody is ahead for having nothing left or for being unknown. Ties are made by [`waiting_since`] and
    /// [`tie_at`].
    AsBefore,
}

/// The tie of a job that waits since `now`; `later` puts it behind others of that instant.
pub(crate) fn waiting_since(now: Time, later: bool, sequence: u64) -> Tie {
    (now.0 << 1 | u64::from(later), sequence)
}

/// Set in the ties of jobs that go behind their equals.
const LAST: u64 = 1 << 63;

/// The tie of a job that goes behind all its equals at `now`, if `last`, or ahead of them.
pub(crate) fn tie_at(now: Time, last: bool, sequence: u64) -> Tie {
    (if last { LAST | now.0 } else { LAST - 1 - now.0 }, sequence)
}

/// `span` of work of `milli` accelerator-thousandths, in accelerator-microseconds; monotone in both.
pub(crate) fn service(span: u64, milli: u64) -> u64 {
    let whole = u64::from(WHOLE_MILLI);
    if milli.is_multiple_of(whole) {
        return span.saturating_mul(milli / whole);
    }
    u64::try_from(u128::from(span) * u128::from(milli) / u128::from(whole)).unwrap_or(u64::MAX)
}

/// A selected job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Slot {
    anchor: u64,
    tie: Tie,
    job: JobId,
    milli: u64,
}

/// Selected jobs whose ranks change at one rate, so that their order does not.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Lane {
    /// 0: the anchor is the rank. Else the anchor is an instant in microseconds, and the rank is the time until then times this
    /// many thousandths.
    weight: u64,
    slots: BTreeSet<Slot>,
}

impl Rank {
    /// Whether the job waited since `now`, by its [`waiting_since`] tie.
    pub fn is_new(&self, now: Time) -> bool {
        self.tie.0 >> 1 == now.0
    }
}

impl Lane {
    fn rank(&self, slot: &Slot, now: Time) -> Rank {
        let primary = match (self.weight, slot.anchor) {
            (0, anchor) | (_, anchor @ u64::MAX) => anchor,
            (weight, anchor) => service(anchor.saturating_sub(now.0), weight),
        };
        let just_selected = self.weight != 0 && slot.tie.0 == LAST - 1 - now.0;
        Rank { primary, band: if just_selected { 0 } else { 2 }, weight: self.weight, tie: slot.tie, job: slot.job }
    }
}

/// Waiting jobs that ask for the same.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Class {
    jobs: BTreeSet<(u64, Tie, JobId)>,
    milli: u64,
    /// How much must have left in all before the first is worth another look; `None` while it is due for one.
    retry_at: Option<u64>,
    due: bool,
}

/// What an event asks of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The job waits and must be [ranked](Ranked::wait).
    Waits {
        /// It ran, or was about to, before.
        again: bool,
    },
    /// The selected job began to run, perhaps later than it was selected.
    Runs,
    /// It is gone.
    Done,
    /// It is gone before it was done: how long it would have been nobody knows.
    Withdrawn,
    /// Nothing.
    Nothing,
}

/// Where a job stands here.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Standing {
    /// Neither waits nor is selected: it was told to stop, or is about to be entered.
    Out,
    Waiting {
        class: ClassId,
        primary: u64,
        tie: Tie,
    },
    Selected {
        lane: u32,
        slot: Slot,
    },
}

/// Live jobs in order of rank, apart by whether they are selected to run. See the [module](self).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ranked {
    equals: Equals,
    standing: IdTable<Standing>,
    classes: Vec<Class>,
    lanes: Vec<Lane>,
    waiting: usize,
    selected_milli: u64,
    /// Thousandths that have left the selected since the beginning; a job that holds none counts as one.
    departed: u64,
    /// Classes whose first found no room, by when to look again.
    blocked: BTreeSet<(u64, ClassId)>,
    /// Classes whose first is due for a look.
    due: Vec<ClassId>,
    /// When, and with which [generation](crate::capacity::Capacity::generation) of the capacity, a decision ended after which
    /// nothing was heard.
    settled: Option<(Time, u64)>,
    #[serde(skip)]
    buffers: walk::Buffers,
}

impl Ranked {
    pub fn new(equals: Equals) -> Ranked {
        Ranked {
            equals,
            standing: IdTable::default(),
            classes: Vec::new(),
            lanes: Vec::new(),
            waiting: 0,
            selected_milli: 0,
            departed: 0,
            blocked: BTreeSet::new(),
            due: Vec::new(),
            settled: None,
            buffers: walk::Buffers::default(),
        }
    }

    /// Jobs that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Thousandths that selected jobs ask for.
    pub fn selected_milli(&self) -> u64 {
        self.selected_milli
    }

    /// All jobs that wait or are selected, in no order that means anything.
    pub fn all(&self) -> impl Iterator<Item = JobId> + '_ {
        let waiting = self.classes.iter().flat_map(|class| class.jobs.iter().map(|&(_, _, job)| job));
        waiting.chain(self.lanes.iter().flat_map(|lane| lane.slots.iter().map(|slot| slot.job)))
    }

    /// Whether the job is selected.
    pub fn is_selected(&self, job: JobId) -> bool {
        matches!(self.standing.get(job), Some(Standing::Selected { .. }))
    }

    /// The job waits with that rank, which does not change while it does. `milli` is what its class asks for.
    pub fn wait(&mut self, job: JobId, class: ClassId, milli: u64, primary: u64, tie: Tie) {
        if self.classes.len() <= class.index() {
            self.classes.resize_with(class.index() + 1, Class::default);
        }
        let entry = &mut self.classes[class.index()];
        entry.milli = milli;
        entry.jobs.insert((primary, tie, job));
        let first = entry.jobs.first().is_some_and(|first| first.2 == job);
        self.waiting += 1;
        self.set(job, Standing::Waiting { class, primary, tie });
        if first {
            self.look_again(class);
        }
    }

    /// The job is selected. For `weight` and `anchor` see [`Lane`]; its rank must not be worse than the one it waited with.
    pub fn select(&mut self, job: JobId, milli: u64, weight: u64, anchor: u64, tie: Tie) {
        let lane = self.lanes.iter().position(|lane| lane.weight == weight).unwrap_or_else(|| {
            self.lanes.push(Lane { weight, slots: BTreeSet::new() });
            self.lanes.len() - 1
        });
        let slot = Slot { anchor, tie, job, milli };
        self.lanes[lane].slots.insert(slot);
        self.selected_milli += milli;
        self.set(job, Standing::Selected { lane: lane as u32, slot });
    }

    /// A selected job stands elsewhere in its lane from here on.
    pub fn move_to(&mut self, job: JobId, anchor: u64, tie: Option<Tie>) {
        if let Some(&Standing::Selected { lane, slot }) = self.standing.get(job) {
            let moved = Slot { anchor, tie: tie.unwrap_or(slot.tie), ..slot };
            let slots = &mut self.lanes[lane as usize].slots;
            slots.remove(&slot);
            slots.insert(moved);
            self.set(job, Standing::Selected { lane, slot: moved });
            // Those that it was ahead of, and is not any more, have as much more room.
            self.departed += if moved > slot { slot.milli.max(1) } else { 0 };
        }
    }

    /// Where a selected job stands at `now`.
    pub fn selected_rank(&self, job: JobId, now: Time) -> Option<Rank> {
        match self.standing.get(job) {
            Some(Standing::Selected { lane, slot }) => Some(self.lanes[*lane as usize].rank(slot, now)),
            _ => None,
        }
    }

    /// Gives every job a new primary rank: `primary(job, selected)`. For orders whose lanes all have weight 0.
    pub fn rerank(&mut self, primary: impl Fn(JobId, bool) -> u64) {
        for class in 0..self.classes.len() {
            let jobs = std::mem::take(&mut self.classes[class].jobs);
            self.waiting -= jobs.len();
            for (_, tie, job) in jobs {
                self.wait(job, ClassId(class as u32), self.classes[class].milli, primary(job, false), tie);
            }
            self.look_again(ClassId(class as u32));
        }
        for lane in 0..self.lanes.len() {
            for slot in std::mem::take(&mut self.lanes[lane].slots) {
                let slot = Slot { anchor: primary(slot.job, true), ..slot };
                self.lanes[lane].slots.insert(slot);
                self.set(slot.job, Standing::Selected { lane: lane as u32, slot });
            }
        }
    }

    /// Whether this instant's decision stands: nothing was heard since. A walk sorts jobs that have become equal into the order
    /// in which they stand from then on; one more at the same instant could sort them otherwise.
    pub fn is_settled(&self, view: &View) -> bool {
        self.settled == Some((view.now(), view.capacity().generation()))
    }

    /// The decision is made.
    pub fn settle(&mut self, view: &View) {
        self.settled = Some((view.now(), view.capacity().generation()));
    }

    /// Takes in what an event means for the jobs' standing, and says what the policy has to do about its job.
    pub fn follow(&mut self, view: &View, event: &Event) -> Change {
        self.settled = None;
        let Some(job) = event.job() else {
            // A node that is back is room that nobody has left.
            if let Event::Node { state: NodeState::Up, .. } = event {
                let blocked: Vec<ClassId> = self.blocked.iter().map(|&(_, class)| class).collect();
                blocked.into_iter().for_each(|class| self.look_again(class));
            }
            return Change::Nothing;
        };
        match event {
            Event::Submit { .. } => {
                self.standing.push(Standing::Out);
                Change::Waits { again: false }
            }
            Event::Started { .. } if self.is_selected(job) => Change::Runs,
            Event::Started { .. } => Change::Nothing,
            Event::Finished { .. } => {
                self.retire(job);
                Change::Done
            }
            Event::Withdrawn { .. } => {
                self.retire(job);
                Change::Withdrawn
            }
            Event::Stopped { .. } | Event::Failed { .. } if view.job(job).phase == Phase::Pending => {
                self.leave(job);
                Change::Waits { again: true }
            }
            Event::Stopped { .. } | Event::Failed { .. } => {
                self.retire(job);
                Change::Done
            }
            Event::Node { .. } => Change::Nothing,
        }
    }

    /// The job neither waits nor is selected any more.
    pub fn leave(&mut self, job: JobId) {
        match *self.standing.get(job).expect("jobs are entered before they leave") {
            Standing::Out => {}
            Standing::Waiting { class, primary, tie } => {
                let entry = &mut self.classes[class.index()];
                let first = entry.jobs.first() == Some(&(primary, tie, job));
                entry.jobs.remove(&(primary, tie, job));
                self.waiting -= 1;
                if first {
                    self.look_again(class);
                }
            }
            Standing::Selected { lane, slot } => {
                self.lanes[lane as usize].slots.remove(&slot);
                self.depart(slot.milli);
            }
        }
        self.set(job, Standing::Out);
    }

    fn retire(&mut self, job: JobId) {
        self.leave(job);
        self.standing.retire(job);
    }

    /// The lowest ranked of the selected jobs that are ahead of one that waits.
    pub fn just_ahead(&self, job: JobId, now: Time) -> Option<JobId> {
        let &Standing::Waiting { primary, tie, .. } = self.standing.get(job)? else { return None };
        let rank = self.waiting_rank(primary, tie, job, now);
        let ahead = |lane: &Lane| {
            // Anchors up to here may be ahead; those that are not are few.
            let anchor = match (lane.weight, primary) {
                (0, _) | (_, u64::MAX) => primary,
                (weight, _) => now.0.saturating_add(primary / (weight / u64::from(WHOLE_MILLI)).max(1)).saturating_add(1),
            };
            let last = Slot { anchor, tie: (u64::MAX, u64::MAX), job: JobId(u32::MAX), milli: u64::MAX };
            lane.slots.range(..=last).rev().map(|slot| lane.rank(slot, now)).find(|r| *r < rank)
        };
        self.lanes.iter().filter_map(ahead).max().map(|rank| rank.job)
    }

    fn set(&mut self, job: JobId, standing: Standing) {
        *self.standing.get_mut(job).expect("jobs are entered first") = standing;
    }

    fn depart(&mut self, milli: u64) {
        self.selected_milli -= milli;
        self.departed += milli.max(1);
    }

    /// The first of `class` is another one: whatever was known of its chances is void.
    fn look_again(&mut self, class: ClassId) {
        let entry = &mut self.classes[class.index()];
        if let Some(at) = entry.retry_at.take() {
            self.blocked.remove(&(at, class));
        }
        if !std::mem::replace(&mut entry.due, true) {
            self.due.push(class);
        }
    }

    fn waiting_rank(&self, primary: u64, tie: Tie, job: JobId, now: Time) -> Rank {
        let extreme = primary == 0 || primary == u64::MAX;
        let band = match self.equals {
            Equals::ByTie => 2,
            Equals::AsBefore if extreme || tie.0 >> 1 == now.0 => 3,
            Equals::AsBefore => 1,
        };
        Rank { primary, band, weight: 0, tie, job }
    }

    fn first_rank(&self, class: ClassId, now: Time) -> Option<Rank> {
        let &(primary, tie, job) = self.classes[class.index()].jobs.first()?;
        Some(self.waiting_rank(primary, tie, job, now))
    }
}
