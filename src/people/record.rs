//! The audit trail: what was done is written down, and read again.
//!
//! An event is written after what it tells of: one that could not be written is an error, although the thing was done, so
//! that somebody looks. Details are a JSON object with the names that things had then.
//!
//! Belongs here: making events, reading the trail and the counters of downloads. Does not: forgetting old events (the
//! gate's housekeeping).

use std::sync::atomic::Ordering;

use serde_json::{Map, Value};

use super::{By, People, PeopleError};
use crate::auth::token::new_id;
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::store::model::{AuditEvent, AuditId, Downloads};
use crate::store::repo::AuditFilter;

/// What was done.
pub(super) struct Done {
    /// As in `user.create`.
    pub kind: &'static str,
    /// As in `user:<id>`.
    pub target: String,
    /// A JSON object, no secrets.
    pub detail: Value,
}

/// An event as the place where a page of the trail ends: `<millis>.<id>`.
#[must_use]
pub fn place_of(event: &AuditEvent) -> String {
    format!("{}.{}", event.at.0, event.id)
}

/// An event at such a place, with nothing in it that paging does not need.
#[must_use]
pub fn event_at(place: &str) -> Option<AuditEvent> {
    let (at, id) = place.split_once('.')?;
    let text = String::new;
    Some(AuditEvent {
        at: UnixMillis(at.parse().ok()?),
        id: AuditId::new(id)?,
        actor: text(),
        kind: text(),
        target: text(),
        address: text(),
        result: text(),
        detail: text(),
    })
}

impl People {
    /// Writes that something was done.
    pub(super) async fn record(&self, by: &By, done: Done) -> Result<(), PeopleError> {
        let mut detail = match done.detail {
            Value::Object(detail) => detail,
            _ => Map::new(),
        };
        if let Some(behind) = &by.behind {
            detail.insert("behind".to_owned(), behind.as_str().into());
        }
        // What happens in one millisecond stays in order, as far as it happens in one process.
        let number = self.events.fetch_add(1, Ordering::Relaxed);
        let event = AuditEvent {
            at: self.now(),
            id: fresh(|random| AuditId::new(&format!("{number:08x}-{random}"))),
            actor: by.actor.clone(),
            kind: done.kind.to_owned(),
            target: done.target,
            address: by.address.clone(),
            result: "ok".to_owned(),
            detail: Value::Object(detail).to_string(),
        };
        let written = self.store.audit().append(&event).await;
        written.map_err(|why| PeopleError::NotRecorded { kind: done.kind, why })
    }

    /// A page of the trail, from the newest to the oldest, behind one of them.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn events(
        &self,
        filter: &AuditFilter,
        after: Option<&AuditEvent>,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, PeopleError> {
        let after: Option<(UnixMillis, &AuditId)> = after.map(|event| (event.at, &event.id));
        Ok(self.store.audit().list(filter, after, limit).await?)
    }

    /// A page of who downloaded a file, in the order of names, days, actors, tokens and addresses, behind one of them.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn downloads(
        &self,
        sha256: &Sha256,
        after: Option<&Downloads>,
        limit: u32,
    ) -> Result<Vec<Downloads>, PeopleError> {
        Ok(self.store.downloads().of_digest(sha256, after, limit).await?)
    }

    /// The actor that is meant by a text: a user's name, or an actor as it stands in the trail (`user:<id>`,
    /// `system:cli:<account>`, `anonymous`, `system`).
    ///
    /// # Errors
    /// [`PeopleError::NoUser`]
    pub async fn actor(&self, text: &str) -> Result<String, PeopleError> {
        if text.contains(':') || ["anonymous", "system"].contains(&text) {
            return Ok(text.to_owned());
        }
        Ok(format!("user:{}", self.user(text).await?.id))
    }
}

/// A new identifier of some type.
#[expect(clippy::expect_used, reason = "16 letters and digits are an identifier of every type")]
pub(super) fn fresh<T>(make: impl FnOnce(&str) -> Option<T>) -> T {
    make(&new_id()).expect("an identifier")
}
