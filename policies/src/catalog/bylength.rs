//! Waiting jobs by arrival, searchable by length.

use crate::ids::JobId;
use crate::time::Span;
use serde::{Deserialize, Serialize};

/// Marks a place whose job is gone.
const GONE: Span = Span::MAX;

/// Jobs in order of id, each with a length. Finds the first that is short enough, and the shortest, in O(log n).
///
/// A tournament tree over the lengths. Places of jobs that left stay empty until the tree is full and is built anew with
/// those that are left, so an insertion at the end costs O(log n) amortised. An insertion further ahead (a job that waits again
/// after a failure) takes its old place, or O(n) if that is gone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(JobId, Span)>", into = "Vec<(JobId, Span)>")]
pub(super) struct ByLength {
    ids: Vec<JobId>,
    /// Node 1 is the root; the children of node `i` are `2 i` and `2 i + 1`; the last `leaves` nodes are the jobs'.
    tree: Vec<Span>,
    leaves: usize,
    len: usize,
}

/// Saved as its jobs.
impl From<ByLength> for Vec<(JobId, Span)> {
    fn from(set: ByLength) -> Vec<(JobId, Span)> {
        set.jobs()
    }
}

impl From<Vec<(JobId, Span)>> for ByLength {
    fn from(jobs: Vec<(JobId, Span)>) -> ByLength {
        let mut set = ByLength { len: jobs.len(), ..ByLength::default() };
        set.build(&jobs);
        set
    }
}

impl ByLength {
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a job that is not in the set.
    pub fn insert(&mut self, job: JobId, length: Span) {
        let length = length.min(Span(GONE.0 - 1));
        self.len += 1;
        match self.ids.binary_search(&job) {
            Ok(place) => self.set(place, length),
            Err(place) if place == self.ids.len() && place < self.leaves => {
                self.ids.push(job);
                self.set(place, length);
            }
            Err(_) => {
                let mut jobs = self.jobs();
                jobs.insert(jobs.partition_point(|&(id, _)| id < job), (job, length));
                self.build(&jobs);
            }
        }
    }

    /// Takes a job out.
    pub fn remove(&mut self, job: JobId) {
        let place = self.ids.binary_search(&job).expect("only jobs that wait are taken out");
        debug_assert!(self.tree[self.leaves + place] != GONE);
        self.len -= 1;
        self.set(place, GONE);
    }

    /// Takes a job out, if it is in.
    pub fn discard(&mut self, job: JobId) {
        let place = self.ids.binary_search(&job);
        if place.is_ok_and(|place| self.tree[self.leaves + place] != GONE) {
            self.remove(job);
        }
    }

    /// The first job that is no longer than `limit`.
    pub fn first_within(&self, limit: Span) -> Option<(JobId, Span)> {
        let limit = limit.min(Span(GONE.0 - 1));
        self.descend(|left, _| left <= limit).filter(|&(_, length)| length <= limit)
    }

    /// The shortest job; the first of equals.
    pub fn shortest(&self) -> Option<(JobId, Span)> {
        self.descend(|left, right| left <= right).filter(|&(_, length)| length != GONE)
    }

    fn descend(&self, go_left: impl Fn(Span, Span) -> bool) -> Option<(JobId, Span)> {
        if self.len == 0 {
            return None;
        }
        let mut node = 1;
        while node < self.leaves {
            node = 2 * node + usize::from(!go_left(self.tree[2 * node], self.tree[2 * node + 1]));
        }
        Some((*self.ids.get(node - self.leaves)?, self.tree[node]))
    }

    fn set(&mut self, place: usize, length: Span) {
        let mut node = self.leaves + place;
        self.tree[node] = length;
        while node > 1 {
            node /= 2;
            let least = self.tree[2 * node].min(self.tree[2 * node + 1]);
            if self.tree[node] == least {
                break;
            }
            self.tree[node] = least;
        }
    }

    fn jobs(&self) -> Vec<(JobId, Span)> {
        let lengths = self.tree.get(self.leaves..).unwrap_or_default();
        self.ids.iter().copied().zip(lengths.iter().copied()).filter(|&(_, length)| length != GONE).collect()
    }

    fn build(&mut self, jobs: &[(JobId, Span)]) {
        self.leaves = (2 * jobs.len()).next_power_of_two().max(16);
        self.tree.clear();
        self.tree.resize(2 * self.leaves, GONE);
        self.ids.clear();
        for (place, &(id, length)) in jobs.iter().enumerate() {
            self.ids.push(id);
            self.tree[self.leaves + place] = length;
        }
        for node in (1..self.leaves).rev() {
            self.tree[node] = self.tree[2 * node].min(self.tree[2 * node + 1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn behaves_like_a_search_through_a_sorted_list(
            ops in proptest::collection::vec((0u32..100, 0u64..20, 0u64..20), 1..400),
        ) {
            let mut set = ByLength::default();
            let mut model = BTreeMap::new();
            for (id, length, limit) in ops {
                let (job, length, limit) = (JobId(id), Span(length), Span(limit));
                if model.remove(&job).is_some() {
                    set.remove(job);
                } else {
                    model.insert(job, length);
                    set.insert(job, length);
                }
                let found = model.iter().find(|(_, l)| **l <= limit).map(|(j, l)| (*j, *l));
                prop_assert_eq!(set.first_within(limit), found);
                prop_assert_eq!(set.shortest(), model.iter().min_by_key(|(j, l)| (**l, **j)).map(|(j, l)| (*j, *l)));
                prop_assert_eq!(set.is_empty(), model.is_empty());
            }
        }
    }
}
