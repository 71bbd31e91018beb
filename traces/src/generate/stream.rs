//! Named random streams: one seed, one independent sequence for each purpose.
//!
//! Common random numbers (Law, Simulation Modeling and Analysis, section 11.2): a change in how one purpose draws
//! leaves all other purposes' draws as they were, so that two runs differ only by what was changed.

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

/// The generator of every stream: named, because its sequence is part of a result.
pub type Stream = Xoshiro256PlusPlus;

/// The stream called `name` of `seed`.
pub fn stream(seed: u64, name: &str) -> Stream {
    Stream::from_seed(key(seed, name))
}

/// A 32-byte key that depends on every bit of the seed and the name.
fn key(seed: u64, name: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("orrery random stream 1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(name.as_bytes());
    *hasher.finalize().as_bytes()
}

/// Draws that belong to a thing rather than to a position in a sequence: the same seed, name and thing give the same
/// draw, whatever else was drawn before.
#[derive(Clone, Copy, Debug)]
pub struct Keyed(u64);

impl Keyed {
    /// The keyed draws called `name` of `seed`.
    pub fn new(seed: u64, name: &str) -> Keyed {
        let bytes = key(seed, name);
        Keyed(u64::from_le_bytes(bytes[..8].try_into().expect("32 bytes hold 8")))
    }

    /// A uniform draw in the open interval (0, 1) that belongs to `thing`.
    pub fn uniform(&self, thing: &str) -> f64 {
        let bits = xxhash_rust::xxh3::xxh3_64_with_seed(thing.as_bytes(), self.0);
        ((bits >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn streams_are_pinned_and_distinct() {
        let draw = |seed, name| stream(seed, name).random::<u64>();
        assert_eq!(draw(1, "sizes"), draw(1, "sizes"));
        assert_ne!(draw(1, "sizes"), draw(1, "arrivals"));
        assert_ne!(draw(1, "sizes"), draw(2, "sizes"));
    }

    #[test]
    fn keyed_draws_are_uniform_and_open() {
        let keyed = Keyed::new(7, "noise");
        let draws: Vec<f64> = (0..10_000).map(|i| keyed.uniform(&i.to_string())).collect();
        assert!(draws.iter().all(|u| *u > 0.0 && *u < 1.0));
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }
}
