//! What somebody means, and in which state they saw it.
//!
//! Belongs here: the value. Does not: looking it up (`users`, `groups`, `tokens`).

use super::PeopleError;
use crate::store::StoreError;

/// A user or a group by name, a token by id. With the revision that somebody has seen, nothing is done unless it is still at that: of
/// two who saw the same, one is told [`PeopleError::Changed`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen<'a> {
    pub(super) name: &'a str,
    pub(super) at: Option<u64>,
}

impl<'a> Seen<'a> {
    /// At this revision and no other; at any where it is `None`.
    #[must_use]
    pub const fn at(name: &'a str, revision: Option<u64>) -> Self {
        Self { name, at: revision }
    }

    /// Whether that is how it is now.
    pub(super) fn check(self, revision: u64) -> Result<(), PeopleError> {
        match self.at {
            Some(at) if at != revision => Err(PeopleError::Changed),
            _ => Ok(()),
        }
    }

    /// What the store says, when it would not change the row.
    pub(super) fn refused(self, error: StoreError) -> PeopleError {
        match error {
            StoreError::Stale { .. } | StoreError::NotFound { .. } if self.at.is_some() => {
                PeopleError::Changed
            }
            error => error.into(),
        }
    }
}

impl<'a> From<&'a str> for Seen<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, at: None }
    }
}

impl<'a> From<&'a String> for Seen<'a> {
    fn from(name: &'a String) -> Self {
        Self { name, at: None }
    }
}
