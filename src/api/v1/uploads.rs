//! `/-/api/v1/uploads…`: uploads that were announced and are not finished. Everybody their own, administrators all.
//!
//! Belongs here: paths, answers. Does not: the uploads (`api::dialects`).

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::{Answered, limit};
use super::asker::{Asked, Asker};
use crate::api::dialects::Told;
use crate::channel::{Author, HostError};
use crate::http::date::rfc3339;
use crate::http::problem::Problem;

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one, give_up))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listed {
    /// Everybody's; for administrators.
    all: Option<bool>,
    /// The last id of the page before.
    after: Option<String>,
    /// Rows of a page; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// An upload that was announced and is not finished.
#[derive(Serialize, ToSchema)]
struct Upload {
    id: String,
    /// Who announced it.
    by: String,
    channel: String,
    /// Where the announcement said it.
    subdir: Option<String>,
    file: String,
    /// `main` where no other was given.
    labels: Vec<String>,
    /// `announced`; `arriving`: bytes are on their way; `in_parts`: some parts are here; `arrived`: all of it is here and has not been published
    state: &'static str,
    /// Bytes, if the announcement said so.
    size: Option<u64>,
    /// Bytes that are here, as far as known.
    here: Option<u64>,
    /// When it was announced.
    announced: String,
    /// Seconds since then.
    age: u64,
    /// It is forgotten then.
    expires: String,
}

#[derive(Serialize, ToSchema)]
struct Uploads {
    uploads: Vec<Upload>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

impl Control {
    /// Uploads that the caller may look at.
    async fn unfinished(&self, asker: &Asker, all: bool) -> Answered<Vec<Told>> {
        let who = asker.known()?;
        if !self.stages.is_recalled(&self.sight.hosting).await {
            return Err(Problem::unavailable("the gate's disk can't be read; try again shortly").into());
        }
        Ok(self.stages.unfinished((!all).then(|| who.actor())))
    }

    async fn shown(&self, uploads: Vec<Told>) -> Answered<Vec<Upload>> {
        let (people, now) = (self.people().await?, self.clock.now());
        let (mut names, mut shown) = (people.names(), Vec::with_capacity(uploads.len()));
        for told in uploads {
            let main = || vec!["main".to_owned()];
            shown.push(Upload {
                by: names.actor(&told.actor).await?.unwrap_or_else(|| told.actor.clone()),
                channel: told.dist.owner.to_string(),
                subdir: told.dist.subdir.as_ref().map(ToString::to_string),
                file: told.dist.archive.to_string(),
                labels: if told.labels.is_empty() { main() } else { told.labels },
                state: told.state,
                size: told.size,
                here: told.here,
                announced: rfc3339(told.begun),
                age: now.since(told.begun).as_secs(),
                expires: rfc3339(told.until),
                id: told.id,
            });
        }
        Ok(shown)
    }
}

/// Uploads with clients of anaconda.org and Cloudsmith that were announced and are not finished, in the order of their ids. Other clients send a
/// package in one request, and leave nothing behind.
#[utoipa::path(get, path = "/uploads", tag = "uploads", operation_id = "listUploads", params(Listed), responses((status = 200, body = Uploads)))]
async fn list(
    State(control): State<Control>,
    asker: Asker,
    Asked(page): Asked<Listed>,
) -> Answered<Json<Uploads>> {
    let all = page.all == Some(true);
    if all {
        asker.administrator()?;
    }
    let limit = limit(page.limit)? as usize;
    let mut uploads = control.unfinished(&asker, all).await?;
    if let Some(after) = &page.after {
        uploads.retain(|upload| upload.id > *after);
    }
    let next = uploads.get(limit - 1).filter(|_| uploads.len() > limit).map(|last| last.id.clone());
    uploads.truncate(limit);
    Ok(Json(Uploads { uploads: control.shown(uploads).await?, next }))
}

fn none() -> Problem {
    Problem::not_found("there is no such upload of yours that is not finished")
}

/// An upload that is not finished.
#[utoipa::path(get, path = "/uploads/{id}", tag = "uploads", operation_id = "getUpload", params(("id" = String, Path)), responses((status = 200, body = Upload)))]
async fn one(State(control): State<Control>, asker: Asker, Path(id): Path<String>) -> Answered<Json<Upload>> {
    let mut uploads = control.unfinished(&asker, asker.administrator().is_ok()).await?;
    uploads.retain(|upload| upload.id == id);
    Ok(Json(control.shown(uploads).await?.pop().ok_or_else(none)?))
}

/// Gives an upload up. What was here of it is deleted at once.
#[utoipa::path(delete, path = "/uploads/{id}", tag = "uploads", operation_id = "giveUpUpload", params(("id" = String, Path)), responses((status = 204)))]
async fn give_up(
    State(control): State<Control>,
    asker: Asker,
    Path(id): Path<String>,
) -> Answered<StatusCode> {
    let actor = asker.known()?.actor().to_owned();
    let nobody = || HostError::Unauthenticated("this needs a credential".to_owned());
    let author = Author::of(&asker.0).ok_or_else(nobody)?;
    control.unfinished(&asker, false).await?;
    let whose = asker.administrator().is_err().then_some(actor.as_str());
    if control.stages.give_up(&control.sight.hosting, (&author, &id), whose).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(none().into())
}
