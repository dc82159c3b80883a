//! The queue.

use std::time::Duration;

use async_trait::async_trait;

use super::{Change, Compare, Field, Filter, Value, all, is, keyed};
use crate::clock::UnixMillis;
#[cfg(doc)]
use crate::store::model::back_off;
use crate::store::model::{JOBS, Job, JobId, JobState};
use crate::store::{Store, StoreError};

/// Who asks for work.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// Kinds of jobs that the runner knows.
    pub kinds: &'a [&'a str],
    /// Text that no other claim has, such as the worker's name and a number.
    pub lease: &'a str,
    /// Now.
    pub at: UnixMillis,
    /// How long the job is the runner's without a heartbeat.
    pub length: Duration,
}

/// Jobs. A job is run at least once: a runner whose lease is over is taken for dead, and its job claimed by another.
#[async_trait]
pub trait JobRepo: Send + Sync {
    /// Adds a waiting job.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken, or a job with the same `only` waits or runs.
    async fn enqueue(&self, job: &Job) -> Result<(), StoreError>;

    /// By id.
    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError>;

    /// The job of these kinds that has been due longest, now the claimer's; `None` when nothing is due. Jobs whose lease
    /// ended at their last attempt are dead from now on.
    async fn claim(&self, claim: &Claim<'_>) -> Result<Option<Job>, StoreError>;

    /// Keeps a job until `until`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the lease was lost, to another runner or to a person who cancelled the job.
    async fn heartbeat(&self, id: &JobId, lease: &str, until: UnixMillis) -> Result<(), StoreError>;

    /// The job is done.
    ///
    /// # Errors
    /// As [`JobRepo::heartbeat`].
    async fn complete(&self, id: &JobId, lease: &str, at: UnixMillis) -> Result<(), StoreError>;

    /// The job failed: it waits until `retry` for its next attempt, or is dead: after the last attempt, or where there is no `retry`.
    /// Gives what became of it. [`back_off`] says how long to wait.
    ///
    /// # Errors
    /// As [`JobRepo::heartbeat`].
    async fn fail(
        &self,
        id: &JobId,
        lease: &str,
        at: UnixMillis,
        retry: Option<UnixMillis>,
        why: &str,
    ) -> Result<JobState, StoreError>;

    /// Gives a job back as if it had not been claimed: its runner stops.
    ///
    /// # Errors
    /// As [`JobRepo::heartbeat`].
    async fn release(&self, id: &JobId, lease: &str, at: UnixMillis) -> Result<(), StoreError>;

    /// A page in the order of ids, behind one of them; in one state or all.
    async fn list(
        &self,
        state: Option<JobState>,
        after: Option<&JobId>,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError>;

    /// Lets a dead or cancelled job wait again, with `attempts` more attempts.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Stale`] when it is in another state; [`StoreError::Conflict`] when `only`,
    /// which the job gets again, is taken meanwhile.
    async fn retry(&self, id: &JobId, only: &str, at: UnixMillis, attempts: u32) -> Result<(), StoreError>;

    /// Stops a job that waits or runs; its runner learns it at the next heartbeat.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Stale`] when it has ended.
    async fn cancel(&self, id: &JobId, at: UnixMillis) -> Result<(), StoreError>;

    /// Forgets up to `limit` jobs that ended before `before` in this state; how many.
    async fn forget(&self, state: JobState, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;
}

/// By which the longest due one is found.
const BY_DUE: &[&str] = &["due", "id"];

fn in_state(state: JobState) -> Filter {
    is("state", state.to_value())
}

/// The job while it is this lease's.
fn held(id: &JobId, lease: &str) -> Filter {
    Filter::Every(vec![keyed(&JOBS, &[id.to_value()]), in_state(JobState::Running), is("lease", lease)])
}

/// What makes a job an ended one: it no longer stands in the way of others like it.
fn ended(id: &JobId, state: JobState, at: UnixMillis) -> Vec<Change> {
    vec![
        Change::Set("state", state.to_value()),
        Change::Set("due", at.to_value()),
        Change::Set("lease", Value::Null),
        Change::Set("only", id.to_value()),
    ]
}

fn waits_again(due: UnixMillis) -> Vec<Change> {
    vec![
        Change::Set("state", JobState::Waiting.to_value()),
        Change::Set("due", due.to_value()),
        Change::Set("lease", Value::Null),
    ]
}

impl Store {
    async fn change_held(&self, id: &JobId, lease: &str, changes: Vec<Change>) -> Result<Job, StoreError> {
        let job = self.rows().change(held(id, lease), JOBS.key, changes).await?;
        job.ok_or(StoreError::Stale { what: JOBS.what })
    }

    /// Jobs whose runner died at the last attempt.
    async fn bury(&self, at: UnixMillis) -> Result<(), StoreError> {
        let over = Filter::Every(vec![
            in_state(JobState::Running),
            Filter::Column("due", Compare::AtMost, at.to_value()),
            is("attempts_left", 0_u32.to_value()),
        ]);
        while let Some(job) = self.rows().one::<Job>(over.clone()).await? {
            let mut changes = ended(&job.id, JobState::Dead, at);
            changes.push(Change::Set("error", "its runner ended without a word".into()));
            let same = Filter::Every(vec![keyed(&JOBS, &[job.id.to_value()]), over.clone()]);
            self.rows().change::<Job>(same, JOBS.key, changes).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl JobRepo for Store {
    async fn enqueue(&self, job: &Job) -> Result<(), StoreError> {
        self.rows().add(job).await
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        self.rows().get(&[id.to_value()]).await
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Option<Job>, StoreError> {
        self.bury(claim.at).await?;
        let kinds = claim.kinds.iter().map(|kind| Value::from(*kind)).collect();
        let due = Filter::Every(vec![
            Filter::Among("state", vec![JobState::Waiting.to_value(), JobState::Running.to_value()]),
            Filter::Column("due", Compare::AtMost, claim.at.to_value()),
            Filter::Column("attempts_left", Compare::Above, 0_u32.to_value()),
            Filter::Among("kind", kinds),
        ]);
        let changes = vec![
            Change::Set("state", JobState::Running.to_value()),
            Change::Set("due", claim.at.plus(claim.length).to_value()),
            Change::Set("lease", claim.lease.into()),
            Change::Add("attempts", 1),
            Change::Add("attempts_left", -1),
        ];
        self.rows().change(due, BY_DUE, changes).await
    }

    async fn heartbeat(&self, id: &JobId, lease: &str, until: UnixMillis) -> Result<(), StoreError> {
        self.change_held(id, lease, vec![Change::Raise("due", until.to_value())]).await.map(|_| ())
    }

    async fn complete(&self, id: &JobId, lease: &str, at: UnixMillis) -> Result<(), StoreError> {
        self.change_held(id, lease, ended(id, JobState::Done, at)).await.map(|_| ())
    }

    async fn fail(
        &self,
        id: &JobId,
        lease: &str,
        at: UnixMillis,
        retry: Option<UnixMillis>,
        why: &str,
    ) -> Result<JobState, StoreError> {
        let job: Job =
            self.rows().one(held(id, lease)).await?.ok_or(StoreError::Stale { what: JOBS.what })?;
        let mut changes = match retry {
            Some(retry) if job.attempts_left > 0 => waits_again(retry),
            _ => ended(id, JobState::Dead, at),
        };
        changes.push(Change::Set("error", why.into()));
        self.change_held(id, lease, changes).await.map(|job| job.state)
    }

    async fn release(&self, id: &JobId, lease: &str, at: UnixMillis) -> Result<(), StoreError> {
        let mut changes = waits_again(at);
        changes.extend([Change::Add("attempts", -1), Change::Add("attempts_left", 1)]);
        self.change_held(id, lease, changes).await.map(|_| ())
    }

    async fn list(
        &self,
        state: Option<JobState>,
        after: Option<&JobId>,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        let filter = state.map_or_else(all, in_state);
        self.rows().list(filter, JOBS.key, after.map(|id| vec![id.to_value()]), limit).await
    }

    async fn retry(&self, id: &JobId, only: &str, at: UnixMillis, attempts: u32) -> Result<(), StoreError> {
        let states = vec![JobState::Dead.to_value(), JobState::Cancelled.to_value()];
        let only_ended = vec![Filter::Among("state", states)];
        let changes = vec![
            Change::Set("state", JobState::Waiting.to_value()),
            Change::Set("due", at.to_value()),
            Change::Set("only", only.into()),
            Change::Set("attempts_left", attempts.to_value()),
        ];
        match self.rows().change_if::<Job>(&[id.to_value()], only_ended, changes).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict { .. }) => {
                Err(StoreError::Conflict { what: "a job like this that waits or runs" })
            }
            Err(error) => Err(error),
        }
    }

    async fn cancel(&self, id: &JobId, at: UnixMillis) -> Result<(), StoreError> {
        let states = vec![JobState::Waiting.to_value(), JobState::Running.to_value()];
        let only = vec![Filter::Among("state", states)];
        let changes = ended(id, JobState::Cancelled, at);
        self.rows().change_if::<Job>(&[id.to_value()], only, changes).await.map(drop)
    }

    async fn forget(&self, state: JobState, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        if matches!(state, JobState::Waiting | JobState::Running) {
            return Ok(0);
        }
        let filter =
            Filter::Every(vec![in_state(state), Filter::Column("due", Compare::Below, before.to_value())]);
        self.engine().purge(&JOBS, filter, limit).await
    }
}
