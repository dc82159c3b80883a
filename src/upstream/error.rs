//! Why a fetch failed, in words that may be shown: no URL but a [`SafeUrl`](crate::secret::SafeUrl), no credential, no library message
//! that could hold one.
//!
//! Belongs here: the error and its kinds. Does not: reading the HTTP client's errors (`classify`), what to do about one
//! (`fetch`), the health of mirrors (`health`).

use std::time::Duration;

/// Why a fetch, or the body of one, failed. `mirror` is always in printable form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The upstream asked for a pause (429, or 503 with Retry-After); nothing is sent until it is over.
    #[error("upstream {mirror} limits our requests; the next one is allowed in {} s", retry_after.as_secs().max(1))]
    RateLimited {
        /// The mirror, or the upstream's name if all of its mirrors rest.
        mirror: String,
        /// Time left.
        retry_after: Duration,
    },
    /// No connection.
    #[error("upstream {mirror} can't be reached: {why}")]
    Unreachable {
        /// The mirror.
        mirror: String,
        /// What the system said.
        why: String,
    },
    /// The secure connection could not be made.
    #[error("upstream {mirror} can't be trusted: {why}; add its CA with `ca_file` if it is a private one")]
    Tls {
        /// The mirror.
        mirror: String,
        /// What the TLS library said.
        why: String,
    },
    /// Nothing came in time.
    #[error("upstream {mirror} took too long: {phase} after {} ms", after.as_millis())]
    Timeout {
        /// The mirror.
        mirror: String,
        /// What was waited for.
        phase: TimeoutPhase,
        /// How long.
        after: Duration,
    },
    /// The connection broke, or the answer was shorter than announced.
    #[error("upstream {mirror} broke off: {why}")]
    Reset {
        /// The mirror.
        mirror: String,
        /// What happened.
        why: String,
    },
    /// A status that is a failure: 5xx, 408, or one that no client of ours can use.
    #[error("upstream {mirror} answered {status}")]
    Status {
        /// The mirror.
        mirror: String,
        /// The status code.
        status: u16,
    },
    /// An answer that breaks the rules of HTTP or is of no use.
    #[error("upstream {mirror} sent an answer that can't be used: {why}")]
    BadAnswer {
        /// The mirror.
        mirror: String,
        /// What was wrong with it.
        why: String,
    },
    /// A body beyond the limit for its kind.
    #[error("upstream {mirror} sent more than the {limit} bytes allowed for this kind of file")]
    TooLarge {
        /// The mirror.
        mirror: String,
        /// The limit, bytes.
        limit: u64,
    },
    /// The answer came through ourselves.
    #[error(
        "upstream {mirror} leads back to this gate (its answer names us in Via); check its URL, DNS and proxy settings, or set `resolve`"
    )]
    Loop {
        /// The mirror.
        mirror: String,
    },
    /// Redirects without end, or in a circle.
    #[error("upstream {mirror} redirected more than {limit} times or in a circle")]
    TooManyRedirects {
        /// The mirror.
        mirror: String,
        /// The limit.
        limit: usize,
    },
    /// A redirect that must not be followed.
    #[error("upstream {mirror} sent a redirect that is not followed: {why}")]
    BadRedirect {
        /// The mirror.
        mirror: String,
        /// Why not.
        why: &'static str,
    },
    /// A secondary mirror lacks what the primary, which can't be asked now, may have.
    #[error(
        "upstream {mirror} answered {status}, but it is not the first mirror and that one can't be asked now"
    )]
    Doubtful {
        /// The mirror.
        mirror: String,
        /// Its status code.
        status: u16,
    },
    /// All places were taken for too long.
    #[error("upstream '{upstream}' is busy: {limit} requests are running and none ended within {} s; raise `max_concurrent` if it can bear more", waited.as_secs())]
    Busy {
        /// The upstream's name.
        upstream: String,
        /// The cap.
        limit: usize,
        /// The wait.
        waited: Duration,
    },
    /// The request itself can't be sent.
    #[error("this can't be asked of upstream '{upstream}': {why}")]
    BadRequest {
        /// The upstream's name.
        upstream: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// What a timeout waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutPhase {
    /// Name lookup, TCP, TLS.
    Connect,
    /// The answer's headers.
    FirstByte,
    /// The next piece of the body.
    Stall,
}

impl std::fmt::Display for TimeoutPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::FirstByte => "no answer",
            Self::Stall => "silence in the middle of the body",
        })
    }
}

/// The kind of a [`FetchError`], for decisions and counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchKind {
    /// Ask again after this time.
    RateLimited {
        /// Time left.
        retry_after: Duration,
    },
    /// No connection.
    Unreachable,
    /// No trust.
    Tls,
    /// Nothing came in time.
    Timeout,
    /// The connection broke.
    Reset,
    /// A failure status.
    Status(u16),
    /// An unusable answer.
    BadAnswer,
    /// More bytes than allowed.
    TooLarge,
    /// The gate asked itself.
    Loop,
    /// Redirects without end.
    TooManyRedirects,
    /// A redirect that is not followed.
    BadRedirect,
    /// Missing on a secondary while the primary is down.
    Doubtful,
    /// The concurrency cap.
    Busy,
    /// The request can't be sent.
    BadRequest,
}

impl FetchKind {
    /// How many kinds there are.
    pub const COUNT: usize = 14;

    /// Labels in the order of [`Self::index`], for metrics.
    pub const LABELS: [&str; Self::COUNT] = [
        "rate_limited",
        "unreachable",
        "tls",
        "timeout",
        "reset",
        "status",
        "bad_answer",
        "too_large",
        "loop",
        "too_many_redirects",
        "bad_redirect",
        "doubtful",
        "busy",
        "bad_request",
    ];

    /// Position in [`Self::LABELS`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::RateLimited { .. } => 0,
            Self::Unreachable => 1,
            Self::Tls => 2,
            Self::Timeout => 3,
            Self::Reset => 4,
            Self::Status(_) => 5,
            Self::BadAnswer => 6,
            Self::TooLarge => 7,
            Self::Loop => 8,
            Self::TooManyRedirects => 9,
            Self::BadRedirect => 10,
            Self::Doubtful => 11,
            Self::Busy => 12,
            Self::BadRequest => 13,
        }
    }

    /// A word for metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        Self::LABELS[self.index()]
    }
}

impl FetchError {
    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> FetchKind {
        match self {
            Self::RateLimited { retry_after, .. } => FetchKind::RateLimited { retry_after: *retry_after },
            Self::Unreachable { .. } => FetchKind::Unreachable,
            Self::Tls { .. } => FetchKind::Tls,
            Self::Timeout { .. } => FetchKind::Timeout,
            Self::Reset { .. } => FetchKind::Reset,
            Self::Status { status, .. } => FetchKind::Status(*status),
            Self::BadAnswer { .. } => FetchKind::BadAnswer,
            Self::TooLarge { .. } => FetchKind::TooLarge,
            Self::Loop { .. } => FetchKind::Loop,
            Self::TooManyRedirects { .. } => FetchKind::TooManyRedirects,
            Self::BadRedirect { .. } => FetchKind::BadRedirect,
            Self::Doubtful { .. } => FetchKind::Doubtful,
            Self::Busy { .. } => FetchKind::Busy,
            Self::BadRequest { .. } => FetchKind::BadRequest,
        }
    }

    /// Whether the same request may well succeed within moments, so a resume is worth a try.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Reset { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 500 | 502..=599),
            _ => false,
        }
    }

    /// Whether the mirror is to blame, so that another one is asked and this one's health suffers.
    #[must_use]
    pub(super) const fn is_mirror_fault(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status >= 500 || matches!(status, 407 | 408 | 425),
            Self::RateLimited { .. }
            | Self::Doubtful { .. }
            | Self::Busy { .. }
            | Self::BadRequest { .. } => false,
            _ => true,
        }
    }
}
