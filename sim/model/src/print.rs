//! A fingerprint of whatever can be hashed, several times faster than the standard one: most of a
//! search is telling states apart.
//!
//! Multiply and fold, as hash tables do today. Deliberately absent: safety against who chooses
//! the input. Two states of one print would be taken for one; among some ten million of 64 bits
//! that is once in a hundred thousand searches.

use std::hash::{Hash, Hasher};

/// The print of a value.
pub fn print(value: &impl Hash) -> u64 {
    let mut folding = Folding {
        state: 0x243F_6A88_85A3_08D3,
        small: 0,
        filled: 0,
    };
    value.hash(&mut folding);
    folding.finish()
}

/// Small words are gathered, for one folding of many.
struct Folding {
    state: u64,
    small: u64,
    filled: u32,
}

impl Folding {
    fn fold(&mut self, word: u64) {
        self.state = folded(self.state ^ word, 0x5851_F42D_4C95_7F2D);
        self.state = self.state.rotate_left(23).wrapping_add(word);
    }

    fn gather(&mut self, word: u64, bits: u32) {
        if self.filled + bits > u64::BITS {
            self.fold(self.small);
            (self.small, self.filled) = (0, 0);
        }
        self.small |= word << self.filled;
        self.filled += bits;
    }
}

fn folded(word: u64, by: u64) -> u64 {
    let product = u128::from(word) * u128::from(by);
    (product as u64) ^ (product >> 64) as u64
}

impl Hasher for Folding {
    fn finish(&self) -> u64 {
        let last = self.small ^ (u64::from(self.filled) << 57);
        folded(
            folded(self.state ^ last, 0x9E37_79B9_7F4A_7C15),
            0x5851_F42D_4C95_7F2D,
        )
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.gather(u64::from(word), 8);
    }

    fn write_u32(&mut self, word: u32) {
        self.gather(u64::from(word), 32);
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

    /// Which variant of an enum: always small.
    fn write_isize(&mut self, word: isize) {
        self.gather(word as u64 & 0xFF, 8);
    }
}
