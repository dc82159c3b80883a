//! Requests that the gate's own API answers: handed to it on its own runtime, with their bodies as they arrive.
//!
//! Nothing of a body is read before the API asks for it, so what is refused early costs nobody an upload: the answer goes out and the
//! connection ends (`inflow` says how).
//!
//! Belongs here: heads and answers on their way there and back. Does not: bodies on their way there (`inflow`), what the API does (`api`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{self, HeaderName, HeaderValue};

use super::inflow::{self, Fed, Inflow};
use super::message::Response;
use super::respond::{self, Stamp};
use super::{Ctx, Session, admit};
use crate::http::problem::Problem;

/// Answers a request. Its URI is the path behind `/-/` or, with [`crate::conda::url::dialect::Spoken`] among the extensions, has no path
/// that matters; who is asking is there too.
pub type Api = Arc<dyn Fn(http::Request<Inflow>) -> BoxFuture<'static, http::Response<Bytes>> + Send + Sync>;

/// What of an answer's head goes out.
const KEPT: [HeaderName; 19] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    header::LOCATION,
    header::ALLOW,
    header::WWW_AUTHENTICATE,
    header::ETAG,
    header::VARY,
    header::CONTENT_ENCODING,
    header::CONTENT_DISPOSITION,
    header::CONTENT_SECURITY_POLICY,
    header::X_CONTENT_TYPE_OPTIONS,
    header::X_FRAME_OPTIONS,
    header::REFERRER_POLICY,
    HeaderName::from_static("idempotency-replayed"),
    HeaderName::from_static("permissions-policy"),
    HeaderName::from_static("cross-origin-opener-policy"),
    HeaderName::from_static("cross-origin-resource-policy"),
];
/// Headers that are the front door's business: credentials, and what is between two hops.
const NOT_HANDED_ON: [HeaderName; 9] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    admit::API_KEY,
    header::CONNECTION,
    header::EXPECT,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// A request, ready to be handed on but for its body and headers.
pub(super) struct Crossing<'a> {
    pub(super) api: &'a Api,
    /// The path for the API's routes, begins with `/`.
    pub(super) path: &'a str,
    /// What goes along.
    pub(super) extensions: http::Extensions,
    /// How long a client may send nothing of its body.
    pub(super) stall: Duration,
    /// Whether cookies go along.
    pub(super) cookies: bool,
}

/// Hands a request on and its answer back.
pub(super) async fn answer(
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    stamp: &Stamp,
    crossing: Crossing<'_>,
) -> pingora::Result<()> {
    let Crossing { api, path, extensions, stall, cookies } = crossing;
    let (source, body) = inflow::channel();
    let Some(mut request) = request(session, path, body, cookies) else {
        return respond::problem(session, ctx, stamp, Problem::bad_path("this is no path of the API")).await;
    };
    *request.extensions_mut() = extensions;
    let mut answering = api(request);
    let fed = tokio::select! {
        biased;
        fed = source.run(session, stall) => Ok(fed),
        answer = &mut answering => Err(answer),
    };
    let answer = match fed {
        Ok(Fed::Whole) => return send(session, ctx, stamp, answering.await).await,
        Ok(Fed::Unwanted) => answering.await,
        Err(early) => early,
        Ok(Fed::Left(error)) => return Err(error),
        Ok(Fed::Stalled) => {
            session.close_after();
            return respond::problem(session, ctx, stamp, Problem::request_timeout(STALLED)).await;
        }
        Ok(Fed::Broken) => {
            session.close_after();
            return respond::problem(session, ctx, stamp, Problem::bad_request(BROKEN)).await;
        }
    };
    inflow::settle(session).await;
    send(session, ctx, stamp, answer).await
}

const STALLED: &str = "nothing of the request's body arrived for too long (`limits.receive_timeout`); nothing was done with what came \
                       before, send it again";
const BROKEN: &str = "the request's body ended before its Content-Length, or its chunks can't be read; nothing was done with it";

fn request(session: &Session<'_>, path: &str, body: Inflow, cookies: bool) -> Option<http::Request<Inflow>> {
    let head = session.request();
    let mut request = http::Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = match super::meant(head).query {
        Some(query) => format!("{path}?{query}").parse().ok()?,
        None => path.parse().ok()?,
    };
    for (name, value) in head.headers() {
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else {
            continue;
        };
        if !NOT_HANDED_ON.contains(&name) || (cookies && name == header::COOKIE) {
            request.headers_mut().append(name, value);
        }
    }
    Some(request)
}

/// As the front door does with problems of its own: the reason is in the log under the id that the client quotes.
fn tell(ctx: &Ctx, status: u16, body: &[u8]) {
    let document: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = document["detail"].as_str().unwrap_or("the API gave no reason");
    tracing::info!(request = %ctx.request, status, "a request could not be answered: {detail}");
}

async fn send(
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    stamp: &Stamp,
    answer: http::Response<Bytes>,
) -> pingora::Result<()> {
    let (parts, body) = answer.into_parts();
    // What the router itself refuses has no document yet.
    let is_plain =
        parts.headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let problem = match parts.status.as_u16() {
        404 if body.is_empty() => Some(Problem::not_found("the API has no such page")),
        405 if body.is_empty() => {
            Some(Problem::method_not_allowed("this page of the API does not take that method"))
        }
        413 if is_plain => {
            Some(Problem::payload_too_large("this page of the API does not take so many bytes"))
        }
        _ => None,
    };
    if let Some(problem) = problem {
        return respond::problem(session, ctx, stamp, problem).await;
    }
    if parts.status.is_server_error() {
        tell(ctx, parts.status.as_u16(), &body);
    }
    let mut head = Response::new(parts.status.as_u16());
    for name in KEPT {
        for value in parts.headers.get_all(&name) {
            head.add(name.clone(), value.clone());
        }
    }
    if !parts.headers.contains_key(header::CACHE_CONTROL) {
        head.set_static(header::CACHE_CONTROL, "no-store");
    }
    if parts.status == http::StatusCode::UNAUTHORIZED && !parts.headers.contains_key(header::WWW_AUTHENTICATE)
    {
        respond::challenges(&mut head);
    }
    if parts.status != http::StatusCode::NO_CONTENT {
        // HEAD is told what GET would bring, without it.
        let told = parts.headers.get(header::CONTENT_LENGTH).filter(|_| body.is_empty());
        head.set(header::CONTENT_LENGTH, told.cloned().unwrap_or_else(|| HeaderValue::from(body.len())));
    }
    respond::stamp_on(&mut head, ctx, stamp);
    let is_bare = body.is_empty() || session.request().method == http::Method::HEAD;
    respond::send_head(session, head, is_bare).await?;
    if is_bare { Ok(()) } else { session.write_response_body(Some(body), true).await }
}
