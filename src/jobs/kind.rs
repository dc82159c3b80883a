//! What can be done as a job.

use std::time::Duration;

use async_trait::async_trait;

use crate::store::model::Job;

/// One kind of work.
#[async_trait]
pub trait Kind: Send + Sync + 'static {
    /// As rows have it, such as `notify.mail`. Never reused for something else.
    fn name(&self) -> &'static str;

    /// Does it. It may be done twice, and dropped in the middle at any `await`. A panic is a failure like others.
    ///
    /// # Errors
    /// Why it was not done, without secrets: it is shown to whoever lists jobs.
    async fn run(&self, job: &Job) -> Result<(), Failure>;
}

/// Why a job was not done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// It may work later.
    #[error("{0}")]
    Later(String),
    /// It will never work.
    #[error("{0}")]
    Never(String),
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// Done.
    Done,
    /// Failed; it is tried again.
    Failed,
    /// Failed for the last time.
    Dead,
    /// A person stopped it, or another gate took it over.
    Lost,
    /// Given back, because the gate stops.
    Released,
}

/// Who is told what happens.
pub trait Events: Send + Sync + 'static {
    /// An attempt begins.
    fn begun(&self, kind: &str);
    /// It ended.
    fn ended(&self, kind: &str, outcome: Outcome, took: Duration);
    /// It ended by a panic; [`Events::ended`] comes too.
    fn panicked(&self, kind: &str);
    /// A job is dead.
    fn dead(&self, job: &Job, why: &str);
}
