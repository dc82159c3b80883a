//! What all answers have in common: problems (RFC 9457), entity tags, pages of lists.
//!
//! Belongs here: the same for every resource. Does not: single resources.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::channel::HostError;
use crate::conda::digest::Sha256;
use crate::http::problem::{MEDIA_TYPE, Problem};
use crate::identity::Visitor;
use crate::manage::ManageError;
use crate::people::PeopleError;
use crate::store::StoreError;

/// Rows of a page of which nothing else is said, and most of them.
const PAGE: u32 = 100;
pub(super) const LONGEST_PAGE: u32 = 1000;
/// What a router says of a request that it does not take.
const LONGEST_SENTENCE: usize = 1000;

/// What went wrong. Becomes a document in [`dress`], which knows the request's id.
#[derive(Debug)]
pub(in crate::api) struct Sorry(Box<Problem>);

pub(in crate::api) type Answered<T> = Result<T, Sorry>;

impl From<Problem> for Sorry {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl IntoResponse for Sorry {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = status.into_response();
        answer.extensions_mut().insert(*self.0);
        answer
    }
}

impl From<StoreError> for Sorry {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stale { .. } | StoreError::Conflict { .. } => Problem::conflict(
                "somebody else changed it at the same moment; look at it again and decide anew",
            ),
            error => {
                tracing::warn!(%error, "the API can't do without the store");
                Problem::unavailable("the database can't be asked right now; try again shortly")
                    .with_retry_after(5)
            }
        }
        .into()
    }
}

impl From<PeopleError> for Sorry {
    fn from(error: PeopleError) -> Self {
        let sentence = error.to_string();
        match error {
            PeopleError::Store(error) => return error.into(),
            PeopleError::NoUser(_)
            | PeopleError::NoGroup(_)
            | PeopleError::NoToken(_)
            | PeopleError::NoGrant { .. } => Problem::not_found(sentence),
            PeopleError::Changed => Problem::precondition_failed(sentence),
            PeopleError::Taken { .. } | PeopleError::LastSuperuser(_) => Problem::conflict(sentence),
            PeopleError::NotRecorded { .. } | PeopleError::Stopping => {
                Problem::unavailable(sentence).with_retry_after(5)
            }
            _ => Problem::unprocessable(sentence),
        }
        .into()
    }
}

impl From<HostError> for Sorry {
    fn from(error: HostError) -> Self {
        super::super::channels::problem_of(&error).into()
    }
}

impl From<ManageError> for Sorry {
    fn from(error: ManageError) -> Self {
        let sentence = error.to_string();
        match error {
            ManageError::Invalid(_) | ManageError::Mistakes(_) => Problem::unprocessable(sentence),
            ManageError::Missing(_) => Problem::not_found(sentence),
            ManageError::Changed => Problem::precondition_failed(sentence),
            ManageError::Failed(_) => {
                tracing::error!(error = %sentence, "what an administrator asked for was not done");
                Problem::unavailable(sentence)
            }
        }
        .into()
    }
}

/// A problem document.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemShown {
    /// Its kind, a path of this gate; never changes its meaning.
    r#type: String,
    /// The kind in a few words.
    title: String,
    /// As in the status line.
    status: u16,
    /// What happened, and what to do about it.
    detail: String,
    /// The rule that decided.
    rule: Option<String>,
    /// File and line of that rule; for insiders.
    at: Option<String>,
    /// What to do about it, where `detail` does not say.
    hint: Option<String>,
    /// Seconds.
    retry_after: Option<u64>,
    /// The log has it, too.
    request_id: String,
}

/// The document of a problem.
fn told(visitor: &Visitor, problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = problem.to_json(visitor.request);
    let mut answer = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
    if let Some(seconds) = problem.retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// Makes a document of every refusal, also of what the router itself refuses.
pub(super) async fn dress(request: Request, next: Next) -> Response {
    // The front door always says.
    let Some(visitor) = request.extensions().get::<Visitor>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut answer = next.run(request).await;
    answer.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(problem) = answer.extensions_mut().remove::<Problem>() {
        return told(&visitor, &problem);
    }
    let is_document = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE);
    if !answer.status().is_client_error() || is_document {
        return answer;
    }
    let (status, allow) = (answer.status(), answer.headers().get(header::ALLOW).cloned());
    let said = to_bytes(answer.into_body(), LONGEST_SENTENCE).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let problem = match status {
        StatusCode::NOT_FOUND => Problem::not_found("the API has nothing at this address"),
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::method_not_allowed("the API does not take this method at this address")
        }
        StatusCode::PAYLOAD_TOO_LARGE => Problem::payload_too_large("the body is too long"),
        _ if said.is_empty() => Problem::bad_request("the request can't be understood"),
        _ => Problem::bad_request(said),
    };
    let mut answer = told(&visitor, &problem);
    if let Some(allow) = allow {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}

pub(super) async fn nowhere() -> Sorry {
    Problem::not_found("the API has nothing at this address; /-/api/v1/openapi.json says what it has").into()
}

pub(super) async fn not_so() -> Sorry {
    Problem::method_not_allowed("the API does not take this method at this address").into()
}

/// Which page of a list is asked for, where nothing else can be said of it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listed {
    /// What `next` of the page before said.
    pub(super) after: Option<String>,
    /// Rows of a page; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
}

/// How many rows somebody gets.
pub(in crate::api) fn limit(asked: Option<u32>) -> Answered<u32> {
    match asked.unwrap_or(PAGE) {
        n @ 1..=LONGEST_PAGE => Ok(n),
        _ => Err(Problem::bad_request(format!("`limit` is a number from 1 to {LONGEST_PAGE}")).into()),
    }
}

/// Where the next page begins, if this one is full.
pub(in crate::api) fn next<T>(rows: &[T], limit: u32, place: impl FnOnce(&T) -> String) -> Option<String> {
    rows.last().filter(|_| rows.len() == limit as usize).map(place)
}

/// The entity tag of a row.
pub(super) fn tag_of(id: &impl std::fmt::Display, revision: u64) -> String {
    format!("\"{id}.{revision}\"")
}

/// The entity tag of what is put together of many rows: the same as long as it says the same.
pub(in crate::api) fn tag_of_content(content: &impl Serialize) -> String {
    let text = serde_json::to_vec(content).unwrap_or_default();
    format!("\"{}\"", &Sha256::of(&text).to_hex()[..32])
}

fn lists(headers: &HeaderMap, name: header::HeaderName, tag: &str) -> Option<bool> {
    let mut all = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).peekable();
    all.peek()?;
    Some(all.flat_map(|line| line.split(',')).map(str::trim).any(|one| one == "*" || one == tag))
}

/// An answer with its entity tag; without a body where the client has it.
pub(in crate::api) fn tagged(headers: &HeaderMap, tag: &str, body: &impl Serialize) -> Response {
    let value = HeaderValue::from_str(tag).unwrap_or(HeaderValue::from_static("\"\""));
    let mut answer = match lists(headers, header::IF_NONE_MATCH, tag) {
        Some(true) => StatusCode::NOT_MODIFIED.into_response(),
        _ => Json(body).into_response(),
    };
    answer.headers_mut().insert(header::ETAG, value);
    // Asked again each time; the tag makes that cheap.
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answer
}

/// The revision that a change is about, where the client says which state it takes something for (`If-Match`); a state that is over is
/// refused here already.
pub(in crate::api) fn expected(headers: &HeaderMap, tag: &str, revision: u64) -> Answered<Option<u64>> {
    check_match(headers, tag)?;
    let names_one = headers.contains_key(header::IF_MATCH) && !is_any(headers);
    Ok(names_one.then_some(revision))
}

/// `If-Match: *` takes it in any state.
fn is_any(headers: &HeaderMap) -> bool {
    headers.get_all(header::IF_MATCH).iter().any(|value| value.as_bytes().trim_ascii() == b"*")
}

/// Whether something is still what the client takes it for (`If-Match`).
pub(in crate::api) fn check_match(headers: &HeaderMap, tag: &str) -> Answered<()> {
    match lists(headers, header::IF_MATCH, tag) {
        Some(false) => Err(Problem::precondition_failed(
            "it has been changed since you looked (`If-Match`); look at it again and decide anew",
        )
        .into()),
        _ => Ok(()),
    }
}
