//! Request ids: short, unique within a process's life, safe to quote to an administrator.
//!
//! Belongs here: making ids. Does not: tokens and anything that must be unguessable (`auth`).

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// How many ids a thread takes at a time, so that workers don't wait for each other.
const BLOCK: u64 = 256;

/// One request's id: 16 hex digits, in the answer's `X-Request-Id`, in problem documents and in the access log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestId(u64);

/// Makes request ids from a per-process seed and a counter, so two gates or two runs do not repeat each other.
#[derive(Debug)]
pub struct RequestIds {
    seed: u64,
    /// Which maker of ids of this process it is.
    number: u64,
    next: AtomicU64,
}

thread_local! {
    /// What a thread has left of a block: whose it is, and its next id.
    static LEFT: Cell<(u64, u64)> = const { Cell::new((u64::MAX, 0)) };
}

impl RequestIds {
    /// `seed` should differ between processes (start time and process id will do).
    #[must_use]
    pub fn new(seed: u64) -> Self {
        static MAKERS: AtomicU64 = AtomicU64::new(0);
        Self { seed, number: MAKERS.fetch_add(1, Ordering::Relaxed), next: AtomicU64::new(0) }
    }

    /// The next id.
    pub fn next(&self) -> RequestId {
        let (maker, left) = LEFT.get();
        let n = if maker == self.number && !left.is_multiple_of(BLOCK) {
            left
        } else {
            self.next.fetch_add(BLOCK, Ordering::Relaxed)
        };
        LEFT.set((self.number, n + 1));
        // splitmix64: neighbours look unrelated, and the map is a bijection, so no id repeats.
        let mut z = self.seed.wrapping_add(n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        RequestId(z ^ (z >> 31))
    }
}

impl RequestId {
    /// Its sixteen digits. Twice in every request, so not by way of a formatter.
    #[must_use]
    pub fn hex(self) -> [u8; 16] {
        let mut digits = [0; 16];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        digits
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_repeat() {
        let ids = RequestIds::new(7);
        let seen: std::collections::HashSet<_> = (0..10_000).map(|_| ids.next()).collect();
        assert_eq!(seen.len(), 10_000);
    }

    #[test]
    fn digits_as_printed() {
        for id in [RequestId(0), RequestId(1), RequestId(0x0123_4567_89ab_cdef), RequestId(u64::MAX)] {
            assert_eq!(id.hex(), id.to_string().as_bytes());
        }
    }
}
