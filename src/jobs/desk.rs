//! What a person does about jobs.
//!
//! Belongs here: looking, retrying, cancelling, and what is written down about it. Does not: what is printed (`cli`).

use serde_json::json;

use super::schedule::only_of;
use crate::auth;
use crate::clock::SharedClock;
use crate::store::model::{AuditEvent, AuditId, Job, JobId, JobState};
use crate::store::{Store, StoreError};

/// Attempts that a retried job gets.
const ATTEMPTS: u32 = 5;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// There is none.
    #[error(
        "there is no job `{0}`; `condagate jobs list` says which there are, and ended ones are forgotten after a while"
    )]
    NoJob(String),
    /// It is not in the right state.
    #[error("the job `{id}` is {}, so it can't be {wanted}", state.as_str())]
    State {
        /// Which.
        id: JobId,
        /// What it is.
        state: JobState,
        /// What was to be done with it.
        wanted: &'static str,
    },
    /// One like it is on its way.
    #[error("a job like `{0}` waits or runs already")]
    Another(JobId),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Jobs, as an administrator sees them.
pub struct Desk {
    store: Store,
    clock: SharedClock,
    /// As the audit trail names who does it.
    actor: String,
    /// From where.
    address: String,
}

impl Desk {
    /// For somebody, as in `system:cli:root`.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock, actor: String) -> Self {
        Self { store, clock, actor, address: "local".to_owned() }
    }

    /// Who comes from an address.
    #[must_use]
    pub fn from(self, address: &str) -> Self {
        Self { address: address.to_owned(), ..self }
    }

    /// A page in the order of ids.
    ///
    /// # Errors
    /// The store can't be asked.
    pub async fn page(
        &self,
        state: Option<JobState>,
        after: Option<&JobId>,
        limit: u32,
    ) -> Result<Vec<Job>, DeskError> {
        Ok(self.store.jobs().list(state, after, limit).await?)
    }

    /// One.
    ///
    /// # Errors
    /// There is none.
    pub async fn job(&self, id: &str) -> Result<Job, DeskError> {
        let none = || DeskError::NoJob(id.chars().filter(|c| !c.is_control()).take(64).collect());
        let id = JobId::new(id).ok_or_else(none)?;
        self.store.jobs().get(&id).await?.ok_or_else(none)
    }

    /// Lets a dead or cancelled job wait again.
    ///
    /// # Errors
    /// It is in another state, or one like it is on its way.
    pub async fn retry(&self, id: &str) -> Result<Job, DeskError> {
        let job = self.job(id).await?;
        let only = only_of(&job.id).unwrap_or_else(|| job.id.to_string());
        match self.store.jobs().retry(&job.id, &only, self.clock.now(), ATTEMPTS).await {
            Ok(()) => self.record("job.retry", &job).await?,
            Err(StoreError::Stale { .. }) => return Err(self.not_now(&job, "retried").await),
            Err(StoreError::Conflict { .. }) => return Err(DeskError::Another(job.id)),
            Err(error) => return Err(error.into()),
        }
        self.job(id).await
    }

    /// Stops a job that waits or runs.
    ///
    /// # Errors
    /// It has ended.
    pub async fn cancel(&self, id: &str) -> Result<Job, DeskError> {
        let job = self.job(id).await?;
        match self.store.jobs().cancel(&job.id, self.clock.now()).await {
            Ok(()) => self.record("job.cancel", &job).await?,
            Err(StoreError::Stale { .. }) => return Err(self.not_now(&job, "cancelled").await),
            Err(error) => return Err(error.into()),
        }
        self.job(id).await
    }

    async fn not_now(&self, job: &Job, wanted: &'static str) -> DeskError {
        match self.store.jobs().get(&job.id).await {
            Ok(now) => {
                let state = now.map_or(job.state, |now| now.state);
                DeskError::State { id: job.id.clone(), state, wanted }
            }
            Err(error) => error.into(),
        }
    }

    async fn record(&self, kind: &str, job: &Job) -> Result<(), DeskError> {
        let id = AuditId::new(&auth::token::new_id());
        let event = AuditEvent {
            at: self.clock.now(),
            id: id.ok_or_else(|| StoreError::Damaged { what: "the id of an audit event".to_owned() })?,
            actor: self.actor.clone(),
            kind: kind.to_owned(),
            target: format!("job:{}", job.id),
            address: self.address.clone(),
            result: "ok".to_owned(),
            detail: json!({"kind": job.kind, "was": job.state.as_str(), "attempts": job.attempts})
                .to_string(),
        };
        Ok(self.store.audit().append(&event).await?)
    }
}
