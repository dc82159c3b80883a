//! A large document packed as ONE zstd frame that is made of independently compressed chunks.
//!
//! Belongs here: cutting, packing, the file's layout, its map, the threads. Does not: where the document comes from (`rewrite`,
//! `encode`), how the files are called and when they are made (`build`, `store`).
//!
//! A chunk is some hundred records. Because no chunk needs another one to be unpacked,
//! - several threads pack while the document is still being written, with bounded memory;
//! - a chunk that was in the frame of an older edition is copied from there instead of being compressed again;
//! - whoever follows the file while it grows can unpack all that is in it so far.
//!
//! To a decoder all this is one ordinary frame with content size and checksum, and a window of 1 MiB.
//!
//! # Layout of the file
//!
//! | part | bytes | what |
//! |---|---|---|
//! | header | [`HEADER_LEN`] | magic, descriptor, window; length of the content, known only at the end |
//! | chunks | | blocks of each chunk, one chunk behind the other, see `pack` |
//! | end | 3 | an empty last block |
//! | checksum | 4 | low half of XXH64 of the content |
//!
//! A document below [`SMALL`] bytes is packed in one go and as hard as `encode::zst_level` says: its file is an ordinary
//! frame without chunks.

use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

mod cut;
mod lanes;
mod layout;
mod map;
mod pack;
mod reuse;
mod sink;
mod writer;

#[cfg(test)]
mod tests;

pub use layout::{HEADER_LEN, STREAM_HEADER};
pub use map::FrameMap;
pub use writer::FrameWriter;

/// Documents with fewer bytes are packed in one go.
pub const SMALL: u64 = 4 << 20;

/// How a document is packed. The level decides about bytes, the number of threads does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameSettings {
    /// zstd's level for chunks. Window, hash table and shortest match are fixed, see `pack`.
    pub level: i32,
    /// Threads that compress; at least one is used.
    pub threads: usize,
}

impl Default for FrameSettings {
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(4);
        Self { level: 12, threads }
    }
}

/// An older edition of the same document, whose chunks may be used again. Where the file is not the one that the map belongs to,
/// or was packed with another level, nothing of it is used.
#[derive(Debug)]
pub struct Before {
    /// Its map.
    pub map: FrameMap,
    /// Its frame.
    pub path: PathBuf,
}
