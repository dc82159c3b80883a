//! Who does something, for the audit trail.
//!
//! Belongs here: the value. Does not: finding out who it is.

use crate::store::model::UserId;

/// Who, and from where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct By {
    pub(super) actor: String,
    pub(super) address: String,
    pub(super) behind: Option<String>,
}

impl By {
    /// Somebody at the command line of the machine: `system:cli:<account>`. `behind` is who took on that account
    /// (`sudo`), as far as it is known; it goes into the details.
    #[must_use]
    pub fn command_line(account: &str, behind: Option<&str>) -> Self {
        let actor = format!("system:cli:{}", plain(account));
        Self { actor, address: "local".to_owned(), behind: behind.map(plain) }
    }

    /// A user who sent a request.
    #[must_use]
    pub fn user(id: &UserId, address: &str) -> Self {
        Self { actor: format!("user:{id}"), address: address.to_owned(), behind: None }
    }

    /// Somebody unknown who sent a request.
    #[must_use]
    pub fn anonymous(address: &str) -> Self {
        Self { actor: "anonymous".to_owned(), address: address.to_owned(), behind: None }
    }

    /// As audit events name it.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// From where.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The gate itself.
    #[must_use]
    pub fn system() -> Self {
        Self { actor: "system".to_owned(), address: "local".to_owned(), behind: None }
    }
}

/// Names of accounts are whatever a directory or a variable says.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}
