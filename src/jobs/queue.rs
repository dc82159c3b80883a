//! Ordering work.
//!
//! Belongs here: from an order to a row. Does not: doing it.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use crate::auth;
use crate::clock::{SharedClock, UnixMillis};
use crate::store::lazy::LazyStore;
use crate::store::model::{Job, JobId, JobState};
use crate::store::{Store, StoreError};

/// How often a job is tried where its order says nothing: with the waits in between that is a little over a day.
pub const ATTEMPTS: u32 = 30;

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Which kind.
    pub kind: &'static str,
    /// A JSON object for it, without secrets.
    pub input: Value,
    /// Nothing is added while a job with this text waits or runs; `None` to add it in any case.
    pub only: Option<String>,
    /// Two orders with one id are one job, however long ago the first one was; `None` for a new id.
    pub id: Option<JobId>,
    /// Not before.
    pub due: Option<UnixMillis>,
    /// How often it is tried.
    pub attempts: u32,
}

impl Order {
    /// To be done at once, tried `ATTEMPTS` times.
    #[must_use]
    pub const fn new(kind: &'static str, input: Value) -> Self {
        Self { kind, input, only: None, id: None, due: None, attempts: ATTEMPTS }
    }
}

/// What became of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Queued {
    /// It is in the queue.
    Added(JobId),
    /// One like it was there.
    WasThere,
}

/// Where orders go. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    store: LazyStore,
    clock: SharedClock,
    /// Wakes the runner of this process; others look from time to time.
    pub(super) added: Arc<Notify>,
}

impl Queue {
    /// In this store.
    #[must_use]
    pub fn new(store: LazyStore, clock: SharedClock) -> Self {
        Self { store, clock, added: Arc::default() }
    }

    /// Adds an order.
    ///
    /// # Errors
    /// The store can't be asked; nothing was added, or it is not known.
    pub async fn add(&self, order: Order) -> Result<Queued, StoreError> {
        let store = self.store().await?;
        let job = row(order, self.clock.now())?;
        match store.jobs().enqueue(&job).await {
            Ok(()) => {
                self.added.notify_one();
                Ok(Queued::Added(job.id))
            }
            Err(StoreError::Conflict { .. }) => Ok(Queued::WasThere),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn store(&self) -> Result<Store, StoreError> {
        self.store.get().await
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.clock.now()
    }
}

fn row(order: Order, now: UnixMillis) -> Result<Job, StoreError> {
    let damaged = || StoreError::Damaged { what: "the id of a job".to_owned() };
    let id = match order.id {
        Some(id) => id,
        None => JobId::new(&auth::token::new_id()).ok_or_else(damaged)?,
    };
    Ok(Job {
        only: order.only.unwrap_or_else(|| id.to_string()),
        id,
        kind: order.kind.to_owned(),
        input: order.input.to_string(),
        state: JobState::Waiting,
        due: order.due.unwrap_or(now),
        attempts: 0,
        attempts_left: order.attempts.max(1),
        lease: None,
        error: None,
        created: now,
    })
}
