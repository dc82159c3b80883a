//! What may be shown of a job.

use serde::Serialize;
use serde_json::Value;

use crate::http::date::rfc3339;
use crate::store::model::{Job, JobState};

/// A job.
#[derive(Clone, PartialEq, Debug, Serialize, utoipa::ToSchema)]
pub struct JobView {
    /// Its id.
    pub id: String,
    /// What it does.
    pub kind: String,
    /// `waiting`, `running`, `done`, `dead` or `cancelled`.
    pub state: &'static str,
    /// When it was ordered.
    pub created: String,
    /// When it is tried next; of a running one when its lease ends, of others when they ended.
    pub due: String,
    /// How often it was tried.
    pub attempts: u32,
    /// How often it may still be tried.
    pub attempts_left: u32,
    /// Why it failed last.
    pub error: Option<String>,
    /// With what.
    pub input: Value,
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        Self {
            id: job.id.to_string(),
            kind: job.kind.clone(),
            state: job.state.as_str(),
            created: rfc3339(job.created),
            due: rfc3339(job.due),
            attempts: job.attempts,
            attempts_left: if job.state == JobState::Done { 0 } else { job.attempts_left },
            error: job.error.clone(),
            input: serde_json::from_str(&job.input).unwrap_or_default(),
        }
    }
}
