//! Shared links: who gets how much of the bandwidth, and who is ready next.
//!
//! Each link is shared max-min fairly among the transfers on it, each of which may have a limit of its own (the nodes' rate):
//! the limited ones get at most their limit, the rest is divided evenly (water-filling). This is exact, in integers.
//!
//! Transfers with the same limit always run at the same rate, so they form a class with one clock that counts the bytes that
//! each of them has received (virtual time); a transfer is ready when its class's clock reaches the mark set when it began. An
//! arrival or a departure costs O(log n + c) for n transfers and c different limits on that link: nothing walks the transfers.
//!
//! What is approximated: a transfer has one link. Where a path has several, give it the narrowest one, and as its limit the
//! least of the others; contention is then seen on the narrowest link only. Latency and start-up of connections are not modelled
//! (they are in the fixed times of a [`super::Mechanism`]).

use policies::{Span, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A link, numbered as it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkId(pub u32);

/// A transfer, numbered as it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TransferId(pub u64);

/// Rates carry so many binary digits after the point, so that a link divided by many loses nothing that shows.
const RATE_BITS: u32 = 20;
/// Virtual bytes of a byte: a rate times microseconds.
const PER_BYTE: u128 = 1_000_000 << RATE_BITS;

/// All links of a world. Times must not go backwards, and [`Links::complete`] is called at each [`Links::next_completion`]
/// before time passes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    links: Vec<Link>,
    /// Where each transfer in flight is.
    transfers: BTreeMap<TransferId, Place>,
    /// The next completion of every link that has one.
    due: BTreeSet<(Time, TransferId, LinkId)>,
    begun: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    link: LinkId,
    cap: u64,
    mark: u128,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Link {
    bandwidth: u64,
    /// Transfers by their limit.
    classes: BTreeMap<u64, Class>,
    count: u128,
    /// Up to when the classes' clocks are right.
    settled: Time,
    due: Option<(Time, TransferId)>,
}

/// Transfers with the same limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Class {
    /// Virtual bytes that each member has received since the class came to be.
    clock: u128,
    /// Of each member, in 2^-20 bytes a second.
    rate: u128,
    /// Clock readings at which members are ready.
    marks: BTreeSet<(u128, TransferId)>,
}

impl Class {
    /// How long until the first member is ready: rounded up, so never early.
    fn next(&self) -> Option<(Span, TransferId)> {
        let &(mark, id) = self.marks.first()?;
        let missing = mark.saturating_sub(self.clock);
        let micros = if missing == 0 { 0 } else { missing.checked_add(self.rate.checked_sub(1)?)? / self.rate };
        Some((Span(u64::try_from(micros).ok()?), id))
    }
}

impl Link {
    fn settle(&mut self, now: Time) {
        let passed = u128::from(now.since(self.settled).0);
        for class in self.classes.values_mut() {
            class.clock = class.clock.saturating_add(class.rate.saturating_mul(passed));
        }
        self.settled = self.settled.max(now);
    }

    /// Water-filling: from the lowest limit up, each class gets its limit or an even share of what is left.
    fn share(&mut self) {
        let mut left = u128::from(self.bandwidth) << RATE_BITS;
        let mut count = self.count;
        for (&cap, class) in &mut self.classes {
            let members = class.marks.len() as u128;
            class.rate = (u128::from(cap) << RATE_BITS).min(left / count.max(1));
            left -= class.rate * members;
            count -= members;
        }
        let next = self.classes.values().filter_map(Class::next).min();
        self.due = next.map(|(wait, id)| (self.settled + wait, id));
    }
}

impl Links {
    /// No links.
    pub fn new() -> Links {
        Links::default()
    }

    /// A new link. A bandwidth of zero means that nothing gets through until [`Links::set_bandwidth`].
    pub fn add(&mut self, bandwidth_bytes_per_s: u64) -> LinkId {
        self.links.push(Link { bandwidth: bandwidth_bytes_per_s, ..Link::default() });
        LinkId(self.links.len() as u32 - 1)
    }

    /// Another bandwidth from now on: a fault, a repair.
    ///
    /// # Panics
    /// No such link.
    pub fn set_bandwidth(&mut self, now: Time, link: LinkId, bandwidth_bytes_per_s: u64) {
        self.change(now, link, |link| link.bandwidth = bandwidth_bytes_per_s);
    }

    /// Begins a transfer of so many bytes, at most `cap_bytes_per_s` (`u64::MAX`: no limit of its own).
    ///
    /// # Panics
    /// No such link.
    pub fn begin(&mut self, now: Time, link: LinkId, bytes: u64, cap_bytes_per_s: u64) -> TransferId {
        let id = TransferId(self.begun);
        self.begun += 1;
        let mut mark = 0;
        self.change(now, link, |link| {
            let class = link.classes.entry(cap_bytes_per_s).or_default();
            mark = class.clock + u128::from(bytes) * PER_BYTE;
            class.marks.insert((mark, id));
            link.count += 1;
        });
        self.transfers.insert(id, Place { link, cap: cap_bytes_per_s, mark });
        id
    }

    /// When the next transfer is ready, and which. Ties go to the one that began first.
    pub fn next_completion(&self) -> Option<(Time, TransferId)> {
        self.due.first().map(|&(time, id, _)| (time, id))
    }

    /// Ends the transfer that [`Links::next_completion`] names, at its time, which is returned. `None`, and nothing changed, for
    /// any other: the completion that was foreseen for it has moved.
    pub fn complete(&mut self, id: TransferId) -> Option<Time> {
        let (time, next) = self.next_completion()?;
        if next != id {
            return None;
        }
        self.remove(time, id);
        Some(time)
    }

    /// Breaks a transfer off. The bytes that were still missing, rounded up, or `None` if it is not under way.
    pub fn cancel(&mut self, now: Time, id: TransferId) -> Option<u64> {
        let missing = self.missing_bytes(now, id)?;
        self.remove(now, id);
        Some(missing)
    }

    /// The bytes that a transfer still misses at an instant before any change, rounded up.
    pub fn missing_bytes(&self, now: Time, id: TransferId) -> Option<u64> {
        let place = self.transfers.get(&id)?;
        let link = &self.links[place.link.0 as usize];
        let class = link.classes.get(&place.cap)?;
        let clock = class.clock + class.rate * u128::from(now.since(link.settled).0);
        u64::try_from(place.mark.saturating_sub(clock).div_ceil(PER_BYTE)).ok()
    }

    /// Transfers under way on a link.
    pub fn active(&self, link: LinkId) -> usize {
        self.links.get(link.0 as usize).map_or(0, |link| link.count as usize)
    }

    fn remove(&mut self, now: Time, id: TransferId) {
        let Some(Place { link, cap, mark }) = self.transfers.remove(&id) else { return };
        self.change(now, link, |link| {
            let Some(class) = link.classes.get_mut(&cap) else { return };
            class.marks.remove(&(mark, id));
            link.count -= 1;
            if class.marks.is_empty() {
                link.classes.remove(&cap);
            }
        });
    }

    /// Brings a link up to date, changes it, and shares it out anew.
    fn change(&mut self, now: Time, id: LinkId, change: impl FnOnce(&mut Link)) {
        let link = &mut self.links[id.0 as usize];
        let before = link.due;
        link.settle(now);
        change(link);
        link.share();
        let after = link.due;
        if before != after {
            if let Some((time, transfer)) = before {
                self.due.remove(&(time, transfer, id));
            }
            if let Some((time, transfer)) = after {
                self.due.insert((time, transfer, id));
            }
        }
    }
}
