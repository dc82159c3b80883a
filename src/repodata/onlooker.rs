//! Those who read along while an index is built for the first time.
//!
//! Belongs here: what they are told. Does not: who they are (`delivery`), building (`build`).

use std::path::Path;

/// A document that grows while a generation is built. Bytes that were reported do not change any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Growing {
    /// `repodata.json`
    Json,
    /// `repodata.json.zst`. Its first [`HEADER_LEN`](super::HEADER_LEN) bytes are a placeholder until the end: who reads along
    /// takes [`STREAM_HEADER`](super::STREAM_HEADER) in their place.
    Zst,
}

/// Is told how far a build is. Called from the building threads: must not wait.
pub trait Onlooker: Send + Sync {
    /// The first `len` bytes of the file at `path` will not change any more.
    fn grew(&self, document: Growing, path: &Path, len: u64);

    /// The document is complete and good, and has `len` bytes.
    fn complete(&self, document: Growing, len: u64);

    /// Upstream's `info` was read, and clients may have it as it is, if [`Onlooker::unfit`] was not called.
    fn info_passed(&self);

    /// Upstream's own document can't be given to clients as it is.
    fn unfit(&self);

    /// All of upstream's document was read, and it is good.
    fn read(&self);
}
