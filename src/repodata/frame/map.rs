//! The map of a frame: which chunks it has and where, so that a later edition of the document can use them again.
//!
//! Belongs here: the map and its file. Does not: reading the frame (`reuse`).
//!
//! # Layout, version 1
//!
//! All numbers are little-endian. Nothing depends on a map: one that is damaged or from another version counts as none.
//!
//! | part | bytes | what |
//! |---|---|---|
//! | header | 8 | `CGFRAME\x01`, the last byte being the version |
//! | | 8 | edition of the packing, see `pack::edition` |
//! | | 4 | level |
//! | | 4 | number of chunks, n |
//! | | 8 | length of the frame's file |
//! | chunks | n × 48 | in order: SHA-256 of the content (32), its length (4), bytes of its blocks (4), XXH64 of the blocks (8) |
//! | check | 8 | XXH64 of all before |

use std::fs;
use std::path::Path;

use twox_hash::XxHash64;

use super::cut::MOST;
use super::layout::{END_LEN, HEADER_LEN};
use super::pack;
use crate::conda::digest::Sha256;
use crate::repodata::error::BuildError;
use crate::repodata::files::{HashingFile, Written};

const MAGIC: [u8; 8] = *b"CGFRAME\x01";
const HEADER: usize = 32;
const CHUNK: usize = 48;
const CHECK: usize = 8;

/// A chunk of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Chunk {
    /// Of the content.
    pub digest: Sha256,
    /// Bytes of content.
    pub plain: u32,
    /// Bytes of blocks.
    pub packed: u32,
    /// XXH64 of the blocks.
    pub check: u64,
}

/// What is in a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameMap {
    pub(super) level: i32,
    pub(super) edition: u64,
    pub(super) frame_len: u64,
    /// How many chunks were copied when this frame was made. Not part of the file.
    pub(super) copied: usize,
    pub(super) chunks: Vec<Chunk>,
}

impl FrameMap {
    /// Number of chunks; none where the document was small.
    pub const fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// How many of them were copied from an older frame, for a map that [`FrameWriter::finish`](super::FrameWriter::finish) gave;
    /// a map that was read says 0.
    pub const fn copied(&self) -> usize {
        self.copied
    }

    /// Writes the map to a new file.
    pub fn write(&self, path: &Path) -> Result<Written, BuildError> {
        let mut file = HashingFile::create(path)?;
        file.put(&self.to_bytes())?;
        file.finish()
    }

    /// Reads a map; `None` where there is none that can be used.
    pub fn open(path: &Path) -> Option<Self> {
        Self::from_bytes(&fs::read(path).ok()?)
    }

    /// Where each chunk's blocks are in the frame's file.
    pub(super) fn places(&self) -> impl Iterator<Item = (u64, &Chunk)> {
        self.chunks.iter().scan(HEADER_LEN as u64, |at, chunk| {
            let place = *at;
            *at += u64::from(chunk.packed);
            Some((place, chunk))
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.chunks.len() * CHUNK + CHECK);
        bytes.extend(MAGIC);
        bytes.extend(self.edition.to_le_bytes());
        bytes.extend(self.level.to_le_bytes());
        // Saturated, it would not agree with the length: read as damaged.
        bytes.extend(u32::try_from(self.chunks.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(self.frame_len.to_le_bytes());
        for chunk in &self.chunks {
            bytes.extend(chunk.digest.0);
            bytes.extend(chunk.plain.to_le_bytes());
            bytes.extend(chunk.packed.to_le_bytes());
            bytes.extend(chunk.check.to_le_bytes());
        }
        bytes.extend(XxHash64::oneshot(0, &bytes).to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (content, sum) = bytes.split_last_chunk::<CHECK>()?;
        let mut rest = content.strip_prefix(&MAGIC)?;
        let edition = u64::from_le_bytes(take(&mut rest)?);
        let level = i32::from_le_bytes(take(&mut rest)?);
        let count = u32::from_le_bytes(take(&mut rest)?) as usize;
        let frame_len = u64::from_le_bytes(take(&mut rest)?);
        if u64::from_le_bytes(*sum) != XxHash64::oneshot(0, content)
            || count.checked_mul(CHUNK)? != rest.len()
        {
            return None;
        }
        let chunks: Option<Vec<Chunk>> = rest.chunks_exact(CHUNK).map(Chunk::from_bytes).collect();
        let map = Self { level, edition, frame_len, copied: 0, chunks: chunks? };
        (map.edition == pack::edition() && map.is_sound()).then_some(map)
    }

    /// Whether the chunks fill the frame exactly.
    fn is_sound(&self) -> bool {
        let around = (HEADER_LEN + END_LEN) as u64;
        let packed: u64 = self.chunks.iter().map(|chunk| u64::from(chunk.packed)).sum();
        self.chunks.is_empty() || packed + around == self.frame_len
    }
}

impl Chunk {
    fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let digest = Sha256(take(&mut bytes)?);
        let plain = u32::from_le_bytes(take(&mut bytes)?);
        let packed = u32::from_le_bytes(take(&mut bytes)?);
        let check = u64::from_le_bytes(take(&mut bytes)?);
        let is_possible =
            (1..=MOST).contains(&(plain as usize)) && (4..=2 * MOST).contains(&(packed as usize));
        is_possible.then_some(Self { digest, plain, packed, check })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}
