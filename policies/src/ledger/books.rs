//! Accelerator-time by what became of it. The parts add up to capacity times time, exactly.

use super::waiting::Waiting;
use crate::allocation::Allocation;
use crate::elastic::FULL_SPEED;
use crate::event::NodeState;
use crate::fleet::Fleet;
use crate::ids::NodeId;
use crate::job::WHOLE_MILLI;
use crate::time::{Span, Time};
use serde::{Deserialize, Serialize};

/// What became of accelerator-time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spent {
    /// Work that was kept, at what it takes on a whole gang.
    Useful,
    /// Held by first attempts from the order to the start.
    Start,
    /// Held by later attempts from the order to the start: transfer and restore.
    Restore,
    /// Run time that is not in the progress which was reported when the attempt stopped on order.
    Checkpoint,
    /// Run time whose work was lost by a failure, or did again what a failure had taken from earlier attempts.
    Redo,
    /// What running on fewer accelerators took more than the whole gang would have for the same work.
    Splice,
    /// Free on nodes that were down or draining.
    Failure,
    /// Free while somebody waited of whose acceptable type enough was free for his smallest size. What a strict queue leaves
    /// free is in it.
    Fragmentation,
    /// Free while all who waited for this type asked for more than was free of it.
    Queue,
    /// Free, and nobody waited for this type.
    Idle,
}

impl Spent {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// All of them, in order.
    pub const ALL: [Spent; Spent::COUNT] = [
        Spent::Useful,
        Spent::Start,
        Spent::Restore,
        Spent::Checkpoint,
        Spent::Redo,
        Spent::Splice,
        Spent::Failure,
        Spent::Fragmentation,
        Spent::Queue,
        Spent::Idle,
    ];

    /// Whether a job held it.
    pub const fn is_held(self) -> bool {
        (self as usize) < Spent::Failure as usize
    }

    /// A few words for people.
    pub const fn words(self) -> &'static str {
        match self {
            Spent::Useful => "useful work",
            Spent::Start => "first starts",
            Spent::Restore => "transfer and restore",
            Spent::Checkpoint => "saving at stops",
            Spent::Redo => "work lost and redone",
            Spent::Splice => "sharing accelerators",
            Spent::Failure => "nodes down or draining",
            Spent::Fragmentation => "free though somebody would fit",
            Spent::Queue => "free but too few for all who wait",
            Spent::Idle => "free and nobody waits",
        }
    }
}

/// Accelerator-thousandths times microseconds, by [`Spent`].
pub type Areas = [u128; Spent::COUNT];

/// A run of one attempt that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Thousandths that it held, and that it would hold at full size.
    pub held: u64,
    pub full: u64,
    pub ran: Span,
    /// Work in ten-thousandths of microseconds: in all, of it first what had been done before, then what was kept.
    pub done: u128,
    pub redone: u128,
    pub kept: u128,
    /// Where the rest goes.
    pub rest: Spent,
}

impl Run {
    /// How its accelerator-time divides; the parts add up to what it held, rounding goes to the rest.
    pub fn divide(&self) -> Areas {
        let mut areas = [0; Spent::COUNT];
        let area = u128::from(self.held) * u128::from(self.ran.0);
        // A gang that slows down less than it shrinks needs less accelerator-time for its work: that is no loss.
        let gross = area.min(share(u128::from(self.full), self.done, u128::from(FULL_SPEED)));
        let part = |work| if self.done == 0 { 0 } else { share(gross, work, self.done) };
        let (useful, redone) = (part(self.kept), part(self.redone));
        areas[Spent::Splice as usize] = area - gross;
        areas[Spent::Useful as usize] = useful;
        areas[Spent::Redo as usize] = redone;
        areas[self.rest as usize] += gross - useful - redone;
        areas
    }
}

/// `amount * part / whole`, rounded down, for products that need more than 128 bits.
fn share(amount: u128, part: u128, whole: u128) -> u128 {
    match amount.checked_mul(part) {
        Some(product) => product / whole,
        None => amount / whole * part + amount % whole * part / whole,
    }
}

pub(super) fn add(to: &mut Areas, more: &Areas) {
    to.iter_mut().zip(more).for_each(|(to, more)| *to += more);
}

/// Which part of the machinery holds accelerators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    FirstStart,
    LaterStart,
    Run,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct NodeBooks {
    held: u64,
    open: bool,
}

/// Levels and their integrals.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Books {
    pub waiting: Waiting,
    capacity: u64,
    nodes: Vec<NodeBooks>,
    /// Free thousandths on nodes that are up, by type.
    free: Vec<u64>,
    /// Free thousandths on the other nodes.
    closed: u64,
    /// By [`Holds`].
    held: [u64; 3],
    /// Integral of what running attempts hold.
    running: u128,
    /// Everything but runs that are not over.
    areas: Areas,
    from: Time,
    to: Time,
}

impl Books {
    pub fn new(fleet: &Fleet) -> Books {
        let mut free = vec![0; fleet.types.len()];
        for node in &fleet.nodes {
            free[node.kind.index()] += milli(node.accelerators, WHOLE_MILLI);
        }
        Books {
            waiting: Waiting::new(fleet.types.len()),
            capacity: free.iter().sum(),
            nodes: vec![NodeBooks { held: 0, open: true }; fleet.nodes.len()],
            free,
            closed: 0,
            held: [0; 3],
            running: 0,
            areas: [0; Spent::COUNT],
            from: Time::MAX,
            to: Time::ZERO,
        }
    }

    /// From when to when the books are kept.
    pub fn period(&self) -> (Time, Time) {
        (self.from.min(self.to), self.to)
    }

    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Everything but runs that are not over.
    pub fn areas(&self) -> &Areas {
        &self.areas
    }

    /// Time passes at the present levels: O(accelerator types).
    pub fn advance(&mut self, now: Time) {
        if self.from == Time::MAX {
            (self.from, self.to) = (now, now);
        }
        let span = u128::from(now.since(self.to).0);
        if span == 0 {
            return;
        }
        self.to = now;
        let mut add = |spent: Spent, milli: u64| self.areas[spent as usize] += span * u128::from(milli);
        add(Spent::Start, self.held[Holds::FirstStart as usize]);
        add(Spent::Restore, self.held[Holds::LaterStart as usize]);
        add(Spent::Failure, self.closed);
        for (kind, &free) in self.free.iter().enumerate().filter(|(_, free)| **free > 0) {
            let spent = match self.waiting.least(kind) {
                None => Spent::Idle,
                Some(least) if least <= free => Spent::Fragmentation,
                Some(_) => Spent::Queue,
            };
            add(spent, free);
        }
        self.running += span * u128::from(self.held[Holds::Run as usize]);
    }

    /// An attempt takes accelerators (`taken`) or gives them back.
    pub fn hold(&mut self, fleet: &Fleet, place: &Allocation, share: u16, how: Holds, taken: bool) {
        for grant in place {
            let amount = milli(grant.count, share);
            let node = &mut self.nodes[grant.node.index()];
            let free = if node.open { &mut self.free[fleet.node(grant.node).kind.index()] } else { &mut self.closed };
            if taken {
                (node.held, *free) = (node.held + amount, *free - amount);
                self.held[how as usize] += amount;
            } else {
                (node.held, *free) = (node.held - amount, *free + amount);
                self.held[how as usize] -= amount;
            }
        }
    }

    /// What an attempt holds, it holds in another way from now on.
    pub fn runs(&mut self, held: u64, was: Holds) {
        self.held[was as usize] -= held;
        self.held[Holds::Run as usize] += held;
    }

    /// A run is over.
    pub fn settle(&mut self, parts: &Areas) {
        add(&mut self.areas, parts);
    }

    /// A node is open or not.
    pub fn set_state(&mut self, fleet: &Fleet, id: NodeId, state: NodeState) {
        let (entry, node) = (&mut self.nodes[id.index()], fleet.node(id));
        let open = state == NodeState::Up;
        if entry.open == open {
            return;
        }
        entry.open = open;
        let amount = milli(node.accelerators, WHOLE_MILLI) - entry.held;
        let free = &mut self.free[node.kind.index()];
        if open {
            (*free, self.closed) = (*free + amount, self.closed - amount);
        } else {
            (*free, self.closed) = (*free - amount, self.closed + amount);
        }
    }

    /// Compares what was booked with what there was; `open` is the accelerator-time of runs that are not over.
    pub fn check(&self, open: u128) -> Result<(), String> {
        let levels = self.held.iter().sum::<u64>() + self.closed + self.free.iter().sum::<u64>();
        if levels != self.capacity {
            return Err(format!("{levels} thousandths are held, free or closed of {}", self.capacity));
        }
        let (from, to) = self.period();
        let there_was = u128::from(self.capacity) * u128::from(to.since(from).0);
        let booked = self.areas.iter().sum::<u128>() + open;
        if booked != there_was {
            return Err(format!("accelerator-time does not add up: {booked} booked, {there_was} there was (thousandths x us)"));
        }
        Ok(())
    }
}

#[inline]
pub(super) fn milli(count: u32, share: u16) -> u64 {
    u64::from(count) * u64::from(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_divides_without_rest() {
        // Half of eight for 100 us at 48 %: 48 us of the whole gang's time; 10 of them done before, 20 kept, 18 lost.
        let run = Run {
            held: 4000,
            full: 8000,
            ran: Span(100),
            done: 480_000,
            redone: 100_000,
            kept: 200_000,
            rest: Spent::Checkpoint,
        };
        let areas = run.divide();
        let of = |spent: Spent| areas[spent as usize];
        assert_eq!([Spent::Splice, Spent::Redo, Spent::Useful, Spent::Checkpoint].map(of), [16_000, 80_000, 160_000, 144_000]);
        assert_eq!(areas.iter().sum::<u128>(), 400_000);
        // By Amdahl's law half the gang may do more than half the work: nothing is lost then.
        let sublinear = Run { done: 700_000, redone: 0, kept: 700_000, ..run };
        assert_eq!(sublinear.divide()[Spent::Useful as usize], 400_000);
    }

    #[test]
    fn large_products_keep_their_digits() {
        let (amount, part, whole) = (u128::MAX / 7, u128::from(u64::MAX) - 5, u128::from(u64::MAX));
        let exact = amount - amount.div_ceil(whole) * 5;
        assert!(share(amount, part, whole).abs_diff(exact) <= 5);
        assert_eq!(share(amount, whole, whole), amount);
    }
}
