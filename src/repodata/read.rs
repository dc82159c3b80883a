//! A packed document, read from its beginning to its end into a sink.
//!
//! Belongs here: decoder and scanner in a row. Does not: either of them (`unpack`, `scan`), what sinks make of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::build::Limits;
use super::error::BuildError;
use super::scan::{Scanner, Shape, Sink};
use super::unpack::{Unpacked, unpack_from};
use crate::conda::url::Packing;

/// Reads the file at `path`.
pub(super) fn read_file(
    path: &Path,
    packing: Packing,
    shape: Shape,
    limits: &Limits,
    sink: &mut impl Sink<Error = BuildError>,
) -> Result<Unpacked, BuildError> {
    let file = File::open(path).map_err(BuildError::io("open", path))?;
    read(path, file, packing, shape, limits, sink)
}

/// The same for a document that comes from elsewhere; `path` is its name in errors.
pub(super) fn read(
    path: &Path,
    input: impl Read,
    packing: Packing,
    shape: Shape,
    limits: &Limits,
    sink: &mut impl Sink<Error = BuildError>,
) -> Result<Unpacked, BuildError> {
    let mut scanner = Scanner::new(shape, limits.scan);
    let unpacked = unpack_from(path, input, packing, limits.unpack, &mut |piece| scanner.feed(piece, sink))?;
    scanner.finish()?;
    Ok(unpacked)
}
