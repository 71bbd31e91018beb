//! A set of dense ids with fast insert, remove and ordered iteration.

use serde::de::Error;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Sorted set of `u32` ids: a bit per id, and above it a bit per non-empty word, and so on.
///
/// Insert, remove and [`next_from`](IdSet::next_from) touch one word, and one more a level where that word becomes or was empty:
/// O(log64 of the largest id). [`first`](IdSet::first) is remembered. Memory is about 1.02 bits per id up to the largest ever
/// inserted.
#[derive(Clone, Debug, Default)]
pub struct IdSet {
    /// A bit per id.
    words: Vec<u64>,
    /// A bit of `upper[0]` says that a word of `words` is not zero, one of `upper[k + 1]` the same of `upper[k]`; the last has
    /// one word.
    upper: Vec<Vec<u64>>,
    len: usize,
    first: Option<u32>,
}

impl IdSet {
    /// An empty set.
    pub fn new() -> IdSet {
        IdSet::default()
    }

    /// How many ids it holds.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it holds `id`.
    #[inline]
    pub fn contains(&self, id: u32) -> bool {
        self.words.get(id as usize / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// Adds `id`; false if it was there.
    #[inline]
    pub fn insert(&mut self, id: u32) -> bool {
        let index = id as usize;
        let Some(word) = self.words.get_mut(index / 64) else {
            self.grow(index);
            return self.insert(id);
        };
        let (was, bit) = (*word, 1 << (index % 64));
        if was & bit != 0 {
            return false;
        }
        *word |= bit;
        // Otherwise the levels above say already that this word is not empty.
        if was == 0 {
            self.mark(index / 64);
        }
        self.len += 1;
        if self.first.is_none_or(|first| id < first) {
            self.first = Some(id);
        }
        true
    }

    /// Tells the upper levels that this word of the lowest is not empty any more.
    #[inline(never)]
    fn mark(&mut self, mut index: usize) {
        for words in &mut self.upper {
            let word = &mut words[index / 64];
            let was = *word;
            *word |= 1 << (index % 64);
            if was != 0 {
                break;
            }
            index /= 64;
        }
    }

    /// Makes room for `index` on every level.
    #[cold]
    fn grow(&mut self, index: usize) {
        let (mut below, mut level) = (&mut self.words, 0);
        below.resize(below.len().max(index / 64 + 1), 0);
        while below.len() > 1 {
            let needed = below.len().div_ceil(64);
            let filled = below[0] != 0;
            if level == self.upper.len() {
                // What was the last level has become a word of a new one.
                self.upper.push(vec![u64::from(filled)]);
            }
            below = &mut self.upper[level];
            below.resize(below.len().max(needed), 0);
            level += 1;
        }
    }

    /// Takes `id` out; false if it was not there.
    #[inline(always)]
    pub fn remove(&mut self, id: u32) -> bool {
        let index = id as usize;
        let Some(word) = self.words.get_mut(index / 64) else { return false };
        let bit = 1 << (index % 64);
        if *word & bit == 0 {
            return false;
        }
        *word &= !bit;
        if *word == 0 {
            self.unmark(index / 64);
        }
        self.len -= 1;
        if self.first == Some(id) {
            self.first = if self.len == 0 { None } else { self.next_from(id) };
        }
        true
    }

    /// Tells the upper levels that this word of the lowest has become empty.
    #[inline(never)]
    fn unmark(&mut self, mut index: usize) {
        for words in &mut self.upper {
            let word = &mut words[index / 64];
            *word &= !(1 << (index % 64));
            if *word != 0 {
                break;
            }
            index /= 64;
        }
    }

    /// The smallest id.
    #[inline]
    pub fn first(&self) -> Option<u32> {
        self.first
    }

    /// The smallest id that is at least `from`.
    #[inline]
    pub fn next_from(&self, from: u32) -> Option<u32> {
        let word = self.words.get(from as usize / 64).map_or(0, |word| word & (u64::MAX << (from % 64)));
        if word != 0 { Some(from / 64 * 64 + word.trailing_zeros()) } else { self.climb(from as usize / 64 + 1) }
    }

    /// The smallest id in the words of the lowest level from `index` on.
    fn climb(&self, mut index: usize) -> Option<u32> {
        for (level, words) in self.upper.iter().enumerate() {
            let word = words.get(index / 64).map_or(0, |word| word & (u64::MAX << (index % 64)));
            if word != 0 {
                return Some(self.descend(level, index / 64 * 64 + word.trailing_zeros() as usize));
            }
            index = index / 64 + 1;
        }
        None
    }

    /// The id before which `n` others come: O(largest id / 64).
    pub fn nth(&self, mut n: usize) -> Option<u32> {
        for (at, &word) in self.words.iter().enumerate() {
            let ones = word.count_ones() as usize;
            if n < ones {
                let rest = (0..n).fold(word, |word, _| word & (word - 1));
                return Some(at as u32 * 64 + rest.trailing_zeros());
            }
            n -= ones;
        }
        None
    }

    fn descend(&self, mut level: usize, mut index: usize) -> u32 {
        while level > 0 {
            level -= 1;
            index = index * 64 + self.upper[level][index].trailing_zeros() as usize;
        }
        index as u32 * 64 + self.words[index].trailing_zeros()
    }

    /// All ids, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let mut from = Some(0);
        std::iter::from_fn(move || {
            let id = self.next_from(from?)?;
            from = id.checked_add(1);
            Some(id)
        })
    }
}

/// Saved as the ids, each as its distance from the one before.
impl Serialize for IdSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut ids = serializer.serialize_seq(Some(self.len))?;
        let mut last = 0;
        for id in self.iter() {
            ids.serialize_element(&(id - last))?;
            last = id;
        }
        ids.end()
    }
}

impl<'de> Deserialize<'de> for IdSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<IdSet, D::Error> {
        let mut last = 0u32;
        let distances = Vec::<u32>::deserialize(deserializer)?.into_iter();
        let ids = distances.map(|distance| {
            last = last.checked_add(distance).ok_or_else(|| D::Error::custom("an id beyond all ids"))?;
            Ok(last)
        });
        ids.collect()
    }
}

impl FromIterator<u32> for IdSet {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> IdSet {
        let mut set = IdSet::new();
        for id in ids {
            set.insert(id);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_a_sorted_set(ops in proptest::collection::vec((any::<bool>(), prop_oneof![0u32..200, 0u32..70_000, 0u32..20_000_000]), 1..300)) {
            let mut set = IdSet::new();
            let mut model = BTreeSet::new();
            for (add, id) in ops {
                if add {
                    prop_assert_eq!(set.insert(id), model.insert(id));
                } else {
                    prop_assert_eq!(set.remove(id), model.remove(&id));
                }
                prop_assert_eq!(set.len(), model.len());
                prop_assert_eq!(set.first(), model.first().copied());
                prop_assert_eq!(set.next_from(id), model.range(id..).next().copied());
                let n = id as usize % (model.len() + 2);
                if id < 70_000 {
                    prop_assert_eq!(set.nth(n), model.iter().nth(n).copied());
                }
            }
            let saved: IdSet = postcard::from_bytes(&postcard::to_stdvec(&set).unwrap()).unwrap();
            prop_assert!(saved.iter().eq(set.iter()) && saved.first() == set.first() && saved.len() == set.len());
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
