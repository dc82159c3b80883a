//! One chunk in, its blocks out, such that any chunk's blocks may follow any other's in one frame.
//!
//! Belongs here: everything that must be known about zstd for this to be right. Does not: files, threads.
//!
//! Blocks may be joined to a frame when they refer to nothing in front of their chunk: not to its bytes, not to its entropy
//! tables, and not to its last three offsets. The last is the difficulty. A frame's first block may use the offsets 1, 4 and 8
//! without spelling them out, but a decoder in the middle of a frame has others by then.
//!
//! zstd's multi-threaded compressor has the same need, for its jobs are compressed at the same time: every job but a frame's first
//! begins with no offsets (`ZSTDMT_compressionJob`: `if (!job->firstJob) … ZSTD_invalidateRepCodes`), empty tables, and, with an
//! overlap of nothing, an empty window. So each chunk becomes the second job of a frame of its own: the first, of a single byte,
//! takes the frame's header with it and is thrown away, and the frame is never ended. The level's parameters do not depend on
//! anything but [`Packer::new`]'s argument, and a context that was used gives the same bytes as a fresh one (zstd salts its hash
//! tables instead of clearing them, but by xor, which keeps what collides).
//!
//! The shortest match is 6 bytes (zstd's levels take 5 here): digests in hexadecimal are full of short matches that cost more
//! than they save. With it, chunks of 512 KiB at level 12 are as small as the whole document at level 9.

use std::io;

use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective::ZSTD_e_flush;
use zstd::zstd_safe::{CCtx, CParameter, ErrorCode, InBuffer, OutBuffer, ResetDirective};
use zstd::zstd_safe::{compress_bound, get_error_name, version_number};

use super::cut::MOST;
use super::layout::are_blocks;

/// Matches reach 1 MiB back, a whole chunk. Decoders must accept 8 MiB.
pub(super) const WINDOW_LOG: u8 = 20;
const HASH_LOG: u32 = 19;
const SHORTEST_MATCH: u32 = 6;

/// Jobs must not be cut by length, so one more byte than the longest chunk.
const JOB: usize = MOST + 1;
/// What the first job of every frame consists of.
const NOTHING_MUCH: &[u8] = b" ";

/// To be raised when the same content gives other bytes than before, except for another level or another zstd.
const EDITION: u32 = 1;

/// Chunks packed by something with another value are not what a [`Packer`] of this one would make of the same content.
pub(super) fn edition() -> u64 {
    u64::from(EDITION) << 32 | u64::from(version_number())
}

/// Packs chunks, one at a time. Takes about 10 MiB and a thread of zstd's.
pub(super) struct Packer {
    context: CCtx<'static>,
    out: Vec<u8>,
}

impl Packer {
    /// # Errors
    /// No memory, or a zstd without threads.
    pub(super) fn new(level: i32) -> io::Result<Self> {
        let mut context = CCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        for parameter in [
            CParameter::CompressionLevel(level),
            CParameter::WindowLog(u32::from(WINDOW_LOG)),
            CParameter::HashLog(HASH_LOG),
            CParameter::MinMatch(SHORTEST_MATCH),
            CParameter::EnableLongDistanceMatching(false),
            CParameter::ChecksumFlag(false),
            CParameter::NbWorkers(1),
            CParameter::JobSize(u32::try_from(JOB).map_err(io::Error::other)?),
            // 0 is the default for the level, 1 is nothing.
            CParameter::OverlapSizeLog(1),
        ] {
            context.set_parameter(parameter).map_err(failed)?;
        }
        Ok(Self { context, out: Vec::with_capacity(compress_bound(JOB)) })
    }

    /// The blocks of a chunk of at most [`MOST`] bytes.
    pub(super) fn pack(&mut self, chunk: &[u8]) -> io::Result<Vec<u8>> {
        // Also after an error, so at the beginning.
        self.context.reset(ResetDirective::SessionOnly).map_err(failed)?;
        self.job(NOTHING_MUCH)?;
        self.job(chunk)?;
        if are_blocks(&self.out) {
            Ok(self.out.clone())
        } else {
            Err(io::Error::other("zstd made something else than blocks"))
        }
    }

    /// Leaves what becomes of `bytes` in `out`.
    fn job(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.clear();
        let (mut input, mut output) = (InBuffer::around(bytes), OutBuffer::around(&mut self.out));
        loop {
            let left =
                self.context.compress_stream2(&mut output, &mut input, ZSTD_e_flush).map_err(failed)?;
            if left == 0 && input.pos() == bytes.len() {
                return Ok(());
            }
            if output.pos() == output.capacity() {
                return Err(io::Error::other("zstd made more of a chunk than it says it can"));
            }
        }
    }
}

fn failed(code: ErrorCode) -> io::Error {
    io::Error::other(get_error_name(code))
}
