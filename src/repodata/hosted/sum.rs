//! A digest of a set of rows that is kept up to date row by row: the sum of their digests.
//!
//! Sums of 512 bits tell sets apart that differ by accident, and finding two sets with one sum on purpose is out of reach (Clarke and
//! others, "Incremental Multiset Hash Functions", 2003: MSet-Add-Hash). Whoever did would keep an index of their own from being renewed, no more.
//!
//! Belongs here: that arithmetic. Does not: what of a row counts (`rows`).

use sha2::{Digest as _, Sha512};

/// Words of a digest.
const LANES: usize = 8;

/// The sum of what was added and not taken away again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sum([u64; LANES]);

/// The digest of one row.
#[derive(Clone, Copy)]
pub(super) struct RowDigest([u64; LANES]);

impl RowDigest {
    /// Of a row's place in the document, its name as JSON has it, and its record.
    pub(super) fn of(is_withdrawn: bool, entry: &[u8]) -> Self {
        let mut hasher = Sha512::new();
        hasher.update([u8::from(is_withdrawn)]);
        hasher.update(entry);
        let bytes = hasher.finalize();
        let mut lanes = [0; LANES];
        for (lane, chunk) in lanes.iter_mut().zip(bytes.chunks_exact(8)) {
            *lane = chunk.iter().fold(0, |all, byte| (all << 8) | u64::from(*byte));
        }
        Self(lanes)
    }
}

impl Sum {
    pub(super) fn add(&mut self, row: RowDigest) {
        for (lane, one) in self.0.iter_mut().zip(row.0) {
            *lane = lane.wrapping_add(one);
        }
    }

    pub(super) fn take_away(&mut self, row: RowDigest) {
        for (lane, one) in self.0.iter_mut().zip(row.0) {
            *lane = lane.wrapping_sub(one);
        }
    }

    pub(super) fn bytes(&self) -> impl Iterator<Item = [u8; 8]> {
        self.0.into_iter().map(u64::to_be_bytes)
    }
}
