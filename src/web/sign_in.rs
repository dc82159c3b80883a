//! Signing in and out.
//!
//! Belongs here: the form and its answers. Does not: proving who somebody is (`identity`).

use askama::Template;
use axum::extract::{Extension, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::desk::{Desk, Flash, add_cookie};
use super::page::{self, Page};
use super::posted::Posted;
use super::sorry::Sorry;
use crate::identity::SessionState;
use crate::people::setup;
use crate::snapshot::people::Refused;

#[derive(Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignInPage {
    page: Page,
    name: String,
    next: Option<String>,
    told: Option<String>,
    /// Whether passwords may come this way.
    may_send: bool,
    over: bool,
}

impl SignInPage {
    pub(super) fn new(desk: &Desk, name: &str, next: Option<String>, told: Option<String>) -> Self {
        Self {
            page: desk.page(""),
            name: name.to_owned(),
            next: next.filter(|next| !next.contains("/-/ui/sign-")),
            told,
            may_send: desk.visitor.may_send_secrets,
            over: desk.entrance.session == SessionState::Over,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Asked {
    next: Option<String>,
}

pub(super) async fn show(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Asked>,
) -> Result<Response, Sorry> {
    let next = desk.own(asked.next.as_deref());
    if desk.signed_in().is_ok() {
        return Ok(Desk::away(&next.unwrap_or_else(|| desk.link("/"))));
    }
    if desk.visitor.may_send_secrets && setup::is_needed(&desk.people().await?).await? {
        return Ok(desk.to("/-/ui/setup"));
    }
    Ok(page::show(&SignInPage::new(&desk, "", next, None)))
}

pub(super) async fn sign_in(Extension(desk): Extension<Desk>, posted: Posted) -> Response {
    let (name, next) = (posted.text("username"), desk.own(posted.some("next")));
    if !desk.visitor.may_send_secrets {
        return page::html(StatusCode::FORBIDDEN, &SignInPage::new(&desk, name, next, None));
    }
    let found = desk.web.identity.sign_in(name, &posted.secret("password"), &desk.visitor).await;
    let signed_in = match found {
        Ok(signed_in) => signed_in,
        Err(refused) => {
            let status = match refused {
                Refused::SlowDown { .. } => StatusCode::TOO_MANY_REQUESTS,
                Refused::Unavailable(_) => return Sorry::from(refused).into_response(),
                _ => StatusCode::UNAUTHORIZED,
            };
            let told = Sorry::from(refused).sentence;
            let mut answer = page::html(status, &SignInPage::new(&desk, name, next, Some(told)));
            let way = axum::http::HeaderValue::from_static("Bearer realm=\"condagate\"");
            answer.headers_mut().insert(axum::http::header::WWW_AUTHENTICATE, way);
            return answer;
        }
    };
    // Whatever session the browser had, it is not needed any more.
    if let Some(old) = desk.cookies.session.as_ref().filter(|_| desk.signed_in().is_ok())
        && let Err(error) = desk.web.identity.sign_out(old, &desk.visitor).await
    {
        tracing::debug!(%error, "an older session stays until it ends by itself");
    }
    let mut answer = Desk::away(&next.unwrap_or_else(|| desk.link("/")));
    add_cookie(&mut answer, desk.baker().session(&signed_in.secret, signed_in.max_age));
    answer
}

pub(super) async fn sign_out(Extension(desk): Extension<Desk>, _posted: Posted) -> Result<Response, Sorry> {
    if let Some(secret) = &desk.cookies.session {
        desk.web.identity.sign_out(secret, &desk.visitor).await?;
    }
    let mut answer = desk.tell("/", &Flash::good("You are signed out."));
    add_cookie(&mut answer, desk.baker().no_session());
    Ok(answer)
}
