//! Packed forms of a document that lies on disk: exactly one zstd frame or one bzip2 stream per file.
//!
//! rattler and pixi stop reading after the first member of a file, so nothing here may ever append.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::error::BuildError;
use super::files::{HashingFile, Written};

/// zstd's level for a document of `len` bytes: small ones are packed hard because it costs little, the biggest at 9 (8 s for
/// 359 MB, 84 MB of memory; 12 takes 18 s for 2 % less).
pub(super) const fn zst_level(len: u64) -> i32 {
    match len {
        0..=0x4_0000 => 19,
        0x4_0001..=0x40_0000 => 15,
        0x40_0001..=0x400_0000 => 12,
        _ => 9,
    }
}

/// Packs `json` (of `len` bytes) as one zstd frame with content size and checksum.
pub(super) fn zst(json: &Path, len: u64, packed: &Path) -> Result<Written, BuildError> {
    let mut input = File::open(json).map_err(BuildError::io("open", json))?;
    let out = HashingFile::create(packed)?;
    let bad = || BuildError::io("pack", packed);
    let mut encoder = zstd::stream::write::Encoder::new(out, zst_level(len)).map_err(bad())?;
    encoder.include_checksum(true).map_err(bad())?;
    encoder.set_pledged_src_size(Some(len)).map_err(bad())?;
    copy(&mut input, &mut encoder).map_err(bad())?;
    encoder.finish().map_err(bad())?.finish()
}

/// Packs `json` as one bzip2 stream.
pub(super) fn bz2(json: &Path, packed: &Path) -> Result<Written, BuildError> {
    let mut input = File::open(json).map_err(BuildError::io("open", json))?;
    let out = HashingFile::create(packed)?;
    let bad = || BuildError::io("pack", packed);
    let mut encoder = bzip2::write::BzEncoder::new(out, bzip2::Compression::best());
    copy(&mut input, &mut encoder).map_err(bad())?;
    encoder.finish().map_err(bad())?.finish()
}

/// Copies a file that is already packed as wanted.
pub(super) fn copy_file(from: &Path, to: &Path) -> Result<Written, BuildError> {
    let mut input = File::open(from).map_err(BuildError::io("open", from))?;
    let mut out = HashingFile::create(to)?;
    copy(&mut input, &mut out).map_err(BuildError::io("copy", to))?;
    out.finish()
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut piece = vec![0; 256 << 10];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            n => to.write_all(&piece[..n])?,
        }
    }
}
