//! Work that comes again and again.
//!
//! Time is cut into slots of a schedule's length, the same on every gate, and the id of a job says which schedule and which slot it is of.
//! Ids are unique in the store, so of all gates one places the job of a slot, and a gate that starts again within it places none.
//! Slots that passed while nobody was there are not made up for.
//!
//! Belongs here: slots and ids. Does not: when a runner looks.

use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;

use super::queue::{Order, Queue};
use crate::clock::UnixMillis;
use crate::store::StoreError;
use crate::store::model::JobId;

/// Attempts within a slot; the next slot is another chance.
const ATTEMPTS: u32 = 5;

/// One of them.
#[derive(Debug)]
pub struct Schedule {
    kind: &'static str,
    name: String,
    every: Duration,
    input: Value,
    /// The last slot that needs no more looking at.
    placed: Mutex<Option<i64>>,
}

impl Schedule {
    /// `kind` with this input, once in every slot of this length. Of two schedules with one name only one is placed; letters, digits and
    /// hyphens, at most 32.
    #[must_use]
    pub fn new(kind: &'static str, name: &str, every: Duration, input: Value) -> Self {
        Self { kind, name: name.to_owned(), every, input, placed: Mutex::new(None) }
    }

    fn slot(&self, now: UnixMillis) -> i64 {
        let length = i64::try_from(self.every.as_millis()).unwrap_or(i64::MAX).max(1);
        now.0.div_euclid(length)
    }

    /// Orders the job of the slot that `now` is in, unless that was done.
    ///
    /// # Errors
    /// The store can't be asked; the next call tries again.
    pub(super) async fn place(&self, queue: &Queue, now: UnixMillis) -> Result<(), StoreError> {
        let slot = self.slot(now);
        if self.placed.lock().is_some_and(|placed| placed >= slot) {
            return Ok(());
        }
        let id = JobId::new(&format!("{PREFIX}{}-{slot}", self.name));
        let id = id.ok_or_else(|| StoreError::Damaged {
            what: format!("the name of the schedule `{}`", self.name),
        })?;
        let order = Order {
            only: only_of(&id),
            id: Some(id),
            attempts: ATTEMPTS,
            ..Order::new(self.kind, self.input.clone())
        };
        // One that still runs from the slot before stands for this one too.
        queue.add(order).await?;
        *self.placed.lock() = Some(slot);
        Ok(())
    }
}

const PREFIX: &str = "every-";

/// What is unique about the jobs of a schedule; `None` for any other job.
pub(super) fn only_of(id: &JobId) -> Option<String> {
    let (name, slot) = id.as_str().strip_prefix(PREFIX)?.rsplit_once('-')?;
    slot.parse::<i64>().ok()?;
    Some(format!("{PREFIX}{name}"))
}
