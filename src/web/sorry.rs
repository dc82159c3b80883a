//! What went wrong, for people: a status, a heading, a sentence to act on.
//!
//! Belongs here: from errors of services to pages. Does not: the page's looks (templates).

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::channel::HostError;
use crate::jobs::DeskError;
use crate::manage::ManageError;
use crate::people::PeopleError;
use crate::people::setup::SetupError;
use crate::snapshot::people::Refused;
use crate::store::StoreError;

/// See the module's description. Becomes a page in [`super::dress`].
#[derive(Clone, Debug)]
pub(super) struct Sorry {
    pub(super) status: StatusCode,
    pub(super) heading: &'static str,
    pub(super) sentence: String,
    /// Seconds.
    pub(super) retry_after: Option<u64>,
}

impl Sorry {
    fn new(status: StatusCode, heading: &'static str, sentence: impl Into<String>) -> Self {
        Self { status, heading, sentence: capital(&sentence.into()), retry_after: None }
    }

    pub(super) fn not_found(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing here", sentence)
    }

    pub(super) fn forbidden(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "This is not for you", sentence)
    }

    /// The page has a form to sign in.
    pub(super) fn sign_in(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Sign in", sentence)
    }

    pub(super) fn invalid(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "That can't be done", sentence)
    }

    pub(super) fn conflict(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "That can't be done now", sentence)
    }

    pub(super) fn unavailable(sentence: impl Into<String>) -> Self {
        let sorry = Self::new(StatusCode::SERVICE_UNAVAILABLE, "Try again in a moment", sentence);
        Self { retry_after: Some(5), ..sorry }
    }

    pub(super) fn broken() -> Self {
        let sentence = "The gate made a mistake while making this page; its log says which.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", sentence)
    }
}

/// Sentences of services begin like clauses.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let mut sentence: String = first.into_iter().flatten().chain(letters).collect();
    if !sentence.is_empty() && !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

impl IntoResponse for Sorry {
    fn into_response(self) -> Response {
        let mut answer = self.status.into_response();
        answer.extensions_mut().insert(self);
        answer
    }
}

impl From<StoreError> for Sorry {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a page can't be made without the store");
        Self::unavailable("The database can't be asked right now. Nothing was changed.")
    }
}

impl From<PeopleError> for Sorry {
    fn from(error: PeopleError) -> Self {
        let sentence = error.to_string();
        match error {
            PeopleError::Store(error) => error.into(),
            PeopleError::NoUser(_) | PeopleError::NoGroup(_) | PeopleError::NoToken(_) => {
                Self::not_found(sentence)
            }
            PeopleError::Changed
            | PeopleError::Taken { .. }
            | PeopleError::LastSuperuser(_)
            | PeopleError::Setup(SetupError::NotNeeded) => Self::conflict(sentence),
            PeopleError::Setup(SetupError::NotGood) | PeopleError::ResetCode => Self::forbidden(sentence),
            PeopleError::Setup(SetupError::File { .. }) => {
                tracing::error!(error = %sentence, "the set-up code can't be used");
                Self::broken()
            }
            PeopleError::NotRecorded { .. } | PeopleError::Stopping => Self::unavailable(sentence),
            _ => Self::invalid(sentence),
        }
    }
}

impl From<ManageError> for Sorry {
    fn from(error: ManageError) -> Self {
        let sentence = error.to_string();
        match error {
            ManageError::Invalid(_) | ManageError::Mistakes(_) => Self::invalid(sentence),
            ManageError::Missing(_) => Self::not_found(sentence),
            ManageError::Changed => Self::conflict(sentence),
            ManageError::Failed(_) => {
                tracing::error!(error = %sentence, "what an administrator asked for was not done");
                Self::unavailable(sentence)
            }
        }
    }
}

impl From<DeskError> for Sorry {
    fn from(error: DeskError) -> Self {
        let sentence = error.to_string();
        match error {
            DeskError::NoJob(_) => Self::not_found(sentence),
            DeskError::State { .. } | DeskError::Another(_) => Self::conflict(sentence),
            DeskError::Store(error) => error.into(),
        }
    }
}

impl From<HostError> for Sorry {
    fn from(error: HostError) -> Self {
        let sentence = error.to_string();
        match error {
            HostError::Unauthenticated(_) => Self::sign_in(sentence),
            HostError::Forbidden(_) => Self::forbidden(sentence),
            HostError::NotFound(_) => Self::not_found(sentence),
            HostError::Conflict(_) => Self::conflict(sentence),
            HostError::Busy(_) | HostError::Unavailable(_) | HostError::NoSpace(_) => {
                Self::unavailable(sentence)
            }
            HostError::Internal(_) => {
                tracing::warn!(error = %sentence, "a page can't be made");
                Self::broken()
            }
            HostError::Invalid(_) | HostError::WrongDigest(_) | HostError::TooLarge(_) => {
                Self::invalid(sentence)
            }
        }
    }
}

impl From<Refused> for Sorry {
    fn from(refused: Refused) -> Self {
        let sentence = refused.to_string();
        match refused {
            Refused::Unavailable(_) => Self::unavailable(sentence),
            Refused::SlowDown { seconds } => Self {
                retry_after: Some(seconds),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "Slow down", sentence)
            },
            _ => Self::sign_in(sentence),
        }
    }
}
