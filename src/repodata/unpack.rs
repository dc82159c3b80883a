//! Capped, streaming decoders for what upstream packs its documents in.
//!
//! Belongs here: zstd and bzip2 with limits, and telling how many members a file has (clients read only the first one, see
//! PINGORA "Neighbours"). Does not: making packed files (`encode`), MessagePack (`shards`).

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use zstd::stream::raw::{DParameter, Decoder, Operation as _};

use super::error::BuildError;
use crate::conda::url::Packing;

/// How much may come out of a packed file.
#[derive(Clone, Copy, Debug)]
pub struct UnpackLimits {
    /// Most decoded bytes.
    pub bytes: u64,
    /// Most decoded bytes for each packed byte; only asked once [`UnpackLimits::ratio_free`] bytes have come out.
    pub ratio: u64,
    /// Decoded bytes that need no ratio: small files compress without bound.
    pub ratio_free: u64,
}

impl Default for UnpackLimits {
    /// 4 GiB, 400:1 beyond 32 MiB. Real indexes are below 25:1.
    fn default() -> Self {
        Self { bytes: 4 << 30, ratio: 400, ratio_free: 32 << 20 }
    }
}

/// What was unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unpacked {
    /// zstd frames or bzip2 streams; 1 for plain files.
    pub members: u32,
}

/// Where decoded bytes go: a piece at a time.
pub(super) type Take<'a> = dyn FnMut(&[u8]) -> Result<(), BuildError> + 'a;

/// zstd's window may not exceed this power of two; clients' decoders refuse more, and it bounds memory (128 MiB).
const WINDOW_LOG: u32 = 27;
const PIECE: usize = 256 << 10;

/// Reads the file at `path`, decodes it, and gives every piece to `take`.
pub(super) fn unpack(
    path: &Path,
    packing: Packing,
    limits: UnpackLimits,
    take: &mut Take<'_>,
) -> Result<Unpacked, BuildError> {
    let file = File::open(path).map_err(BuildError::io("open", path))?;
    unpack_from(path, file, packing, limits, take)
}

/// The same for a document that is read from elsewhere; `path` is its name in errors.
pub(super) fn unpack_from(
    path: &Path,
    input: impl Read,
    packing: Packing,
    limits: UnpackLimits,
    take: &mut Take<'_>,
) -> Result<Unpacked, BuildError> {
    let input = BufReader::with_capacity(PIECE, input);
    let mut meter = Meter { limits, packed: 0, out: 0, take };
    match packing {
        Packing::Json => plain(path, input, &mut meter),
        Packing::Zst => zst(path, input, &mut meter),
        Packing::Bz2 => bz2(path, input, &mut meter),
    }
}

struct Meter<'a, 'b> {
    limits: UnpackLimits,
    packed: u64,
    out: u64,
    take: &'a mut Take<'b>,
}

impl Meter<'_, '_> {
    fn give(&mut self, piece: &[u8]) -> Result<(), BuildError> {
        self.out += piece.len() as u64;
        if self.out > self.limits.bytes {
            return Err(BuildError::TooLarge {
                limit: self.limits.bytes,
                why: "the largest index the gate takes",
            });
        }
        let fair = self.packed.saturating_mul(self.limits.ratio).max(self.limits.ratio_free);
        if self.out > fair {
            let why = "more than any honest index has for its packed size (a decompression bomb?)";
            return Err(BuildError::TooLarge { limit: fair, why });
        }
        (self.take)(piece)
    }
}

fn plain(path: &Path, mut input: impl BufRead, meter: &mut Meter<'_, '_>) -> Result<Unpacked, BuildError> {
    loop {
        let piece = input.fill_buf().map_err(BuildError::io("read", path))?;
        if piece.is_empty() {
            return Ok(Unpacked { members: 1 });
        }
        let len = piece.len();
        meter.packed += len as u64;
        meter.give(piece)?;
        input.consume(len);
    }
}

fn zst(path: &Path, mut input: impl BufRead, meter: &mut Meter<'_, '_>) -> Result<Unpacked, BuildError> {
    let broken = |e: std::io::Error| BuildError::Packed { packing: "zstd", what: format!("broken ({e})") };
    let mut decoder = Decoder::new().map_err(broken)?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(broken)?;
    let mut out = vec![0; PIECE];
    let (mut members, mut inside, mut output_full) = (0, false, false);
    loop {
        let piece = input.fill_buf().map_err(BuildError::io("read", path))?;
        if piece.is_empty() && !(inside && output_full) {
            break;
        }
        let status = decoder.run_on_buffers(piece, &mut out).map_err(broken)?;
        input.consume(status.bytes_read);
        meter.packed += status.bytes_read as u64;
        meter.give(&out[..status.bytes_written])?;
        output_full = status.bytes_written == out.len();
        inside = status.remaining != 0;
        members += u32::from(!inside);
    }
    finish("zstd", inside, members)
}

fn bz2(path: &Path, mut input: impl BufRead, meter: &mut Meter<'_, '_>) -> Result<Unpacked, BuildError> {
    let broken = |e: bzip2::Error| BuildError::Packed { packing: "bzip2", what: format!("broken ({e})") };
    let mut out = vec![0; PIECE];
    let mut decoder = None;
    let mut members = 0;
    loop {
        let piece = input.fill_buf().map_err(BuildError::io("read", path))?;
        if piece.is_empty() && decoder.is_none() {
            break;
        }
        let was_empty = piece.is_empty();
        let stream = decoder.get_or_insert_with(|| bzip2::Decompress::new(false));
        let before = (stream.total_in(), stream.total_out());
        let status = stream.decompress(piece, &mut out).map_err(broken)?;
        let read = stream.total_in() - before.0;
        let written = usize::try_from(stream.total_out() - before.1).unwrap_or(out.len());
        input.consume(usize::try_from(read).unwrap_or(0));
        meter.packed += read;
        meter.give(&out[..written])?;
        if status == bzip2::Status::StreamEnd {
            members += 1;
            decoder = None;
        } else if was_empty && written == 0 {
            break;
        }
    }
    finish("bzip2", decoder.is_some(), members)
}

fn finish(packing: &'static str, inside: bool, members: u32) -> Result<Unpacked, BuildError> {
    if inside || members == 0 {
        let what = if members == 0 && !inside { "empty" } else { "cut in the middle" };
        return Err(BuildError::Packed { packing, what: what.to_owned() });
    }
    Ok(Unpacked { members })
}
