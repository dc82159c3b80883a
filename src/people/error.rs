//! What can go wrong, as sentences.
//!
//! Belongs here: the room's error type. Does not: exit codes (`cli`), status codes (`api`).

use super::setup::SetupError;
use crate::auth::name::NameError;
use crate::auth::password::PasswordError;
use crate::store::StoreError;

/// Why something was not done. No message contains a secret, and none repeats a text that may be one.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// What was asked for can't be what it is meant to be; asking again changes nothing.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The password may not be one.
    #[error("{0}")]
    Password(#[from] PasswordError),
    /// Set-up codes.
    #[error("{0}")]
    Setup(#[from] SetupError),
    /// A code for a new password: strangers are not told what is wrong with it.
    #[error(
        "the code is not good (any more): it is good for an hour, once, and only until the password is changed; ask for another mail"
    )]
    ResetCode,
    /// There is a user of that name.
    #[error("the name `{asked}` is taken: by {whose}")]
    Taken {
        /// As it was asked for.
        asked: String,
        /// As in "the user `Ada` (id x)".
        whose: String,
    },
    /// No user has that name.
    #[error("there is no user `{0}`; `condagate user list` says who there is")]
    NoUser(String),
    /// Several names that no user has.
    #[error("there are no users {}; nothing was done", quoted(.0))]
    NoUsers(Vec<String>),
    /// No group has that name.
    #[error("there is no group `{0}`; `condagate group list` says which there are")]
    NoGroup(String),
    /// No token's id begins so.
    #[error("there is no token whose id begins with `{0}`; `condagate token list` says which there are")]
    NoToken(String),
    /// Several tokens' ids begin so.
    #[error("several tokens' ids begin with `{prefix}`: {}{}; give more of it", .ids.join(", "), if *.more { " and more" } else { "" })]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// Some of them.
        ids: Vec<String>,
        /// Whether there are others.
        more: bool,
    },
    /// Not what somebody saw any more, see [`super::Seen`].
    #[error("it has been changed since you looked; look at it again and decide anew. Nothing was done")]
    Changed,
    /// The last one who may do everything.
    #[error(
        "`{0}` is the last superuser that is not disabled; make somebody else one first (`condagate user set-superuser`)"
    )]
    LastSuperuser(String),
    /// Nothing new for an account that is let in nowhere.
    #[error("the user `{0}` is disabled; `condagate user enable` changes that")]
    Disabled(String),
    /// A machine's account.
    #[error("`{0}` is a service account and has no password; make it a token instead")]
    Service(String),
    /// No longer good.
    #[error("the token {0} is revoked; make a new one")]
    Revoked(String),
    /// No longer good.
    #[error("the token {0} has expired; make a new one")]
    Expired(String),
    /// Rotated before.
    #[error("the token {id} was rotated before: {successor} takes its place; rotate that one")]
    Rotated {
        /// Of the token.
        id: String,
        /// Of the one after it.
        successor: String,
    },
    /// The user a token was made for is gone.
    #[error("the user that the token {0} was made for is gone; revoke it")]
    Orphan(String),
    /// There is nothing to take away.
    #[error("{whose} has no such right on `{channels}`; `condagate channel grants` says which there are")]
    NoGrant {
        /// As in "the user `ada`".
        whose: String,
        /// The glob.
        channels: String,
    },
    /// Done, and the trail does not have it.
    #[error("{kind} was done, but could not be written into the audit trail: {why}")]
    NotRecorded {
        /// Of the event.
        kind: &'static str,
        /// What the store said.
        why: StoreError,
    },
    /// The process is ending.
    #[error("condagate is being stopped; nothing was done")]
    Stopping,
}

/// A value that can't be what it is meant to be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Of a user or a group.
    #[error("{0}")]
    Name(#[from] NameError),
    /// Of a user.
    #[error("an e-mail address has a name, one `@` and a domain, no spaces, and at most 254 characters")]
    Email,
    /// A name of a token, a description of a group.
    #[error("a {what} has {least} to {most} characters and no control characters")]
    Text {
        /// As in "name of a token".
        what: &'static str,
        /// At least.
        least: usize,
        /// At most.
        most: usize,
    },
    /// Of a token.
    #[error("a token must live for some time; give a duration such as `90d`, or `never` for one without end")]
    Life,
    /// Of a grant.
    #[error("`{glob}` {why}")]
    Channels {
        /// Made safe to print.
        glob: String,
        /// A clause that completes "it …".
        why: String,
    },
    /// Not an id.
    #[error("the id of a token has 1 to 64 letters, digits, `-` and `_`; `condagate token list` shows them")]
    TokenId,
    /// A secret where its id belongs.
    #[error(
        "that looks like a token itself, not its id; `condagate token list` shows ids. What stood on a command line may \
         be in its history: rotate the token"
    )]
    SecretForId,
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl From<NameError> for PeopleError {
    fn from(error: NameError) -> Self {
        Refusal::Name(error).into()
    }
}
