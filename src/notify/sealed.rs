//! Letters with a secret in them: written when they are sent, so that the queue never has it.
//!
//! Belongs here: the job. Does not: what such a letter says.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::mail::{Letter, Post};
use crate::jobs::{Failure, Kind};
use crate::store::model::Job;

/// Writes the letter of a job; `None` where nobody is to get one any more.
pub type Write = Arc<dyn Fn(Job) -> BoxFuture<'static, Result<Option<Letter>, Failure>> + Send + Sync>;

/// See the module's description.
pub struct SealedJob {
    /// Its name in the queue.
    pub kind: &'static str,
    /// By whom.
    pub post: Post,
    /// What.
    pub write: Write,
}

#[async_trait]
impl Kind for SealedJob {
    fn name(&self) -> &'static str {
        self.kind
    }

    async fn run(&self, job: &Job) -> Result<(), Failure> {
        match (self.write)(job.clone()).await? {
            Some(letter) => self.post.send(&letter).await,
            None => Ok(()),
        }
    }
}
