//! Chunks of an older frame, by their content.
//!
//! Belongs here: deciding whether the older frame may be used, finding and reading chunks in it. Does not: the map's form (`map`).

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use twox_hash::XxHash64;

use super::map::Chunk;
use super::{Before, pack};
use crate::conda::digest::Sha256;

/// An older frame, open.
#[derive(Debug)]
pub(super) struct Older {
    frame: File,
    /// By digest of the content: offset of the blocks, and the rest of what is known.
    chunks: HashMap<Sha256, (u64, Chunk)>,
}

impl Older {
    /// `None` where nothing can come of it: another level, another frame than the map's, or no chunks.
    pub(super) fn open(before: &Before, level: i32) -> Option<Self> {
        let Before { map, path } = before;
        let frame = File::open(path).ok()?;
        let is_its_frame = frame.metadata().ok()?.len() == map.frame_len;
        let would_be_the_same = map.level == level && map.edition == pack::edition();
        let chunks: HashMap<_, _> = map.places().map(|(at, chunk)| (chunk.digest, (at, *chunk))).collect();
        (is_its_frame && would_be_the_same && !chunks.is_empty()).then_some(Self { frame, chunks })
    }

    /// The blocks of the chunk with this digest and length. `None` also where they can't be read or are damaged: packing the
    /// chunk again always helps.
    pub(super) fn blocks(&self, digest: &Sha256, len: usize) -> Option<Vec<u8>> {
        let (at, chunk) = *self.chunks.get(digest)?;
        let mut blocks = vec![0; chunk.packed as usize];
        self.frame.read_exact_at(&mut blocks, at).ok()?;
        let is_whole = chunk.plain as usize == len && chunk.check == XxHash64::oneshot(0, &blocks);
        is_whole.then_some(blocks)
    }
}
