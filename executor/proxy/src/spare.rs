//! Contents that are not on the device, by checksum; and memory on the device that nobody owns any more.

use crate::backend::Spare;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// What contents are called: two keyed sums and the length. Not a proof that contents are equal, but 128 bits under keys that a
/// proxy draws when it starts and tells nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) sums: [u64; 2],
    pub(crate) len: u64,
}

/// Contents in the host's memory. Sessions share them.
pub(crate) struct Copied {
    pub(crate) key: Key,
    pub(crate) bytes: Vec<u8>,
}

/// What workers that were moved out have left.
#[derive(Default)]
pub(crate) struct Spares {
    copies: FxHashMap<Key, Weak<Copied>>,
    /// Memory that is still on the device, oldest first.
    left: VecDeque<(Key, Spare)>,
}

impl Spares {
    /// The host's copy of these contents, whoever's they were.
    pub(crate) fn copy(&self, key: Key) -> Option<Arc<Copied>> {
        self.copies.get(&key)?.upgrade()
    }

    /// Keeps a copy known for as long as somebody needs it.
    pub(crate) fn keep(&mut self, copied: Copied) -> Arc<Copied> {
        if self.copies.len() > 1 << 12 {
            self.copies.retain(|_, copy| copy.strong_count() > 0);
        }
        let copied = Arc::new(copied);
        self.copies.insert(copied.key, Arc::downgrade(&copied));
        copied
    }

    /// Leaves memory with these contents on the device, as long as nobody needs the room.
    pub(crate) fn leave(&mut self, key: Key, spare: Spare) {
        self.left.push_back((key, spare));
    }

    /// Memory with these contents.
    pub(crate) fn claim(&mut self, key: Key) -> Option<Spare> {
        let at = self.left.iter().position(|(known, _)| *known == key)?;
        self.left.remove(at).map(|(_, spare)| spare)
    }

    /// Bytes on the device.
    pub(crate) fn bytes(&self) -> u64 {
        self.left.iter().map(|(key, _)| key.len).sum()
    }

    /// Frees the oldest memory. False: there is none.
    pub(crate) fn drop_oldest(&mut self) -> bool {
        self.left.pop_front().is_some()
    }
}

/// The sums of bytes: over 64-bit words with their places, in any order, so that a device can do it in parallel. The same as
/// `checksum` in `opencl/checksum.cl`.
pub(crate) fn sums(bytes: &[u8], keys: [u64; 2]) -> [u64; 2] {
    let words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    let mut sums = [0u64; 2];
    for (i, word) in words.enumerate() {
        for (sum, key) in sums.iter_mut().zip(keys) {
            *sum = sum.wrapping_add(mix(word ^ key.wrapping_add((i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))));
        }
    }
    sums
}

fn mix(word: u64) -> u64 {
    const FACTOR: u64 = 0xD6E8_FEB8_6659_FD93;
    let word = (word ^ word >> 32).wrapping_mul(FACTOR);
    let word = (word ^ word >> 32).wrapping_mul(FACTOR);
    word ^ word >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_tell_places_lengths_and_keys_apart() {
        let keys = [3, 5];
        assert_eq!(sums(&[], keys), [0, 0]);
        let mut bytes = vec![0u8; 64];
        let zeros = sums(&bytes, keys);
        bytes[63] = 1;
        let last = sums(&bytes, keys);
        bytes.rotate_left(8);
        let other = sums(&bytes, keys);
        assert!(zeros != last && last != other && zeros != other);
        assert_ne!(sums(&bytes, [3, 6])[1], other[1]);
        assert_eq!(sums(&[7], keys), sums(&[7, 0], keys), "the length is part of the key, not of the sums");
    }

    #[test]
    fn copies_live_as_long_as_their_users() {
        let mut spares = Spares::default();
        let key = Key { sums: [1, 2], len: 3 };
        let copy = spares.keep(Copied { key, bytes: vec![1, 2, 3] });
        assert_eq!(spares.copy(key).unwrap().bytes, copy.bytes);
        drop(copy);
        assert!(spares.copy(key).is_none());
    }
}
