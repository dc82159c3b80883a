//! [`FrameWriter`]: content in, a packed file and its map out.
//!
//! Belongs here: the order of things. Does not: any of the things.

use std::hash::Hasher as _;
use std::io::{self, Write as _};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use twox_hash::XxHash64;

use super::lanes::{Lanes, Pack};
use super::map::FrameMap;
use super::pack::{self, Packer};
use super::reuse::Older;
use super::sink::{OnProgress, Packed, Sink};
use super::{Before, FrameSettings, SMALL, cut, layout};
use crate::conda::digest::Sha256;
use crate::repodata::encode;
use crate::repodata::error::BuildError;
use crate::repodata::files::Written;

/// Packs a document while it is being written. Dropping it before the end stops its threads and leaves an unfinished file to
/// whoever owns the directory.
pub struct FrameWriter {
    path: PathBuf,
    settings: FrameSettings,
    older: Option<Arc<Older>>,
    state: State,
    /// The chunk that is being filled.
    chunk: Vec<u8>,
    len: u64,
    xxh64: XxHash64,
}

enum State {
    /// It is not known yet whether the document is small: its chunks so far.
    Small(Sink, Vec<Vec<u8>>),
    /// It is not.
    Large(Lanes),
    /// It has failed, and the error was given out.
    Failed,
}

impl std::fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameWriter")
            .field("path", &self.path)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl FrameWriter {
    /// Makes the file, which must not exist. Of `before`, what can be used is used.
    ///
    /// `on_progress` is told after every chunk up to which offset the file is final, and in the end its length. Only the header is
    /// excepted: it is written once more at the end, so followers put [`STREAM_HEADER`](super::STREAM_HEADER) in front of the bytes
    /// from [`HEADER_LEN`](super::HEADER_LEN) on. It hears nothing about a document that turns out to be small. It is called in the
    /// thread that writes, which waits for it.
    pub fn create(
        path: &Path,
        settings: FrameSettings,
        before: Option<&Before>,
        on_progress: Option<OnProgress>,
    ) -> Result<Self, BuildError> {
        let sink = Sink::create(path, on_progress)?;
        let older = before.and_then(|before| Older::open(before, settings.level)).map(Arc::new);
        Ok(Self {
            path: path.to_owned(),
            settings,
            older,
            state: State::Small(sink, Vec::new()),
            chunk: Vec::with_capacity(cut::MOST),
            len: 0,
            xxh64: XxHash64::with_seed(0),
        })
    }

    /// Appends content.
    pub fn put(&mut self, mut bytes: &[u8]) -> Result<(), BuildError> {
        self.xxh64.write(bytes);
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = cut::MOST - self.chunk.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() == cut::MOST {
                self.cut()?;
            }
        }
        Ok(())
    }

    /// Says that a record called `key` ends here, where a chunk may end. Other editions of the document must say the same of the
    /// same records.
    pub fn boundary(&mut self, key: &[u8]) -> Result<(), BuildError> {
        if cut::ends_here(self.chunk.len(), key) { self.cut() } else { Ok(()) }
    }

    /// Ends the frame and syncs the file.
    pub fn finish(mut self) -> Result<(Written, FrameMap), BuildError> {
        if self.len < SMALL {
            return self.finish_small();
        }
        if !self.chunk.is_empty() {
            self.cut()?;
        }
        let State::Large(lanes) = mem::replace(&mut self.state, State::Failed) else {
            return Err(self.failed_before());
        };
        let mut sink = lanes.finish(&self.path)?;
        sink.end(self.len, self.xxh64.finish())?;
        self.close(sink)
    }

    /// Ends the chunk that is being filled.
    fn cut(&mut self) -> Result<(), BuildError> {
        let chunk = mem::replace(&mut self.chunk, Vec::with_capacity(cut::MOST));
        match mem::replace(&mut self.state, State::Failed) {
            State::Small(sink, mut chunks) => {
                chunks.push(chunk);
                if self.len < SMALL {
                    self.state = State::Small(sink, chunks);
                    return Ok(());
                }
                let mut lanes = self.start(sink)?;
                for chunk in chunks {
                    lanes = self.send(lanes, chunk)?;
                }
                self.state = State::Large(lanes);
            }
            State::Large(lanes) => self.state = State::Large(self.send(lanes, chunk)?),
            State::Failed => return Err(self.failed_before()),
        }
        Ok(())
    }

    fn start(&self, mut sink: Sink) -> Result<Lanes, BuildError> {
        // The length is filled in at the end.
        sink.put(&layout::header(0))?;
        let packs: io::Result<Vec<Pack>> = (0..self.settings.threads.max(1)).map(|_| self.pack()).collect();
        Lanes::start(sink, packs.map_err(BuildError::io("pack", &self.path))?)
    }

    /// What a thread does to a chunk.
    fn pack(&self) -> io::Result<Pack> {
        let mut packer = Packer::new(self.settings.level)?;
        let older = self.older.clone();
        Ok(Box::new(move |plain| {
            let digest = Sha256::of(plain);
            let copied = older.as_ref().and_then(|older| older.blocks(&digest, plain.len()));
            let is_copied = copied.is_some();
            let blocks = copied.map_or_else(|| packer.pack(plain), Ok)?;
            Ok(Packed { digest, plain: u32::try_from(plain.len()).unwrap_or(u32::MAX), blocks, is_copied })
        }))
    }

    fn send(&self, lanes: Lanes, chunk: Vec<u8>) -> Result<Lanes, BuildError> {
        match lanes.send(chunk) {
            Ok(()) => Ok(lanes),
            Err(_) => Err(lanes.finish(&self.path).err().unwrap_or_else(|| self.failed_before())),
        }
    }

    fn finish_small(mut self) -> Result<(Written, FrameMap), BuildError> {
        let State::Small(mut sink, chunks) = mem::replace(&mut self.state, State::Failed) else {
            return Err(self.failed_before());
        };
        let content = chunks.iter().chain([&self.chunk]).map(Vec::as_slice);
        let packed = whole(content, self.len).map_err(BuildError::io("pack", &self.path))?;
        sink.put(&packed)?;
        self.close(sink)
    }

    fn close(self, mut sink: Sink) -> Result<(Written, FrameMap), BuildError> {
        let written = sink.finish()?;
        let map = FrameMap {
            level: self.settings.level,
            edition: pack::edition(),
            frame_len: written.len,
            copied: sink.copied,
            chunks: sink.chunks,
        };
        Ok((written, map))
    }

    fn failed_before(&self) -> BuildError {
        BuildError::io("pack", &self.path)(io::Error::other("packing it has failed already"))
    }
}

/// A small document as an ordinary frame.
fn whole<'a>(content: impl Iterator<Item = &'a [u8]>, len: u64) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), encode::zst_level(len))?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(len))?;
    for piece in content {
        encoder.write_all(piece)?;
    }
    encoder.finish()
}
