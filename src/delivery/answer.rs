//! What a delivery comes to: the bytes, and the facts an HTTP answer is made from.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::indexes::ColdReader;
use crate::cache::{Blob, FileBody, Fill, Validators};
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::http::etag::ETag;
pub use crate::telemetry::Outcome;

/// How long clients may keep an answer (`Cache-Control`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CacheFor {
    /// An index: `public, max-age=60` (PROTOCOL rule 7: never `private` or `no-store`).
    Index,
    /// A package or another file whose name never changes its bytes.
    Package,
    /// Must be asked again each time.
    Revalidate,
}

/// What tells one version of a file from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NamedBy {
    /// Its digest.
    Digest,
    /// Upstream's validators: known when a download begins, and kept, so that a client can resume over the end of the download.
    Validators,
}

/// The ETag of a file that is known by its place: from upstream's strong ETag, else from its `Last-Modified`; `None` where it
/// has neither.
#[must_use]
pub fn place_etag(validators: &Validators) -> Option<ETag> {
    let strong = validators.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
    let named = strong.or(validators.last_modified.as_deref())?;
    Some(ETag::strong(&format!("u-{}", &Sha256::of(named.as_bytes()).to_hex()[..32])))
}

/// The bytes of an answer.
pub enum Body {
    /// A verified blob of the cache.
    Blob(Arc<Blob>),
    /// A file of a generation or of a local directory.
    File(Arc<FileBody>),
    /// A download under way.
    Fill(Fill),
    /// An index that is being built for the first time.
    Cold(Box<ColdReader>),
    /// A small document in memory.
    Bytes(Bytes),
}

/// What is known about the representation.
pub struct Facts {
    /// Strong, unique for these bytes; `None` only while it is not known yet.
    pub etag: Option<ETag>,
    /// What the ETag is made from, for a download whose ETag is not known yet.
    pub named_by: NamedBy,
    /// When the bytes last changed, as upstream says.
    pub last_modified: Option<UnixMillis>,
    /// Length in bytes; `None` while a download without length is under way.
    pub len: Option<u64>,
    /// Media type.
    pub content_type: Cow<'static, str>,
    /// What clients may keep.
    pub cache_for: CacheFor,
    /// Where the bytes came from.
    pub outcome: Outcome,
}

/// An answer ready to be written.
pub struct Answer {
    /// Headers are made from these.
    pub facts: Facts,
    /// The bytes.
    pub body: Body,
    /// The same document as one zstd frame, for clients that accept `Content-Encoding: zstd`.
    pub zstd: Option<(Arc<FileBody>, u64)>,
    /// Whether small documents may be compressed on the way out.
    pub compressible: bool,
}
