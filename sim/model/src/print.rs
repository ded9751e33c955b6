//! A fingerprint of whatever can be hashed, several times faster than the standard one: most of a
//! search is telling states apart.
//!
//! Multiply and fold, as hash tables do today. Deliberately absent: safety against who chooses
//! the input. Two states of one print would be taken for one; among some ten million of 64 bits
//! that is once in a hundred thousand searches.

use std::hash::{Hash, Hasher};

/// The print of a value.
pub fn print(value: &impl Hash) -> u64 {
    let mut folding = Folding(0x243F_6A88_85A3_08D3);
    value.hash(&mut folding);
    folding.finish()
}

struct Folding(u64);

impl Folding {
    fn fold(&mut self, word: u64) {
        self.0 = folded(self.0 ^ word, 0x5851_F42D_4C95_7F2D);
        self.0 = self.0.rotate_left(23).wrapping_add(word);
    }
}

fn folded(word: u64, by: u64) -> u64 {
    let product = u128::from(word) * u128::from(by);
    (product as u64) ^ (product >> 64) as u64
}

impl Hasher for Folding {
    fn finish(&self) -> u64 {
        folded(self.0, 0x9E37_79B9_7F4A_7C15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.fold(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.fold(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.fold(word);
    }

    fn write_i64(&mut self, word: i64) {
        self.fold(word as u64);
    }

    fn write_usize(&mut self, word: usize) {
        self.fold(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.fold(word as u64);
    }
}
