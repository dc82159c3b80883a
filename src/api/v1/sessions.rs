//! `/-/api/v1/sessions…`: where somebody is signed in, and ending it. Everybody their own.
//!
//! Belongs here: paths, answers. Does not: logging in (`accounts`), what sessions are (`identity`).

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::{Answered, Listed, limit, next};
use super::asker::{Asked, Asker};
use crate::http::problem::Problem;
use crate::people::view::SessionView;

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(end))
}

#[derive(Serialize, ToSchema)]
struct Sessions {
    sessions: Vec<SessionView>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

/// Your sessions, in the order of their ids.
#[utoipa::path(get, path = "/sessions", tag = "sessions", operation_id = "listSessions", params(Listed), responses((status = 200, body = Sessions)))]
async fn list(
    State(control): State<Control>,
    asker: Asker,
    Asked(page): Asked<Listed>,
) -> Answered<Json<Sessions>> {
    let who = asker.whole()?;
    let (people, limit) = (control.people().await?, limit(page.limit)?);
    let user = people.user(&who.name).await?;
    let rows = people.sessions(&user, page.after.as_deref(), limit).await?;
    let next = next(&rows, limit, |last| last.id.to_string());
    Ok(Json(Sessions { sessions: rows.iter().map(SessionView::from).collect(), next }))
}

/// Ends a session of yours. Access tokens that it gave out stay good for their few minutes.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", operation_id = "endSession", params(("id" = String, Path)), responses((status = 204)))]
async fn end(State(control): State<Control>, asker: Asker, Path(id): Path<String>) -> Answered<StatusCode> {
    let who = asker.whole()?;
    let people = control.people().await?;
    let user = people.user(&who.name).await?;
    if people.end_session(&asker.by(), &user, &id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found("there is no such session of yours").into())
}
