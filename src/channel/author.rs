//! Who publishes, for rows and the audit trail.
//!
//! Belongs here: the value. Does not: finding out who it is (`identity`), whether they may (`policy::access`).

use crate::auth;
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::identity::Visitor;
use crate::store::StoreError;
use crate::store::model::{AuditEvent, AuditId, UserId};

/// Who, and from where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Author {
    /// As audit events name it.
    actor: String,
    user: UserId,
    address: String,
}

impl Author {
    /// Whoever sent a request; `None` for somebody without a credential.
    #[must_use]
    pub fn of(visitor: &Visitor) -> Option<Self> {
        let principal = visitor.principal.as_ref()?;
        let actor = principal.actor();
        let user = match &principal.user {
            Some(user) => user.clone(),
            None => made_up(actor)?,
        };
        Some(Self { actor: actor.to_owned(), user, address: visitor.address() })
    }

    /// Somebody at the command line of the machine; `account` is the machine's name for them.
    #[must_use]
    pub fn command_line(account: &str) -> Option<Self> {
        let account: String = account.chars().filter(|c| !c.is_control()).take(64).collect();
        let actor = format!("system:cli:{account}");
        Some(Self { user: made_up(&actor)?, actor, address: "local".to_owned() })
    }

    /// As audit events name them.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The id that rows have.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    pub(super) fn event(
        &self,
        at: UnixMillis,
        kind: &str,
        target: &str,
        detail: &serde_json::Value,
    ) -> Result<AuditEvent, StoreError> {
        let id = auth::token::new_id();
        let id = AuditId::new(&id)
            .ok_or_else(|| StoreError::Damaged { what: "the id of an audit event".to_owned() })?;
        Ok(AuditEvent {
            at,
            id,
            actor: self.actor.clone(),
            kind: kind.to_owned(),
            target: target.to_owned(),
            address: self.address.clone(),
            result: "ok".to_owned(),
            detail: detail.to_string(),
        })
    }
}

/// Rows want the id of a user; somebody who has none gets one that is always the same and that no user can have.
fn made_up(actor: &str) -> Option<UserId> {
    UserId::new(&format!("outside-{}", &Sha256::of(actor.as_bytes()).to_hex()[..16]))
}
