//! Why something can't be delivered, as sentences; `proxy::respond` gives them their status.

use std::time::Duration;

use crate::snapshot::{Channel, Remote};

/// What refuses files that an index does not list, where nothing else does.
pub(super) const UNLISTED: &str = "unlisted";

/// A delivery that did not happen. Every message says what, where and what to do, and holds no secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// Upstream says there is no such thing, or nothing here has that name.
    #[error("{0}")]
    NotFound(String),
    /// Upstream refuses the gate (401 or 403).
    #[error("{0}")]
    Forbidden(String),
    /// Upstream is down, slow, busy or broken, and nothing usable is cached.
    #[error("{message}")]
    Unavailable {
        /// The sentence.
        message: String,
        /// When asking again makes sense.
        retry_after: Option<Duration>,
    },
    /// Upstream answered with something that is not what was asked for (wrong digest, not repodata, …).
    #[error("{0}")]
    BadUpstream(String),
    /// A rule of this gate does not let it through.
    #[error("{message}")]
    Rule {
        /// Which rule, as written.
        rule: String,
        /// The sentence.
        message: String,
        /// File and line of the rule, for those who may see the gate's insides.
        at: Option<String>,
    },
    /// This machine can't (disk full, read-only, …).
    #[error("{0}")]
    Internal(String),
}

impl Refusal {
    /// A rule that is not written anywhere in particular.
    pub(super) fn rule(rule: &str, message: String) -> Self {
        Self::Rule { rule: rule.to_owned(), message, at: None }
    }

    /// Whether it only says that an index does not list the file.
    pub(super) fn is_unlisted(&self) -> bool {
        matches!(self, Self::Rule { rule, .. } if rule == UNLISTED)
    }

    /// What a failed download means.
    #[must_use]
    pub fn of_fill(error: &crate::cache::FillError) -> Self {
        super::objects::refusal_of_fill(error)
    }

    /// Upstream trouble without a better time to come back.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into(), retry_after: None }
    }
}

/// Where an upstream has a channel. Every road to an upstream begins here, so that none begins with a hosted channel.
///
/// # Errors
/// [`Refusal::NotFound`] for a channel that this gate hosts.
pub(super) fn remote(channel: &Channel) -> Result<&Remote, Refusal> {
    channel.remote().ok_or_else(|| {
        Refusal::NotFound(format!("the channel `{}` is hosted here, and has no such file", channel.label))
    })
}
