//! Creating something once, however often it is asked for: `Idempotency-Key` on POST.
//!
//! The same caller with the same key gets the answer of the first time again, if it asks for the same. Answers are kept in memory for some
//! minutes, which is long enough for a client that lost one; they may have a new token in them, so they go nowhere else.
//!
//! Belongs here: keys and answers. Does not: what is created.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use moka::sync::Cache;
use parking_lot::Mutex;

use super::answers::Sorry;
use crate::clock::{SharedClock, UnixMillis};
use crate::conda::digest::Sha256;
use crate::http::problem::Problem;
use crate::identity::Visitor;
use crate::secret::Secret;

const KEY: &str = "idempotency-key";
/// Answers that are kept.
const MOST: u64 = 10_000;
/// How long.
const KEPT: Duration = Duration::from_mins(10);
/// Bodies and answers that are looked at.
const LONGEST: usize = 1 << 20;
const LONGEST_KEY: usize = 255;

/// The answers of late. Cheap to clone.
#[derive(Clone)]
pub(super) struct Once {
    clock: SharedClock,
    known: Cache<Sha256, Arc<Slot>>,
}

struct Slot {
    /// Of what was asked for.
    asked: Sha256,
    at: UnixMillis,
    /// `None` while it is being answered.
    answer: Mutex<Option<Kept>>,
}

struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Secret<Bytes>,
}

impl Kept {
    fn again(&self) -> Response {
        let mut answer = (self.status, self.body.reveal().clone()).into_response();
        *answer.headers_mut() = self.headers.clone();
        answer.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        answer
    }
}

impl Once {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { clock, known: Cache::builder().max_capacity(MOST).time_to_live(KEPT).build() }
    }

    /// The place for an answer, and whether it is new.
    fn slot(&self, key: Sha256, asked: Sha256) -> (Arc<Slot>, bool) {
        let now = self.clock.now();
        let fresh = || Arc::new(Slot { asked, at: now, answer: Mutex::new(None) });
        let too_old = |slot: &Arc<Slot>| now.since(slot.at) > KEPT;
        if self.known.get(&key).as_ref().is_some_and(too_old) {
            self.known.invalidate(&key);
        }
        let entry = self.known.entry(key).or_insert_with(fresh);
        let is_new = entry.is_fresh();
        (entry.into_value(), is_new)
    }
}

/// Whose key it is, and for what address.
fn key_of(parts: &Parts, visitor: &Visitor) -> Result<Option<Sha256>, Sorry> {
    let Some(key) = parts.headers.get(KEY) else { return Ok(None) };
    let Some(who) = visitor.principal.as_ref() else { return Ok(None) };
    let good = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
    let bad = || Problem::bad_request(format!("`Idempotency-Key` is a text of up to {LONGEST_KEY} letters"));
    let key = good.ok_or_else(|| Sorry::from(bad()))?;
    Ok(Some(Sha256::of(format!("{}\n{}\n{key}", who.actor(), parts.uri.path()).as_bytes())))
}

/// Answers once.
pub(super) async fn once(State(once): State<Once>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let visitor = parts.extensions.get::<Visitor>().filter(|_| parts.method == Method::POST);
    let key = match visitor.map(|visitor| key_of(&parts, visitor)) {
        Some(Ok(Some(key))) => key,
        Some(Err(sorry)) => return sorry.into_response(),
        Some(Ok(None)) | None => return next.run(Request::from_parts(parts, body)).await,
    };
    let Ok(body) = to_bytes(body, LONGEST).await else {
        return Sorry::from(Problem::payload_too_large("the body is too long")).into_response();
    };
    let (slot, is_new) = once.slot(key, Sha256::of(&body));
    if !is_new {
        return known(&slot, &body);
    }
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    // What did not happen may be tried again with the same key.
    if !answer.status().is_success() {
        once.known.invalidate(&key);
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let body = to_bytes(body, LONGEST).await.unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    let kept = Kept { status: parts.status, headers: parts.headers.clone(), body: Secret::new(body.clone()) };
    *slot.answer.lock() = Some(kept);
    Response::from_parts(parts, Body::from(body))
}

fn known(slot: &Slot, body: &[u8]) -> Response {
    let said = |problem| Sorry::from(problem).into_response();
    if slot.asked != Sha256::of(body) {
        return said(Problem::unprocessable(
            "this `Idempotency-Key` was sent with another body before; make a new key for a new request",
        ));
    }
    match &*slot.answer.lock() {
        Some(kept) => kept.again(),
        None => said(Problem::conflict("the request with this `Idempotency-Key` is still being answered")),
    }
}
