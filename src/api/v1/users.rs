//! `/-/api/v1/users…`: who there is. For administrators.
//!
//! Belongs here: paths, bodies, answers. Does not: what users are (`people`).

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
use crate::people::view::UserView;
use crate::people::{Account, NewUser, Seen, UserState};
use crate::secret::Secret;
use crate::store::model::User;

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(one, change, remove))
        .routes(routes!(set_password))
}

#[derive(Serialize, ToSchema)]
struct Users {
    users: Vec<UserView>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUserBody {
    /// As people write it; however its letters are written, it is one name.
    username: String,
    email: Option<String>,
    /// May do everything.
    #[serde(default)]
    superuser: bool,
    /// A machine's account: tokens only, no password.
    #[serde(default)]
    service: bool,
    /// For people.
    #[schema(value_type = Option<String>, write_only)]
    password: Option<Secret<String>>,
}

/// What is to change; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UserChange {
    superuser: Option<bool>,
    /// Let in nowhere, or let in again.
    disabled: Option<bool>,
    /// Where a code for a new password is sent; an empty one takes it away.
    email: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    #[schema(value_type = String, write_only)]
    password: Secret<String>,
}

/// Users, in the order of their names.
#[utoipa::path(get, path = "/users", tag = "users", operation_id = "listUsers", params(Listed), responses((status = 200, body = Users)))]
async fn list(
    State(control): State<Control>,
    asker: Asker,
    Asked(page): Asked<Listed>,
) -> Answered<Json<Users>> {
    asker.administrator()?;
    let (people, limit) = (control.people().await?, limit(page.limit)?);
    let after = match &page.after {
        Some(name) => Some(people.user(name).await?),
        None => None,
    };
    let rows = people.users(after.as_ref(), limit).await?;
    let next = next(&rows, limit, |last| last.name.clone());
    Ok(Json(Users { users: rows.iter().map(UserView::from).collect(), next }))
}

/// Makes a user.
#[utoipa::path(post, path = "/users", tag = "users", operation_id = "createUser", request_body = NewUserBody, responses((status = 201, body = UserView)))]
async fn create(
    State(control): State<Control>,
    asker: Asker,
    Body(new): Body<NewUserBody>,
) -> Answered<Response> {
    let by = asker.administrator()?;
    let account = match (new.service, new.password) {
        (true, None) => Account::Service,
        (false, Some(password)) => {
            asker.secrets()?;
            Account::Person(password)
        }
        _ => {
            return Err(crate::http::problem::Problem::unprocessable(
                "a person has a `password`, and a `service` account has none",
            )
            .into());
        }
    };
    let new = NewUser { name: new.username, email: new.email, superuser: new.superuser, account };
    let user = control.people().await?.create_user(&by, new).await?;
    let headers = [("etag", tag_of(&user.id, user.revision))];
    Ok((StatusCode::CREATED, headers, Json(UserView::from(&user))).into_response())
}

/// A user.
#[utoipa::path(get, path = "/users/{username}", tag = "users", operation_id = "getUser", params(("username" = String, Path)), responses((status = 200, body = UserView), (status = 304)))]
async fn one(
    State(control): State<Control>,
    asker: Asker,
    Path(username): Path<String>,
    headers: HeaderMap,
) -> Answered<Response> {
    asker.administrator()?;
    let user = control.people().await?.user(&username).await?;
    Ok(tagged(&headers, &tag_of(&user.id, user.revision), &UserView::from(&user)))
}

/// The user as the client has seen them.
fn seen<'a>(user: &'a User, headers: &HeaderMap) -> Answered<Seen<'a>> {
    Ok(Seen::at(&user.name, expected(headers, &tag_of(&user.id, user.revision), user.revision)?))
}

/// Changes a user: all that is said, or nothing.
#[utoipa::path(patch, path = "/users/{username}", tag = "users", operation_id = "changeUser", params(("username" = String, Path)), request_body = UserChange, responses((status = 200, body = UserView)))]
async fn change(
    State(control): State<Control>,
    asker: Asker,
    Path(username): Path<String>,
    headers: HeaderMap,
    Body(change): Body<UserChange>,
) -> Answered<Response> {
    let by = asker.administrator()?;
    let people = control.people().await?;
    let user = people.user(&username).await?;
    let to = UserState { superuser: change.superuser, disabled: change.disabled, email: change.email };
    let (user, _) = people.set_state(&by, seen(&user, &headers)?, to).await?;
    Ok(tagged(&HeaderMap::new(), &tag_of(&user.id, user.revision), &UserView::from(&user)))
}

/// Deletes a user, with all tokens, sessions and rights.
#[utoipa::path(delete, path = "/users/{username}", tag = "users", operation_id = "deleteUser", params(("username" = String, Path)), responses((status = 204)))]
async fn remove(
    State(control): State<Control>,
    asker: Asker,
    Path(username): Path<String>,
    headers: HeaderMap,
) -> Answered<StatusCode> {
    let by = asker.administrator()?;
    let people = control.people().await?;
    let user = people.user(&username).await?;
    people.delete_user(&by, seen(&user, &headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a user another password, and ends their sessions; tokens stay.
#[utoipa::path(put, path = "/users/{username}/password", tag = "users", operation_id = "setPassword", params(("username" = String, Path)), request_body = NewPassword, responses((status = 204)))]
async fn set_password(
    State(control): State<Control>,
    asker: Asker,
    Path(username): Path<String>,
    headers: HeaderMap,
    Body(new): Body<NewPassword>,
) -> Answered<StatusCode> {
    let by = asker.administrator()?;
    asker.secrets()?;
    let people = control.people().await?;
    let user = people.user(&username).await?;
    people.set_password(&by, seen(&user, &headers)?, &new.password).await?;
    Ok(StatusCode::NO_CONTENT)
}
