//! `/-/api/v1/tokens…`: made, listed, rotated, revoked; everybody their own, administrators all.
//!
//! Belongs here: paths, bodies, answers. Does not: what a token may be (`people`).

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::{Answered, Sorry, expected, limit, next, tag_of, tagged};
use super::asker::{Asked, Asker, Body};
use crate::http::problem::Problem;
use crate::people::view::{IssuedView, TokenView};
use crate::people::{Life, NewToken, People, Seen};
use crate::policy::access::Scope;
use crate::policy::units::duration;
use crate::store::model::{Token, User};

/// How long an old token is good when it is rotated and nothing else is said.
const OVERLAP: Duration = Duration::from_hours(24);

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(one, revoke)).routes(routes!(rotate))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listed {
    /// Whose; for administrators. Your own where nothing is said.
    user: Option<String>,
    /// Everybody's; for administrators.
    all: Option<bool>,
    /// The last id of the page before.
    after: Option<String>,
    /// Rows of a page; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Tokens {
    tokens: Vec<TokenView>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTokenBody {
    /// For people.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Such as `read:*`, `write:team`; reading all that its owner may read where nothing is said.
    #[serde(default)]
    scopes: Vec<String>,
    /// Such as `90d`, or `never`; as long as the settings say where nothing is said.
    expires: Option<String>,
    /// Whose; for administrators. Your own where nothing is said.
    user: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// How long the old one is good beside the new one, such as `1h`; a day where nothing is said.
    overlap: Option<String>,
}

impl Asker {
    /// Whose tokens are meant: the asker's own, or those of somebody else, for administrators.
    async fn owner(&self, people: &People, user: Option<&str>) -> Answered<User> {
        let who = self.whole()?;
        match user {
            Some(name) if !name.eq_ignore_ascii_case(&who.name) => {
                self.administrator()?;
                Ok(people.user(name).await?)
            }
            _ => Ok(people.user(&who.name).await?),
        }
    }

    /// A token that the asker may know of.
    async fn token(&self, people: &People, id: &str) -> Answered<Token> {
        let who = self.whole()?;
        let nothing = || Sorry::from(Problem::not_found("there is no such token of yours"));
        let found = people.token(id).await;
        if self.administrator().is_ok() {
            return Ok(found?);
        }
        let token = found.map_err(|_| nothing())?;
        let is_theirs = token.id.to_string() == id && who.user.as_ref() == Some(&token.owner);
        is_theirs.then_some(token).ok_or_else(nothing)
    }
}

/// Tokens, in the order of their ids. None of them has its secret.
#[utoipa::path(get, path = "/tokens", tag = "tokens", operation_id = "listTokens", params(Listed), responses((status = 200, body = Tokens)))]
async fn list(
    State(control): State<Control>,
    asker: Asker,
    Asked(page): Asked<Listed>,
) -> Answered<Json<Tokens>> {
    let (people, limit) = (control.people().await?, limit(page.limit)?);
    let owner = if page.all == Some(true) {
        asker.administrator()?;
        None
    } else {
        Some(asker.owner(&people, page.user.as_deref()).await?)
    };
    let after = match &page.after {
        Some(id) => Some(asker.token(&people, id).await?),
        None => None,
    };
    let rows = people.tokens(owner.as_ref(), after.as_ref(), limit).await?;
    let next = next(&rows, limit, |last| last.id.to_string());
    let (mut names, mut tokens) = (people.names(), Vec::with_capacity(rows.len()));
    for token in &rows {
        tokens.push(TokenView::new(token, names.user(&token.owner).await?, control.clock.now()));
    }
    Ok(Json(Tokens { tokens, next }))
}

/// Makes a token. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/tokens", tag = "tokens", operation_id = "createToken", request_body = NewTokenBody, responses((status = 201, body = IssuedView)))]
async fn create(
    State(control): State<Control>,
    asker: Asker,
    Body(new): Body<NewTokenBody>,
) -> Answered<Response> {
    let people = control.people().await?;
    let owner = asker.owner(&people, new.user.as_deref()).await?;
    asker.secrets()?;
    let scopes = new.scopes.iter().map(|text| Scope::parse(text)).collect::<Result<_, _>>();
    let scopes = scopes.map_err(|error| Problem::unprocessable(error.to_string()))?;
    let life = match new.expires.as_deref() {
        None => Life::Usual,
        Some("never") => Life::Endless,
        Some(text) => Life::For(time(text, "expires")?),
    };
    let new = NewToken { owner: owner.name, name: new.name, scopes, life };
    let issued = people.create_token(&asker.by(), new).await?;
    Ok((StatusCode::CREATED, Json(IssuedView::from(&issued))).into_response())
}

fn time(text: &str, what: &str) -> Answered<Duration> {
    let wrong = || Problem::unprocessable(format!("`{what}` is a time with a unit, such as `90d` or `12h`"));
    duration(text).ok_or_else(|| wrong().into())
}

async fn viewed(control: &Control, people: &People, token: &Token) -> Answered<TokenView> {
    let owner = people.names().user(&token.owner).await?;
    Ok(TokenView::new(token, owner, control.clock.now()))
}

/// A token, without its secret. The beginning of an id will do for administrators.
#[utoipa::path(get, path = "/tokens/{id}", tag = "tokens", operation_id = "getToken", params(("id" = String, Path)), responses((status = 200, body = TokenView), (status = 304)))]
async fn one(
    State(control): State<Control>,
    asker: Asker,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answered<Response> {
    let people = control.people().await?;
    let token = asker.token(&people, &id).await?;
    let view = viewed(&control, &people, &token).await?;
    Ok(tagged(&headers, &tag_of(&token.id, token.revision), &view))
}

/// The token as the client has seen it.
fn seen<'a>(token: &'a Token, headers: &HeaderMap) -> Answered<Seen<'a>> {
    Ok(Seen::at(token.id.as_str(), expected(headers, &tag_of(&token.id, token.revision), token.revision)?))
}

/// Revokes a token, for good.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", operation_id = "revokeToken", params(("id" = String, Path)), responses((status = 204)))]
async fn revoke(
    State(control): State<Control>,
    asker: Asker,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answered<StatusCode> {
    let people = control.people().await?;
    let token = asker.token(&people, &id).await?;
    people.revoke_token(&asker.by(), seen(&token, &headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a token that takes another's place. For its owner; the secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/tokens/{id}/rotate", tag = "tokens", operation_id = "rotateToken", params(("id" = String, Path)), request_body = Rotation, responses((status = 201, body = IssuedView)))]
async fn rotate(
    State(control): State<Control>,
    asker: Asker,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(rotation): Body<Rotation>,
) -> Answered<Response> {
    asker.secrets()?;
    let overlap = rotation.overlap.as_deref().map_or(Ok(OVERLAP), |text| time(text, "overlap"))?;
    let people = control.people().await?;
    let token = asker.token(&people, &id).await?;
    let (issued, _) = people.rotate_token(&asker.by(), seen(&token, &headers)?, overlap).await?;
    Ok((StatusCode::CREATED, Json(IssuedView::from(&issued))).into_response())
}
