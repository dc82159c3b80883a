//! Requests to the gate's own API: read whole, within bounds, and handed to it on its own runtime.
//!
//! Belongs here: bodies and headers on their way there and back. Does not: what the API does (`api`).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::header::{self, HeaderName, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::Ctx;
use super::respond::{self, Stamp};
use crate::http::problem::Problem;
use crate::identity::Visitor;

/// Answers a request to `/<path behind /-/>`; whoever asks is among its extensions.
pub type Api = Arc<dyn Fn(http::Request<Bytes>) -> BoxFuture<'static, http::Response<Bytes>> + Send + Sync>;

/// The longest body of a request; uploads go elsewhere.
const LONGEST: usize = 64 * 1024;
/// What of an answer's head goes out.
const KEPT: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    header::LOCATION,
    header::ALLOW,
];

/// Hands a request on and its answer back.
pub(super) async fn answer(
    session: &mut Session,
    ctx: &mut Ctx,
    stamp: &Stamp,
    api: &Api,
    (path, visitor): (&str, Visitor),
) -> pingora::Result<()> {
    let Some(body) = body(session).await? else {
        session.set_keepalive(None);
        let problem = Problem::payload_too_large(format!("a request to the API may have {LONGEST} bytes"));
        return respond::problem(session, ctx, stamp, problem).await;
    };
    let method = session.req_header().method.clone();
    let mut request = http::Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = match format!("/{path}").parse() {
        Ok(uri) => uri,
        Err(_) => {
            return respond::problem(session, ctx, stamp, Problem::bad_path("this is no path of the API"))
                .await;
        }
    };
    if let Some(kind) = session.req_header().headers.get(header::CONTENT_TYPE) {
        request.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    request.extensions_mut().insert(visitor);
    let answer = api(request).await;
    send(session, ctx, stamp, answer).await
}

/// The whole body; `None` when it is too long.
async fn body(session: &mut Session) -> pingora::Result<Option<Bytes>> {
    let mut body = BytesMut::new();
    while let Some(piece) = session.read_request_body().await? {
        if body.len() + piece.len() > LONGEST {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body.freeze()))
}

async fn send(
    session: &mut Session,
    ctx: &mut Ctx,
    stamp: &Stamp,
    answer: http::Response<Bytes>,
) -> pingora::Result<()> {
    let (parts, body) = answer.into_parts();
    // What the router itself refuses has no document yet.
    let problem = match parts.status.as_u16() {
        404 if body.is_empty() => Some(Problem::not_found("the API has no such page")),
        405 if body.is_empty() => {
            Some(Problem::method_not_allowed("this page of the API does not take that method"))
        }
        _ => None,
    };
    if let Some(problem) = problem {
        return respond::problem(session, ctx, stamp, problem).await;
    }
    let mut head = Box::new(ResponseHeader::build_no_case(parts.status, Some(10))?);
    for name in KEPT {
        for value in parts.headers.get_all(&name) {
            head.append_header(name.clone(), value.clone())?;
        }
    }
    if !parts.headers.contains_key(header::CACHE_CONTROL) {
        head.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))?;
    }
    if parts.status != http::StatusCode::NO_CONTENT {
        head.insert_header(header::CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    }
    respond::stamp_on(&mut head, ctx, stamp)?;
    let is_bare = body.is_empty() || session.req_header().method == http::Method::HEAD;
    respond::send_head(session, head, is_bare).await?;
    if is_bare { Ok(()) } else { session.write_response_body(Some(body), true).await }
}
