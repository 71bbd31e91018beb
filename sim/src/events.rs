//! The event queue.

use policies::Time;
use serde::{Deserialize, Serialize};

/// Bits of a digit, and digits of a time.
const BITS: u32 = 6;
const LEVELS: usize = u64::BITS.div_ceil(BITS) as usize;
const DIGITS: usize = 1 << BITS;
/// More events than this are not kept sorted, but for equal ones.
const NEAR_MAX: usize = 64;
/// A bucket with more events than this is not sorted at once.
const FEW: usize = 16;

/// Future events by time; events of equal time come out in the order in which they went in.
///
/// A radix heap (Ahuja, Mehlhorn, Orlin and Tarjan, "Faster algorithms for the shortest path problem", JACM 37(2), 1990): as
/// simulated time never runs backwards, an event need only be sorted as finely as it is near. It lies in the bucket of the
/// highest digit (of six bits) in which its time differs from `base`, and of the value of that digit. When the nearest bucket
/// with any events is reached, it is spread over lower digits, in order; but one with few events is sorted at once, and `base`
/// becomes the last instant that belongs into it: the ladder queue's bottom (Tang, Goh and Thng, "Ladder queue", TOMACS 15(3),
/// 2005). Equal times always share a bucket, so they stay first in, first out.
///
/// Why not the priority-queue crate: with 1,000, 10,000, 100,000 and 1,000,000 events, a pop and a push take 89, 110, 133 and
/// 172 ns here, 391, 636, 1,690 and 4,825 ns in priority-queue 2.7 (hashed by rustc-hash, ordered by time and a counter), and
/// 389, 407, 401 and 413 ns in radix-heap 0.4 with the same order (`cargo bench -p orrery-benches`, group "event queue": the
/// least of three medians, on two cores of an AMD EPYC under load).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventQueue<T> {
    /// The events up to `base`, sorted; the first `taken` are gone.
    near: Vec<(Time, T)>,
    taken: usize,
    base: Time,
    /// The others: [`DIGITS`] buckets for each of [`LEVELS`] places.
    buckets: Vec<Bucket<T>>,
    /// Per place, a bit for each bucket that is not empty.
    digits: [u64; LEVELS],
    /// A bit for each place with such a bucket.
    levels: u16,
    /// The time of the last pop.
    now: Time,
    next: Time,
    len: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Bucket<T> {
    earliest: Time,
    events: Vec<(Time, T)>,
}

impl<T: Copy> Default for EventQueue<T> {
    fn default() -> EventQueue<T> {
        let bucket = || Bucket { earliest: Time::MAX, events: Vec::new() };
        EventQueue {
            near: Vec::new(),
            taken: 0,
            base: Time::ZERO,
            buckets: std::iter::repeat_with(bucket).take(LEVELS * DIGITS).collect(),
            digits: [0; LEVELS],
            levels: 0,
            now: Time::ZERO,
            next: Time::MAX,
            len: 0,
        }
    }
}

impl<T: Copy> EventQueue<T> {
    /// Schedules `event` for `time`.
    ///
    /// # Panics
    /// If an event of a later time came out already.
    // Always: an event that is handed over in memory is written in parts and read as a whole, which costs a stall.
    #[inline(always)]
    pub fn push(&mut self, time: Time, event: T) {
        assert!(time >= self.now, "an event for {time} was scheduled at {}", self.now);
        self.len += 1;
        self.next = self.next.min(time);
        if time > self.base { self.file(time, event) } else { self.sort_in(time, event) }
    }

    /// Puts an event after `base` into its bucket.
    #[inline(always)]
    fn file(&mut self, time: Time, event: T) {
        let level = level_of(time, self.base);
        let digit = (time.0 >> (level as u32 * BITS)) as usize % DIGITS;
        self.levels |= 1 << level;
        self.digits[level] |= 1 << digit;
        let bucket = &mut self.buckets[level * DIGITS + digit];
        bucket.earliest = bucket.earliest.min(time);
        bucket.events.push((time, event));
    }

    /// Puts an event up to `base` among those that are sorted.
    fn sort_in(&mut self, time: Time, event: T) {
        if self.taken >= NEAR_MAX {
            self.near.drain(..self.taken);
            self.taken = 0;
        }
        let after = self.near[self.taken..].iter().rev().take_while(|(other, _)| *other > time).count();
        self.near.insert(self.near.len() - after, (time, event));
        if self.near.len() - self.taken > NEAR_MAX {
            self.retreat(self.near[self.taken + NEAR_MAX / 2].0);
        }
    }

    /// Too many are sorted: those after `base`, which is one of them, go back into buckets.
    #[cold]
    fn retreat(&mut self, base: Time) {
        // Both bases belong into the bucket that was opened last. So what differs from the old one in the highest digit in which
        // they differ, or in a higher one, lies where it should; the rest lies lower than it should.
        let level = level_of(self.base, base);
        self.base = base;
        while let Some((lower, digit)) = self.nearest().filter(|&(lower, _)| lower < level) {
            let mut events = self.take(lower, digit);
            events.drain(..).for_each(|(time, event)| self.file(time, event));
            self.buckets[lower * DIGITS + digit].events = events;
        }
        let keep = self.near.partition_point(|&(time, _)| time <= base);
        for (time, event) in self.near.split_off(keep) {
            self.file(time, event);
        }
    }

    /// Empties a bucket.
    #[inline]
    fn take(&mut self, level: usize, digit: usize) -> Vec<(Time, T)> {
        self.digits[level] &= !(1 << digit);
        if self.digits[level] == 0 {
            self.levels &= !(1 << level);
        }
        let bucket = &mut self.buckets[level * DIGITS + digit];
        bucket.earliest = Time::MAX;
        std::mem::take(&mut bucket.events)
    }

    /// When the next event happens.
    #[inline]
    pub fn next_time(&self) -> Option<Time> {
        if self.len > 0 { Some(self.next) } else { None }
    }

    /// The next event, if it happens at `time` or before.
    #[inline]
    pub fn pop_until(&mut self, time: Time) -> Option<T> {
        if self.len == 0 || self.next > time {
            return None;
        }
        if self.near.is_empty() {
            self.open();
        }
        let event = self.near[self.taken].1;
        self.now = self.next;
        self.taken += 1;
        self.len -= 1;
        self.next = match self.near.get(self.taken) {
            Some(&(next, _)) => next,
            None => {
                self.near.clear();
                self.taken = 0;
                self.nearest().map_or(Time::MAX, |(level, digit)| self.buckets[level * DIGITS + digit].earliest)
            }
        };
        Some(event)
    }

    /// Place and value of the digit of the nearest bucket that is not empty.
    #[inline]
    fn nearest(&self) -> Option<(usize, usize)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros() as usize;
        Some((level, self.digits[level].trailing_zeros() as usize))
    }

    /// Empties the nearest bucket, which has the next event, into those that are sorted and, if it has many, into lower ones.
    fn open(&mut self) {
        let Some((level, digit)) = self.nearest() else { return };
        let mut events = self.take(level, digit);
        if events.len() <= FEW {
            self.base = Time(self.next.0 | ((1 << (level as u32 * BITS)) - 1));
            self.near.append(&mut events);
            // Stable, and few.
            self.near.sort_by_key(|&(time, _)| time);
        } else {
            self.base = self.next;
            for (time, event) in events.drain(..) {
                if time > self.base { self.file(time, event) } else { self.near.push((time, event)) }
            }
        }
        // Its memory stays.
        self.buckets[level * DIGITS + digit].events = events;
    }

    /// Events that are scheduled.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is scheduled.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The place of the highest digit in which two times differ; 0 if in none.
#[inline(always)]
fn level_of(a: Time, b: Time) -> usize {
    (((a.0 ^ b.0) | 1).ilog2() / BITS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pops (0) and pushes, and how much later: near together, far apart, or about as many pushes as pops of anything between.
    fn ops() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let delay = || prop_oneof![0u64..4, 0u64..1000, any::<u64>(), (0u32..40, 0u64..64).prop_map(|(bits, d)| d << bits)];
        let mixed = proptest::collection::vec((0u64..4, delay()), 0..300);
        let steady = proptest::collection::vec((0u64..2, (0u32..20, 0u64..64).prop_map(|(bits, d)| d << bits)), 0..3000);
        let burst = proptest::collection::vec((0u64..8, 0u64..100_000), 0..2000);
        prop_oneof![mixed, steady, burst]
    }

    proptest! {
        #[test]
        fn equal_times_are_first_in_first_out(times in proptest::collection::vec(0u64..5, 0..200)) {
            let mut queue = EventQueue::default();
            for (i, &t) in times.iter().enumerate() {
                queue.push(Time(t), i);
            }
            let mut expected: Vec<usize> = (0..times.len()).collect();
            expected.sort_by_key(|&i| times[i]); // stable
            let popped: Vec<usize> = std::iter::from_fn(|| queue.pop_until(Time::MAX)).collect();
            prop_assert_eq!(popped, expected);
        }

        #[test]
        fn behaves_like_a_sorted_list(ops in ops()) {
            let (mut queue, mut list, mut now) = (EventQueue::default(), Vec::new(), 0u64);
            for (i, (op, delay)) in ops.into_iter().enumerate() {
                if op > 0 {
                    let time = Time(now.saturating_add(delay));
                    queue.push(time, i);
                    let at = list.partition_point(|&(t, _)| t <= time);
                    list.insert(at, (time, i));
                } else {
                    now = now.saturating_add(delay % 2000);
                    let due = list.first().is_some_and(|&(t, _)| t <= Time(now));
                    prop_assert_eq!(queue.pop_until(Time(now)), due.then(|| list.remove(0).1));
                }
                prop_assert_eq!(queue.next_time(), list.first().map(|&(t, _)| t));
                prop_assert_eq!(queue.len(), list.len());
            }
        }
    }

    #[test]
    fn keeps_what_is_not_due() {
        let mut queue = EventQueue::default();
        queue.push(Time(7), 'b');
        queue.push(Time(3), 'a');
        assert_eq!(queue.pop_until(Time(2)), None);
        assert_eq!(queue.pop_until(Time(5)), Some('a'));
        assert_eq!((queue.pop_until(Time(5)), queue.next_time(), queue.len()), (None, Some(Time(7)), 1));
    }
}
