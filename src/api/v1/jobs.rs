//! `/-/api/v1/jobs…`: what waits, runs and failed, and doing something about it. For administrators.
//!
//! Belongs here: paths, answers. Does not: what is done (`jobs`).

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::{Answered, Sorry, limit, next};
use super::asker::{Asked, Asker};
use crate::http::problem::Problem;
use crate::jobs::DeskError;
use crate::jobs::view::JobView;
use crate::store::model::{JobId, JobState};

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(retry))
        .routes(routes!(cancel))
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum JobStateShown {
    Waiting,
    Running,
    Done,
    Dead,
    Cancelled,
}

impl From<JobStateShown> for JobState {
    fn from(state: JobStateShown) -> Self {
        match state {
            JobStateShown::Waiting => Self::Waiting,
            JobStateShown::Running => Self::Running,
            JobStateShown::Done => Self::Done,
            JobStateShown::Dead => Self::Dead,
            JobStateShown::Cancelled => Self::Cancelled,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listed {
    /// Only those in this state.
    state: Option<JobStateShown>,
    /// The last id of the page before.
    after: Option<String>,
    /// Rows of a page; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Jobs {
    jobs: Vec<JobView>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

impl From<DeskError> for Sorry {
    fn from(error: DeskError) -> Self {
        let sentence = error.to_string();
        match error {
            DeskError::NoJob(_) => Problem::not_found(sentence).into(),
            DeskError::State { .. } | DeskError::Another(_) => Problem::conflict(sentence).into(),
            DeskError::Store(error) => error.into(),
        }
    }
}

/// Jobs, in the order of their ids.
#[utoipa::path(get, path = "/jobs", tag = "jobs", operation_id = "listJobs", params(Listed), responses((status = 200, body = Jobs)))]
async fn list(
    State(control): State<Control>,
    asker: Asker,
    Asked(page): Asked<Listed>,
) -> Answered<Json<Jobs>> {
    let desk = control.gate.jobs(&asker.administrator()?).await?;
    let limit = limit(page.limit)?;
    let wrong = || Sorry::from(Problem::bad_request("`after` is the last id of the page before"));
    let after = page.after.as_deref().map(|id| JobId::new(id).ok_or_else(wrong)).transpose()?;
    let rows = desk.page(page.state.map(JobState::from), after.as_ref(), limit).await?;
    let next = next(&rows, limit, |last| last.id.to_string());
    Ok(Json(Jobs { jobs: rows.iter().map(JobView::from).collect(), next }))
}

/// A job, with what it was asked to do and why it failed.
#[utoipa::path(get, path = "/jobs/{id}", tag = "jobs", operation_id = "getJob", params(("id" = String, Path)), responses((status = 200, body = JobView)))]
async fn one(
    State(control): State<Control>,
    asker: Asker,
    Path(id): Path<String>,
) -> Answered<Json<JobView>> {
    let desk = control.gate.jobs(&asker.administrator()?).await?;
    Ok(Json(JobView::from(&desk.job(&id).await?)))
}

/// Lets a dead or cancelled job try again.
#[utoipa::path(post, path = "/jobs/{id}/retry", tag = "jobs", operation_id = "retryJob", params(("id" = String, Path)), responses((status = 200, body = JobView)))]
async fn retry(
    State(control): State<Control>,
    asker: Asker,
    Path(id): Path<String>,
) -> Answered<Json<JobView>> {
    let desk = control.gate.jobs(&asker.administrator()?).await?;
    Ok(Json(JobView::from(&desk.retry(&id).await?)))
}

/// Stops a job that waits or runs; one that runs learns it within seconds.
#[utoipa::path(post, path = "/jobs/{id}/cancel", tag = "jobs", operation_id = "cancelJob", params(("id" = String, Path)), responses((status = 200, body = JobView)))]
async fn cancel(
    State(control): State<Control>,
    asker: Asker,
    Path(id): Path<String>,
) -> Answered<Json<JobView>> {
    let desk = control.gate.jobs(&asker.administrator()?).await?;
    Ok(Json(JobView::from(&desk.cancel(&id).await?)))
}
