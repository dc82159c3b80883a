//! `/-/api/v1/groups…`: groups and who is in them. For administrators.
//!
//! Belongs here: paths, bodies, answers. Does not: what groups may do (`people`, `policy`).

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::{Answered, Listed, expected, limit, next, tag_of, tagged};
use super::asker::{Asked, Asker, Body};
use crate::people::view::GroupView;
use crate::people::{People, Seen};
use crate::store::model::Group;

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(one, remove))
        .routes(routes!(members))
        .routes(routes!(join, leave))
}

#[derive(Serialize, ToSchema)]
struct Groups {
    groups: Vec<GroupView>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Members {
    /// Names, sorted within the page.
    members: Vec<String>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

/// Names that come along with a group.
const SHOWN: u32 = 100;

/// A group to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewGroup {
    name: String,
    #[serde(default)]
    description: String,
}

async fn viewed(people: &People, group: &Group) -> Answered<GroupView> {
    let (members, next) = people.members_page(group, None, SHOWN).await?;
    Ok(GroupView { more: next.is_some(), ..GroupView::new(group, members) })
}

/// Changes with who is in it.
fn tag(group: &Group) -> String {
    tag_of(&group.id, group.revision)
}

/// The group as the client has seen it.
fn seen<'a>(group: &'a Group, headers: &HeaderMap) -> Answered<Seen<'a>> {
    Ok(Seen::at(&group.name, expected(headers, &tag(group), group.revision)?))
}

/// Groups, in the order of their names.
#[utoipa::path(get, path = "/groups", tag = "groups", operation_id = "listGroups", params(Listed), responses((status = 200, body = Groups)))]
async fn list(
    State(control): State<Control>,
    asker: Asker,
    Asked(page): Asked<Listed>,
) -> Answered<Json<Groups>> {
    asker.administrator()?;
    let (people, limit) = (control.people().await?, limit(page.limit)?);
    let after = match &page.after {
        Some(name) => Some(people.group(name).await?),
        None => None,
    };
    let rows = people.groups(after.as_ref(), limit).await?;
    let next = next(&rows, limit, |last| last.name.clone());
    let mut groups = Vec::with_capacity(rows.len());
    for group in &rows {
        groups.push(viewed(&people, group).await?);
    }
    Ok(Json(Groups { groups, next }))
}

/// Makes a group.
#[utoipa::path(post, path = "/groups", tag = "groups", operation_id = "createGroup", request_body = NewGroup, responses((status = 201, body = GroupView)))]
async fn create(
    State(control): State<Control>,
    asker: Asker,
    Body(new): Body<NewGroup>,
) -> Answered<Response> {
    let by = asker.administrator()?;
    let group = control.people().await?.create_group(&by, &new.name, &new.description).await?;
    Ok((StatusCode::CREATED, Json(GroupView::new(&group, Vec::new()))).into_response())
}

/// A group, with the first hundred of who is in it.
#[utoipa::path(get, path = "/groups/{group}", tag = "groups", operation_id = "getGroup", params(("group" = String, Path)), responses((status = 200, body = GroupView), (status = 304)))]
async fn one(
    State(control): State<Control>,
    asker: Asker,
    Path(group): Path<String>,
    headers: HeaderMap,
) -> Answered<Response> {
    asker.administrator()?;
    let people = control.people().await?;
    let group = people.group(&group).await?;
    let view = viewed(&people, &group).await?;
    Ok(tagged(&headers, &tag(&group), &view))
}

/// Deletes a group, with its rights.
#[utoipa::path(delete, path = "/groups/{group}", tag = "groups", operation_id = "deleteGroup", params(("group" = String, Path)), responses((status = 204)))]
async fn remove(
    State(control): State<Control>,
    asker: Asker,
    Path(group): Path<String>,
    headers: HeaderMap,
) -> Answered<StatusCode> {
    let by = asker.administrator()?;
    let people = control.people().await?;
    let group = people.group(&group).await?;
    people.delete_group(&by, seen(&group, &headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is in a group, in the order of their ids.
#[utoipa::path(get, path = "/groups/{group}/members", tag = "groups", operation_id = "listMembers", params(("group" = String, Path), Listed), responses((status = 200, body = Members)))]
async fn members(
    State(control): State<Control>,
    asker: Asker,
    Path(group): Path<String>,
    Asked(page): Asked<Listed>,
) -> Answered<Json<Members>> {
    asker.administrator()?;
    let (people, limit) = (control.people().await?, limit(page.limit)?);
    let group = people.group(&group).await?;
    let (members, next) = people.members_page(&group, page.after.as_deref(), limit).await?;
    Ok(Json(Members { members, next }))
}

/// Puts a user into a group. Doing it again changes nothing.
#[utoipa::path(put, path = "/groups/{group}/members/{username}", tag = "groups", operation_id = "joinGroup", params(("group" = String, Path), ("username" = String, Path)), responses((status = 204)))]
async fn join(
    State(control): State<Control>,
    asker: Asker,
    Path((group, username)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answered<StatusCode> {
    let by = asker.administrator()?;
    let people = control.people().await?;
    let group = people.group(&group).await?;
    people.join(&by, seen(&group, &headers)?, &[username]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a user out of a group. Doing it again changes nothing.
#[utoipa::path(delete, path = "/groups/{group}/members/{username}", tag = "groups", operation_id = "leaveGroup", params(("group" = String, Path), ("username" = String, Path)), responses((status = 204)))]
async fn leave(
    State(control): State<Control>,
    asker: Asker,
    Path((group, username)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answered<StatusCode> {
    let by = asker.administrator()?;
    let people = control.people().await?;
    let group = people.group(&group).await?;
    people.leave(&by, seen(&group, &headers)?, &[username]).await?;
    Ok(StatusCode::NO_CONTENT)
}
