//! The event queue.

use policies::Time;

/// Buckets: one for events of the instant of the last pop, and one per bit of a time.
const BUCKETS: usize = 65;

/// Future events by time; events of equal time come out in the order in which they went in.
///
/// A radix heap (Ahuja, Mehlhorn, Orlin and Tarjan, "Faster algorithms for the shortest path problem", JACM 37(2), 1990,
/// section 3): simulated time never runs backwards, so an event need only be sorted as finely as it is near. Bucket `k` holds
/// the events whose time differs from that of the last pop in bit `k - 1` and in no higher one. When the nearer buckets are
/// empty, the next one is spread over them, in order. Equal times always share a bucket, which keeps them first in, first out.
#[derive(Clone, Debug)]
pub struct EventQueue<T> {
    /// Bucket 0 is `due`.
    buckets: [Vec<(Time, T)>; BUCKETS],
    /// The earliest time in each bucket.
    earliest: [Time; BUCKETS],
    /// A bit per bucket that is not empty; bucket 0 is left out, and bucket `k` has bit `k - 1`.
    filled: u64,
    /// Events at `now`, of which the first `taken` are gone.
    due: Vec<T>,
    taken: usize,
    /// The time of the last pop.
    now: Time,
    next: Time,
    len: usize,
}

impl<T: Copy> Default for EventQueue<T> {
    fn default() -> EventQueue<T> {
        EventQueue {
            buckets: std::array::from_fn(|_| Vec::new()),
            earliest: [Time::MAX; BUCKETS],
            filled: 0,
            due: Vec::new(),
            taken: 0,
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
    #[inline]
    pub fn push(&mut self, time: Time, event: T) {
        assert!(time >= self.now, "an event for {time} was scheduled at {}", self.now);
        self.len += 1;
        self.next = self.next.min(time);
        self.file(time, event);
    }

    #[inline]
    fn file(&mut self, time: Time, event: T) {
        let differs = time.0 ^ self.now.0;
        if differs == 0 {
            self.due.push(event);
            return;
        }
        let bit = differs.ilog2();
        let bucket = bit as usize + 1;
        self.filled |= 1 << bit;
        self.earliest[bucket] = self.earliest[bucket].min(time);
        self.buckets[bucket].push((time, event));
    }

    /// When the next event happens.
    #[inline]
    pub fn next_time(&self) -> Option<Time> {
        (self.len > 0).then_some(self.next)
    }

    /// The next event, if it happens at `time` or before.
    #[inline]
    pub fn pop_until(&mut self, time: Time) -> Option<T> {
        if self.len == 0 || self.next > time {
            return None;
        }
        if self.due.is_empty() {
            self.refill();
        }
        let event = self.due[self.taken];
        self.taken += 1;
        self.len -= 1;
        if self.taken == self.due.len() {
            self.due.clear();
            self.taken = 0;
            self.next = self.earliest[self.nearest()];
        }
        Some(event)
    }

    /// The first bucket that is not empty; any, if all are.
    #[inline]
    fn nearest(&self) -> usize {
        (self.filled.trailing_zeros() as usize + 1) % BUCKETS
    }

    /// Spreads the nearest bucket over those before it, now that its earliest event is due.
    fn refill(&mut self) {
        let nearest = self.nearest();
        self.now = self.next;
        self.filled &= self.filled - 1;
        self.earliest[nearest] = Time::MAX;
        let mut bucket = std::mem::take(&mut self.buckets[nearest]);
        for &(time, event) in &bucket {
            self.file(time, event);
        }
        bucket.clear();
        self.buckets[nearest] = bucket;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        fn behaves_like_a_sorted_list(ops in proptest::collection::vec((0u64..4, prop_oneof![0u64..4, 0u64..1000, any::<u64>()]), 0..300)) {
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
