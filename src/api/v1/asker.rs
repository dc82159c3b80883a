//! Who asks, and what it takes: rights, ways that nobody can read along, bodies and parameters.
//!
//! Belongs here: from requests to values. Does not: single resources.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::answers::{Answered, Sorry};
use crate::http::problem::Problem;
use crate::identity::Visitor;
use crate::people::By;
use crate::snapshot::people::Principal;

const IN_THE_CLEAR: &str = "passwords and tokens over plain HTTP can be read by others on the way, so nothing was done; come by https:// or from \
                            the gate's own machine, or let the administrator set `security: {allow_plaintext: true}`";

/// Whoever sends a request.
pub(super) struct Asker(pub(super) Visitor);

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = Sorry;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Sorry> {
        let visitor = parts.extensions.get::<Visitor>().cloned();
        // The front door always says.
        visitor.map(Self).ok_or_else(|| Problem::internal("nobody knows who is asking").into())
    }
}

impl Asker {
    /// Whoever showed a credential.
    pub(super) fn known(&self) -> Answered<&Principal> {
        let needed =
            || Problem::unauthorized("this needs a credential: a token, or the access token of a session");
        self.0.principal.as_deref().ok_or_else(|| needed().into())
    }

    /// Somebody with an account here, by a credential that is not cut down: it may make others.
    pub(super) fn whole(&self) -> Answered<&Principal> {
        let who = self.known()?;
        if who.user.is_none() {
            return Err(Problem::forbidden("this is for people with an account of this gate").into());
        }
        if !who.is_whole() {
            return Err(Problem::forbidden(
                "this token is not good for it: it takes the scope `manage:*`, or the access token of a session",
            )
            .into());
        }
        Ok(who)
    }

    /// Somebody who may do everything here, for the audit trail.
    pub(super) fn administrator(&self) -> Answered<By> {
        let who = self.known()?;
        if !who.is_superuser() {
            return Err(Problem::forbidden("this is for administrators (superusers)").into());
        }
        self.whole()?;
        Ok(self.by())
    }

    /// Who does it, for the audit trail.
    pub(super) fn by(&self) -> By {
        let address = self.0.address();
        match self.0.principal.as_ref().and_then(|who| who.user.as_ref()) {
            Some(user) => By::user(user, &address),
            None => By::anonymous(&address),
        }
    }

    /// Refuses secrets that others can read on the way.
    pub(super) fn secrets(&self) -> Answered<()> {
        if self.0.may_send_secrets { Ok(()) } else { Err(Problem::forbidden(IN_THE_CLEAR).into()) }
    }
}

/// The parameters of a query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Sorry;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Sorry> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(Problem::bad_request(error.body_text()).into()),
        }
    }
}

/// The JSON of a body; nothing counts as an object without keys.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Sorry;

    async fn from_request(request: Request, state: &S) -> Result<Self, Sorry> {
        let bytes = Bytes::from_request(request, state).await.map_err(|error| {
            let problem = if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::payload_too_large("the body is too long")
            } else {
                Problem::bad_request("the body did not arrive")
            };
            Sorry::from(problem)
        })?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let read = serde_json::from_slice(text);
        read.map(Self).map_err(|error| Problem::unprocessable(wrong(&error)).into())
    }
}

/// What is wrong with a body, without its texts: one of them may be a secret.
fn wrong(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let place = format!("line {} column {}", error.line(), error.column());
    if said.contains("string \"") {
        return format!("the body is not as the API's document has it: another type is wanted at {place}");
    }
    format!("the body is not as the API's document has it: {said}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_bodies_are_told_without_their_texts() {
        #[derive(serde::Deserialize, Debug)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only its mistakes are looked at")]
        struct Body {
            on: bool,
        }
        let said = |text: &str| wrong(&serde_json::from_str::<Body>(text).unwrap_err());
        assert!(!said("{\"on\": \"hunter2\"}").contains("hunter2"));
        assert!(said("{\"of\": true}").contains("unknown field `of`"));
        assert!(said("{\"on\": 1").contains("line 1 column"));
    }
}
