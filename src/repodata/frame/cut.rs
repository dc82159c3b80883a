//! Where chunks end.
//!
//! Belongs here: the rule and its numbers. Does not: anything that remembers (`writer`).
//!
//! A chunk ends behind a record whose name hashes well, so that an insertion moves the ends near it only: the first end behind it
//! that both editions have in common brings them together again. The numbers are measured on repodata with 800 bytes a record,
//! where they give 500 KiB on average and next to none above 800: half of that costs 3 % of size on the synthetic document, whose
//! records are alike everywhere (and half a percent on a piece of conda-forge's, whose neighbours are alike); twice as much has to
//! be packed again for as many changes.

use twox_hash::XxHash64;

/// No chunk but a document's last is shorter.
pub(super) const LEAST: usize = 320 << 10;
/// From here on a chunk ends at the next name that hashes tolerably, so that few have to be cut by length.
const LONG: usize = 640 << 10;
/// No chunk is longer; it is cut in the middle of a record if need be. Equals the window, so that a chunk can refer to all of itself.
pub(super) const MOST: usize = 1 << 20;

/// One name in 256: 200 KiB on average.
const GOOD: u64 = 0xFF;
/// One name in 32. Every good name is tolerable too.
const TOLERABLE: u64 = 0x1F;

/// Whether a chunk of `len` bytes ends behind a record called `key`.
pub(super) fn ends_here(len: usize, key: &[u8]) -> bool {
    if len < LEAST {
        return false;
    }
    let mask = if len < LONG { GOOD } else { TOLERABLE };
    XxHash64::oneshot(0, key) & mask == 0
}
