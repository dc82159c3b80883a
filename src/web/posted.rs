//! What a form says, once it is sure that the form is one of ours.
//!
//! Another site could have a browser send a form here, with the browser's cookies. `SameSite` keeps most of that off; a token in each form that
//! only a page of this gate can know keeps off the rest, such as other services of the same host.
//!
//! Belongs here: reading forms, proving where they come from. Does not: what they are about.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::desk::Desk;
use super::sorry::Sorry;
use crate::identity::SessionState;
use crate::secret::Secret;

/// The fields of a form.
pub(super) struct Posted(Vec<(String, Secret<String>)>);

impl Posted {
    /// A field, without spaces around it; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The same, if it says anything.
    pub(super) fn some(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// A field as it was sent.
    fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.reveal())
    }

    /// A password.
    pub(super) fn secret(&self, name: &str) -> Secret<String> {
        Secret::new(self.raw(name).to_owned())
    }

    /// Whether a box was ticked.
    pub(super) fn is_on(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }
}

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let desk = request.extensions().get::<Desk>().cloned();
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        let fields = url::form_urlencoded::parse(&body);
        let posted =
            Self(fields.map(|(key, value)| (key.into_owned(), Secret::new(value.into_owned()))).collect());
        let desk = desk.ok_or_else(|| foreign().into_response())?;
        check(&desk, &headers, posted.text("csrf")).map_err(IntoResponse::into_response)?;
        Ok(posted)
    }
}

/// Whether a form is one of ours.
pub(super) fn check(desk: &Desk, headers: &HeaderMap, csrf: &str) -> Result<(), Sorry> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_ours = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let known = desk.proof.as_ref().is_some_and(|proof| proof.is_in(csrf));
    match is_ours && known {
        true => Ok(()),
        // Its token was made of the session's secret.
        false if is_ours && desk.entrance.session == SessionState::Over => Err(Sorry::sign_in(
            "Your session has ended, so nothing was changed. Sign in again, and send the form once more.",
        )),
        false => Err(foreign()),
    }
}

fn foreign() -> Sorry {
    Sorry::forbidden(
        "This form was not sent from a page of this gate, or the page was open for so long that it is not good any more. Nothing was \
         changed; open the page again and send the form once more.",
    )
}
