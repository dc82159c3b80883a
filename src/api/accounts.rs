//! `/-/api/v1/session`, `/-/api/v1/setup`, `/-/api/v1/password/…`, `/-/api/v1/me`, `/-/jwks.json`: logging in, staying so, the first
//! administrator, passwords that were forgotten.
//!
//! Belongs here: bodies and answers. Does not: proving who somebody is (`identity`), users (`people`), whether a request may come in
//! the clear (`proxy`, which says so in [`Visitor`]).

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::credential::{Credential, Form, Presented};
use crate::http::problem::{MEDIA_TYPE, Problem};
use crate::identity::{Identity, Issued, Visitor};
use crate::people::reset::SendCode;
use crate::people::{By, People, PeopleError, setup};
use crate::secret::Secret;
use crate::snapshot::people::Refused;
use crate::store::StoreError;

/// A refusal, which is an answer too.
struct Refusal(Box<Response>);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}

fn refusal(answer: Response) -> Refusal {
    Refusal(Box::new(answer))
}

type Answered<T> = Result<T, Refusal>;

fn problem(visitor: &Visitor, problem: &Problem) -> Response {
    let body = problem.to_json(visitor.request);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
    if let Some(seconds) = problem.retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

fn refused(visitor: &Visitor, refused: &Refused) -> Response {
    let sentence = refused.to_string();
    problem(
        visitor,
        &match refused {
            Refused::Unavailable(_) => Problem::unavailable(sentence).with_retry_after(5),
            Refused::SlowDown { seconds } => Problem::too_many_requests(sentence).with_retry_after(*seconds),
            _ => Problem::unauthorized(sentence),
        },
    )
}

/// Refuses secrets that others can read on the way.
fn check_way(visitor: &Visitor) -> Answered<()> {
    if visitor.may_send_secrets {
        Ok(())
    } else {
        Err(refusal(problem(visitor, &Problem::forbidden(IN_THE_CLEAR))))
    }
}

fn read<T: for<'de> Deserialize<'de>>(visitor: &Visitor, body: &[u8], shape: &str) -> Answered<T> {
    serde_json::from_slice(body).map_err(|_| {
        // What the parser says may repeat a part of the body, which has a secret in it.
        let sentence = format!("the body must be a JSON object with {shape}, each a text, and nothing else");
        refusal(problem(visitor, &Problem::bad_request(sentence)))
    })
}

const IN_THE_CLEAR: &str = "passwords and sessions over plain HTTP can be read by others on the way, so none was looked at; come by https:// or \
                            from the gate's own machine, or let the administrator set `security: {allow_plaintext: true}`";

/// What the routes need.
#[derive(Clone)]
pub struct Accounts {
    /// Proves who somebody is.
    pub identity: Arc<Identity>,
    /// Makes users, once the store is open.
    pub people: Open,
    /// The directory of the set-up code.
    pub data: PathBuf,
    /// Sends codes to those who have forgotten their password; `None` where there is no mail.
    pub send_code: Option<SendCode>,
}

/// The longest body that is taken; all are small documents.
const LONGEST: usize = 64 * 1024;

/// Opens what makes users.
pub type Open = Arc<dyn Fn() -> BoxFuture<'static, Result<People, StoreError>> + Send + Sync>;

/// The routes, below `/-`.
pub fn router(accounts: Accounts) -> Router {
    Router::new()
        .route("/jwks.json", get(jwks))
        .route("/api/v1/session", post(log_in).delete(log_out))
        .route("/api/v1/session/refresh", post(renew))
        .route("/api/v1/me", get(me))
        .route("/api/v1/me/password", put(own_password))
        .route("/api/v1/setup", post(set_up))
        .route("/api/v1/password/forgot", post(forgot))
        .route("/api/v1/password/reset", post(reset))
        .layer(DefaultBodyLimit::max(LONGEST))
        .with_state(accounts)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    username: String,
    password: Secret<String>,
}

async fn log_in(
    State(accounts): State<Accounts>,
    Extension(visitor): Extension<Visitor>,
    body: axum::body::Bytes,
) -> Answered<Response> {
    check_way(&visitor)?;
    let login: Login = read(&visitor, &body, "`username` and `password`")?;
    let issued = accounts.identity.log_in(&login.username, &login.password, &visitor).await;
    issued.map(|issued| told(&issued)).map_err(|error| refusal(refused(&visitor, &error)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renewal {
    refresh_token: Secret<String>,
}

async fn renew(
    State(accounts): State<Accounts>,
    Extension(visitor): Extension<Visitor>,
    body: axum::body::Bytes,
) -> Answered<Response> {
    check_way(&visitor)?;
    let renewal: Renewal = read(&visitor, &body, "`refresh_token`")?;
    let issued = accounts.identity.renew(&renewal.refresh_token, &visitor).await;
    issued.map(|issued| told(&issued)).map_err(|error| refusal(refused(&visitor, &error)))
}

async fn log_out(
    State(accounts): State<Accounts>,
    Extension(visitor): Extension<Visitor>,
    body: axum::body::Bytes,
) -> Answered<Response> {
    check_way(&visitor)?;
    let renewal: Renewal = read(&visitor, &body, "`refresh_token`")?;
    let done = accounts.identity.log_out(&renewal.refresh_token, &visitor).await;
    done.map(|()| StatusCode::NO_CONTENT.into_response()).map_err(|error| refusal(refused(&visitor, &error)))
}

/// As OAuth names them (RFC 6749 section 5.1), so that clients' libraries know what to do.
fn told(issued: &Issued) -> Response {
    let millis = |at: crate::clock::UnixMillis| at.seconds();
    let body = json!({
        "access_token": issued.access.reveal(),
        "token_type": "Bearer",
        "expires_at": millis(issued.access_expires),
        "refresh_token": issued.refresh.reveal(),
        "refresh_expires_at": millis(issued.refresh_expires),
        "user": &*issued.user,
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

async fn me(Extension(visitor): Extension<Visitor>) -> Json<Value> {
    Json(match &visitor.principal {
        None => json!({"user": null}),
        Some(principal) => json!({
            "user": &*principal.name,
            "id": principal.user.as_ref().map(ToString::to_string),
            "superuser": principal.is_superuser(),
            "groups": principal.groups(),
            "token": principal.token.as_ref().map(ToString::to_string),
            "scopes": principal.scopes(),
            "expires_at": principal.expires.map(crate::clock::UnixMillis::seconds),
        }),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnPassword {
    current: Secret<String>,
    password: Secret<String>,
}

const NOBODY: &str = "this needs a credential: a token, or the access token of a session";

/// Whoever finds an open session or a token must not take the account over, so the present password is asked for.
async fn own_password(
    State(accounts): State<Accounts>,
    Extension(visitor): Extension<Visitor>,
    body: axum::body::Bytes,
) -> Answered<Response> {
    check_way(&visitor)?;
    let told = |said: Problem| refusal(problem(&visitor, &said));
    let who = visitor.principal.as_ref().ok_or_else(|| told(Problem::unauthorized(NOBODY)))?;
    let Some(user) = &who.user else {
        return Err(told(Problem::forbidden("this is for people with an account of this gate")));
    };
    let OwnPassword { current, password } = read(&visitor, &body, "`current` and `password`")?;
    let credential = Credential::Password { user: who.name.to_string(), password: current };
    let shown = Presented { credential, form: Form::Basic };
    match accounts.identity.who(&shown, visitor.address).await {
        Ok(_) => {}
        Err(error @ (Refused::Unavailable(_) | Refused::SlowDown { .. })) => {
            return Err(refusal(refused(&visitor, &error)));
        }
        // The credential of the request is good, so this is no 401.
        Err(error) => {
            let said = format!("the present password was not right: {error}; nothing was changed");
            return Err(told(Problem::forbidden(said)));
        }
    }
    let done = async {
        let by = By::user(user, &visitor.address());
        (accounts.people)().await?.set_password(&by, &*who.name, &password).await
    };
    done.await.map_err(|error| refusal(people_problem(&visitor, &error)))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn jwks(
    State(accounts): State<Accounts>,
    Extension(visitor): Extension<Visitor>,
) -> Answered<Response> {
    let keys = accounts.identity.jwks().await.map_err(|error| refusal(refused(&visitor, &error)))?;
    Ok(([(header::CACHE_CONTROL, "public, max-age=300")], Json(keys)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    code: Secret<String>,
    username: String,
    password: Secret<String>,
}

async fn set_up(
    State(accounts): State<Accounts>,
    Extension(visitor): Extension<Visitor>,
    body: axum::body::Bytes,
) -> Answered<Response> {
    check_way(&visitor)?;
    let first: First = read(&visitor, &body, "`code`, `username` and `password`")?;
    let people =
        (accounts.people)().await.map_err(|error| refusal(people_problem(&visitor, &error.into())))?;
    let address = visitor.address();
    let made =
        setup::redeem(&people, &accounts.data, &first.code, &first.username, first.password, &address).await;
    let user = made.map_err(|error| refusal(people_problem(&visitor, &error)))?;
    let told = json!({"id": user.id.as_str(), "user": user.name, "superuser": user.superuser});
    Ok((StatusCode::CREATED, Json(told)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forgot {
    username: String,
}

const NO_MAIL: &str = "this gate sends no mail (`notify.smtp`), so no code for a new password can be sent; whoever runs it can set one with \
                       `condagate user passwd`";
const MAYBE: &str = "if there is such a user, with an address, a mail with a code for a new password is on its way; it comes once in ten minutes";

/// Says the same whoever is asked about, and takes as long.
async fn forgot(
    State(accounts): State<Accounts>,
    Extension(visitor): Extension<Visitor>,
    body: axum::body::Bytes,
) -> Answered<Response> {
    let Some(send) = accounts.send_code.clone() else {
        return Err(refusal(problem(&visitor, &Problem::conflict(NO_MAIL))));
    };
    let asked: Forgot = read(&visitor, &body, "`username`")?;
    let people = (accounts.people)().await;
    let people = people.map_err(|error| refusal(people_problem(&visitor, &error.into())))?;
    people.send_code_behind(asked.username, send);
    Ok((StatusCode::ACCEPTED, Json(json!({"detail": MAYBE}))).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    code: Secret<String>,
    password: Secret<String>,
}

async fn reset(
    State(accounts): State<Accounts>,
    Extension(visitor): Extension<Visitor>,
    body: axum::body::Bytes,
) -> Answered<Response> {
    check_way(&visitor)?;
    let reset: Reset = read(&visitor, &body, "`code` and `password`")?;
    let done = async {
        let people = (accounts.people)().await?;
        let by = By::anonymous(&visitor.address());
        people.reset_password(&by, &reset.code, &reset.password).await
    };
    let user = done.await.map_err(|error| refusal(people_problem(&visitor, &error)))?;
    Ok(Json(json!({"user": user.name})).into_response())
}

fn people_problem(visitor: &Visitor, error: &PeopleError) -> Response {
    let sentence = error.to_string();
    problem(
        visitor,
        &match error {
            PeopleError::Setup(setup::SetupError::NotGood) | PeopleError::ResetCode => {
                Problem::forbidden(sentence)
            }
            PeopleError::Setup(setup::SetupError::NotNeeded) | PeopleError::Taken { .. } => {
                Problem::conflict(sentence)
            }
            PeopleError::Setup(setup::SetupError::File { .. }) => {
                tracing::error!(error = %sentence, "the set-up code can't be used");
                Problem::internal("the file of the set-up code can't be used; the gate's log says why")
            }
            PeopleError::Store(_) => {
                Problem::unavailable("the store can't be asked; try again shortly").with_retry_after(5)
            }
            _ => Problem::bad_request(sentence),
        },
    )
}
