//! Writes answers: conditional requests, ranges, content codings, bodies. The only place that turns a delivery into HTTP.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};

use super::coded;
use super::message::Response;
use super::request::Asked;
use super::{Ctx, Session};
use super::{refuse, stream};
use crate::conda::digest::Sha256;
use crate::delivery::{Answer, Body, CacheFor, Facts};
use crate::http::coding::Coding;
use crate::http::conditional::{self, Preconditions};
use crate::http::etag::ETag;
use crate::http::problem::Problem;
use crate::http::range;

/// What every answer carries, whatever it is.
pub struct Stamp {
    /// `Via` of this gate: `1.1 <pseudonym>`.
    pub via: HeaderValue,
}

/// Which bytes of the representation go out.
enum Part {
    Whole,
    Slice(Range<u64>),
    Unsatisfiable(u64),
}

const OTHER_VERSION: &str = "the file is not the version that If-Match or If-Unmodified-Since names";
const BEARER: &str = "Bearer realm=\"condagate\"";
const BASIC: &str = "Basic realm=\"condagate\", charset=\"UTF-8\"";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Writes `answer`, or the 304, 206, 412 or 416 that the request's conditions make of it.
pub async fn answer(
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    stamp: &Stamp,
    mut answer: Answer,
) -> pingora::Result<()> {
    let asked = Asked::of(session);
    let coding = coded::choose(&asked, &answer);
    if let Err(refusal) = coded::apply(&mut answer, coding).await {
        return problem(session, ctx, stamp, Problem::internal(refusal)).await;
    }
    remember(ctx, &answer);
    // A download's own facts come with its head; conditions are judged against them.
    if let Err(error) = stream::prepare(&asked, &mut answer).await {
        return refuse::fill_error(session, ctx, stamp, &error).await;
    }
    let preconditions = Preconditions {
        if_match: asked.if_match.as_deref(),
        if_unmodified_since: asked.if_unmodified_since.as_deref(),
        if_none_match: asked.if_none_match.as_deref(),
        if_modified_since: asked.if_modified_since.as_deref(),
        if_range: None,
    };
    let facts = &answer.facts;
    match conditional::evaluate(&preconditions, true, facts.etag.as_ref(), facts.last_modified) {
        conditional::Outcome::Proceed => {}
        conditional::Outcome::NotModified => return not_modified(session, ctx, stamp, &answer, coding).await,
        conditional::Outcome::Failed => {
            return problem(session, ctx, stamp, Problem::precondition_failed(OTHER_VERSION)).await;
        }
    }
    match answer.body {
        Body::Fill(_) | Body::Cold(_) => return stream::growing(session, ctx, stamp, &asked, answer).await,
        Body::Blob(_) | Body::File(_) | Body::Bytes(_) => {}
    }
    let len = facts.len.unwrap_or(0);
    let part = part_of(&asked, facts, len);
    let (status, span) = match part {
        Part::Whole => (200, 0..len),
        Part::Slice(span) => (206, span),
        Part::Unsatisfiable(len) => return unsatisfiable(session, ctx, stamp, len).await,
    };
    let header = head(status, ctx, stamp, coding, &answer, Some(&span), len)?;
    send_head(session, header, asked.head || span.is_empty()).await?;
    if asked.head || span.is_empty() {
        return Ok(());
    }
    stream::body(session, &answer.body, span, ctx.body_mode()).await
}

/// For the access line, and for whoever has to wait.
fn remember(ctx: &mut Ctx, answer: &Answer) {
    ctx.outcome = answer.facts.outcome;
    match &answer.body {
        Body::Fill(fill) => {
            fill.begun_by(ctx.request);
            ctx.fill = Some(fill.clone());
        }
        Body::Blob(blob) => ctx.digest = Some(*blob.digest()),
        Body::File(_) | Body::Bytes(_) | Body::Cold(_) => {}
    }
}

/// The part of a representation of `len` bytes that was asked for, `If-Range` considered.
fn part_of(asked: &Asked, facts: &Facts, len: u64) -> Part {
    let Some(wanted) = wanted_range(asked, facts) else { return Part::Whole };
    wanted.resolve(len).map_or(Part::Unsatisfiable(len), Part::Slice)
}

/// The range that was asked for; `None` where `If-Range` names another version.
pub(super) fn wanted_range(asked: &Asked, facts: &Facts) -> Option<range::ByteRange> {
    let wanted = asked.range.as_deref().and_then(range::parse)?;
    conditional::if_range_holds(asked.if_range.as_deref(), facts.etag.as_ref(), facts.last_modified)
        .then_some(wanted)
}

/// The headers of a 200 or 206 with `span` of `len` bytes; `span` is `None` while the length is unknown.
pub(super) fn head(
    status: u16,
    ctx: &Ctx,
    stamp: &Stamp,
    coding: Coding,
    answer: &Answer,
    span: Option<&Range<u64>>,
    len: u64,
) -> pingora::Result<Response> {
    let facts = &answer.facts;
    let mut header = Response::new(status);
    if let Some(span) = span {
        header.add(header::CONTENT_LENGTH, HeaderValue::from(span.end - span.start));
        if status == 206 {
            header.set_text(header::CONTENT_RANGE, &range::content_range(span, len))?;
        }
    } else {
        // So that a cut is told from the end; HTTP/1.0 gets no body of unknown length.
        header.add_static(header::TRANSFER_ENCODING, "chunked");
    }
    match &facts.content_type {
        Cow::Borrowed(known) => {
            header.add_static(header::CONTENT_TYPE, known);
        }
        Cow::Owned(found) => header.set_text(header::CONTENT_TYPE, found)?,
    }
    header.add_static(header::ACCEPT_RANGES, "bytes");
    validators(&mut header, ctx, facts, coding, answer);
    stamp_on(&mut header, ctx, stamp);
    Ok(header)
}

/// What a 304 must repeat of the 200 (RFC 9110 section 15.4.5), and what both say of coding and caching.
fn validators(header: &mut Response, ctx: &Ctx, facts: &Facts, coding: Coding, answer: &Answer) {
    if let Some(etag) = &facts.etag {
        header.add(header::ETAG, etag.header().clone());
    }
    if let Some(changed) = facts.last_modified.and_then(super::date::of) {
        header.add(header::LAST_MODIFIED, changed);
    }
    let cache_control = match facts.cache_for {
        // Without `public`, what was asked for with a credential stays out of shared caches (RFC 9111 section 3.5).
        CacheFor::Index if ctx.gated => "max-age=60",
        CacheFor::Package if ctx.gated => "max-age=3600",
        CacheFor::Index => "public, max-age=60",
        CacheFor::Package => "public, max-age=3600",
        CacheFor::Revalidate => "no-cache",
    };
    header.add_static(header::CACHE_CONTROL, cache_control);
    if let Some(name) = coding.token() {
        header.add_static(header::CONTENT_ENCODING, name);
    }
    if answer.compressible || answer.zstd.is_some() || coding != Coding::Identity {
        header.add_static(header::VARY, "Accept-Encoding");
    }
}

/// `Date`, `Via` and the request id.
pub(super) fn stamp_on(header: &mut Response, ctx: &Ctx, stamp: &Stamp) {
    header.add(header::DATE, super::date::now());
    header.add(header::VIA, stamp.via.clone());
    // Digits are always taken.
    if let Ok(id) = HeaderValue::from_bytes(&ctx.request.hex()) {
        header.add(REQUEST_ID, id);
    }
}

/// Sends the headers and notes the status for the access log.
pub(super) async fn send_head(session: &mut Session<'_>, header: Response, end: bool) -> pingora::Result<()> {
    session.write_response_header(header, end).await
}

async fn not_modified(
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    stamp: &Stamp,
    answer: &Answer,
    coding: Coding,
) -> pingora::Result<()> {
    let mut header = Response::new(304);
    validators(&mut header, ctx, &answer.facts, coding, answer);
    header.remove(&header::CONTENT_ENCODING);
    stamp_on(&mut header, ctx, stamp);
    send_head(session, header, true).await
}

pub(super) async fn unsatisfiable(
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    stamp: &Stamp,
    len: u64,
) -> pingora::Result<()> {
    let body =
        Problem::range_not_satisfiable(format!("the file has {len} bytes; the range begins behind its end"))
            .to_json(ctx.request);
    let mut header = small_head(416, "application/problem+json", body.len(), ctx, stamp)?;
    header.set_text(header::CONTENT_RANGE, &range::unsatisfied(len))?;
    small_body(session, header, body).await
}

/// Writes a problem document (RFC 9457) with the request id that the log has too.
pub async fn problem(
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    stamp: &Stamp,
    problem: Problem,
) -> pingora::Result<()> {
    tell(ctx, &problem);
    let body = problem.to_json(ctx.request);
    let mut header = small_head(problem.status, "application/problem+json", body.len(), ctx, stamp)?;
    if let Some(seconds) = problem.retry_after {
        header.set(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    match problem.status {
        401 => challenges(&mut header),
        407 => {
            header.set_static(header::PROXY_AUTHENTICATE, BASIC);
        }
        _ => {}
    }
    if problem.status == 405 {
        header.set_static(header::ALLOW, "GET, HEAD");
    }
    header.set_static(header::CACHE_CONTROL, "no-cache");
    small_body(session, header, body).await
}

/// The gate's own or upstream's trouble is in the log under the id that the client quotes. What clients do is in the access log only.
fn tell(ctx: &Ctx, problem: &Problem) {
    if problem.status >= 500 && problem.status != 501 {
        let Problem { status, kind, detail, .. } = problem;
        tracing::info!(request = %ctx.request, status, kind, "a request could not be answered: {detail}");
    }
}

/// Says what credentials would do. Programs take the first that they know; browsers would ask for a password on the second.
pub(super) fn challenges(header: &mut Response) {
    for way in [BEARER, BASIC] {
        header.add(header::WWW_AUTHENTICATE, HeaderValue::from_static(way));
    }
}

/// Writes a page or a small document made by the gate itself, under an ETag of its content.
pub async fn page(
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    stamp: &Stamp,
    content_type: &str,
    body: Bytes,
) -> pingora::Result<()> {
    let asked = Asked::of(session);
    let etag = ETag::strong(&Sha256::of(&body).to_hex());
    let mut header = small_head(200, content_type, body.len(), ctx, stamp)?;
    header.set(header::ETAG, etag.header().clone());
    header.set_static(header::CACHE_CONTROL, "no-cache");
    let conditions =
        Preconditions { if_none_match: asked.if_none_match.as_deref(), ..Preconditions::default() };
    if conditional::evaluate(&conditions, true, Some(&etag), None) == conditional::Outcome::NotModified {
        header.status = 304;
        header.remove(&header::CONTENT_LENGTH);
        header.remove(&header::CONTENT_TYPE);
        return send_head(session, header, true).await;
    }
    small_body(session, header, body).await
}

/// Writes a document that is new at each request, under `status`.
pub(super) async fn document(
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    stamp: &Stamp,
    status: u16,
    content_type: &str,
    body: Bytes,
) -> pingora::Result<()> {
    let mut header = small_head(status, content_type, body.len(), ctx, stamp)?;
    header.set_static(header::CACHE_CONTROL, "no-store");
    small_body(session, header, body).await
}

fn small_head(
    status: u16,
    content_type: &str,
    len: usize,
    ctx: &Ctx,
    stamp: &Stamp,
) -> pingora::Result<Response> {
    let mut header = Response::new(status);
    header.set_text(header::CONTENT_TYPE, content_type)?;
    header.set(header::CONTENT_LENGTH, HeaderValue::from(len));
    stamp_on(&mut header, ctx, stamp);
    Ok(header)
}

async fn small_body(session: &mut Session<'_>, header: Response, body: Bytes) -> pingora::Result<()> {
    let head_only = session.request().method == http::Method::HEAD || body.is_empty();
    send_head(session, header, head_only).await?;
    if head_only {
        return Ok(());
    }
    session.write_response_body(Some(body), true).await
}
