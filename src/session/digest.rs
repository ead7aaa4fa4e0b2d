//! A fast digest of bytes, the same however they were cut into pieces.
//!
//! Keyed afresh for each transaction, so that nobody can choose rows whose digests are equal.

use std::hash::{BuildHasher, RandomState};

/// Bytes that are mixed in at once.
const BLOCK: usize = 16;

/// The digest of all that was written.
#[derive(Debug, Clone)]
pub(super) struct Digest {
    key: u64,
    state: u64,
    /// What does not fill a block yet.
    tail: [u8; BLOCK],
    have: usize,
    length: u64,
}

impl Digest {
    /// Of nothing, under a new key.
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        Self {
            key: random.hash_one(0_u8),
            state: random.hash_one(1_u8),
            tail: [0; BLOCK],
            have: 0,
            length: 0,
        }
    }

    /// Goes on with these bytes.
    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        let mut rest = bytes;
        if self.have > 0 {
            let (fill, after) = rest.split_at(rest.len().min(BLOCK - self.have));
            if let Some(room) = self.tail.get_mut(self.have..self.have + fill.len()) {
                room.copy_from_slice(fill);
            }
            self.have += fill.len();
            rest = after;
            if self.have < BLOCK {
                return;
            }
            let tail = self.tail;
            self.mix(&tail);
            self.have = 0;
        }
        let (blocks, left) = rest.as_chunks::<BLOCK>();
        for block in blocks {
            self.mix(block);
        }
        if let Some(room) = self.tail.get_mut(..left.len()) {
            room.copy_from_slice(left);
        }
        self.have = left.len();
    }

    /// The digest up to here.
    #[inline]
    pub(super) fn value(&self) -> u64 {
        let mut tail = [0; BLOCK];
        for (to, from) in tail.iter_mut().zip(&self.tail).take(self.have) {
            *to = *from;
        }
        fold(self.mixed(&tail) ^ self.length, self.key)
    }

    #[inline]
    fn mix(&mut self, block: &[u8; BLOCK]) {
        self.state = self.mixed(block);
    }

    /// The state with one more block in it.
    #[inline]
    fn mixed(&self, block: &[u8; BLOCK]) -> u64 {
        let (words, _) = block.as_chunks::<8>();
        let [low, high] = words else { return self.state };
        fold(u64::from_le_bytes(*low) ^ self.key, u64::from_le_bytes(*high) ^ self.state)
    }
}

/// Both halves of the product, in which every bit of the factors has its part.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves are meant")]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_do_not_matter_and_bytes_do(
            bytes in prop::collection::vec(any::<u8>(), 1..100),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            changed in any::<prop::sample::Index>(),
        ) {
            let fresh = Digest::new();
            let of = |pieces: &[&[u8]]| {
                let mut digest = fresh.clone();
                for piece in pieces {
                    digest.write(piece);
                }
                digest.value()
            };
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(of(&pieces), of(&[&bytes]));
            let mut other = bytes.clone();
            other[changed.index(bytes.len())] ^= 1;
            prop_assert_ne!(of(&[&other]), of(&[&bytes]));
            other.clone_from(&bytes);
            other.push(0);
            prop_assert_ne!(of(&[&other]), of(&[&bytes]));
        }
    }
}
