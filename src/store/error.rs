//! What can go wrong in the store, as sentences.
//!
//! Belongs here: the room's one error type, the same for both engines. Does not: status codes (`api`), retry rules (their
//! callers).

/// Why the store did not do what was asked. No message contains a value from a row, a password or a connection string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Something unique is there already; nothing was changed.
    #[error("there is already {what}")]
    Conflict {
        /// As in "a user with this name".
        what: &'static str,
    },
    /// Somebody else changed it since it was read, or a lease was lost; nothing was changed. Read again, decide again.
    #[error("{what} was changed by somebody else meanwhile")]
    Stale {
        /// As in "the user".
        what: &'static str,
    },
    /// What was to be changed is not there.
    #[error("there is no such {what}")]
    NotFound {
        /// As in "user".
        what: &'static str,
    },
    /// The store can't be asked now; whether a change was made is not known.
    #[error("the store can't be used now: {why}")]
    Unavailable {
        /// A clause that says what failed, and where.
        why: String,
    },
    /// What is stored can't be understood.
    #[error("the store is damaged: {what}; restore it from a backup or a dump")]
    Damaged {
        /// Which file, or which column of which table.
        what: String,
    },
    /// A newer condagate was here.
    #[error("the store has schema {found}, this condagate knows up to {known}; run the newer version")]
    NewerSchema {
        /// Of the store.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// `condagate db setup --execute` has not been run, or not since the last upgrade.
    #[error(
        "the database has schema {found}, this condagate needs {known}; run `condagate db setup --execute`"
    )]
    NotSetUp {
        /// Of the store; 0 for none.
        found: i64,
        /// The one needed.
        known: i64,
    },
    /// A load was begun and not finished: only a part of the dump is there.
    #[error("a load into this store was not finished; run `condagate db load --replace` again")]
    HalfLoaded,
}

impl StoreError {
    /// [`StoreError::Unavailable`] for a reason that can be printed.
    pub(super) fn unavailable(why: impl std::fmt::Display) -> Self {
        Self::Unavailable { why: why.to_string() }
    }

    /// [`StoreError::Damaged`] for a place that can be printed.
    pub(super) fn damaged(what: impl std::fmt::Display) -> Self {
        Self::Damaged { what: what.to_string() }
    }
}
