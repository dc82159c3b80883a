//! What can be wrong with an index document as a whole.

/// Why a document was refused. Nothing of it may be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Not JSON from byte `at` on.
    #[error("the document is broken JSON at byte {at}: {what}")]
    Malformed {
        /// Offset in the decoded document.
        at: u64,
        /// What stands there.
        what: &'static str,
    },
    /// The bytes end inside the document.
    #[error("the document is cut: it ends in the middle, after {at} bytes")]
    Cut {
        /// Length of what there was.
        at: u64,
    },
    /// Something in it is larger or deeper than any honest document has.
    #[error("the document has {what} beyond the limit of {limit} at byte {at}")]
    TooBig {
        /// Offset in the decoded document.
        at: u64,
        /// What is too big.
        what: &'static str,
        /// The limit, in the unit that `what` names.
        limit: u64,
    },
    /// Whole, but something else: an HTML page, an error object, a list.
    #[error("this is not repodata: {found}")]
    NotRepodata {
        /// What it looks like.
        found: &'static str,
    },
    /// A key that decides something stands twice; clients would not agree on which one counts.
    #[error("the document has the key `{key}` twice")]
    Repeated {
        /// The key.
        key: &'static str,
    },
}
