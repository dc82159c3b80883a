//! Packed forms of a document that lies on disk: exactly one zstd frame or one bzip2 stream per file.
//!
//! rattler and pixi stop reading after the first member of a file, so nothing here may ever append.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::error::BuildError;
use super::files::{HashingFile, Written};
use super::frame::{FrameSettings, FrameWriter};

/// zstd's level for a document of `len` bytes that is packed in one go: small ones are packed hard because it costs little.
pub(super) const fn zst_level(len: u64) -> i32 {
    match len {
        0..=0x4_0000 => 19,
        _ => 15,
    }
}

/// Packs `json` as one zstd frame with content size and checksum.
pub(super) fn zst(json: &Path, packed: &Path) -> Result<Written, BuildError> {
    let mut input = File::open(json).map_err(BuildError::io("open", json))?;
    let mut out = FrameWriter::create(packed, FrameSettings::default(), None, None)?;
    let mut piece = vec![0; 256 << 10];
    loop {
        match input.read(&mut piece).map_err(BuildError::io("read", json))? {
            0 => return out.finish().map(|(written, _)| written),
            n => out.put(&piece[..n])?,
        }
    }
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
