//! A set of dense ids with fast insert, remove and ordered iteration.

/// Sorted set of `u32` ids: a bit per id, and above it a bit per non-empty word, and so on.
///
/// Insert, remove, [`first`](IdSet::first) and [`next_from`](IdSet::next_from) touch one word a level: O(log64 of the largest
/// id). Memory is about 1.02 bits per id up to the largest ever inserted.
#[derive(Clone, Debug, Default)]
pub struct IdSet {
    /// `levels[0]` holds the ids; a bit of `levels[k + 1]` says that a word of `levels[k]` is not zero.
    levels: Vec<Vec<u64>>,
    len: usize,
}

impl IdSet {
    /// An empty set.
    pub fn new() -> IdSet {
        IdSet::default()
    }

    /// How many ids it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it holds `id`.
    #[inline]
    pub fn contains(&self, id: u32) -> bool {
        self.levels.first().and_then(|l| l.get(id as usize / 64)).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// Adds `id`; false if it was there.
    pub fn insert(&mut self, id: u32) -> bool {
        let mut index = id as usize;
        if self.levels.first().is_none_or(|words| words.len() <= index / 64) {
            self.grow(index);
        }
        for words in &mut self.levels {
            let word = &mut words[index / 64];
            let (was, bit) = (*word, 1 << (index % 64));
            if was & bit != 0 {
                return false;
            }
            *word |= bit;
            // The levels above say already that this word is not empty.
            if was != 0 {
                break;
            }
            index /= 64;
        }
        self.len += 1;
        true
    }

    /// Makes room for `index` on every level; the top level has one word.
    fn grow(&mut self, mut index: usize) {
        let mut level = 0;
        loop {
            if level == self.levels.len() {
                // What was the top level has become a word of a new one.
                let filled = level > 0 && self.levels[level - 1].first().is_some_and(|&w| w != 0);
                self.levels.push(vec![u64::from(filled)]);
            }
            let words = &mut self.levels[level];
            words.resize(words.len().max(index / 64 + 1), 0);
            index /= 64;
            level += 1;
            if index == 0 && level >= self.levels.len() {
                return;
            }
        }
    }

    /// Takes `id` out; false if it was not there.
    pub fn remove(&mut self, id: u32) -> bool {
        if !self.contains(id) {
            return false;
        }
        let mut index = id as usize;
        for words in &mut self.levels {
            words[index / 64] &= !(1 << (index % 64));
            if words[index / 64] != 0 {
                break;
            }
            index /= 64;
        }
        self.len -= 1;
        true
    }

    /// The smallest id.
    #[inline]
    pub fn first(&self) -> Option<u32> {
        self.next_from(0)
    }

    /// The smallest id that is at least `from`.
    #[inline]
    pub fn next_from(&self, from: u32) -> Option<u32> {
        let mut index = from as usize;
        for level in 0..self.levels.len() {
            let words = &self.levels[level];
            let word = words.get(index / 64).copied().unwrap_or(0) & (u64::MAX << (index % 64));
            if word != 0 {
                return Some(self.descend(level, index / 64 * 64 + word.trailing_zeros() as usize));
            }
            index = index / 64 + 1;
        }
        None
    }

    /// The id before which `n` others come: O(largest id / 64).
    pub fn nth(&self, mut n: usize) -> Option<u32> {
        for (at, &word) in self.levels.first()?.iter().enumerate() {
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
            index = index * 64 + self.levels[level][index].trailing_zeros() as usize;
        }
        index as u32
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
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
