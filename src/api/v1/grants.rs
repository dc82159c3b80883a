//! `/-/api/v1/grants…`: rights on channels beside those in the rules. For administrators.
//!
//! Belongs here: paths, bodies, answers. Does not: what rights mean (`policy::access`).

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::{Answered, expected, limit, next, tag_of, tagged};
use super::asker::{Asked, Asker, Body};
use crate::http::problem::Problem;
use crate::people::view::GrantView;
use crate::people::{People, PeopleError, Who};
use crate::policy::access::Right;
use crate::store::model::Grant;

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(one, remove))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listed {
    /// Only those of this user.
    user: Option<String>,
    /// Only those of this group.
    group: Option<String>,
    /// The last id of the page before.
    after: Option<String>,
    /// Rows of a page; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Grants {
    grants: Vec<GrantView>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RightShown {
    Read,
    Write,
    Manage,
}

impl From<RightShown> for Right {
    fn from(right: RightShown) -> Self {
        match right {
            RightShown::Read => Self::Read,
            RightShown::Write => Self::Write,
            RightShown::Manage => Self::Manage,
        }
    }
}

/// A right to be given: to a `user` or to a `group`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewGrant {
    /// A name, or a glob such as `team-*`.
    channels: String,
    right: RightShown,
    user: Option<String>,
    group: Option<String>,
}

fn who(user: Option<String>, group: Option<String>) -> Answered<Option<Who>> {
    match (user, group) {
        (Some(user), None) => Ok(Some(Who::User(user))),
        (None, Some(group)) => Ok(Some(Who::Group(group))),
        (None, None) => Ok(None),
        _ => Err(Problem::unprocessable("name a `user` or a `group`, one of them").into()),
    }
}

async fn found(people: &People, id: &str) -> Answered<(Grant, GrantView)> {
    let grant = people.grant(id).await?;
    let grant = grant.ok_or_else(|| Problem::not_found("there is no grant with this id"))?;
    let name = people.names().subject(&grant.subject).await?;
    let view = GrantView::new(&grant, name);
    Ok((grant, view))
}

/// Grants, in the order of their ids.
#[utoipa::path(get, path = "/grants", tag = "grants", operation_id = "listGrants", params(Listed), responses((status = 200, body = Grants)))]
async fn list(
    State(control): State<Control>,
    asker: Asker,
    Asked(page): Asked<Listed>,
) -> Answered<Json<Grants>> {
    asker.administrator()?;
    let (people, limit) = (control.people().await?, limit(page.limit)?);
    let subject = match who(page.user, page.group)? {
        Some(who) => Some(people.subject(&who).await?),
        None => None,
    };
    let after = match &page.after {
        Some(id) => Some(found(&people, id).await?.0),
        None => None,
    };
    let rows = people.grants(subject.as_ref(), after.as_ref(), limit).await?;
    let next = next(&rows, limit, |last| last.id.to_string());
    let (mut names, mut grants) = (people.names(), Vec::with_capacity(rows.len()));
    for grant in &rows {
        grants.push(GrantView::new(grant, names.subject(&grant.subject).await?));
    }
    Ok(Json(Grants { grants, next }))
}

/// Gives a right. Giving it again changes nothing.
#[utoipa::path(post, path = "/grants", tag = "grants", operation_id = "createGrant", request_body = NewGrant, responses((status = 201, body = GrantView), (status = 200, description = "there was such a grant before", body = GrantView)))]
async fn create(
    State(control): State<Control>,
    asker: Asker,
    Body(new): Body<NewGrant>,
) -> Answered<Response> {
    let by = asker.administrator()?;
    let nobody = || Problem::unprocessable("name a `user` or a `group`, one of them");
    let who = who(new.user, new.group)?.ok_or_else(nobody)?;
    let given = control.people().await?.give(&by, &new.channels, &who, new.right.into()).await?;
    let status = if given.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(GrantView::new(&given.grant, Some(given.name)))).into_response())
}

/// A grant.
#[utoipa::path(get, path = "/grants/{id}", tag = "grants", operation_id = "getGrant", params(("id" = String, Path)), responses((status = 200, body = GrantView), (status = 304)))]
async fn one(
    State(control): State<Control>,
    asker: Asker,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answered<Response> {
    asker.administrator()?;
    let (grant, view) = found(&control.people().await?, &id).await?;
    Ok(tagged(&headers, &tag_of(&grant.id, grant.revision), &view))
}

/// Takes a right away.
#[utoipa::path(delete, path = "/grants/{id}", tag = "grants", operation_id = "deleteGrant", params(("id" = String, Path)), responses((status = 204)))]
async fn remove(
    State(control): State<Control>,
    asker: Asker,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answered<StatusCode> {
    let by = asker.administrator()?;
    let people = control.people().await?;
    let (grant, _) = found(&people, &id).await?;
    let expected = expected(&headers, &tag_of(&grant.id, grant.revision), grant.revision)?;
    if !people.take_grant(&by, &grant).await? && expected.is_some() {
        return Err(PeopleError::Changed.into());
    }
    Ok(StatusCode::NO_CONTENT)
}
