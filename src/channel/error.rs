//! Why something was not published, as sentences.
//!
//! Belongs here: the room's error, and which status it is. Does not: the shape of answers (`api`).

use super::inspect::{Fault, InspectError};
use crate::cache::CacheError;
use crate::store::StoreError;

/// Why something was not done. Nothing is half done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HostError {
    /// It needs a credential.
    #[error("{0}")]
    Unauthenticated(String),
    /// The credential does not do, or a rule forbids it.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such channel or package.
    #[error("{0}")]
    NotFound(String),
    /// Something else has the name, or was faster.
    #[error("{0}")]
    Conflict(String),
    /// What was sent is not good.
    #[error("{0}")]
    Invalid(String),
    /// What was sent is not what its digest says.
    #[error("{0}")]
    WrongDigest(String),
    /// More than is allowed.
    #[error("{0}")]
    TooLarge(String),
    /// The disk, or the channel's quota, is full.
    #[error("{0}")]
    NoSpace(String),
    /// Too much at once.
    #[error("{0}")]
    Busy(String),
    /// It can't be done now.
    #[error("{0}")]
    Unavailable(String),
    /// It should not have happened.
    #[error("{0}")]
    Internal(String),
}

impl HostError {
    /// The status of HTTP that says it.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Unauthenticated(_) => 401,
            Self::Forbidden(_) => 403,
            Self::NotFound(_) => 404,
            Self::Conflict(_) => 409,
            Self::Invalid(_) | Self::WrongDigest(_) => 422,
            Self::TooLarge(_) => 413,
            Self::NoSpace(_) => 507,
            Self::Busy(_) | Self::Unavailable(_) => 503,
            Self::Internal(_) => 500,
        }
    }
}

impl From<StoreError> for HostError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Conflict { .. } => Self::Conflict(error.to_string()),
            StoreError::Stale { .. } => Self::Conflict(format!("{error}; try again")),
            StoreError::NotFound { .. } => Self::NotFound(error.to_string()),
            _ => {
                tracing::error!(%error, "the store of channels can't be used");
                Self::Unavailable(
                    "the store of channels can't be asked now; try again in a few seconds".to_owned(),
                )
            }
        }
    }
}

impl From<InspectError> for HostError {
    fn from(error: InspectError) -> Self {
        match error.fault() {
            Fault::Package => Self::Invalid(format!("{error}; nothing was published")),
            Fault::TooLarge => Self::TooLarge(format!(
                "{error}; nothing was published. The gate's administrator can raise `max_unpacked`, `max_ratio` and `max_members` under `upload:`"
            )),
            Fault::Disk => {
                tracing::error!(%error, "a package that came in can't be read");
                Self::Internal(
                    "the gate can't read the file back; its log says why. Nothing was published".to_owned(),
                )
            }
        }
    }
}

impl From<CacheError> for HostError {
    fn from(error: CacheError) -> Self {
        // The message names directories of this machine.
        tracing::error!(%error, "a file can't be kept");
        match error {
            error if error.is_full() => Self::NoSpace(
                "the gate's disk is full; nothing was published. Ask its administrator for room".to_owned(),
            ),
            CacheError::Stopping => {
                Self::Unavailable("the gate is stopping; try again in a few seconds".to_owned())
            }
            _ => Self::Internal(
                "the gate can't write the file; its log says why. Nothing was published".to_owned(),
            ),
        }
    }
}
