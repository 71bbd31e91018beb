//! The event queue.

use policies::Time;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Future events by time; events of equal time come out in the order in which they went in.
#[derive(Clone, Debug)]
pub struct EventQueue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    counter: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    key: (Time, u64),
    event: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl<T> Default for EventQueue<T> {
    fn default() -> EventQueue<T> {
        EventQueue { heap: BinaryHeap::new(), counter: 0 }
    }
}

impl<T> EventQueue<T> {
    /// Schedules `event` for `time`.
    #[inline]
    pub fn push(&mut self, time: Time, event: T) {
        self.heap.push(Reverse(Entry { key: (time, self.counter), event }));
        self.counter += 1;
    }

    /// When the next event happens.
    #[inline]
    pub fn next_time(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse(entry)| entry.key.0)
    }

    /// The next event, if it happens at `time` or before.
    #[inline]
    pub fn pop_until(&mut self, time: Time) -> Option<T> {
        let due = self.next_time().is_some_and(|next| next <= time);
        if due { self.heap.pop().map(|Reverse(entry)| entry.event) } else { None }
    }

    /// Events that are scheduled.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none is scheduled.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
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
