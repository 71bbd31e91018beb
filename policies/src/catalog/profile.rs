//! How many accelerators will be free when.

use crate::time::{Span, Time};
use serde::{Deserialize, Serialize};

/// A step function of time: what is free from each instant on. Negative where more is planned than there is, which happens
/// when jobs outlive their estimates.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Profile {
    /// Ascending; the last step has no end.
    steps: Vec<(Time, i64)>,
}

impl Profile {
    /// The same amount for ever.
    pub fn new(free: u64) -> Profile {
        Profile { steps: vec![(Time::ZERO, free as i64)] }
    }

    /// Adds `amount` from `from` until `to`.
    pub fn add(&mut self, from: Time, to: Time, amount: i64) {
        if from >= to || amount == 0 {
            return;
        }
        let first = self.cut(from);
        let end = if to == Time::MAX { self.steps.len() } else { self.cut(to) };
        self.steps[first..end].iter_mut().for_each(|(_, free)| *free += amount);
        // Where the steps at the two ends became equal to their neighbours they are none.
        for at in [end, first] {
            if at > 0 && at < self.steps.len() && self.steps[at].1 == self.steps[at - 1].1 {
                self.steps.remove(at);
            }
        }
    }

    /// The first instant from `from` on at which `need` is free for `length`.
    pub fn earliest(&self, from: Time, need: i64, length: Span) -> Option<Time> {
        let mut start = from;
        let mut i = self.step_at(from);
        // Invariant: at least `need` is free from `start` until step `i` begins.
        while let Some(&(begin, free)) = self.steps.get(i) {
            if begin >= start + length && begin > start {
                return Some(start);
            }
            if free < need {
                start = self.steps.get(i + 1)?.0;
            }
            i += 1;
        }
        Some(start)
    }

    /// Whether `need` is free at any instant from `from` until `to`.
    pub fn reaches(&self, need: i64, from: Time, to: Time) -> bool {
        let steps = self.steps[self.step_at(from)..].iter();
        steps.take_while(|(begin, _)| *begin < to).any(|&(_, free)| free >= need)
    }

    /// Forgets what lies before `now`.
    pub fn trim(&mut self, now: Time) {
        let past = self.step_at(now);
        self.steps.drain(..past);
    }

    /// The step that covers `at`.
    fn step_at(&self, at: Time) -> usize {
        self.steps.partition_point(|&(begin, _)| begin <= at).saturating_sub(1)
    }

    /// The step that begins at `at`, made if there was none.
    fn cut(&mut self, at: Time) -> usize {
        match self.steps.binary_search_by_key(&at, |&(begin, _)| begin) {
            Ok(i) => i,
            Err(0) => {
                self.steps[0].0 = at;
                0
            }
            Err(i) => {
                self.steps.insert(i, (at, self.steps[i - 1].1));
                i
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_like_an_array_of_instants(
            changes in proptest::collection::vec((0u64..50, 0u64..60, -5i64..5), 1..30),
            questions in proptest::collection::vec((0u64..60, -2i64..12, 0u64..30), 1..10),
            trim in 0u64..30,
        ) {
            let mut profile = Profile::new(8);
            let mut model = [8i64; 200];
            for (from, to, amount) in changes {
                profile.add(Time(from), Time(to), amount);
                (from..to).for_each(|t| model[t as usize] += amount);
            }
            prop_assert!(profile.steps.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 != w[1].1));
            profile.trim(Time(trim));
            for (from, need, length) in questions {
                let from = from.max(trim);
                let fits = |t: u64| (t..t + length.max(1)).all(|t| model[t as usize] >= need);
                let expected = (from..100).find(|&t| fits(t)).map(Time);
                prop_assert_eq!(profile.earliest(Time(from), need, Span(length)), expected);
            }
        }
    }
}
