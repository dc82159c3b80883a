//! Where a fill's bytes come from, as the cache sees it.
//!
//! Belongs here: the [`Source`] seam and its values. Does not: HTTP (a service joins `upstream` to this).

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use super::error::SourceError;
use super::freshness::Lifetime;
use crate::http::traceparent::TraceSpan;

/// A body as it arrives; an `Err` item is the last one. Ending before the announced total is a truncation, which
/// the fill notices itself.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, SourceError>> + Send>>;

/// What tells one version of a file at upstream from another, as upstream wrote it.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Validators {
    /// The `ETag` field, quotes (and `W/`) included.
    pub etag: Option<String>,
    /// The `Last-Modified` field.
    pub last_modified: Option<String>,
}

impl Validators {
    /// The value for `If-Range`: a strong etag, else the date (RFC 9110, 13.1.5 forbids weak etags there).
    #[must_use]
    pub fn if_range(&self) -> Option<&str> {
        match self.etag.as_deref() {
            Some(etag) if !etag.starts_with("W/") => Some(etag),
            _ => self.last_modified.as_deref(),
        }
    }

    /// Whether both sides name a validator of the same kind and they differ.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        match (&self.etag, &other.etag) {
            (Some(a), Some(b)) => a != b,
            _ => matches!((&self.last_modified, &other.last_modified), (Some(a), Some(b)) if a != b),
        }
    }
}

/// How to ask.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OpenAt {
    /// First byte wanted; 0 asks for the whole file (send no Range then).
    pub offset: u64,
    /// For `If-Range`, with an offset.
    pub if_range: Option<String>,
    /// For `If-None-Match` and `If-Modified-Since`, with offset 0.
    pub conditional: Option<Validators>,
}

/// Upstream's answer with bytes.
pub struct OpenedBody {
    /// The first byte `stream` gives; 0 when upstream ignored the range.
    pub offset: u64,
    /// Length of the whole file, when upstream said it.
    pub total: Option<u64>,
    /// Of this version.
    pub validators: Validators,
    /// As upstream wrote it.
    pub content_type: Option<String>,
    /// Who sends it: the printable address of a mirror.
    pub from: Option<Arc<str>>,
    /// How long this answer stays fresh; only kept for [`FillKind::Object`](super::FillKind).
    pub lifetime: Lifetime,
    /// The bytes from `offset` on.
    pub stream: BodyStream,
}

/// Upstream's answer.
pub enum Opened {
    /// Bytes.
    Body(OpenedBody),
    /// The version named in `conditional` is still the current one (304).
    NotModified {
        /// Validators of the 304, which replace the stored ones where given.
        validators: Validators,
        /// How long the answer stays fresh from now on.
        lifetime: Lifetime,
    },
}

/// Something a fill can read a file from, again and again at different offsets.
#[async_trait::async_trait]
pub trait Source: Send + Sync {
    /// Asks for the file from `at.offset` on.
    ///
    /// # Errors
    /// Why there is no answer with bytes; the fill asks again only when it is `retryable`.
    async fn open(&self, at: OpenAt) -> Result<Opened, SourceError>;

    /// The span of the fill in a trace, if it is traced.
    fn span(&self) -> Option<TraceSpan> {
        None
    }
}

/// A source that is shared with the fill's task.
pub type SharedSource = Arc<dyn Source>;

#[cfg(test)]
mod tests {
    use super::*;

    fn validators(etag: Option<&str>, date: Option<&str>) -> Validators {
        Validators { etag: etag.map(Into::into), last_modified: date.map(Into::into) }
    }

    #[test]
    fn if_range_never_uses_a_weak_etag() {
        assert_eq!(validators(Some("\"a\""), Some("d")).if_range(), Some("\"a\""));
        assert_eq!(validators(Some("W/\"a\""), Some("d")).if_range(), Some("d"));
        assert_eq!(validators(Some("W/\"a\""), None).if_range(), None);
    }

    #[test]
    fn contradiction_needs_the_same_kind_on_both_sides() {
        let a = validators(Some("\"a\""), Some("1"));
        assert!(a.contradicts(&validators(Some("\"b\""), Some("1"))));
        assert!(!a.contradicts(&validators(Some("\"a\""), Some("2"))));
        assert!(a.contradicts(&validators(None, Some("2"))));
        assert!(!a.contradicts(&validators(None, None)));
    }
}
